//! The threads that write and read the pipes of a bridge.

use super::frames::Frame;
use super::process::{PROGRAM, Process};
use super::reader::Reader;
use std::io::{self, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::thread;
use tokio::sync::mpsc;

/// Small frames are written together up to this size.
const TOGETHER_BYTES: usize = 64 << 10;

/// Writes the program and then frames, until there are no more.
pub(super) fn write_in_thread(mut input: ChildStdin, mut queue: mpsc::Receiver<Frame>) -> io::Result<()> {
    let body = move || {
        // A pipe that breaks shows where the answers are read.
        if input.write_all(PROGRAM.as_bytes()).is_err() {
            return;
        }
        let mut together = Vec::new();
        while let Some(frame) = queue.blocking_recv() {
            let mut next = Some(frame);
            while let Some(frame) = next {
                frame.write_head(&mut together);
                for piece in frame.body() {
                    if together.len() + piece.len() <= TOGETHER_BYTES {
                        together.extend_from_slice(piece);
                        continue;
                    }
                    if input.write_all(&together).and_then(|()| input.write_all(piece)).is_err() {
                        return;
                    }
                    together.clear();
                }
                next = (together.len() < TOGETHER_BYTES).then(|| queue.try_recv().ok()).flatten();
            }
            if input.write_all(&together).is_err() {
                return;
            }
            together.clear();
        }
    };
    thread::Builder::new().name("mobula-bridge-in".into()).spawn(body).map(drop)
}

/// Reads frames until the end, and tells it.
pub(super) fn read_in_thread(output: ChildStdout, reader: Reader, process: Arc<Process>) -> io::Result<()> {
    let body = move || {
        let (reader, broken) = reader.run(output);
        let ended = process.end();
        reader.end(&broken.map_or(ended, |error| format!("what it said cannot be read: {error}")));
    };
    thread::Builder::new().name("mobula-bridge-out".into()).spawn(body).map(drop)
}
