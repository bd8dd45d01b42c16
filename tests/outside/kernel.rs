//! The kernel as Jupyter's own client libraries see it. The conversations are Python, in `tests/python`.

use crate::support::{Jupyter, Place};

#[test]
fn the_protocols_own_suite_passes() {
    Jupyter::with_kernel(Place::new()).run("test_kernel.py", &[]);
}

#[test]
fn messages_come_in_order_errors_stop_the_queue_and_interrupts_keep_variables() {
    Jupyter::with_kernel(Place::new()).run("test_conversation.py", &[]);
}

#[test]
fn widgets_are_opened_changed_heard_and_saved_as_ipywidgets_protocol_has_it() {
    Jupyter::with_kernel(Place::new()).run("test_widgets.py", &[]);
}

#[test]
fn a_cells_tasks_and_bars_are_displays_that_change() {
    Jupyter::with_kernel(Place::new()).run("test_progress.py", &[]);
}
