//! Cells from a pipe or a file on standard input, split as at the prompt.
//!
//! ```text
//! line ──▶ Splitter ──▶ More:  something is missing
//!                   ├─▶ Maybe: whole, unless the next line begins with `.`, `else`, …
//!                   └─▶ Run
//! ```
//!
//! The text alone decides where a cell ends, never its timing: a `Maybe` waits for the next line, or the end of the
//! input. So a program that waits for an answer before it writes on must end an expression with an empty line.

use crate::Ending;
use crate::commands::{self, Command};
use crate::env_broken;
use crate::input;
use crate::runner::{Readiness, Runner};
use crossbeam::channel::{Receiver, Sender, bounded};
use mobula_session::script::is_shebang;
use mobula_session::{Completeness, Evaluator, Gathered, Gathering, completeness, could_go_on};
use std::io::{self, BufRead};

/// The most lines that are read ahead.
const LINES_MAX: usize = 1024;

/// Why cells could not be read to the end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipeError {
    /// The last cell is not finished.
    #[error("the input ends in the middle of the cell that begins on line {line}")]
    Unfinished {
        /// Its first line, from 1.
        line: usize,
    },
    /// The input is not UTF-8 text.
    #[error("line {line} of the input is not valid UTF-8")]
    NotText {
        /// The line, from 1.
        line: usize,
    },
    /// The input could not be read.
    #[error("line {line} of the input could not be read")]
    Unreadable {
        /// The line, from 1.
        line: usize,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The evaluator cannot run cells here.
    #[error("{0}")]
    NotReady(String),
}

impl PipeError {
    /// The exit code of this error: 1 for an input that cannot be run, 3 for a broken environment.
    pub fn exit_code(&self) -> u8 {
        match self {
            PipeError::NotReady(_) => env_broken(),
            _ => Ending::CellFailed.exit_code(),
        }
    }
}

/// A line of the input without its end, or the error that ends the input.
type Line = Result<String, PipeError>;

/// Reads standard input on a thread of its own, line by line.
pub(crate) fn lines_of_stdin() -> Receiver<Line> {
    let (send, lines) = bounded(LINES_MAX);
    let spawned = std::thread::Builder::new().name("input".into()).spawn({
        let send = send.clone();
        move || read_lines(io::stdin().lock(), &send)
    });
    if let Err(source) = spawned {
        // The channel has room: nothing has been sent.
        let _ = send.send(Err(PipeError::Unreadable { line: 1, source }));
    }
    lines
}

fn read_lines(mut input: impl BufRead, send: &Sender<Line>) {
    for number in 1.. {
        let mut bytes = Vec::new();
        let line = match input.read_until(b'\n', &mut bytes) {
            Ok(0) => return,
            Ok(_) => String::from_utf8(bytes).map_err(|_| PipeError::NotText { line: number }),
            Err(source) => Err(PipeError::Unreadable { line: number, source }),
        };
        let last = line.is_err();
        let line = line.map(|line| line.trim_end_matches(['\n', '\r']).to_owned());
        if send.send(line).is_err() || last {
            return;
        }
    }
}

/// Runs the cells of `lines` until one fails, or, with `keep_going`, all of them.
pub(crate) fn run<E: Evaluator + Clone>(
    runner: &Runner<E>,
    lines: Receiver<Line>,
    keep_going: bool,
) -> Result<Ending, PipeError> {
    match runner.ready() {
        Readiness::Ready => {}
        Readiness::Failed(sentence) => return Err(PipeError::NotReady(sentence)),
        Readiness::Interrupted => return Ok(Ending::CellFailed),
    }
    let mut splitter = Splitter::default();
    let mut next: Option<Line> = None;
    let mut ending = Ending::Done;
    while let Some(line) = next.take().or_else(|| lines.recv().ok()) {
        let line = line?;
        match splitter.feed(&line) {
            Fed::More => continue,
            Fed::Run => {}
            Fed::Maybe => {
                next = lines.recv().ok();
                let goes_on = next.as_ref().is_some_and(|line| line.as_ref().is_ok_and(|line| input::goes_on(line)));
                if goes_on || !splitter.is_whole() {
                    continue;
                }
            }
        }
        match run_cell(runner, &splitter.take()) {
            Some(Ending::CellFailed) if keep_going => ending = Ending::CellFailed,
            Some(Ending::Done) => return Ok(ending),
            Some(ending) => return Ok(ending),
            None => {}
        }
    }
    splitter.end().map(|()| ending)
}

/// Runs one cell. Returns an ending if the cell failed or was `:quit`.
fn run_cell<E: Evaluator + Clone>(runner: &Runner<E>, cell: &Cell) -> Option<Ending> {
    match commands::parse(&cell.code) {
        Some(Command::Quit) => return Some(Ending::Done),
        // These commands need a screen and a person.
        Some(Command::History(_) | Command::Clear) => return None,
        Some(Command::Help) => runner.screen.answer(&commands::help()),
        None => {}
    }
    let outcome = runner.run(&cell.code);
    outcome.result.is_err().then(|| {
        if cell.line > 1 {
            runner.screen.notice(&format!("the cell begins on line {} of the input", cell.line));
        }
        Ending::CellFailed
    })
}

