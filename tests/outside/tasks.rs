//! Tasks and objects as `api.md` shows them, in cells.

use crate::support::{Notebook, Place, finish};

#[test]
pub fn the_example_of_the_api_works_as_written() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("fn f(x: i64) -> i64 { x + 1 }")
        .cell("let x = f.remote(0);\nget(&x)?")
        .cell("let y = f.remote(&x);\nget(&y)?")
        .cell("get_timeout(&y, Duration::from_secs(60))?")
        .cell("get(&[x.clone(), y.clone()])?")
        .cell("fn pair() -> (i64, String) { (1, \"two\".into()) }\nlet (a, b) = pair.remote().split();\n(get(&a)?, get(&b)?)")
        .cell("let big_array: Vec<f64> = vec![0.5; 100_000];\nlet p = put(&big_array)?;\nget(&p)?.len()")
        .cell("fn total(v: Vec<f64>) -> f64 { v.iter().sum() }\nget(&vec![total.remote(&p), total.remote(&p)])?")
        .cell("let refs: Vec<ObjectRef<i64>> = (0..5).map(|i| f.remote(i)).collect();")
        .cell("let (ready, rest) = wait(&refs).num_returns(4).timeout(Duration::from_millis(60_000)).run()?;\n(ready.len(), rest.len())")
        .failing("wait(&refs).num_returns(6).run()?")
        .failing("wait(&[x.clone(), x.clone()]).run()?")
        .cell("get(&(|n: u64| n * 2).remote(21))?")
        .cell("fn same<T>(value: T) -> T { value }\nget(&same::<String>.remote(String::from(\"generic\")))?")
        .cell("fn none() -> u8 { 7 }\nfn eight(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u32 { [a, b, c, d, e, f, g, h].iter().map(|&n| u32::from(n)).sum() }\nlet one = none.remote();\nget(&eight.remote(&one, 1, 2, 3, 4, 5, 6, &one))?")
        .run(&place);
    let values =
        [(2, "1"), (3, "2"), (4, "2"), (5, "[1, 2]"), (6, "(1, \"two\")"), (7, "100000"), (8, "[50000.0, 50000.0]")];
    for (cell, value) in values.into_iter().chain([(10, "(4, 1)"), (13, "42"), (14, "\"generic\""), (15, "35")]) {
        assert_eq!(ran.cell(cell).value(), value, "cell {cell}");
    }
    let (_, _, report) = ran.cell(11).error();
    assert!(report.contains('6') && report.contains('5'), "both numbers are named: {report}");
    let (_, _, report) = ran.cell(12).error();
    assert!(report.contains("more than once"), "{report}");
    place.leaves_nothing();
}

#[test]
pub fn a_failing_task_is_shown_where_it_was_started_and_raised_where_it_is_got() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("fn half(n: u32) -> u32 {\n    assert!(n % 2 == 0, \"odd: {n}\");\n    n / 2\n}")
        .cell("fn parse(text: String) -> Result<i64, String> { text.parse().map_err(|_| format!(\"no number: {text}\")) }")
        .cell("let bad = half.remote(3);\nlet _ = wait(&[bad.clone()]).run()?;")
        .failing("get(&bad)?")
        .failing("get(&parse.remote(String::from(\"seven\")))?")
        .cell("get(&parse.remote(String::from(\"7\")))?")
        .cell("errors()")
        .failing("let nothing: Option<u32> = None;\nnothing.expect(\"a number\");")
        .run(&place);
    let shown = ran.cell(3).everything();
    for word in ["half", "odd: 3", "pid"] {
        assert!(shown.contains(word), "no {word} in the cell that started the task: {shown}");
    }
    let (_, _, report) = ran.cell(4).error();
    for word in ["half", "odd: 3", "cell 1", "assert!(n % 2 == 0"] {
        assert!(report.contains(word), "no {word} in {report}");
    }
    assert!(!report.contains("/tmp") && !report.contains("src/lib.rs"), "a path of a temporary folder: {report}");
    let (_, _, report) = ran.cell(5).error();
    assert!(report.contains("parse") && report.contains("no number: seven"), "{report}");
    assert!(ran.cell(6).value().contains('7'));
    let errors = ran.cell(7).value();
    assert!(errors.find("half") < errors.find("parse") && errors.contains("half"), "newest last: {errors}");
    let (name, value, report) = ran.cell(8).error();
    assert_eq!((name.as_str(), value.as_str()), ("Panic", "a number"));
    assert!(report.contains("cell 8:2") && report.contains("nothing.expect"), "{report}");
    place.leaves_nothing();
}

