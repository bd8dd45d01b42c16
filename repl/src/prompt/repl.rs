//! The loop at the prompt: read, run, show, again.

use crate::Ending;
use crate::ask;
use crate::commands::{self, Command};
use crate::input;
use crate::interrupts::{Idle, Interrupts};
use crate::prompt::editor::Editor;
use crate::prompt::history::{self, HistoryChoice};
use crate::prompt::lines::{Lines, Read, ReplError};
use crate::runner::{Readiness, Runner};
use crate::script::pipe;
use crate::show::colour::ColorChoice;
use crate::show::render::Screen;
use mobula_session::{Evaluator, Sink};
use std::io::{self, IsTerminal};

/// Options of [`run`].
#[derive(Clone, Debug, Default)]
pub struct ReplOptions {
    /// Whether to use colours.
    pub color: ColorChoice,
    /// Where the history is kept. Has no effect when standard input is not a terminal.
    pub history: HistoryChoice,
    /// Whether to go on after a cell that fails, when the cells do not come from a terminal.
    pub keep_going: bool,
}

/// Runs a REPL until the person leaves, or runs the cells of standard input when that is not a terminal.
///
/// `start` makes the evaluator, which sends its events to the given sink. `start` should return at once: the prompt is
/// shown after it, and the first cell waits until the evaluator is ready. The evaluator is shut down before this
/// returns.
///
/// Without a terminal, the input is split into cells as at the prompt, but no prompt is shown. The first cell that
/// fails ends the run, unless [`ReplOptions::keep_going`] is set.
///
/// # Errors
/// [`ReplError`]. A failed cell is not an error: see [`Ending`].
///
/// ```no_run
/// # fn session(_: mobula_session::Sink) -> mobula_session::Session { unimplemented!() }
/// let ending = mobula_repl::repl::run(mobula_repl::ReplOptions::default(), session)?;
/// std::process::exit(ending.exit_code().into());
/// # Ok::<(), mobula_repl::ReplError>(())
/// ```
pub fn run<E: Evaluator + Clone>(options: ReplOptions, start: impl FnOnce(Sink) -> E) -> Result<Ending, ReplError> {
    let screen = Screen::standard(options.color);
    let evaluator = start(screen.sink());
    let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
    let when_idle = if interactive { Idle::Tell } else { Idle::Die };
    let interrupts = Interrupts::install(evaluator.clone(), screen.clone(), when_idle).map_err(ReplError::Signal)?;
    let interrupts = Some(interrupts);
    let input = interactive.then(|| ask::reader(evaluator.clone(), screen.clone()));
    let runner = Runner { evaluator: evaluator.clone(), screen: screen.clone(), interrupts, input };
    evaluator.watch_tasks(interactive && screen.is_terminal());
    let ending = if interactive {
        at_prompt(&runner, &options)
    } else {
        pipe::run(&runner, pipe::lines_of_stdin(), options.keep_going).map_err(ReplError::Input)
    };
    evaluator.shutdown();
    ending
}

fn at_prompt<E: Evaluator + Clone>(runner: &Runner<E>, options: &ReplOptions) -> Result<Ending, ReplError> {
    let colours = options.color.is_on(io::stdout().is_terminal());
    let (mut editor, trouble) = Editor::new(runner.evaluator.clone(), colours, options.history.path())?;
    if let Some(above) = editor.printer() {
        runner.screen.set_above(above);
    }
    let version = env!("CARGO_PKG_VERSION");
    runner.screen.notice(&format!("Mobula {version}. Rust, one cell at a time; :help for help, Ctrl-D to leave."));
    if let Some(sentence) = trouble {
        runner.screen.notice(&sentence);
    }
    read_and_run(runner, &mut editor)
}

/// The loop, for any source of lines.
fn read_and_run<E: Evaluator + Clone>(runner: &Runner<E>, lines: &mut impl Lines) -> Result<Ending, ReplError> {
    loop {
        runner.screen.prompt_begins();
        let read = lines.read(&format!("[{}]: ", runner.evaluator.next_cell()));
        runner.screen.prompt_ended();
        let text = match read? {
            Read::Text(text) => text,
            Read::Interrupted => continue,
            Read::End => return Ok(Ending::Done),
        };
        if text.trim().is_empty() {
            continue;
        }
        if let Err(sentence) = lines.remember(text.trim_end()) {
            runner.screen.notice(&sentence);
        }
        match commands::parse(&text) {
            Some(Command::Quit) => return Ok(Ending::Done),
            Some(Command::History(count)) => runner.screen.answer(&history::list(&lines.history(), count)),
            Some(Command::Clear) => lines.clear_screen(),
            Some(Command::Help) => {
                runner.screen.answer(&commands::help());
                run_when_ready(runner, &text);
            }
            None if input::is_blank(&text) => {}
            None => run_when_ready(runner, &text),
        }
    }
}

