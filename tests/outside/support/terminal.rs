//! A person at a terminal: types, reads the screen, presses Ctrl-C.
//!
//! The pseudo-terminal is Python's (`tests/python/terminal.py` sits between it and two pipes), because a session and
//! controlling terminal cannot be set up without `unsafe` here. What arrives is one long text; [`Terminal::sees`] reads on from
//! where the last one stopped, so a transcript is checked in its order.

use super::{Place, eventually, python, script};
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

/// What Ctrl-C and Ctrl-D send.
const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";

pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Arc<Mutex<Vec<u8>>>,
    /// How far the screen has been read, in bytes of the text without escape sequences.
    read: usize,
}

impl Terminal {
    /// Starts `mobula` at a terminal.
    pub fn open(place: &Place) -> Terminal {
        let mut command = place.command(python());
        command.arg(script("terminal.py")).arg(env!("CARGO_BIN_EXE_mobula")).env("TERM", "xterm");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the terminal started");
        let keyboard = child.stdin.take().expect("piped");
        let mut output = child.stdout.take().expect("piped");
        let screen = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut buffer) {
                writer.lock().expect("the reader lives").extend_from_slice(&buffer[..n]);
            }
        });
        Terminal { child, keyboard, screen, read: 0 }
    }

    /// Types a line and presses Enter.
    pub fn types(&mut self, line: &str) -> &mut Terminal {
        self.presses(&format!("{line}\r"))
    }

    /// Types without pressing Enter.
    pub fn writes(&mut self, text: &str) -> &mut Terminal {
        self.presses(text)
    }

    /// Pastes a text, which may have several lines.
    pub fn pastes(&mut self, text: &str) -> &mut Terminal {
        self.presses(&format!("\u{1b}[200~{text}\u{1b}[201~"))
    }

    pub fn presses_ctrl_c(&mut self) -> &mut Terminal {
        self.presses(CTRL_C)
    }

    pub fn presses_ctrl_d(&mut self) -> &mut Terminal {
        self.presses(CTRL_D)
    }

    fn presses(&mut self, keys: &str) -> &mut Terminal {
        self.keyboard.write_all(keys.as_bytes()).and_then(|()| self.keyboard.flush()).expect("the terminal is open");
        self
    }

    /// Waits until `text` appears after what was read before, and reads on behind it.
    #[track_caller]
    pub fn sees(&mut self, text: &str) -> &mut Terminal {
        self.read = eventually(&format!("the screen showed {text:?}"), || {
            let screen = self.screen();
            match screen.get(self.read..).and_then(|new| new.find(text)) {
                Some(at) => Ok(self.read + at + text.len()),
                None => Err(format!("the screen:\n{screen}")),
            }
        });
        self
    }

    /// Waits for the prompt of cell number `n`.
    #[track_caller]
    pub fn is_asked_for_cell(&mut self, n: u32) -> &mut Terminal {
        self.sees(&format!("[{n}]"))
    }

    /// Waits until the program has ended.
    #[track_caller]
    pub fn closes(mut self) -> ExitStatus {
        eventually("the terminal closed", || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            _ => Err(format!("the screen:\n{}", self.screen())),
        })
    }

    /// Everything so far, without escape sequences.
    pub fn screen(&self) -> String {
        let bytes = self.screen.lock().expect("the reader lives").clone();
        plain(&String::from_utf8_lossy(&bytes))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Closing the terminal hangs up on the program; one that has ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `text` without control characters and escape sequences (`ESC [ … letter`, `ESC ] … BEL`, `ESC x`).
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => match rest.next() {
                Some('[') => drop(rest.by_ref().find(|c| ('@'..='~').contains(c))),
                Some(']') => drop(rest.by_ref().find(|c| *c == '\u{7}')),
                _ => {}
            },
            '\n' | '\t' => plain.push(c),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}
