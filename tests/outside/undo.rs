//! `:undo`: cells are taken back by the copies of the process from before them, and what cannot be taken back is told.

use crate::death::LIMIT;
use crate::support::{Notebook, Place};

#[test]
pub fn the_last_cells_are_undone_and_everything_is_as_it_was() {
    let place = Place::new();
    let ran = Notebook::new()
        .failing(":undo")
        .cell("let mut list = vec![1i64, 2]; fn one() -> i64 { 1 } let kept = put(&String::from(\"kept\"))?;")
        .cell("list.push(3); fn one() -> i64 { 2 } let later = put(&5i64)?; std::env::set_current_dir(\"/\")?;")
        .failing("let wrong: u8 = \"text\";")
        .failing("list.clear(); panic!(\"on purpose\")")
        .cell(":vars")
        .cell(":undo 2\n:save {here}/kept.rs")
        .cell("(list.clone(), one(), get(&one.remote())?, get(&kept)?, std::env::current_dir()?.parent().is_some())")
        .failing("later")
        .cell("list.push(9); drop(kept);")
        .cell(":undo\nlist.push(4);\n(list.clone(), get(&kept)?)")
        .failing(":undo 9")
        .failing(":undo many")
        .run(&place);
    assert!(
        ran.cell(1).everything().contains("no cell can be undone: nothing ran before"),
        "{}",
        ran.cell(1).everything()
    );
    assert_eq!(
        ran.cell(7).text().lines().next(),
        Some("undone: cells 3 and 5; variables, items and imports are as they were before cell 3")
    );
    let saved = std::fs::read_to_string(place.path("kept.rs")).expect("the saved script");
    assert!(saved.contains("fn one() -> i64 { 1 }") && !saved.contains("list.push(3)"), "{saved}");
    assert_eq!(ran.cell(8).value(), "([1, 2], 1, 1, \"kept\", true)");
    assert!(ran.cell(9).everything().contains("cannot find value `later`"), "{}", ran.cell(9).everything());
    assert_eq!(ran.cell(11).value(), "([1, 2, 4], \"kept\")");
    let few = ran.cell(12).everything();
    assert!(few.contains("the last 3 cells can be undone, from cell 2: nothing ran before"), "{few}");
    assert!(ran.cell(13).everything().contains("`many` is no number of cells"), "{}", ran.cell(13).everything());
    place.leaves_nothing();
}

#[test]
fn what_a_cell_gave_back_is_there_until_the_next_cell_and_an_actor_does_not_come_back() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("struct Counter(i64);\nimpl Counter { fn new(n: i64) -> Counter { Counter(n) } fn next(&mut self) -> i64 { self.0 += 1; self.0 } }")
        .cell("let kept = put(&vec![7u8; 300_000])?; let counter = Counter::new.spawn(0); get(&Counter::next.call(&counter))?")
        .cell("drop(kept);")
        .cell(":undo\nget(&kept)?.len()")
        .cell("drop(kept);")
        .cell("objects().len()")
        .failing(":undo 2")
        .cell("drop(counter);")
        .failing(":undo")
        .run(&place);
    assert_eq!(ran.cell(2).value(), "1");
    assert_eq!(ran.cell(4).value(), "300000");
    let gone = ran.cell(7).everything();
    assert!(gone.contains("what cell 5 gave back to the store went when the next cell ran"), "{gone}");
    let last = ran.cell(9).everything();
    assert!(last.contains("no cell can be undone: cell 8 is final, because it gave back"), "{last}");
    place.leaves_nothing();
}

#[test]
fn cells_are_undone_after_the_process_has_died_again_and_again() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("let mut n = 1i64; let kept = put(&String::from(\"kept\"))?;")
        .cell("n += 1;")
        .cell("n += 10;")
        .failing("n += 100; std::process::abort()")
        .cell("n")
        .cell(":undo 2\nn")
        .failing("drop(kept); std::process::abort()")
        .cell(":undo 3\n(n, get(&kept)?)")
        .cell("n += 5; n")
        .cell(":undo 2\n(n, get(&kept)?)")
        .run(&place);
    let values: Vec<String> = [5, 6, 8, 9, 10].map(|cell| ran.cell(cell).value()).into();
    assert_eq!(values, ["12", "12", "(2, \"kept\")", "7", "(2, \"kept\")"]);
    place.leaves_nothing();
}

#[test]
fn a_copy_that_something_has_ended_is_missed_and_nothing_is_lost() {
    const KILL: &str = r#"
let pid = std::process::id();
for child in std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?.split_whitespace() {
    std::process::Command::new("kill").args(["-9", child]).status()?;
}
n += 1;
"#;
    let place = Place::new();
    let ran = Notebook::new()
        .cell("let mut n = 1i64;")
        .cell("n += 1;")
        .cell(KILL)
        .failing(":undo")
        .cell("n += 1; n")
        .cell(":undo\nn")
        .run(&place);
    assert!(
        ran.cell(4).everything().contains("the copy of the process from before cell 3 does not answer"),
        "{}",
        ran.cell(4).everything()
    );
    assert_eq!((ran.cell(5).value(), ran.cell(6).value()), ("4".into(), "3".into()));
    place.leaves_nothing();
}

#[test]
fn a_cell_after_which_the_process_could_not_be_copied_is_final_and_so_is_a_shutdown() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("let mut first = 1i64;")
        .cell(":undo")
        .failing("first")
        .cell(LIMIT)
        .cell("let mut n = 1i64; let kept = put(&n)?;")
        .cell("limit(1); n += 10;")
        .failing(":undo")
        .cell("n")
        .cell("limit(u64::MAX); n += 100;")
        .cell("n += 1000;")
        .cell(":vars")
        .cell(":undo\nn")
        .cell("shutdown();")
        .failing(":undo 2")
        .run(&place);
    let said = |cell: usize| ran.cell(cell).everything();
    assert!(said(3).contains("cannot find value `first`"), "{}", said(3));
    assert!(
        said(7).contains("no cell can be undone: cell 6 is final, because its process could not be copied"),
        "{}",
        said(7)
    );
    assert_eq!((ran.cell(8).value(), ran.cell(12).value()), ("11".into(), "111".into()));
    assert!(said(14).contains("cell 13 is final, because it shut the runtime down"), "{}", said(14));
    place.leaves_nothing();
}