#[test]
pub fn what_a_task_prints_appears_in_the_cell_that_started_it() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("fn speaks(n: u32) -> u32 { println!(\"working on {n}\"); eprintln!(\"worried about {n}\"); n }")
        .cell("get(&speaks.remote(5))?")
        .cell("println!(\"later\");")
        .run(&place);
    let text = ran.cell(2).text();
    for line in ["working on 5", "worried about 5"] {
        let line =
            text.lines().find(|shown| shown.ends_with(line)).unwrap_or_else(|| panic!("no {line:?} in {text:?}"));
        assert!(line.starts_with("(speaks pid="), "{line}");
    }
    assert_eq!(ran.cell(3).text(), "later\n");
    place.leaves_nothing();
}

#[test]
pub fn what_cannot_be_a_task_is_refused_in_words() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("fn f(x: i64) -> i64 { x + 1 }\nlet factor = 3i64;")
        .failing("(move |x: i64| x * factor).remote(1);")
        .failing("f.remote(\"one\");")
        .failing("f.remote();")
        .failing("fn g(h: std::rc::Rc<std::cell::Cell<i64>>) -> i64 { h.get() }\ng.remote(std::rc::Rc::new(std::cell::Cell::new(1)));")
        .cell("get(&f.remote(factor))?")
        .run(&place);
    let expected: [(usize, &[&str]); 4] = [
        (2, &["captures", "argument"]),
        (3, &["&str", "argument"]),
        (4, &["takes 1 argument but 0"]),
        (5, &["Rc", "Serialize"]),
    ];
    for (cell, words) in expected {
        let (_, _, report) = ran.cell(cell).error();
        for word in words {
            assert!(report.contains(word), "cell {cell} does not say {word:?}:\n{report}");
        }
    }
    assert_eq!(ran.cell(6).value(), "4");
    place.leaves_nothing();
}

#[test]
pub fn arrays_come_back_as_views_of_the_store_and_everything_is_freed_in_the_end() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("let zeros = Array::from(mobula::ndarray::Array1::<f64>::zeros(1_000_000));\nlet stored = put(&zeros)?;")
        .cell("let one = get(&stored)?; let two = get(&stored)?;\none.as_ptr() == two.as_ptr()")
        .cell("fn first(a: Array<f64>) -> f64 { a[0] }\nget(&first.remote(&stored))?")
        .cell("let mut own = one.to_owned(); own[0] = 5.0;\n(own[0], one[0])")
        .cell("drop(stored); one.len() + two.len()")
        .run(&place);
    assert_eq!(ran.cell(2).value(), "true");
    assert_eq!(ran.cell(3).value(), "0.0");
    assert_eq!(ran.cell(4).value(), "(5.0, 0.0)");
    assert_eq!(ran.cell(5).value(), "2000000");
    place.leaves_nothing();
}

#[test]
pub fn a_task_that_panics_names_the_lines_that_called() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("fn deep(n: i64) -> i64 {\n    assert!(n > 3, \"too small\");\n    n\n}")
        .cell("#[inline(never)]\nfn outer(n: i64) -> i64 {\n    deep(n) + 1\n}")
        .failing("get(&outer.remote(1))?")
        .run(&place);
    let (_, value, error) = ran.cell(3).error();
    assert_eq!(value, "task `outer` failed: panicked: too small (cell 1, line 2)");
    for words in ["[ cell 1:2:5 ]", "[ cell 3:1:1 ]", "called from cell 2:3:"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    let everything = ran.cell(3).everything();
    assert_eq!(everything.matches("called from cell 2:3:").count(), 1, "a failure stands there once: {everything}");
    place.leaves_nothing();
}

#[test]
pub fn an_actor_whose_restarts_are_used_up_says_so() {
    let place = Place::new();
    let code = "struct A; impl A { fn new() -> A { A } fn die(&self) { std::process::abort() } }\n\
                let a = A::new.options().max_restarts(1).spawn();\n\
                let ends = [get(&A::die.call(&a)).is_err(), get(&A::die.call(&a)).is_err()]; ends";
    let ran = finish(place.mobula().args(["-c", code])).exits(0);
    assert!(ran.stdout.contains("[true, true]"), "{ran}");
    for words in ["(SIGABRT); restart 1 of 1\n", "(SIGABRT); restart 1 of 1 was its last\n"] {
        assert!(ran.stderr.contains(words), "{ran}");
    }
    place.leaves_nothing();
}
