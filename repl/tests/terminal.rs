//! The prompt as a person meets it: a real line editor on a real terminal, with an evaluator that understands a few words.
//!
//! The terminal is made by `script` of util-linux. It runs this test binary again, which then is the REPL
//! ([`the_repl_itself`]); a test types into one end and reads the screen at the other.

#[path = "../src/fake_evaluator.rs"]
#[allow(dead_code, reason = "the unit tests use the rest of it")]
mod fake_evaluator;

use fake_evaluator::Fake;
use mobula_repl::{ColorChoice, HistoryChoice, ReplOptions, repl};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const HISTORY: &str = "MOBULA_TEST_HISTORY";
const DEADLINE: Duration = Duration::from_secs(300);

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const TAB: &str = "\t";
const ENTER: &str = "\r";
const UP: &str = "\x1b[A";

#[test]
#[ignore = "it is what the other tests start"]
fn the_repl_itself() {
    let history = std::env::var_os(HISTORY).map(PathBuf::from).expect("started by a test");
    let options = ReplOptions { color: ColorChoice::Never, history: HistoryChoice::File(history), keep_going: false };
    let ending = repl::run(options, |sink| Fake::new().start(sink)).expect("a terminal that works");
    std::process::exit(ending.exit_code().into());
}

/// A REPL on a terminal.
struct Terminal {
    script: Child,
    keys: Option<ChildStdin>,
    bytes: Receiver<Vec<u8>>,
    /// What has been shown and not been waited for, without control sequences.
    screen: String,
}

impl Terminal {
    fn start(history: &Path) -> Terminal {
        let this = std::env::current_exe().expect("a path");
        let command =
            format!("stty rows 24 cols 80; exec '{}' --exact the_repl_itself --ignored --nocapture", this.display());
        let mut script = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .env(HISTORY, history)
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`script` of util-linux");
        let mut shown = script.stdout.take().expect("a pipe");
        let (send, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = shown.read(&mut buffer) {
                if send.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = script.stdin.take();
        let mut terminal = Terminal { script, keys, bytes, screen: String::new() };
        terminal.sees("[1]: ");
        terminal
    }

    fn types(&mut self, keys: &str) -> &mut Terminal {
        let pipe = self.keys.as_mut().expect("the terminal is open");
        pipe.write_all(keys.as_bytes()).and_then(|()| pipe.flush()).expect("the terminal reads");
        self
    }

    /// Waits until `text` is shown; what was shown before it, and it, count no more.
    fn sees(&mut self, text: &str) -> &mut Terminal {
        let begin = Instant::now();
        loop {
            if let Some(at) = self.screen.find(text) {
                self.screen.drain(..at + text.len());
                return self;
            }
            let left = DEADLINE.saturating_sub(begin.elapsed());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => self.screen.push_str(&without_codes(&String::from_utf8_lossy(&bytes))),
                Err(error) => panic!("no {text:?} ({error}) in {:?}", self.screen),
            }
        }
    }

    /// Waits for the prompt, types Ctrl-D, and returns the exit code.
    fn leaves_at(mut self, prompt: &str) -> i32 {
        self.sees(prompt).types(CTRL_D);
        let begin = Instant::now();
        while self.bytes.recv_timeout(DEADLINE.saturating_sub(begin.elapsed())).is_ok() {}
        assert!(begin.elapsed() < DEADLINE, "it does not end");
        let status = self.script.wait().expect("it ends");
        status.code().expect("it was not killed")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.keys.take());
        // Both fail when it has ended, which is what is wanted.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

/// The text without control sequences. One that is cut by the end of a read leaves a few characters behind, which no test
/// minds: the editor draws the line anew with every key.
fn without_codes(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' if chars.next() == Some('[') => drop(chars.find(|c| ('@'..='~').contains(c))),
            '\x1b' | '\r' | '\x07' => {}
            c => plain.push(c),
        }
    }
    plain
}

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().expect("a folder"))
    }

    fn history(&self) -> PathBuf {
        self.0.path().join("state/mobula/history")
    }

    fn terminal(&self) -> Terminal {
        Terminal::start(&self.history())
    }
}

