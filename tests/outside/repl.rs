//! The REPL: at a terminal, and fed from a pipe.

use crate::support::{Place, Terminal, finish};
use std::process::{Output, Stdio};

#[test]
fn a_person_types_cells_and_sees_values_and_errors() {
    let place = Place::new();
    let mut terminal = Terminal::open(&place);
    terminal.is_asked_for_cell(1).types("20 + 22").sees("42");
    terminal.is_asked_for_cell(2).types("fn triple(x: i64) -> i64 {").types("x * 3").types("}");
    terminal.is_asked_for_cell(3).types("let kept = triple(100);");
    terminal.is_asked_for_cell(4).types("let broken: i64 = \"text\" ;");
    terminal
        .sees("E0308")
        .sees("mismatched types")
        .sees("cell 4")
        .sees("let broken")
        .sees("expected `i64`, found `&str`");
    terminal.is_asked_for_cell(5).types("get(&triple.remote(kept))?").sees("900");
    terminal.is_asked_for_cell(6).presses_ctrl_d();
    assert!(terminal.closes().success());
    place.leaves_nothing();
}

#[test]
fn ctrl_c_interrupts_what_runs_and_never_leaves() {
    let place = Place::new();
    let mut terminal = Terminal::open(&place);
    terminal.is_asked_for_cell(1).types("let kept = 1234i64;");
    // At the prompt it drops the line.
    terminal.is_asked_for_cell(2).writes("no such thing").sees("no such thing").presses_ctrl_c();
    terminal.is_asked_for_cell(2).types("kept * 2").sees("2468");
    // A loop that calls nothing.
    terminal.is_asked_for_cell(3).types("println!(\"spin{}\", \"ning\"); loop {}").sees("spinning").presses_ctrl_c();
    terminal.sees("nterrupted").is_asked_for_cell(4).types("kept * 3").sees("3702");
    // A call that waits for ever.
    terminal.is_asked_for_cell(5).types("fn forever() -> i64 { loop { std::thread::park() } }");
    terminal.is_asked_for_cell(6).types("let never = forever.remote();");
    terminal.is_asked_for_cell(7).types("println!(\"wait{}\", \"ing\"); get(&never)?").sees("waiting").presses_ctrl_c();
    terminal.sees("nterrupted").is_asked_for_cell(8).types("kept * 4").sees("4936");
    terminal.is_asked_for_cell(9).presses_ctrl_d();
    assert!(terminal.closes().success());
    place.leaves_nothing();
}

#[test]
fn ctrl_c_ends_the_cells_of_a_file_and_a_person_is_asked_before_a_file_is_replaced() {
    let place = Place::new();
    place.write(
        "slow.rs",
        "// %%\nlet a = 7i64;\n\n// %%\nprintln!(\"spin{}\", \"ning\"); loop {}\n\n// %%\nlet b = 1;\n",
    );
    let mut terminal = Terminal::open(&place);
    terminal.is_asked_for_cell(1).types(":load slow.rs").sees("spinning").presses_ctrl_c();
    terminal.sees("nterrupted").sees("in slow.rs, line 5; 1 more cell was not run");
    terminal.is_asked_for_cell(4).types("a * 3").sees("21");
    terminal.is_asked_for_cell(5).types(":save slow.rs").sees("Replace it? (y/N)").types("n").sees("stays as it is");
    terminal.is_asked_for_cell(6).types(":save slow.rs").sees("Replace it? (y/N)").types("y").sees("2 cells are saved");
    terminal.is_asked_for_cell(7).presses_ctrl_d();
    assert!(terminal.closes().success());
    let saved = std::fs::read_to_string(place.path("slow.rs")).expect("the saved script");
    assert!(saved.ends_with("// %%\nlet a = 7i64;\n\n// %%\na * 3\n"), "{saved}");
    place.leaves_nothing();
}

#[test]
fn the_tasks_of_a_cell_are_a_line_below_its_output_that_no_pipe_gets() {
    let place = Place::new();
    let functions = "fn gate(n: u64) -> u64 { while !std::path::Path::new(\"open\").exists() { std::thread::sleep(Duration::from_millis(5)) } n }";
    let cell = "let tasks: Vec<_> = (0..3).map(|n| gate.remote(n)).collect(); println!(\"out{}\", \"put\"); get(&tasks)?.len()";
    let mut terminal = Terminal::open(&place);
    terminal.is_asked_for_cell(1).types(functions);
    terminal.is_asked_for_cell(2).types(cell).sees("output").sees("gate   0% |").sees("| 0/3 [").sees(" running");
    place.write("open", "");
    terminal.sees("3").is_asked_for_cell(3).types(":progress off").sees("not shown");
    terminal.is_asked_for_cell(4).presses_ctrl_d();
    assert!(terminal.closes().success());
    // The same through a pipe, with tasks that take long enough for a line.
    let slow = "fn gate(n: u64) -> u64 { std::thread::sleep(Duration::from_millis(700)); n }";
    let finished = finish_with_input(&place, &format!("{slow}\n{cell}\n"));
    let err = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert_eq!(
        (String::from_utf8_lossy(&finished.stdout).as_ref(), err.contains("gate")),
        ("output\n3\n", false),
        "{err}"
    );
    place.leaves_nothing();
}

#[test]
fn a_pipe_is_read_as_a_script() {
    let place = Place::new();
    let source = "fn add(a: i64, b: i64) -> i64 {\n    a + b\n}\nlet x = get(&add.remote(40, 2))?;\nprintln!(\"x is {x}\");\nx * 2\n";
    let finished = finish_with_input(&place, source);
    let text = String::from_utf8_lossy(&finished.stdout);
    assert!(finished.status.success(), "{text}\n{}", String::from_utf8_lossy(&finished.stderr));
    assert!(text.contains("x is 42") && text.contains("84"), "{text}");
    place.leaves_nothing();
}

#[test]
fn a_script_file_runs_as_one_cell_and_its_failure_is_the_exit_code() {
    let place = Place::new();
    let good = place.write(
        "good.rs",
        "fn double(x: i64) -> i64 { x * 2 }\nlet r = double.remote(21);\nprintln!(\"{}\", get(&r)?);\n",
    );
    assert_eq!(finish(place.mobula().arg("run").arg(good)).exits(0).stdout, "42\n");
    let bad =
        place.write("bad.rs", "println!(\"before\");\nlet none: Option<i64> = None;\nnone.expect(\"something\");\n");
    let finished = finish(place.mobula().arg("run").arg(bad)).exits(1);
    assert_eq!(finished.stdout, "before\n");
    for word in ["something", "none.expect"] {
        assert!(finished.stderr.contains(word), "no {word} in {finished}");
    }
    place.leaves_nothing();
}

/// Runs `mobula` with `input` coming through a pipe.
fn finish_with_input(place: &Place, input: &str) -> Output {
    use std::io::Write;
    let mut command = place.mobula();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mobula started");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("the input was read");
    child.wait_with_output().expect("mobula ended")
}