/// A cell and the line of the input on which it begins, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cell {
    code: String,
    line: usize,
}

/// The next step after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fed {
    More,
    Maybe,
    Run,
}

/// Gathers lines into a cell.
#[derive(Debug, Default)]
struct Splitter {
    cell: Gathered,
    /// Lines taken so far.
    lines: usize,
    /// The line on which the cell begins, from 1.
    begin: usize,
}

impl Splitter {
    fn feed(&mut self, line: &str) -> Fed {
        self.lines += 1;
        let mut line = line;
        if self.cell.code().is_empty() {
            line = line.trim_start_matches('\u{feff}');
            if line.trim().is_empty() || self.lines == 1 && is_shebang(line) {
                return Fed::More;
            }
            self.begin = self.lines;
        }
        match self.cell.push(line) {
            Gathering::Nothing | Gathering::Open => Fed::More,
            Gathering::Wrong => Fed::Run,
            Gathering::Ended if self.is_whole() => Fed::Run,
            Gathering::Ended => Fed::More,
            Gathering::Block if self.is_whole() && !could_go_on(self.cell.code()) => Fed::Run,
            Gathering::Block | Gathering::Undecided => Fed::Maybe,
        }
    }

    /// Whether the cell is to be run as it stands. Invalid code is, so that the compiler reports it.
    fn is_whole(&self) -> bool {
        !matches!(completeness(self.cell.code()), Completeness::Incomplete { .. })
    }

    fn take(&mut self) -> Cell {
        Cell { code: self.cell.take(), line: self.begin }
    }

