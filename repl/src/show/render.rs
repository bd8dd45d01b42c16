//! The screen: the only place of this crate that prints.
//!
//! Events come from several threads, even while the person types. At the prompt the line editor owns the screen. Text
//! is then handed to the editor, which shows it above the line:
//!
//! ```text
//! event ──▶ Page ──▶ in a cell: written at once
//!                └─▶ at the prompt: `waiting` ──printer thread──▶ the editor's printer
//! ```
//!
//! # Invariants
//! - The lock is never held while the editor's printer is called. The printer blocks when the editor has just stopped
//!   reading, and the thread that stopped it needs the lock.
//! - At the prompt, an unfinished line is held back for [`PARTIAL_LINE_MAX`], because the editor would end it.

use crate::show::below::Below;
use crate::show::colour::ColorChoice;
use crate::show::event_text::{Ink, Look, Page};
use crate::show::pager;
use mobula_session::{CellError, Event, Sink, Stage, Stream};
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long an unfinished line waits at the prompt for its rest.
const PARTIAL_LINE_MAX: Duration = Duration::from_millis(100);
/// How long the end of a prompt waits for text that is being handed to the editor.
const HAND_OVER_MAX: Duration = Duration::from_millis(20);

/// Shows a text above the line that is being typed.
pub(crate) type Above = Box<dyn FnMut(String) + Send>;

/// The screen. Cheap to clone; all clones share one screen.
#[derive(Clone)]
pub(crate) struct Screen {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Whether the terminal has echoed a key, for the next thread that locks the state. A flag, so that Ctrl-C never
    /// waits for a thread that writes.
    was_typed: AtomicBool,
    /// Notified when the prompt begins or ends, and when text waits or was handed over.
    changed: Condvar,
}

struct State {
    page: Page,
    look: Look,
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    at_prompt: bool,
    /// What stands below the output while a cell runs.
    below: Below,
    is_running: bool,
    /// Whether the editor has a printer for text.
    above: bool,
    waiting: String,
    handing_over: bool,
}

impl Screen {
    /// The screen on the process's own standard streams.
    pub fn standard(colours: ColorChoice) -> Screen {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let look = Look {
            stdout_is_terminal: stdout.is_terminal(),
            stderr_is_terminal: stderr.is_terminal(),
            stderr_colours: colours.is_on(stderr.is_terminal()),
            size: None,
        };
        Screen::on(look, Box::new(stdout), Box::new(stderr))
    }

