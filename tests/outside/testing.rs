//! `mobula test`: notebooks against what is stored in them, and `:test`.

use crate::support::{Notebook, Place, Spawned, eventually, finish};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use std::fs;

/// A notebook of cells: source, tags, stored outputs. A cell with outputs has been run.
fn notebook(cells: &[(&str, &[&str], Value)]) -> String {
    let cell = |(source, tags, outputs): &(&str, &[&str], Value)| {
        let count = outputs.as_array().filter(|outputs| !outputs.is_empty()).map(|_| 1);
        json!({
            "cell_type": "code", "execution_count": count, "metadata": {"tags": tags}, "outputs": outputs,
            "source": source,
        })
    };
    let cells: Vec<Value> = cells.iter().map(cell).collect();
    let whole = json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4});
    serde_json::to_string_pretty(&whole).expect("JSON")
}

fn printed(text: &str) -> Value {
    json!([{"output_type": "stream", "name": "stdout", "text": [text]}])
}

#[test]
fn a_cell_that_shows_something_else_is_told_line_by_line_and_updated_alone() {
    let place = Place::new();
    let old = notebook(&[
        ("println!(\"pid {} is fine\", std::process::id());", &[], printed("pid 1 is fine\n")),
        ("for n in 1..=3 { println!(\"line {n}\"); }", &[], printed("line 1\nline two\nline 3\n")),
    ]);
    let file = place.write("a.ipynb", &old);
    let finished = finish(place.mobula().arg("test").arg(&file)).exits(1);
    for part in ["cell 2: for n in 1..=3", "-line two\n    +line 2", "1 as stored", "1 failed"] {
        assert!(finished.stdout.contains(part), "{finished}");
    }
    assert!(!finished.stdout.contains("cell 1:"), "{finished}");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), old);

    finish(place.mobula().args(["test", "--update"]).arg(&file)).exits(0);
    let new = fs::read_to_string(&file).expect("it is there");
    assert_eq!(new.replace("line 2", "line two").split_whitespace().count(), {
        // The second cell's outputs are lines of their own now; nothing else has changed.
        let lines = notebook(&[
            ("println!(\"pid {} is fine\", std::process::id());", &[], printed("pid 1 is fine\n")),
            (
                "for n in 1..=3 { println!(\"line {n}\"); }",
                &[],
                json!([{"output_type": "stream", "name": "stdout", "text": ["line 1\n", "line two\n", "line 3\n"]}]),
            ),
        ]);
        lines.split_whitespace().count()
    });
    assert!(new.contains("pid 1 is fine"), "a cell that is as stored stays as it is: {new}");
    finish(place.mobula().arg("test").arg(&file)).exits(0);
    place.leaves_nothing();
}

