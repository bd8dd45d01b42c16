//! Notebooks judged without a run: what counts as the same, and what is said of the rest.

use super::outcome::judge;
use super::process::Ran;
use super::results::Verdict;
use super::rules::Rules;
use crate::script::notebook::Notebook;
use crate::script::{CellReport, RunReport};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

fn notebook(tags: &[&str], count: Option<u64>, outputs: &Value) -> Notebook {
    let cell = json!({
        "cell_type": "code", "execution_count": count, "metadata": {"tags": tags}, "outputs": outputs, "source": "f()"
    });
    let text = json!({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}).to_string();
    Notebook::parse(text.into_bytes()).unwrap()
}

fn judged(tags: &[&str], stored: &Value, new: &Value) -> Verdict {
    let has_failed = new.as_array().unwrap().iter().any(|output| output["output_type"] == "error");
    let cells = vec![CellReport { index: 0, seconds: 0.5, has_failed }];
    let report = RunReport { cells, ..RunReport::default() };
    let ran = Ran { copy: Some(notebook(tags, Some(1), new)), report, end: None, took: Duration::from_secs(1) };
    judge(Path::new("a.ipynb"), &notebook(tags, Some(1), stored), &ran, &Rules::default(), false)
        .cells
        .remove(0)
        .verdict
}

fn text(name: &str, text: &str) -> Value {
    json!({"output_type": "stream", "name": name, "text": [text]})
}

fn result(data: &Value) -> Value {
    json!({"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": data})
}

fn error(value: &str, place: &str) -> Value {
    json!({"output_type": "error", "ename": "Error", "evalue": value, "traceback": ["\u{1b}[31mError\u{1b}[0m", place, "note"]})
}

#[test]
fn text_that_varies_or_comes_in_another_order_is_the_same() {
    let stored = json!([text("stdout", "a\n"), text("stderr", "took 3 ms\n"), text("stdout", "b\n")]);
    let new = json!([text("stdout", "a\nb\n"), text("stderr", "took 12.5 us\n")]);
    assert_eq!(judged(&[], &stored, &new), Verdict::Same);
}

#[test]
fn another_text_is_shown_line_by_line() {
    let verdict = judged(&[], &json!([text("stdout", "a\nb\nc\n")]), &json!([text("stdout", "a\nB\nc\n")]));
    let Verdict::Differs { difference } = verdict else { panic!("{verdict:?}") };
    assert_eq!(difference, "standard output differs\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c");
}

#[test]
fn each_form_of_a_result_is_compared_and_none_may_be_missing() {
    let stored = json!([result(&json!({"text/plain": ["2"], "text/html": ["<b>2</b>"]}))]);
    let spaced = json!([result(&json!({"text/plain": "2", "text/html": "<b> 2 </b>\n"}))]);
    assert_eq!(judged(&[], &stored, &spaced), Verdict::Same);
    let verdict = judged(&[], &stored, &json!([result(&json!({"text/plain": "3", "text/latex": "3"}))]));
    let Verdict::Differs { difference } = verdict else { panic!("{verdict:?}") };
    for part in
        ["the result (text/plain) differs", "-2\n+3", "no `text/html` any more", "`text/latex`, which is not stored"]
    {
        assert!(difference.contains(part), "{difference}");
    }
    let verdict = judged(&[], &stored, &json!([]));
    let Verdict::Differs { difference } = verdict else { panic!("{verdict:?}") };
    assert!(difference.contains("1 are stored, and 0 came"), "{difference}");
}

