//! Scripts and notebooks run by a fake evaluator: outputs, tags, what is saved.

use super::*;
use crate::fake_evaluator::Fake;
use crate::show::render::tests::{Paper, on_paper};
use serde_json::{Value, json};
use std::os::unix::fs::{PermissionsExt, symlink};

/// A file that was run.
struct Ran {
    fake: Fake,
    ending: Result<Ending, ScriptError>,
    out: Paper,
    err: Paper,
    file: PathBuf,
    folder: tempfile::TempDir,
}

impl Ran {
    fn text(&self) -> String {
        fs::read_to_string(&self.file).unwrap()
    }

    fn cell(&self, index: usize) -> Value {
        serde_json::from_str::<Value>(&self.text()).unwrap()["cells"][index].clone()
    }
}

fn ran(name: &str, text: &str, save: bool) -> Ran {
    ran_with(Fake::new(), name, text, save, |_| {})
}

/// `meanwhile` runs when the evaluator starts.
fn ran_with(fake: Fake, name: &str, text: &str, save: bool, meanwhile: impl FnOnce(&Path)) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, text).unwrap();
    let (screen, out, err) = on_paper();
    let save = if save { Save::Back } else { Save::No };
    let options = RunOptions { file: file.clone(), save, ..RunOptions::default() };
    let ending = run_on(&screen, &options, None, |sink| {
        meanwhile(&file);
        fake.start(sink)
    });
    Ran { fake, ending, out, err, file, folder }
}

fn notebook(cells: &[(&str, &[&str])]) -> String {
    let cells: Vec<Value> = cells
        .iter()
        .map(|(source, tags)| {
            json!({"cell_type": "code", "execution_count": null, "metadata": {"tags": tags}, "outputs": [], "source": source})
        })
        .collect();
    json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}).to_string()
}

#[test]
fn a_rust_file_is_one_cell() {
    let ran = ran("a.rs", "print a\n\nresult 2\n", false);
    assert_eq!(ran.ending.unwrap(), Ending::Done);
    assert_eq!(ran.fake.cells(), ["print a\n\nresult 2\n"]);
    assert_eq!((ran.out.text(), ran.err.text()), ("a\n2\n".into(), String::new()));
    assert!(ran.fake.has_ended());
}

#[test]
fn the_line_that_names_the_interpreter_is_not_run_and_still_counts() {
    assert_eq!(ran("a.rs", "#!/usr/bin/env mobula\nresult 1", false).fake.cells(), ["\nresult 1"]);
    assert_eq!(ran("a.rs", "#![allow(x)]\nresult 1", false).fake.cells(), ["#![allow(x)]\nresult 1"]);
}

#[test]
fn the_cells_of_a_notebook_run_in_order_and_what_is_no_code_is_left_out() {
    let ran = ran(
        "a.ipynb",
        &notebook(&[("result 1", &[]), (" ", &[]), ("result 2", &["skip-execution"]), ("result 3", &[])]),
        false,
    );
    assert_eq!(ran.ending.unwrap(), Ending::Done);
    assert_eq!((ran.out.text(), ran.err.text()), ("1\n3\n".into(), String::new()));
}

#[test]
fn the_first_cell_that_fails_ends_the_run() {
    let ran = ran("a.ipynb", &notebook(&[("fail oops", &[]), ("result 1", &[]), ("result 2", &[])]), false);
    assert_eq!(ran.ending.unwrap().exit_code(), 1);
    assert_eq!(ran.out.text(), "");
    assert_eq!(ran.err.text(), "error: oops\n2 more cells were not run\n");
}

#[test]
fn a_cell_that_must_fail_does_not_end_the_run_when_it_does() {
    let ran = ran(
        "a.ipynb",
        &notebook(&[("fail oops", &["raises-error"]), ("fail", &["raises-exception"]), ("result 1", &[])]),
        false,
    );
    assert_eq!(ran.ending.unwrap(), Ending::Done);
    assert_eq!(ran.out.text(), "1\n");
}

#[test]
fn a_cell_that_must_fail_and_does_not_is_a_failure() {
    let ran = ran("a.ipynb", &notebook(&[("result 1", &["raises-error"]), ("result 2", &[])]), false);
    assert_eq!(ran.ending.unwrap(), Ending::CellFailed);
    assert_eq!(ran.err.text(), "cell [1] is tagged `raises-error` and did not fail\n1 more cell was not run\n");
}

#[test]
fn saving_writes_the_outputs_of_the_cells_that_ran_and_leaves_the_others() {
    let old =
        notebook(&[("print a\\n\nshow bar 0\nresult 1", &[]), ("update bar 9\nfail oops", &[]), ("result 3", &[])]);
    let ran = ran("a.ipynb", &old, true);
    assert_eq!(*ran.ending.as_ref().unwrap(), Ending::CellFailed);
    let text = |text| json!({"text/plain": [text]});
    assert_eq!(
        ran.cell(0)["outputs"],
        json!([
            {"name": "stdout", "output_type": "stream", "text": ["a\n"]},
            {"data": text("9"), "metadata": {}, "output_type": "display_data"},
            {"data": text("1"), "execution_count": 1, "metadata": {}, "output_type": "execute_result"},
        ])
    );
    assert_eq!(ran.cell(1)["outputs"][0]["ename"], "Error");
    assert_eq!(ran.cell(1)["execution_count"], 2);
    assert_eq!(ran.cell(2)["execution_count"], Value::Null);
}