    fn on(look: Look, stdout: Box<dyn Write + Send>, stderr: Box<dyn Write + Send>) -> Screen {
        let state = State {
            page: Page::new(look),
            look,
            stdout,
            stderr,
            at_prompt: false,
            below: Below::default(),
            is_running: false,
            above: false,
            waiting: String::new(),
            handing_over: false,
        };
        Screen {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                was_typed: AtomicBool::new(false),
                changed: Condvar::new(),
            }),
        }
    }

    /// The sink for a session's events.
    pub fn sink(&self) -> Sink {
        let screen = self.clone();
        Arc::new(move |event| screen.event(event))
    }

    /// Whether both streams are on a screen, so that a notice in between does no harm.
    pub fn is_terminal(&self) -> bool {
        let look = self.lock().look;
        look.stdout_is_terminal && look.stderr_is_terminal
    }

    /// Shows an event.
    pub fn event(&self, event: Event) {
        let mut state = self.lock();
        if let Event::Tasks { cell, bundle, stage } = &event {
            match stage {
                Stage::Begun | Stage::Goes => state.below.set(*cell, bundle.words()),
                Stage::Over => state.below.remove(*cell),
            }
            self.write_below(&mut state, true);
        }
        if matches!(event, Event::Display { .. } | Event::Update { .. }) && state.look.stdout_is_terminal {
            state.page.resize(terminal_size());
        }
        let in_place = !state.at_prompt;
        let inks = state.page.event(event, in_place);
        self.show(&mut state, inks);
    }

    /// Shows why a cell failed.
    pub fn error(&self, error: &CellError) {
        let mut state = self.lock();
        let inks = state.page.error(error);
        self.show(&mut state, inks);
    }

    /// Shows a notice on standard error.
    pub fn notice(&self, text: &str) {
        let mut state = self.lock();
        let inks = state.page.notice(text);
        self.show(&mut state, inks);
    }

    /// Shows an answer on standard output.
    pub fn answer(&self, text: &str) {
        let mut state = self.lock();
        let inks = state.page.answer(text);
        self.show(&mut state, inks);
    }

    /// A cell begins.
    pub fn cell_begins(&self) {
        self.lock().is_running = true;
    }

    /// Shows what was kept for the end of a cell.
    pub fn cell_ended(&self) {
        let mut state = self.lock();
        state.is_running = false;
        self.write_below(&mut state, false);
        let inks = state.page.settle();
        self.show(&mut state, inks);
        if state.look.stdout_is_terminal {
            state.page.resize(terminal_size());
        }
        let (inks, long) = state.page.texts();
        self.show(&mut state, inks);
        drop(state);
        for text in long {
            if pager::show(&text).is_err() {
                self.answer(&text);
            }
        }
    }

    /// Sets the printer for text while the line editor reads. Its thread ends with the process.
    pub fn set_above(&self, mut above: Above) {
        self.lock().above = true;
        let shared = Arc::clone(&self.shared);
        let hand_over = move || {
            loop {
                let text = next_above(&shared);
                above(text);
                shared.lock().handing_over = false;
                shared.changed.notify_all();
            }
        };
        let spawned = std::thread::Builder::new().name("above the prompt".into()).spawn(hand_over);
        if spawned.is_err() {
            self.lock().above = false;
        }
    }

    /// Gives the screen to the line editor, until [`Screen::prompt_ended`].
    pub fn prompt_begins(&self) {
        let mut state = self.lock();
        let inks = state.page.fresh_line();
        self.show(&mut state, inks);
        state.at_prompt = state.above;
        self.shared.changed.notify_all();
    }

    /// The terminal has echoed a key while a cell runs, so the line is no longer empty.
    pub fn something_was_typed(&self) {
        self.shared.was_typed.store(true, Ordering::Release);
    }

    /// Takes the line that the cell left unfinished on standard output. The caller shows it again.
    pub fn take_line(&self) -> String {
        self.lock().page.take_line()
    }

    /// Records that the line editor has released the screen, at the beginning of a line.
    pub fn prompt_ended(&self) {
        let state = self.lock();
        let waited = self.shared.changed.wait_timeout_while(state, HAND_OVER_MAX, |state| state.handing_over);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.at_prompt = false;
        let rest = std::mem::take(&mut state.waiting);
        if rest.is_empty() {
            state.page.line_was_ended();
        } else {
            self.show(&mut state, vec![Ink { stream: Stream::Stdout, text: rest }]);
        }
        let inks = state.page.settle();
        self.show(&mut state, inks);
    }

    /// Erases what stands below the output, and draws it again if it is wanted, on a terminal that shows both streams.
    fn write_below(&self, state: &mut State, again: bool) {
        let mut text = state.below.erase().to_owned();
        let is_terminal = state.look.stdout_is_terminal && state.look.stderr_is_terminal;
        if again && state.is_running && !state.at_prompt && is_terminal {
            let (size, is_open) = (state.look.size.or_else(terminal_size), state.page.is_line_open());
            text.push_str(&size.map(|size| state.below.draw(size, is_open)).unwrap_or_default());
        }
        if !text.is_empty()
            && let Err(error) = state.stdout.write_all(text.as_bytes()).and_then(|()| state.stdout.flush())
        {
            tracing::debug!(%error, "the line of tasks could not be written");
        }
    }

    fn show(&self, state: &mut State, inks: Vec<Ink>) {
        if inks.is_empty() {
            return;
        }
        self.write_below(state, false);
        self.write(state, inks);
        self.write_below(state, true);
    }

    fn write(&self, state: &mut State, inks: Vec<Ink>) {
        for ink in inks {
            let (stream, terminal) = match ink.stream {
                Stream::Stdout => (&mut state.stdout, state.look.stdout_is_terminal),
                Stream::Stderr => (&mut state.stderr, state.look.stderr_is_terminal),
            };
            if state.at_prompt && terminal {
                state.waiting.push_str(&ink.text);
                self.shared.changed.notify_all();
            } else if let Err(error) = stream.write_all(ink.text.as_bytes()).and_then(|()| stream.flush()) {
                // The reader is gone (`mobula run … | head`). The other effects of the cells go on.
                tracing::debug!(%error, "output could not be written");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.was_typed.swap(false, Ordering::AcqRel) {
            state.page.line_was_begun();
        }
        state
    }
}

/// Waits for text to show above the prompt: whole lines, or an unfinished line that has waited long enough.
fn next_above(shared: &Shared) -> String {
    let mut state = shared.lock();
    loop {
        let idle = |state: &mut State| !state.at_prompt || state.waiting.is_empty();
        state = shared.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        if !state.waiting.contains('\n') {
            let partial = |state: &mut State| state.at_prompt && !state.waiting.contains('\n');
            let waited = shared.changed.wait_timeout_while(state, PARTIAL_LINE_MAX, partial);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if !state.at_prompt || state.waiting.is_empty() {
                continue;
            }
        }
        let end = state.waiting.rfind('\n').map_or(state.waiting.len(), |at| at + 1);
        let rest = state.waiting.split_off(end);
        if rest.is_empty() {
            // The editor ends the line if the text does not.
            state.page.line_was_ended();
        }
        debug_assert!(!state.handing_over, "one text is handed over at a time");
        state.handing_over = true;
        return std::mem::replace(&mut state.waiting, rest);
    }
}

/// Columns and rows of the terminal at standard output.
pub(crate) fn terminal_size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col.into(), size.ws_row.into()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crossbeam::channel::{Receiver, Sender, unbounded};
    use mobula_session::CellId;

    /// A stream whose content a test can look at.
    #[derive(Clone, Default)]
    pub(crate) struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A screen on [`Paper`] that behaves like a file.
    pub(crate) fn on_paper() -> (Screen, Paper, Paper) {
        let (out, err) = (Paper::default(), Paper::default());
        (Screen::on(Look::default(), Box::new(out.clone()), Box::new(err.clone())), out, err)
    }

    fn terminal() -> (Screen, Paper, Receiver<String>) {
        let paper = Paper::default();
        let look = Look { stdout_is_terminal: true, stderr_is_terminal: true, ..Look::default() };
        let screen = Screen::on(look, Box::new(paper.clone()), Box::new(paper.clone()));
        let (send, above) = unbounded();
        screen.set_above(Box::new(move |text| send.send(text).unwrap()));
        (screen, paper, above)
    }

    fn print(screen: &Screen, text: &str) {
        screen.event(Event::Text { cell: CellId(1), stream: Stream::Stdout, text: text.into() });
    }

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn text_goes_above_the_prompt_while_a_person_types() {
        let (screen, paper, above) = terminal();
        print(&screen, "in the cell\n");
        screen.prompt_begins();
        print(&screen, "back");
        print(&screen, "ground\n");
        assert_eq!(above.recv_timeout(SOON).unwrap(), "background\n");
        screen.prompt_ended();
        print(&screen, "next cell\n");
        assert_eq!(paper.text(), "in the cell\nnext cell\n");
    }

    fn tasks(screen: &Screen, text: &str, stage: Stage) {
        screen.event(Event::Tasks { cell: CellId(1), bundle: mobula_session::Bundle::text(text), stage });
    }

    #[test]
    fn the_line_of_a_cells_tasks_stays_below_what_it_prints_and_is_gone_with_it() {
        let (screen, paper, _above) = terminal();
        screen.lock().look.size = Some((80, 24));
        tasks(&screen, "half 0/3", Stage::Begun);
        assert_eq!(paper.text(), "", "no cell runs");
        screen.cell_begins();
        tasks(&screen, "half 1/3", Stage::Goes);
        let drawn = |text: &str| format!("\x1bD\x1b[1A\x1b7\x1b[B\r{text}\x1b[K\x1b8");
        assert_eq!(paper.text(), drawn("half 1/3"));
        print(&screen, "a\nb");
        let after = format!("{}\x1b[Ja\nb{}", drawn("half 1/3"), drawn("half 1/3"));
        assert_eq!(paper.text(), after);
        tasks(&screen, "3 tasks", Stage::Over);
        assert_eq!(paper.text(), after.clone() + "\x1b7\x1b[B\r\x1b[J\x1b8");
        screen.cell_ended();
        assert_eq!(paper.text(), after + "\x1b7\x1b[B\r\x1b[J\x1b8");
    }

    #[test]
    fn a_file_gets_no_line_of_tasks() {
        let (screen, out, err) = on_paper();
        screen.cell_begins();
        tasks(&screen, "half 1/3", Stage::Begun);
        tasks(&screen, "3 tasks", Stage::Over);
        assert_eq!((out.text(), err.text()), (String::new(), String::new()));
    }

    #[test]
    fn a_line_that_does_not_end_is_shown_all_the_same() {
        let (screen, _, above) = terminal();
        screen.prompt_begins();
        print(&screen, "half a line");
        assert_eq!(above.recv_timeout(SOON).unwrap(), "half a line");
    }

    #[test]
    fn text_that_still_waits_when_the_prompt_ends_is_printed_then() {
        let (screen, paper, above) = terminal();
        screen.prompt_begins();
        print(&screen, "half");
        screen.prompt_ended();
        print(&screen, " a line\n");
        let handed_over: String = above.try_iter().collect();
        assert_eq!(handed_over + &paper.text(), "half a line\n");
    }

    #[test]
    fn a_prompt_begins_on_a_fresh_line() {
        let (screen, paper, _above) = terminal();
        print(&screen, "no end");
        screen.prompt_begins();
        screen.prompt_ended();
        screen.prompt_begins();
        assert_eq!(paper.text(), "no end\n");
    }

    /// A stream that is never read. It reports each write, and waits until its reader is dropped.
    struct Stuck(Sender<()>, Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.send(()).unwrap();
            let _ = self.1.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn ctrl_c_does_not_wait_for_a_stream_that_nobody_reads() {
        let ((write, written), (reader, unread), (tell, told)) = (unbounded(), unbounded(), unbounded());
        let screen = Screen::on(Look::default(), Box::new(Stuck(write, unread)), Box::new(Paper::default()));
        let writer = screen.clone();
        let writing = std::thread::spawn(move || print(&writer, "text"));
        written.recv_timeout(SOON).unwrap();
        std::thread::spawn(move || {
            screen.something_was_typed();
            tell.send(()).unwrap();
        });
        told.recv_timeout(SOON).unwrap();
        drop(reader);
        writing.join().unwrap();
    }

    #[test]
    fn a_file_gets_its_text_at_once_even_at_the_prompt() {
        let (screen, out, _) = on_paper();
        screen.prompt_begins();
        print(&screen, "text");
        assert_eq!(out.text(), "text");
    }
}
