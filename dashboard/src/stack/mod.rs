//! The stacks of a worker's threads, read from outside while it runs.
//!
//! ```text
//!   capture: for each thread  seize ▸ stop ▸ registers, a part of the stack ▸ let go     the thread stands still for microseconds
//!                                              │ copies
//!   unwind:  addresses of the frames ◀─────────┤ and the unwind tables of modules (ELF files)
//!   symbols: names, files, lines    ◀──────────┘
//!   fold:    which frames are the runtime's own, and which thread runs a task
//! ```
//!
//! # Invariants
//! - The process is changed in nothing: it is read, and each thread goes on as it was, stopped ones stopped.
//! - Everything is bounded: threads, bytes of a stack, frames, and the time for which a thread is waited for.
//! - Only `ptrace.rs` is unsafe, and only `capture.rs` touches the process.

mod capture;
mod fold;
mod modules;
mod ptrace;
mod symbols;
mod unwind;

pub use capture::{NoStack, Target};

use serde::Serialize;

/// One thread of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ThreadStack {
    /// The system's number of the thread.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// What it was doing: `running`, `sleeping` …
    pub state: &'static str,
    /// Whether code of a cell is on the stack.
    pub is_of_cell: bool,
    /// The frames, newest first.
    pub frames: Vec<Frame>,
    /// Why there are no older frames, if the last one is not the thread's first.
    pub end: Option<String>,
}

/// A call on a stack. A function that the compiler has put into its caller is a frame of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// The function's name, or the address where none is known.
    pub function: String,
    /// The source file, as the compiler was told it: `cell 3` for a cell's.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
    /// The number of the cell whose code this is.
    pub cell: Option<u64>,
    /// The text of that line.
    pub source: Option<String>,
    /// The name of the library or program that the code is in.
    pub module: String,
    /// Whether it belongs to the runtime, or to the start of a thread.
    pub is_own: bool,
}

/// The stacks of all threads of a process: those that run a cell's code first.
///
/// # Errors
/// See [`NoStack`].
pub fn stacks(target: &Target) -> Result<Vec<ThreadStack>, NoStack> {
    let copies = target.capture()?;
    let mut modules = target.modules()?;
    let mut symbols = symbols::Symbols::default();
    let threads = copies.into_iter().map(|copy| {
        let (frames, end) = match &copy.stack {
            Ok(stack) => {
                let unwound = unwind::unwind(stack, &mut modules);
                let places = unwound.addresses.iter().enumerate();
                // A return address may be the first one behind its function.
                let frames = places.flat_map(|(index, address)| symbols.frames(&modules, *address, index > 0));
                (frames.collect(), unwound.end.sentence(&modules))
            }
            Err(reason) => (Vec::new(), Some(reason.clone())),
        };
        fold::marked(ThreadStack { tid: copy.tid, name: copy.name, state: copy.state, is_of_cell: false, frames, end })
    });
    let mut threads: Vec<ThreadStack> = threads.collect();
    threads.sort_by_key(|thread| (!thread.is_of_cell, thread.tid));
    Ok(threads)
}

#[cfg(test)]
mod tests;
