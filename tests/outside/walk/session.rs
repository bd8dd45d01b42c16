//! A session in Jupyter that is told cell after cell.

use super::Said;
use super::model::Said::{Fails, Shows};
use crate::support::Jupyter;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

pub struct Session {
    client: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Session {
    pub fn start(jupyter: &Jupyter) -> Session {
        let mut command = jupyter.script("session.py");
        let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
        let (to, from) = (client.stdin.take(), client.stdout.take());
        Session { client, to, from: BufReader::new(from.expect("it was asked for")) }
    }

    /// Runs a cell, which a front end may know by an id.
    pub fn run(&mut self, id: Option<&str>, code: &str) -> Said {
        let to = self.to.as_mut().expect("it has not ended");
        writeln!(to, "{}", json!({"id": id, "code": code})).expect("the client listens");
        let mut line = String::new();
        self.from.read_line(&mut line).expect("the client answers");
        let answer: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("no answer to\n{code}\nbut {line:?}"));
        match answer["error"].as_str() {
            Some(code) => Fails(vec![code.to_owned()]),
            None => Shows(answer["text"].as_str().unwrap_or_default().trim().to_owned()),
        }
    }

    pub fn end(mut self) {
        drop(self.to.take());
        assert!(self.client.wait().expect("it was started").success(), "the client ends well");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.to.take());
        let _ = self.client.wait();
    }
}
