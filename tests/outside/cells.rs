//! What cells show, besides tasks: panics of threads, places outside of cells, the order of what is written.

use crate::support::{Notebook, Place};

#[test]
fn a_panic_that_does_not_end_the_cell_is_shown_and_one_in_a_library_points_at_no_cell() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("let kept = 5i64;")
        .cell("let joined = std::thread::spawn(|| panic!(\"in a thread\")).join().is_err();\njoined")
        .failing("let a = ndarray::Array1::<f64>::zeros(3);\nlet b = a.into_shape_with_order((2, 2)).unwrap();")
        .failing(
            "let empty: Vec<i64> = Vec::new();\nempty.iter().copied().reduce(|a, b| a + b).expect(\"nothing to add\")",
        )
        .failing("std::str::from_utf8(&[0x66]).unwrap().split_at(9).0.len()")
        .failing(":quit")
        .cell("print!(\"a\"); eprint!(\"b\"); print!(\"c\"); kept + 1")
        .run(&place);
    assert_eq!(ran.cell(2).value(), "true");
    let text = ran.cell(2).text();
    assert!(text.contains("in a thread") && text.contains("cell 2:1"), "{text}");
    for cell in [3, 4, 5] {
        let (name, _, report) = ran.cell(cell).error();
        assert_eq!(name, "Panic", "{report}");
        assert!(!report.contains("/registry/") && !report.contains("/rustc/"), "a folder of a machine: {report}");
    }
    let (_, _, report) = ran.cell(4).error();
    assert!(report.contains("nothing to add") && report.contains("cell 4:2"), "{report}");
    let (name, value, _) = ran.cell(6).error();
    assert!(name == "CommandError" && value.contains(":quit"), "{name}: {value}");
    assert_eq!(ran.cell(7).text().len(), 3, "{}", ran.cell(7).text());
    assert_eq!(ran.cell(7).value(), "6");
    place.leaves_nothing();
}
