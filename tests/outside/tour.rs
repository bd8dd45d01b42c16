//! The tour runs, in a script and in Jupyter, and shows what is stored in it.
//!
//! Compared is what a person reads: streams, the plain text of values, errors. Numbers of processes differ from run to run and
//! are not compared; neither are cells with the tag `skip-output`, whose output depends on the machine.

use crate::support::{Jupyter, Place, finish, joined, shown};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The notebook in the tree.
fn stored() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks/tour.ipynb")).expect("the tour")
}

#[test]
fn the_tour_runs_as_a_script_and_shows_what_is_stored() {
    let place = Place::new();
    let copy = place.write("tour.ipynb", &stored());
    let finished = finish(place.mobula().args(["run", "--save"]).arg(&copy)).exits(0);
    assert!(!finished.stdout.is_empty());
    shows_what_is_stored(&fs::read_to_string(copy).expect("the saved copy"));
    place.leaves_nothing();
}

#[test]
fn the_tour_runs_in_jupyter_and_shows_what_is_stored() {
    let place = Place::new();
    let (copy, executed) = (place.write("tour.ipynb", &stored()), place.path("executed.ipynb"));
    let jupyter = Jupyter::with_kernel(place);
    jupyter.run("execute.py", &[copy.to_str().expect("UTF-8"), &executed]);
    shows_what_is_stored(&fs::read_to_string(executed).expect("the executed copy"));
}

/// Compares a run tour with the stored one, cell by cell.
#[track_caller]
fn shows_what_is_stored(run: &str) {
    let [stored, run] = [&stored(), run].map(|text| serde_json::from_str::<Value>(text).expect("a notebook is JSON"));
    let cells = |notebook: &Value| notebook["cells"].as_array().expect("cells").clone();
    let (stored, run) = (cells(&stored), cells(&run));
    assert_eq!(stored.len(), run.len());
    let mut compared = 0;
    for (before, now) in stored.iter().zip(&run) {
        let tags = before["metadata"]["tags"].as_array().cloned().unwrap_or_default();
        if before["cell_type"] == "code" && !tags.contains(&"skip-output".into()) {
            assert_eq!(shown(now), shown(before), "the cell\n{}", joined(&before["source"]));
            compared += usize::from(!shown(before).is_empty());
        }
    }
    assert!(compared > 10, "the stored tour has hardly any output: `mobula run --save notebooks/tour.ipynb` fills it");
}