#[test]
fn an_error_is_the_same_with_the_same_message_and_place() {
    let stored = json!([error("oops in worker pid 1", "  at cell 1, line 2")]);
    let same = json!([error("oops in worker pid 2", "\u{1b}[2m  at cell 1, line 2\u{1b}[0m")]);
    for tag in ["raises-error", "raises-exception"] {
        assert_eq!(judged(&[tag], &stored, &same), Verdict::Same);
    }
    // It is stored, so it was seen.
    assert_eq!(judged(&[], &stored, &same), Verdict::Same);
    let verdict = judged(&[], &stored, &json!([error("oops in worker pid 2", "  at cell 1, line 3")]));
    assert!(
        matches!(&verdict, Verdict::Differs { difference } if difference.contains("+at cell #, line 3")),
        "{verdict:?}"
    );
}

#[test]
fn a_cell_that_fails_unasked_or_does_not_fail_though_it_must_is_a_failure() {
    let fine = json!([text("stdout", "a\n")]);
    let verdict = judged(&["skip-output"], &fine, &json!([error("oops", "")]));
    assert!(matches!(&verdict, Verdict::Fails { how } if how.contains("Error: oops")), "{verdict:?}");
    for tag in ["raises-error", "raises-exception"] {
        let verdict = judged(&[tag], &fine, &fine);
        let expected = format!("it is tagged `{tag}` and did not fail");
        assert!(matches!(&verdict, Verdict::Fails { how } if *how == expected), "{verdict:?}");
    }
}

#[test]
fn what_is_not_to_be_compared_only_has_to_run() {
    let (stored, new) = (json!([text("stdout", "a\n")]), json!([text("stdout", "b\n")]));
    assert_eq!(judged(&["skip-output"], &stored, &new), Verdict::Ran);
    let never_run = notebook(&[], None, &json!([]));
    let ran = Ran {
        copy: Some(notebook(&[], Some(1), &new)),
        report: RunReport {
            cells: vec![CellReport { index: 0, seconds: 0.5, has_failed: false }],
            ..RunReport::default()
        },
        end: None,
        took: Duration::from_secs(1),
    };
    let judged = judge(Path::new("a.ipynb"), &never_run, &ran, &Rules::default(), false);
    assert_eq!(judged.cells[0].verdict, Verdict::Ran);
    let report = RunReport { running: Some(0), ..RunReport::default() };
    let cut_off = Ran { copy: None, report, end: Some("ended with signal: 9".into()), ..ran };
    let judged = judge(Path::new("a.ipynb"), &never_run, &cut_off, &Rules::default(), false);
    assert_eq!(judged.cells[0].verdict, Verdict::Ended { how: "ended with signal: 9".into() });
    assert!(judged.has_failed() && !judged.is_mended());
    // Behind the last cell, while its tests ran.
    let cells = vec![CellReport { index: 0, seconds: 0.5, has_failed: false }];
    let report = RunReport { cells, ..RunReport::default() };
    let behind = Ran { copy: Some(notebook(&[], Some(1), &new)), report, ..cut_off };
    let judged = judge(Path::new("a.ipynb"), &never_run, &behind, &Rules::default(), false);
    assert_eq!((&judged.cells[0].verdict, judged.cells[1].verdict.is_end()), (&Verdict::Ran, true));
}

#[test]
fn a_cell_that_is_left_out_says_why() {
    let cell = |tags: &[&str]| {
        json!({
            "cell_type": "code", "execution_count": null, "metadata": {"tags": tags}, "outputs": [], "source": "f()"
        })
    };
    let cells = [cell(&["skip"]), cell(&["slow"]), cell(&["skip-execution"]), cell(&[])];
    let text = json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}).to_string();
    let ran = Ran { copy: None, report: RunReport::default(), end: None, took: Duration::from_secs(1) };
    let of = |is_slow_run| {
        let notebook = Notebook::parse(text.clone().into_bytes()).unwrap();
        let judged = judge(Path::new("a.ipynb"), &notebook, &ran, &Rules::default(), is_slow_run);
        judged.cells.iter().map(|cell| serde_json::to_value(&cell.verdict).unwrap()["why"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of(false), ["skip", "slow", "skip", "not_reached"]);
    assert_eq!(of(true), ["skip", "not_reached", "skip", "not_reached"]);
}