#[test]
fn tags_and_rules_say_what_is_run_and_compared_and_results_come_as_xml_and_json() {
    let place = Place::new();
    place.write("mobula.toml", "[[test.rules]]\npattern = 'seed \\d+'\nreplace = 'seed'\n");
    place.write(
        "books/a.ipynb",
        &notebook(&[
            ("println!(\"seed {}\", 42);", &[], printed("seed 7\n")),
            ("println!(\"b\");", &["skip-output"], printed("a\n")),
            ("panic!(\"not run\")", &["skip"], json!([])),
            ("panic!(\"not run\")", &["slow"], json!([])),
            ("panic!(\"asked for\")", &["raises-error"], json!([])),
            ("println!(\"never run before\");", &[], json!([])),
            ("panic!(\"unasked\")", &[], json!([])),
        ]),
    );
    place.write("books/b.rs", "// %%\nlet x = 1;\n// %%\nassert_eq!(x, 1);\n");
    place.write("books/.hidden/c.ipynb", "no notebook");
    let junit = place.path("junit.xml");
    let finished = finish(place.mobula().args(["test", "books", "--json", "--junit", &junit])).exits(1);
    let files: Vec<Value> = serde_json::from_str(&finished.stdout).expect("JSON");
    let verdicts = |file: &Value| {
        let cells = file["cells"].as_array().expect("cells").iter();
        cells.map(|cell| cell["verdict"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(verdicts(&files[0]), ["same", "ran", "skipped", "skipped", "ran", "ran", "fails"]);
    assert_eq!((verdicts(&files[1]), &files[1]["failed"]), (vec!["ran".to_owned(), "ran".into()], &json!(false)));
    assert_eq!([&files[0]["cells"][2]["why"], &files[0]["cells"][3]["why"]], ["skip", "slow"]);
    assert!(files[0]["cells"][6]["how"].as_str().is_some_and(|how| how.contains("unasked")), "{finished}");
    let xml = fs::read_to_string(junit).expect("it was written");
    for part in [
        "tests=\"9\"",
        "failures=\"1\"",
        "skipped=\"2\"",
        "<skipped message=\"it is tagged `skip`\"",
        "name=\"cell 7: panic!(&quot;unasked&quot;)\"",
    ] {
        assert!(xml.contains(part), "{xml}");
    }
    place.leaves_nothing();
}

#[test]
fn a_notebook_that_hangs_is_ended_and_its_neighbour_is_tested_all_the_same() {
    let place = Place::new();
    place.write(
        "books/a.ipynb",
        &notebook(&[("println!(\"a\");", &[], printed("b\n")), ("loop {}", &[], json!([])), ("1", &[], json!([]))]),
    );
    place.write("books/c.ipynb", "{");
    place.write("books/b.ipynb", &notebook(&[("1 + 1", &[], json!([]))]));
    let finished = finish(place.mobula().args(["test", "books", "--timeout", "15"])).exits(1);
    let hung = "cell 2: loop {}\n    took longer than 15 s and was ended";
    // What has run before is compared, and a file that cannot be read takes no other along.
    for part in [hung, "-b\n    +a", "b.ipynb … ok", "c.ipynb … failed", "cannot be run"] {
        assert!(finished.stdout.contains(part), "{part}: {finished}");
    }
    place.leaves_nothing();
}

#[test]
fn a_test_that_is_killed_or_interrupted_leaves_nothing() {
    for signal in [Signal::KILL, Signal::INT] {
        let place = Place::new();
        place.write("a.ipynb", &notebook(&[("std::fs::write(\"begun\", \"\")?; loop {}", &[], json!([]))]));
        let folder = place.folder().to_owned();
        let running = Spawned::start(place.mobula().args(["test", "a.ipynb"]), &folder);
        eventually("the cell runs", || fs::metadata(folder.join("begun")).map(drop));
        rustix::process::kill_process(Pid::from_child(&running.child), signal).expect("it runs");
        let finished = running.finish();
        if signal == Signal::INT {
            assert!(finished.stdout.contains("cell 1") && finished.stdout.contains("was interrupted"), "{finished}");
            assert!(finished.exits(130).stderr.contains("interrupted; 0 more files were not run"));
        }
        place.leaves_nothing();
    }
}

#[test]
fn what_cannot_be_tested_is_refused_with_its_name() {
    let place = Place::new();
    place.write("a.txt", "");
    place.write("empty/a.txt", "");
    place.write("b.ipynb", "{");
    for (path, words) in [
        ("nowhere", "`nowhere` could not be read"),
        ("a.txt", "`a.txt` is neither a `.rs` nor an `.ipynb` file"),
        ("empty", "no notebook was found in `empty`"),
        ("b.ipynb", "`b.ipynb` cannot be run: line 1"),
    ] {
        let finished = finish(place.mobula().args(["test", path])).exits(2);
        assert!(finished.stderr.contains(words), "{finished}");
    }
}

#[test]
fn the_tests_of_a_session_run_in_processes_of_their_own() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("fn half(n: i64) -> i64 { assert!(n % 2 == 0, \"{n} is odd\"); n / 2 }")
        .cell(
            "#[test] fn halves() { assert_eq!(half(4), 2); }\n\
             #[test] fn parses() -> Result<(), std::num::ParseIntError> { \"7\".parse::<i64>().map(drop) }\n\
             #[test] #[should_panic(expected = \"is odd\")] fn refuses() { half(3); }\n\
             #[test] #[ignore] fn takes_long() { panic!() }",
        )
        .cell(":test")
        .cell("#[cfg(test)]\nmod tests { use super::*; #[test] fn inside() { assert_eq!(half(8), 4); } }")
        .cell(":test tests::")
        .cell("#[test] fn dies() { std::process::abort() }\n#[test] fn fails() { half(1); }")
        .failing(":test")
        .cell("half(2)")
        .failing(":test nothing")
        .run(&place);
    assert_eq!(
        ran.cell(3).text(),
        "test halves ... ok\ntest parses ... ok\ntest refuses ... ok\ntest takes_long ... ignored\n\
         test result: ok. 3 passed; 0 failed; 1 ignored\n"
    );
    assert_eq!(ran.cell(5).text(), "test tests::inside ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored\n");
    let failed = ran.cell(7).everything();
    for part in [
        "test dies ... FAILED",
        "SIGABRT",
        "test fails ... FAILED",
        "1 is odd",
        "test inside ... ok".replace("inside", "tests::inside").as_str(),
        "2 of 6 tests failed",
    ] {
        assert!(failed.contains(part), "{part}: {failed}");
    }
    assert_eq!(ran.cell(8).value(), "1");
    assert!(ran.cell(9).everything().contains("no `#[test]` function whose name contains `nothing`"));
    place.leaves_nothing();
}

#[test]
fn the_tests_in_a_notebook_are_part_of_its_test() {
    let place = Place::new();
    let file = place.write(
        "a.ipynb",
        &notebook(&[("fn two() -> i64 { 3 }\n#[test] fn is_two() { assert_eq!(two(), 2); }", &[], json!([]))]),
    );
    let finished = finish(place.mobula().arg("test").arg(&file)).exits(1);
    for part in ["  test is_two\n", "left: 3", "the test has failed"] {
        assert!(finished.stdout.contains(part), "{finished}");
    }
    place.leaves_nothing();
}

#[test]
fn a_notebook_runs_with_other_values_for_its_parameters() {
    let place = Place::new();
    let old = notebook(&[
        ("let n: u32 = 1; let name = \"a\";", &["parameters"], json!([])),
        ("println!(\"{name} {}\", n * 2);", &[], json!([])),
    ]);
    let file = place.write("a.ipynb", &old);
    let copy = place.path("copies/b.ipynb");
    fs::create_dir(place.path("copies")).expect("a folder");
    let run = |words: &[&str]| finish(place.mobula().arg("run").arg(&file).args(words));
    let ran = run(&["-p", "n=21", "-p", "name=\"b\"", &format!("--save={copy}")]).exits(0);
    assert_eq!(ran.stdout, "b 42\n");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), old);
    // The copy says what it was made with, so it is a notebook like any other.
    assert!(fs::read_to_string(&copy).expect("the copy").contains("let n: u32 = 21; let name = \\\"b\\\";"));
    finish(place.mobula().arg("test").arg(&copy)).exits(0);
    // The compiler checks the type, and shows the variable.
    let ran = run(&["-p", "n=-1"]).exits(1);
    assert!(ran.stderr.contains("let n: u32 = -1"), "{ran}");
    for (word, says) in [
        ("m=1", "there is no parameter `m`; the cell tagged `parameters` has `n`, `name`"),
        ("name=b c", "the value of `name` is no Rust expression: b c; a text needs its quotes"),
        ("n", "write NAME=VALUE"),
        ("n=", "the parameter `n` has no value"),
    ] {
        assert!(run(&["-p", word]).exits(2).stderr.contains(says), "{word}");
    }
    for (words, says) in [
        (&["-p", "n=1", "-p", "n=2"][..], "the parameter `n` is given twice"),
        (&["-p", "n=1", "--save"], "outputs with other values belong into a copy: `--save=OUT`"),
        (
            &["--save", "out.ipynb"],
            "a notebook takes no arguments such as `out.ipynb`; a copy is written with `--save=OUT`",
        ),
        (&["--save=nowhere/out.ipynb"], "there is no such folder"),
    ] {
        assert!(run(words).exits(2).stderr.contains(says), "{words:?}");
    }
    assert_eq!(fs::read_to_string(&file).expect("it is there"), old);
    place.leaves_nothing();
}
