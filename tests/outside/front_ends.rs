//! Front ends that other people wrote, in front of the kernel. What is done with each is Python, in `tests/python`.

use crate::support::{Jupyter, Place};
use std::io::Write;
use std::path::Path;

#[test]
fn papermill_sets_the_parameters_of_a_notebook() {
    Jupyter::with_kernel(Place::new()).run("test_papermill.py", &[]);
}

#[test]
fn nbval_nbconvert_jupytext_and_voila_run_the_tour() {
    let tour = Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks/tour.ipynb");
    Jupyter::with_kernel(Place::new()).run("test_front_ends.py", &[tour.to_str().expect("UTF-8")]);
}

#[test]
fn a_person_at_jupyter_console_gets_what_other_front_ends_give() {
    Jupyter::with_kernel(Place::new()).run("test_console.py", &[]);
}

#[test]
fn editors_get_the_answers_that_they_wait_for() {
    Jupyter::with_kernel(Place::new()).run("test_editors.py", &[]);
}

#[test]
fn a_person_at_jupyterlab_drags_clicks_reloads_and_reads() {
    let finished = Jupyter::with_kernel(Place::new()).run("test_browser.py", &[]);
    // Past the harness, which shows nothing of a test that passes.
    for line in finished.stdout.lines().filter(|line| line.starts_with("left out")) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

#[test]
fn the_web_page_is_reached_through_the_jupyter_server_of_a_notebook() {
    Jupyter::with_kernel(Place::new()).run("test_proxy.py", &[]);
}
