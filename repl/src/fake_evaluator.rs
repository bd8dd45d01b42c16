//! An evaluator for tests: it understands a handful of words and starts no process.

use mobula_session::{
    Bundle, CellError, CellId, Completion, Completions, Evaluator, Event, InputReader, InputRequest, Outcome, Sink,
    Stream,
};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Runs cells of these lines, and keeps the cells:
/// `print X`, `warn X`, `result X`, `show ID X`, `update ID X`, `clear`, `fail X`, `ask X`, `wait` (for an interrupt)
/// and `later X` (printed when the next completion is asked for). Every other line does nothing.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    sink: Option<Sink>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    cells: Vec<String>,
    interrupts: usize,
    questions: usize,
    ended: bool,
    broken: Option<String>,
    later: Option<Event>,
}

impl Fake {
    pub fn new() -> Fake {
        Fake::default()
    }

    /// A fake that sends its events to `sink`.
    pub fn start(&self, sink: Sink) -> Fake {
        Fake { sink: Some(sink), shared: Arc::clone(&self.shared) }
    }

    /// A fake that never gets ready.
    pub fn broken(sentence: &str) -> Fake {
        let fake = Fake::new();
        fake.shared.state.lock().unwrap().broken = Some(sentence.to_owned());
        fake
    }

    pub fn cells(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().cells.clone()
    }

    pub fn interrupts(&self) -> usize {
        self.shared.state.lock().unwrap().interrupts
    }

    pub fn questions(&self) -> usize {
        self.shared.state.lock().unwrap().questions
    }

    pub fn has_ended(&self) -> bool {
        self.shared.state.lock().unwrap().ended
    }

    pub fn wait_for_interrupt(&self, deadline: Duration) {
        let state = self.shared.state.lock().unwrap();
        let (state, _) =
            self.shared.changed.wait_timeout_while(state, deadline, |state| state.interrupts == 0).unwrap();
        assert!(state.interrupts > 0, "no interrupt within {deadline:?}");
    }

    pub fn wait_for_cells(&self, count: usize, deadline: Duration) {
        let state = self.shared.state.lock().unwrap();
        let (state, _) =
            self.shared.changed.wait_timeout_while(state, deadline, |state| state.cells.len() < count).unwrap();
        assert!(state.cells.len() >= count, "no {count} cells within {deadline:?}");
    }

    fn line(&self, cell: CellId, line: &str, input: Option<&InputReader>) -> Result<(), CellError> {
        let (word, rest) = line.trim_start().split_once(' ').unwrap_or((line.trim_start(), ""));
        let rest = rest.replace("\\n", "\n");
        let named = |text: &str| {
            let (id, text) = text.split_once(' ').unwrap_or((text, ""));
            Bundle { display_id: Some(id.to_owned()), ..Bundle::text(text) }
        };
        let event = match word {
            "print" => Event::Text { cell, stream: Stream::Stdout, text: rest },
            "warn" => Event::Text { cell, stream: Stream::Stderr, text: rest },
            "result" => Event::Result { cell, bundle: Bundle::text(rest) },
            "show" => Event::Display { cell, bundle: named(&rest) },
            "update" => Event::Update { cell, bundle: named(&rest) },
            "clear" => Event::Clear { cell, wait: false },
            "ask" => {
                let answer = input.and_then(|ask| ask(InputRequest { prompt: rest, is_password: false }));
                Event::Text { cell, stream: Stream::Stdout, text: format!("{answer:?}\n") }
            }
            "later" => {
                let event = Event::Text { cell, stream: Stream::Stdout, text: format!("{rest}\n") };
                self.shared.state.lock().unwrap().later = Some(event);
                return Ok(());
            }
            "wait" => {
                (self.sink.as_ref().unwrap())(Event::Notice { text: "waiting".into() });
                self.wait_for_interrupt(Duration::from_secs(60));
                return Err(failure("Interrupted", "interrupted"));
            }
            "fail" => return Err(failure("Error", &rest)),
            _ => return Ok(()),
        };
        if let Some(sink) = &self.sink {
            sink(event);
        }
        Ok(())
    }
}

fn failure(name: &str, value: &str) -> CellError {
    let plain = format!("error: {value}");
    let ansi = format!("\x1b[31m{plain}\x1b[0m");
    CellError { name: name.into(), value: value.into(), plain, ansi }
}

impl Evaluator for Fake {
    fn execute(&self, code: &str, input: Option<InputReader>) -> Outcome {
        let cell = self.next_cell();
        self.shared.state.lock().unwrap().cells.push(code.to_owned());
        self.shared.changed.notify_all();
        let result = code.lines().try_for_each(|line| self.line(cell, line, input.as_ref()));
        Outcome { cell, result, phases: Vec::new(), exit: None }
    }

    fn next_cell(&self) -> CellId {
        CellId(self.cells().len() as u64 + 1)
    }

    fn interrupt(&self) {
        self.shared.state.lock().unwrap().interrupts += 1;
        self.shared.changed.notify_all();
    }

    fn complete(&self, code: &str, cursor: usize) -> Completions {
        let later = {
            let mut state = self.shared.state.lock().unwrap();
            state.questions += 1;
            state.later.take()
        };
        if let (Some(event), Some(sink)) = (later, &self.sink) {
            sink(event);
        }
        let start = code[..cursor].rfind([' ', '\n']).map_or(0, |at| at + 1);
        let known = [("value", "local"), (":vars", "command"), (":help", "command")];
        let fitting = known.iter().filter(|(name, _)| name.starts_with(&code[start..cursor]));
        let items =
            fitting.map(|(name, kind)| Completion { code: (*name).into(), kind: (*kind).into(), label: String::new() });
        Completions { start, end: cursor, items: items.collect() }
    }

    fn inspect(&self, _code: &str, _cursor: usize) -> Option<Bundle> {
        None
    }

    fn ready(&self) -> Result<(), String> {
        self.shared.state.lock().unwrap().broken.clone().map_or(Ok(()), Err)
    }

    fn shutdown(&self) {
        self.shared.state.lock().unwrap().ended = true;
    }
}
