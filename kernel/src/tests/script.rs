//! An evaluator for tests. A cell is a script, one statement a line:
//!
//! ```text
//! out TEXT | err TEXT     a line on a stream           value TEXT     the cell's value
//! part TEXT               text without an end of line  show TEXT      a display, then an update and a clear
//! flood N | alternate N   N lines, on one or both      ask PROMPT     a question; prints the answer
//! fail TEXT               the cell fails               wait           until it is interrupted
//! later TEXT, now         `now` prints what the last `later` said, as output of that earlier cell
//! notice TEXT             a word of the session        panic          a bug of the evaluator
//! ```

use mobula_session::Evaluator;
use mobula_session::*;
use std::sync::{Condvar, Mutex};

/// Runs scripts.
pub struct Script {
    sink: Sink,
    state: Mutex<State>,
    changed: Condvar,
    /// Whether a cell begins only when it was interrupted.
    is_late: bool,
}

#[derive(Default)]
struct State {
    cells: u64,
    runs: bool,
    interrupted: bool,
    later: Option<(CellId, String)>,
}

impl Script {
    /// An evaluator whose events go to `sink`.
    pub fn new(sink: Sink) -> Script {
        Script { sink, state: Mutex::default(), changed: Condvar::new(), is_late: false }
    }

    /// One on a machine so busy that a cell begins only after the interrupt that is meant for it.
    pub fn late(sink: Sink) -> Script {
        Script { is_late: true, ..Script::new(sink) }
    }

    /// Waits until the cell is interrupted.
    fn wait(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| !state.interrupted).unwrap());
    }

    fn run(&self, cell: CellId, code: &str, input: Option<InputReader>) -> Result<(), CellError> {
        let text = |stream, text: String| (self.sink)(Event::Text { cell, stream, text });
        for line in code.lines() {
            let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
            match verb {
                "out" => text(Stream::Stdout, format!("{rest}\n")),
                "err" => text(Stream::Stderr, format!("{rest}\n")),
                "part" => text(Stream::Stdout, rest.into()),
                "flood" => (0..rest.parse().unwrap()).for_each(|n: u32| text(Stream::Stdout, format!("line {n}\n"))),
                "alternate" => (0..rest.parse().unwrap()).for_each(|n: u32| {
                    text(if n.is_multiple_of(2) { Stream::Stdout } else { Stream::Stderr }, format!("line {n}\n"));
                }),
                "value" => (self.sink)(Event::Result { cell, bundle: Bundle::text(rest) }),
                "show" => {
                    let bundle = Bundle { display_id: Some("d".into()), ..Bundle::text(rest) };
                    (self.sink)(Event::Display { cell, bundle: bundle.clone() });
                    (self.sink)(Event::Update { cell, bundle });
                    (self.sink)(Event::Clear { cell, wait: true });
                }
                "ask" => {
                    let question = InputRequest { prompt: rest.into(), is_password: false };
                    let answer = input.as_ref().and_then(|ask| ask(question));
                    text(Stream::Stdout, answer.map_or("nobody answers\n".into(), |answer| format!("got {answer}\n")));
                }
                "fail" => return Err(error("Failed", rest)),
                "wait" => {
                    self.wait();
                    return Err(error("Interrupted", "interrupted"));
                }
                "later" => self.state.lock().unwrap().later = Some((cell, rest.into())),
                "now" => {
                    let (cell, said) = self.state.lock().unwrap().later.take().unwrap();
                    (self.sink)(Event::Text { cell, stream: Stream::Stdout, text: format!("{said}\n") });
                }
                "notice" => (self.sink)(Event::Notice { text: rest.into() }),
                "panic" => panic!("a bug, as the test wants it"),
                _ => return Err(error("E0425", &format!("no statement `{verb}`"))),
            }
        }
        Ok(())
    }
}

fn error(name: &str, value: &str) -> CellError {
    let plain = format!("{name}: {value}\n  help: none");
    CellError { name: name.into(), value: value.into(), ansi: format!("\u{1b}[31m{plain}\u{1b}[0m"), plain }
}

impl Evaluator for Script {
    fn execute(&self, code: &str, input: Option<InputReader>) -> Outcome {
        if self.is_late {
            self.wait();
        }
        let cell = {
            let mut state = self.state.lock().unwrap();
            state.cells += 1;
            // An interrupt of a cell that was announced may have come already.
            if !std::mem::replace(&mut state.runs, true) {
                state.interrupted = false;
            }
            CellId(state.cells)
        };
        let result = self.run(cell, code, input);
        self.state.lock().unwrap().runs = false;
        let phases = vec![Phase { name: "run".into(), took: std::time::Duration::from_micros(1500) }];
        Outcome { cell, result, phases, exit: None }
    }

    fn announce(&self) {
        let mut state = self.state.lock().unwrap();
        (state.runs, state.interrupted) = (true, false);
    }

    fn next_cell(&self) -> CellId {
        CellId(self.state.lock().unwrap().cells + 1)
    }

    fn interrupt(&self) {
        let mut state = self.state.lock().unwrap();
        state.interrupted = state.runs;
        self.changed.notify_all();
    }

    /// Completes the word before the cursor with an exclamation mark.
    fn complete(&self, code: &str, cursor: usize) -> Completions {
        let start = code[..cursor].rfind(' ').map_or(0, |at| at + 1);
        let item =
            Completion { code: format!("{}!", &code[start..cursor]), kind: "macro".into(), label: "(…)".into() };
        Completions { start, end: cursor, items: vec![item] }
    }

    fn inspect(&self, code: &str, cursor: usize) -> Option<Bundle> {
        (cursor > 0).then(|| Bundle::text(format!("about `{}`", &code[..cursor])))
    }

    /// Nobody is behind any comm.
    fn comm(&self, request: u64, message: CommMessage) -> Received {
        let reply = nobody_is_there(&message);
        let has_reply = reply.is_some();
        reply.into_iter().for_each(|message| (self.sink)(Event::CommReply { request, message }));
        Received { has_reply, ..Received::default() }
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn shutdown(&self) {
        self.interrupt();
    }
}
