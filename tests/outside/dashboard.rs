//! The web page, as a browser and other programs see it.

use crate::support::{Jupyter, Place};

#[test]
fn each_view_of_the_page_shows_a_real_run_in_chromium() {
    Jupyter::with_kernel(Place::new()).run("test_dashboard.py", &[]);
}