#[test]
fn a_cell_runs_and_ctrl_d_leaves() {
    let home = Home::new();
    let mut terminal = home.terminal();
    terminal.types("result 7").types(ENTER).sees("\n7\n");
    assert_eq!(terminal.leaves_at("[2]: "), 0);
}

#[test]
fn an_unfinished_cell_gets_another_line_and_runs_when_it_is_whole() {
    let home = Home::new();
    let mut terminal = home.terminal();
    terminal.types("fn f() {").types(ENTER).types("result 7").types(ENTER).types("}").types(ENTER);
    terminal.sees("    result 7\n}").sees("\n7\n");
    assert_eq!(terminal.leaves_at("[2]: "), 0);
}

#[test]
fn pasted_text_is_taken_as_it_is() {
    let home = Home::new();
    let mut terminal = home.terminal();
    terminal.types("\x1b[200~result 1\n    result 2\n\x1b[201~").types(ENTER).sees("\n1\n2\n");
    assert_eq!(terminal.leaves_at("[2]: "), 0);
}

#[test]
fn ctrl_c_at_the_prompt_drops_the_line_and_stays() {
    let home = Home::new();
    let mut terminal = home.terminal();
    for _ in 0..3 {
        terminal.types("result 8").sees("result 8").types(CTRL_C).sees("[1]: ");
    }
    terminal.types("result 9").types(ENTER).sees("\n9\n");
    assert_eq!(terminal.leaves_at("[2]: "), 0);
}

#[test]
fn ctrl_c_interrupts_the_cell_that_runs() {
    let home = Home::new();
    let mut terminal = home.terminal();
    terminal.types("wait").types(ENTER).sees("waiting\n").types(CTRL_C).sees("error: interrupted\n");
    assert_eq!(terminal.leaves_at("[2]: "), 0);
}

#[test]
fn output_that_comes_while_a_person_types_leaves_the_line_alone() {
    let home = Home::new();
    let mut terminal = home.terminal();
    terminal.types("later from a task").types(ENTER).sees("[2]: ");
    // The evaluator prints it when it is asked for a completion.
    terminal.types("result ").types(TAB).sees("from a task\n").sees("[2]: result ");
    terminal.types("7").types(ENTER).sees("\n7\n");
    assert_eq!(terminal.leaves_at("[3]: "), 0);
}

#[test]
fn what_is_typed_while_a_cell_runs_is_not_lost() {
    let home = Home::new();
    let mut terminal = home.terminal();
    terminal.types("result 1\rresult 2\rresult 3\rresu").sees("\n1\n").sees("\n2\n").sees("\n3\n").sees("[4]: resu");
    terminal.types("lt 4").types(ENTER).sees("\n4\n");
    assert_eq!(terminal.leaves_at("[5]: "), 0);
}

#[test]
fn what_was_typed_is_there_in_the_next_session_and_private() {
    let home = Home::new();
    let mut first = home.terminal();
    first.types("fn f() {\rresult 7\r}\r").sees("[2]: ").types("result 8").types(ENTER);
    assert_eq!(first.leaves_at("[3]: "), 0);
    let mode = |path: &Path| std::fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(&home.history()), 0o600);
    assert_eq!(mode(home.history().parent().expect("a folder")), 0o700);

    let mut second = home.terminal();
    second.types(UP).sees("result 8").types(UP).sees("fn f() {\n    result 7\n}").types(ENTER).sees("\n7\n");
    assert_eq!(second.leaves_at("[2]: "), 0);
}

#[test]
fn a_cell_can_ask() {
    let home = Home::new();
    let mut terminal = home.terminal();
    terminal.types("ask name? ").types(ENTER).sees("\nname? ").types("manta").types(ENTER).sees("Some(\"manta\")");
    assert_eq!(terminal.leaves_at("[2]: "), 0);
}
