//! The cell host's two output pipes, drained always and made into events.
//!
//! The pipes belong to the front process and outlive any cell host.

use super::Shared;
use crate::event::{CellId, Event, Stream};
use crate::link::blocks::{Blocks, Shown};
use crate::link::stream::{Piece, Splitter, half_character};
use crate::outlet::Outlet;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::sync::Arc;

/// The most bytes taken in one read.
const CHUNK_BYTES: usize = 64 * 1024;

/// The pipe of one stream that the cell host writes.
struct Source {
    read: OwnedFd,
    /// Kept open, and given to every new host.
    write: OwnedFd,
}

impl Source {
    fn new() -> Result<Source, Errno> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&read, rustix::fs::OFlags::NONBLOCK)?;
        Ok(Source { read, write })
    }

    /// Reads what the pipe holds, at most one chunk.
    fn read(&self, bytes_max: usize) -> Vec<u8> {
        let mut chunk = vec![0; bytes_max.min(CHUNK_BYTES)];
        let len = rustix::io::read(&self.read, &mut chunk).unwrap_or(0);
        chunk.truncate(len);
        chunk
    }

    fn waiting(&self) -> usize {
        rustix::io::ioctl_fionread(&self.read).unwrap_or(0) as usize
    }
}

/// The output of the cells.
pub struct Output {
    shared: Arc<Shared>,
    outlet: Arc<dyn Outlet>,
    out: Source,
    err: Source,
    splitter: Splitter,
    blocks: Blocks,
    err_rest: Vec<u8>,
    /// The value of the last expression, kept back until all of the cell's output has been shown.
    value: Option<Event>,
    /// The comms of the widgets that take the cell's output, innermost last.
    captures: Vec<String>,
    /// Lines that evcxr is to read before the cell's end.
    controls: Vec<String>,
}

impl Output {
    /// Makes the pipes.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn new(shared: Arc<Shared>, outlet: Arc<dyn Outlet>) -> Result<Output, Errno> {
        Ok(Output {
            shared,
            outlet,
            out: Source::new()?,
            err: Source::new()?,
            splitter: Splitter::default(),
            blocks: Blocks::default(),
            err_rest: Vec::new(),
            value: None,
            captures: Vec::new(),
            controls: Vec::new(),
        })
    }

    /// The read ends of standard output and error.
    pub fn ends(&self) -> [&OwnedFd; 2] {
        [&self.out.read, &self.err.read]
    }

    /// The write ends of standard output and error.
    pub fn write_ends(&self) -> [BorrowedFd<'_>; 2] {
        [self.out.write.as_fd(), self.err.write.as_fd()]
    }

    /// Takes in one chunk of one stream.
    pub fn read(&mut self, is_err: bool) {
        if is_err {
            let chunk = self.err.read(CHUNK_BYTES);
            self.take_err(&chunk);
        } else {
            let chunk = self.out.read(CHUNK_BYTES);
            self.take_out(&chunk);
        }
    }

    /// The lines for evcxr that came since the last time.
    pub fn take_controls(&mut self) -> Vec<String> {
        std::mem::take(&mut self.controls)
    }

    /// Takes in what the pipes hold now, and no more: a thread of the cell may go on writing for ever.
    pub fn drain(&mut self) {
        for is_err in [false, true] {
            let mut waiting = if is_err { self.err.waiting() } else { self.out.waiting() };
            while waiting > 0 {
                let chunk = if is_err { self.err.read(waiting) } else { self.out.read(waiting) };
                if chunk.is_empty() {
                    break;
                }
                waiting -= chunk.len();
                if is_err { self.take_err(&chunk) } else { self.take_out(&chunk) }
            }
        }
        let rest = self.splitter.flush();
        self.show(rest);
        let cell = self.shared.lock().cell;
        for shown in self.blocks.finish() {
            self.emit(cell, shown);
        }
        let rest = std::mem::take(&mut self.err_rest);
        if !rest.is_empty() {
            let text = String::from_utf8_lossy(&rest).into_owned();
            self.outlet.put(Event::Text { cell, stream: Stream::Stderr, text });
        }
        // A cell that died inside a capture has not ended it.
        self.captures.dedup();
        for comm in std::mem::take(&mut self.captures).into_iter().rev() {
            self.outlet.put(Event::Capture { cell, comm, begins: false });
        }
        if let Some(value) = self.value.take() {
            // The cell has not ended with a failure of its tasks, so what was held back of them stands before its value.
            let held = self.shared.lock().show_held_failures();
            for report in held {
                self.outlet.put(Event::Text { cell, stream: Stream::Stderr, text: format!("{report}\n") });
            }
            self.outlet.put(value);
        }
    }

    fn take_out(&mut self, chunk: &[u8]) {
        let pieces = self.splitter.push(chunk);
        self.show(pieces);
    }

    fn show(&mut self, pieces: Vec<Piece>) {
        let cell = self.shared.lock().cell;
        for piece in pieces {
            match piece {
                Piece::Control(line) => {
                    self.shared.lock().record.note_control(&line);
                    self.controls.push(line);
                }
                Piece::Text(text) => {
                    for shown in self.blocks.text(text) {
                        self.emit(cell, shown);
                    }
                }
                Piece::Block { mime, content } => {
                    for shown in self.blocks.block(&mime, content) {
                        self.emit(cell, shown);
                    }
                }
            }
        }
    }

    fn emit(&mut self, cell: CellId, shown: Shown) {
        if cell == CellId(0) {
            // Cell 0: the session's own preparation.
            return;
        }
        let event = match shown {
            Shown::Text(text) => Event::Text { cell, stream: Stream::Stdout, text },
            Shown::Display(bundle) => Event::Display { cell, bundle },
            Shown::Update(bundle) => Event::Update { cell, bundle },
            Shown::Result(bundle) => {
                self.value = Some(Event::Result { cell, bundle });
                return;
            }
            Shown::Clear { wait } => Event::Clear { cell, wait },
            Shown::Capture { comm, begins: true } => {
                self.captures.push(comm.clone());
                Event::Capture { cell, comm, begins: true }
            }
            Shown::Capture { comm, .. } => {
                if let Some(at) = self.captures.iter().rposition(|open| *open == comm) {
                    self.captures.remove(at);
                }
                if self.captures.contains(&comm) {
                    return;
                }
                Event::Capture { cell, comm, begins: false }
            }
            Shown::Variables(json) => {
                self.shared.lock().variables = Some(json);
                return;
            }
            Shown::Panic(panic) => {
                let mut state = self.shared.lock();
                if state.running {
                    state.record.panics.push(panic);
                    return;
                }
                let place = state.sources.find_panic(state.record.library.as_deref(), &panic);
                let callers = state.sources.callers(&panic);
                drop(state);
                let text = crate::reports::report::panic(&panic, place.as_ref(), &callers).plain;
                Event::Text { cell, stream: Stream::Stderr, text: format!("{text}\n") }
            }
            Shown::Error(error) => {
                self.shared.lock().record.error = Some(error);
                return;
            }
        };
        self.outlet.put(event);
    }

    fn take_err(&mut self, chunk: &[u8]) {
        self.err_rest.extend_from_slice(chunk);
        let whole = self.err_rest.len() - half_character(&self.err_rest);
        let text = String::from_utf8_lossy(&self.err_rest[..whole]).into_owned();
        self.err_rest.drain(..whole);
        if !text.is_empty() {
            let cell = {
                let mut state = self.shared.lock();
                state.record.note_stderr(&text);
                state.cell
            };
            self.outlet.put(Event::Text { cell, stream: Stream::Stderr, text });
        }
    }
}