#[test]
fn without_saving_the_file_stays_as_it_was() {
    let old = notebook(&[("result 1", &[])]);
    assert_eq!(ran("a.ipynb", &old, false).text(), old);
}

#[test]
fn saving_keeps_the_mode_and_leaves_nothing_else_behind() {
    let fake = Fake::new();
    let private = |file: &Path| fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
    let ran = ran_with(fake, "a.ipynb", &notebook(&[("result 1", &[])]), true, private);
    assert_eq!(ran.ending.as_ref().unwrap(), &Ending::Done);
    assert_eq!(fs::metadata(&ran.file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(ran.folder.path()).unwrap().count(), 1);
}

#[test]
fn a_link_to_a_notebook_stays_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link.ipynb");
    fs::write(folder.path().join("a.ipynb"), notebook(&[("result 1", &[])])).unwrap();
    symlink("a.ipynb", &link).unwrap();
    let options = RunOptions { file: link.clone(), save: Save::Back, ..RunOptions::default() };
    run_on(&on_paper().0, &options, None, |sink| Fake::new().start(sink)).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(folder.path().join("a.ipynb")).unwrap().contains("execute_result"));
}

#[test]
fn a_notebook_that_somebody_saved_meanwhile_is_not_overwritten() {
    let other = |file: &Path| fs::write(file, "somebody's work").unwrap();
    let ran = ran_with(Fake::new(), "a.ipynb", &notebook(&[("result 1", &[])]), true, other);
    assert_eq!(ran.text(), "somebody's work");
    let error = ran.ending.unwrap_err();
    assert!(matches!(error, ScriptError::Changed { .. }), "{error}");
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn a_wrong_file_is_refused_before_anything_starts() {
    for (name, text, save, sentence) in [
        ("a.txt", "", false, "is neither a `.rs` nor an `.ipynb` file"),
        ("a", "", false, "is neither a `.rs` nor an `.ipynb` file"),
        ("a.rs", "", true, "is not a notebook, so outputs cannot be saved in it; `--save=OUT.ipynb` writes one"),
        ("a.ipynb", "{", false, "cannot be run"),
    ] {
        let ran = ran_with(Fake::new(), name, text, save, |_| panic!("started"));
        let error = ran.ending.unwrap_err();
        assert_eq!(error.to_string(), format!("`{}` {sentence}", ran.file.display()));
        assert_eq!(error.exit_code(), 2);
    }
    let options = RunOptions { file: "/nonexistent/a.rs".into(), ..RunOptions::default() };
    let error = run_on(&on_paper().0, &options, None, |sink| Fake::new().start(sink)).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.exit_code()), ("`/nonexistent/a.rs` could not be read", 2));
}

#[test]
fn an_evaluator_that_cannot_work_is_the_environments_fault() {
    let ran = ran_with(Fake::broken("no rustc"), "a.rs", "result 1", false, |_| {});
    let error = ran.ending.unwrap_err();
    assert_eq!((error.to_string().as_str(), error.exit_code()), ("no rustc", 3));
    assert!(ran.fake.has_ended());
}

#[test]
fn cells_of_a_rust_file_run_in_order_and_the_place_of_one_that_fails_is_told() {
    let text = "// %%\nprint a\n// %%\nfail oops\n// %%\nprint b\n";
    let stopped = ran("a.rs", text, false);
    assert_eq!((stopped.ending.unwrap(), stopped.fake.cells().len()), (Ending::CellFailed, 2));
    assert!(stopped.err.text().contains("the cell begins on line 4 of the file"));
    let options = RunOptions { code: Some(text.into()), keep_going: true, ..RunOptions::default() };
    let (screen, out, _) = on_paper();
    let fake = Fake::new();
    assert_eq!(run_on(&screen, &options, None, |sink| fake.start(sink)).unwrap(), Ending::CellFailed);
    assert_eq!((fake.cells().len(), out.text()), (3, "ab".into()));
}

#[test]
fn a_notebook_goes_on_after_a_failure_if_that_is_asked_for() {
    let (screen, out, _) = on_paper();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.ipynb");
    fs::write(&file, notebook(&[("fail oops", &[]), ("print b", &[])])).unwrap();
    let options = RunOptions { file, keep_going: true, ..RunOptions::default() };
    assert_eq!(run_on(&screen, &options, None, |sink| Fake::new().start(sink)).unwrap(), Ending::CellFailed);
    assert_eq!(out.text(), "b");
}

#[test]
fn the_main_of_a_program_is_run_after_its_items() {
    let ran = ran("a.rs", "fn main() {}\n", false);
    let cells = ran.fake.cells();
    assert_eq!((ran.ending.unwrap(), cells.len(), cells[0].as_str()), (Ending::Done, 2, "fn main() {}\n"));
    assert!(cells[1].contains("main()"));
}
