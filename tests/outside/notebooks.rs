//! The notebooks run, in a script and in Jupyter, and show what is stored in them.
//!
//! Compared is what a person reads: streams, the plain text of values, errors. Numbers of processes differ from run to run and
//! are not compared; neither are cells with the tag `skip-output`, whose output depends on the machine.

use crate::support::{Jupyter, Place, finish, joined, shown};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The notebooks, and how many cells of each have an output that is compared, at least.
const NOTEBOOKS: [(&str, usize); 7] = [
    ("tour", 11),
    ("02_resources_and_options", 7),
    ("03_actors", 8),
    ("04_errors", 6),
    ("05_patterns", 6),
    ("06_watching", 4),
    ("07_a_cluster", 5),
];

/// A notebook in the tree.
fn stored(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks").join(format!("{name}.ipynb"));
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_notebooks_pass_their_own_test() {
    let place = Place::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks");
    let finished = finish(place.mobula().arg("test").arg(folder).arg("--json")).exits(0);
    let files: Vec<Value> = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!(files.len(), NOTEBOOKS.len());
    for (name, least) in NOTEBOOKS {
        let file = files.iter().find(|file| file["file"].as_str().is_some_and(|path| path.contains(name)));
        let cells = file.and_then(|file| file["cells"].as_array()).expect("it was tested");
        let same = cells.iter().filter(|cell| cell["verdict"] == "same").count();
        assert!(same >= least, "{name}: {same} cells are compared");
    }
    place.leaves_nothing();
}

#[test]
fn the_notebooks_run_in_jupyter_and_show_what_is_stored() {
    let place = Place::new();
    let copies = NOTEBOOKS.map(|(name, _)| place.write(&format!("{name}.ipynb"), &stored(name)));
    let executed = NOTEBOOKS.map(|(name, _)| place.path(&format!("{name}-executed.ipynb")));
    let jupyter = Jupyter::with_kernel(place);
    for ((name, least), (copy, executed)) in NOTEBOOKS.into_iter().zip(copies.iter().zip(&executed)) {
        jupyter.run("execute.py", &[copy.to_str().expect("UTF-8"), executed]);
        shows_what_is_stored(name, least, &fs::read_to_string(executed).expect("the executed copy"));
    }
}

/// Compares a notebook that was run with the stored one, cell by cell.
#[track_caller]
fn shows_what_is_stored(name: &str, least: usize, run: &str) {
    let [stored, run] =
        [&stored(name), run].map(|text| serde_json::from_str::<Value>(text).expect("a notebook is JSON"));
    let cells = |notebook: &Value| notebook["cells"].as_array().expect("cells").clone();
    let (stored, run) = (cells(&stored), cells(&run));
    assert_eq!(stored.len(), run.len());
    let mut compared = 0;
    for (before, now) in stored.iter().zip(&run) {
        let tags = before["metadata"]["tags"].as_array().cloned().unwrap_or_default();
        if before["cell_type"] == "code" && !tags.contains(&"skip-output".into()) {
            assert_eq!(shown(now), shown(before), "{name}: the cell\n{}", joined(&before["source"]));
            compared += usize::from(!shown(before).is_empty());
        }
    }
    assert!(
        compared >= least,
        "{name}: only {compared} cells have an output: `mobula run --save notebooks/{name}.ipynb` fills it"
    );
}