    /// Ends the input. Comments may be left over, but no code.
    fn end(self) -> Result<(), PipeError> {
        if self.cell.is_blank() { Ok(()) } else { Err(PipeError::Unfinished { line: self.begin }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_evaluator::Fake;
    use crate::show::render::tests::{Paper, on_paper};
    use std::time::Duration;

    /// The cells of a text that is complete from the beginning.
    fn cells(text: &str) -> Vec<String> {
        piped(Fake::new(), text).fake.cells()
    }

    struct Piped {
        fake: Fake,
        ending: Result<Ending, PipeError>,
        out: Paper,
        err: Paper,
    }

    fn piped(fake: Fake, text: &str) -> Piped {
        piped_bytes(fake, text.as_bytes(), false)
    }

    fn piped_bytes(fake: Fake, bytes: &[u8], keep_going: bool) -> Piped {
        let (screen, out, err) = on_paper();
        let evaluator = fake.start(screen.sink());
        let (send, lines) = bounded(LINES_MAX);
        read_lines(bytes, &send);
        drop(send);
        let runner = Runner { evaluator, screen, interrupts: None, input: None };
        let ending = run(&runner, lines, keep_going);
        Piped { fake, ending, out, err }
    }

    #[test]
    fn a_line_is_a_cell_and_its_result_is_all_that_is_printed() {
        let piped = piped(Fake::new(), "result 2\n");
        assert_eq!(piped.ending.unwrap(), Ending::Done);
        assert_eq!((piped.out.text(), piped.err.text()), ("2\n".into(), String::new()));
    }

    #[test]
    fn the_last_line_needs_no_end() {
        assert_eq!(cells("a\nb"), ["a", "b"]);
        assert_eq!(cells("a\r\nb\r\n"), ["a", "b"]);
    }

    #[test]
    fn an_item_of_several_lines_is_one_cell() {
        let function = "fn f()\n    -> u8\n{\n    1\n}";
        let point = "/// A point.\n#[derive(Debug)]\nstruct P {\n    x: i32,\n}";
        assert_eq!(cells(&format!("{function}\n\n{point}\nf()\n")), [function, point, "f()"]);
    }

    #[test]
    fn a_line_that_goes_on_belongs_to_the_cell_before() {
        assert_eq!(
            cells("v.iter()\n    .map(f)\n    .sum()\nlet x = 1;\n"),
            ["v.iter()\n    .map(f)\n    .sum()", "let x = 1;"]
        );
        assert_eq!(cells("if a {\n}\nelse {\n}\nb"), ["if a {\n}\nelse {\n}", "b"]);
        assert_eq!(cells("let x =\n    1\n    + 2;\ny"), ["let x =\n    1\n    + 2;", "y"]);
    }

    #[test]
    fn comments_and_empty_lines_run_nothing_and_stay_with_what_follows() {
        assert_eq!(cells("\n\n// one\n\na\n// end\n"), ["// one\n\na"]);
        assert_eq!(cells("#!/usr/bin/env mobula\na"), ["a"]);
        assert_eq!(cells("// nothing\n\n"), [""; 0]);
    }

    #[test]
    fn a_command_is_a_cell_of_its_own() {
        assert_eq!(cells(":vars\n.x\n"), [":vars", ".x"]);
        let dep = ":dep serde = { version = \"1\",\n  features = [\"derive\"] }";
        assert_eq!(cells(&format!("{dep}\nx\n")), [dep, "x"]);
        assert_eq!(cells("a\n:quit\nb"), ["a"]);
    }

    #[test]
    fn a_bracket_that_closes_nothing_is_run_so_that_the_compiler_can_say_so() {
        assert_eq!(cells("f())\ng()"), ["f())", "g()"]);
    }

    #[test]
    fn the_first_cell_that_fails_ends_it_and_the_line_is_named() {
        let piped = piped(Fake::new(), "a\n\nfail oops\nb\n");
        assert_eq!(piped.ending.unwrap(), Ending::CellFailed);
        assert_eq!(piped.fake.cells(), ["a", "fail oops"]);
        assert_eq!(piped.err.text(), "error: oops\nthe cell begins on line 3 of the input\n");
    }

    #[test]
    fn all_cells_run_when_that_is_asked_for_and_the_failure_is_not_forgotten() {
        let piped = piped_bytes(Fake::new(), b"a\nfail oops\nb\n", true);
        assert_eq!(piped.ending.unwrap(), Ending::CellFailed);
        assert_eq!(piped.fake.cells(), ["a", "fail oops", "b"]);
        let quit = piped_bytes(Fake::new(), b"fail oops\n:quit\nb\n", true);
        assert_eq!(quit.ending.unwrap(), Ending::CellFailed);
        assert_eq!(quit.fake.cells(), ["fail oops"]);
    }

    #[test]
    fn an_input_that_ends_too_early_names_the_line_where_the_cell_begins() {
        let piped = piped(Fake::new(), "a\n\nfn f() {\n    1\n");
        assert_eq!(piped.fake.cells(), ["a"]);
        assert_eq!(
            piped.ending.unwrap_err().to_string(),
            "the input ends in the middle of the cell that begins on line 3"
        );
    }

    #[test]
    fn an_input_that_is_no_text_names_the_line() {
        let piped = piped_bytes(Fake::new(), b"a\n\xff\n", false);
        assert_eq!(piped.fake.cells(), ["a"]);
        assert_eq!(piped.ending.unwrap_err().to_string(), "line 2 of the input is not valid UTF-8");
    }

    #[test]
    fn an_evaluator_that_cannot_work_ends_it_before_the_first_cell() {
        let piped = piped(Fake::broken("no rustc"), "a\n");
        let error = piped.ending.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("no rustc", 3));
        assert_eq!(piped.fake.cells(), [""; 0]);
    }

    /// Writes `first`, and writes `then` only once a cell has run.
    fn conversation(first: &[&str], then: &str) -> Vec<String> {
        let (screen, ..) = on_paper();
        let fake = Fake::new();
        let runner = Runner { evaluator: fake.start(screen.sink()), screen, interrupts: None, input: None };
        let (send, lines) = bounded(LINES_MAX);
        first.iter().for_each(|line| send.send(Ok((*line).to_owned())).unwrap());
        let then = then.to_owned();
        let writer = std::thread::spawn({
            let fake = fake.clone();
            move || {
                fake.wait_for_cells(1, Duration::from_secs(20));
                send.send(Ok(then)).unwrap();
            }
        });
        assert_eq!(run(&runner, lines, false).unwrap(), Ending::Done);
        writer.join().unwrap();
        fake.cells()
    }

    #[test]
    fn a_program_that_waits_for_an_answer_ends_an_expression_with_an_empty_line_and_a_statement_or_an_item_with_its_own_end()
     {
        assert_eq!(conversation(&["a.b()", ""], "c;"), ["a.b()", "c;"]);
        assert_eq!(conversation(&["a.b();"], "c;"), ["a.b();", "c;"]);
        assert_eq!(conversation(&["fn f() {", "}"], "f()"), ["fn f() {\n}", "f()"]);
        assert_eq!(conversation(&[":vars"], "f()"), [":vars", "f()"]);
    }

    #[test]
    fn where_a_cell_ends_does_not_depend_on_when_the_next_line_comes() {
        let (screen, ..) = on_paper();
        let fake = Fake::new();
        let runner = Runner { evaluator: fake.start(screen.sink()), screen, interrupts: None, input: None };
        let (send, lines) = bounded(0);
        let writer = std::thread::spawn(move || {
            for line in ["v.iter()", "    .map(f)", "    .sum()", "if a {", "}", "else {", "}"] {
                // The channel takes a line only when its reader waits. The pause is then longer than any former timer.
                send.send(Ok(line.to_owned())).unwrap();
                std::thread::park_timeout(Duration::from_millis(60));
            }
        });
        assert_eq!(run(&runner, lines, false).unwrap(), Ending::Done);
        writer.join().unwrap();
        assert_eq!(fake.cells(), ["v.iter()\n    .map(f)\n    .sum()", "if a {\n}\nelse {\n}"]);
    }
}