/// Runs a cell once the evaluator is ready. Errors are shown, and the prompt comes back.
fn run_when_ready<E: Evaluator + Clone>(runner: &Runner<E>, code: &str) {
    match runner.ready() {
        Readiness::Ready => drop(runner.run(code)),
        Readiness::Failed(sentence) => runner.screen.notice(&sentence),
        Readiness::Interrupted => runner.screen.notice("not run: the session is still starting"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_evaluator::Fake;
    use crate::show::render::tests::{Paper, on_paper};

    /// Types what a test tells it to, and Ctrl-D in the end.
    struct Typist {
        keys: std::vec::IntoIter<Read>,
        prompts: Vec<String>,
        remembered: Vec<String>,
    }

    impl Lines for Typist {
        fn read(&mut self, prompt: &str) -> Result<Read, ReplError> {
            self.prompts.push(prompt.to_owned());
            Ok(self.keys.next().unwrap_or(Read::End))
        }
        fn remember(&mut self, text: &str) -> Result<(), String> {
            self.remembered.push(text.to_owned());
            Ok(())
        }
        fn history(&self) -> Vec<String> {
            self.remembered.clone()
        }
        fn clear_screen(&mut self) {}
    }

    struct Scripted {
        fake: Fake,
        typist: Typist,
        out: Paper,
        err: Paper,
    }

    fn typed(fake: Fake, keys: Vec<Read>) -> Scripted {
        let (screen, out, err) = on_paper();
        let evaluator = fake.start(screen.sink());
        let runner = Runner { evaluator, screen, interrupts: None, input: None };
        let mut typist = Typist { keys: keys.into_iter(), prompts: vec![], remembered: vec![] };
        assert_eq!(read_and_run(&runner, &mut typist).unwrap(), Ending::Done);
        Scripted { fake, typist, out, err }
    }

    fn text(text: &str) -> Read {
        Read::Text(text.to_owned())
    }

    #[test]
    fn a_cell_shows_its_output_and_the_next_prompt_counts_on() {
        let repl = typed(Fake::new(), vec![text("print a\nresult 1"), text("result 2")]);
        assert_eq!(repl.out.text(), "a\n1\n2\n");
        assert_eq!(repl.typist.prompts, ["[1]: ", "[2]: ", "[3]: "]);
    }

    #[test]
    fn a_cell_that_fails_is_reported_and_the_prompt_comes_back() {
        let repl = typed(Fake::new(), vec![text("fail oops"), text("result 2")]);
        assert_eq!(repl.err.text(), "error: oops\n");
        assert_eq!(repl.out.text(), "2\n");
    }

    #[test]
    fn ctrl_c_at_the_prompt_drops_the_line_and_never_leaves() {
        let repl = typed(Fake::new(), vec![Read::Interrupted, Read::Interrupted, Read::Interrupted, text("result 1")]);
        assert_eq!(repl.out.text(), "1\n");
        assert_eq!(repl.fake.interrupts(), 0);
    }

    #[test]
    fn nothing_typed_is_nothing_run() {
        let repl = typed(Fake::new(), vec![text(""), text("  \n"), text("// a comment")]);
        assert_eq!(repl.fake.cells(), [""; 0]);
    }

    #[test]
    fn quit_leaves_and_what_follows_is_not_read() {
        let repl = typed(Fake::new(), vec![text(":quit"), text("result 1")]);
        assert_eq!(repl.fake.cells(), [""; 0]);
        assert_eq!(repl.typist.prompts.len(), 1);
    }

    #[test]
    fn commands_that_are_not_ours_go_to_the_evaluator() {
        let repl = typed(Fake::new(), vec![text(":vars"), text(":history"), text(":help")]);
        assert_eq!(repl.fake.cells(), [":vars", ":help"]);
        assert!(repl.out.text().starts_with("1  :vars\n2  :history\n"), "{}", repl.out.text());
    }

    #[test]
    fn an_evaluator_that_cannot_work_says_why_and_nothing_is_run() {
        let repl = typed(Fake::broken("rustc was not found; install it"), vec![text("result 1")]);
        assert_eq!(repl.err.text(), "rustc was not found; install it\n");
        assert_eq!(repl.fake.cells(), [""; 0]);
    }
}
