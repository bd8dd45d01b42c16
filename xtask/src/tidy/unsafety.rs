//! `unsafe` stands only in the files that are about it.

use super::source::has_word;
use super::{Complaint, File};

/// The files that may hold `unsafe`, each with what it does that safe Rust cannot.
const ALLOWED: &[(&str, &str)] = &[
    ("benches/floors.rs", "an atomic in memory that two processes share"),
    ("session/src/cellhost/crash.rs", "a handler of the signals that a crash has"),
    ("session/src/cellhost/library.rs", "opens a cell's library and calls into it"),
    ("session/src/base/compiler_process.rs", "ties a compiler's life to this process, between fork and exec"),
    ("session/src/cellhost/relocate.rs", "other memory in the place of a library's"),
    ("session/src/cellhost/twin.rs", "forks the frozen twin"),
    ("abi/src/engine.rs", "the raw parts that cross the table"),
    ("abi/src/lib.rs", "the types of the C table's functions"),
    ("src/array.rs", "a view without a lifetime beside its owner"),
    ("src/array/arrow.rs", "memory of ours as arrow's, with its owner"),
    ("src/calls.rs", "every raw call through the table"),
    ("src/cell/variables.rs", "values without a type, moved in and out of a cell"),
    ("src/cli/cell_host.rs", "hands a library that the session opened to the runtime"),
    ("src/calls/copy_into_object.rs", "stores past the caches into memory that may be uninitialised"),
    ("src/codec/view.rs", "elements seen in an object's bytes"),
    ("src/display/known.rs", "a value seen as the type that its id says"),
    ("src/inline.rs", "calls a task's trampoline by its address"),
    ("runtime/src/local/signals.rs", "the signals of one thread"),
    ("runtime/src/client/fork_guard.rs", "has the C library call back around a fork"),
    ("runtime/src/client/loaded_code.rs", "asks the dynamic linker what is where"),
    ("runtime/src/local/head/output_signal.rs", "asks the kernel to signal a worker that writes"),
    ("runtime/src/local/zygote/mod.rs", "forks workers"),
    ("dashboard/src/stack/ptrace.rs", "stops a thread of another process and reads its registers"),
    ("src/program.rs", "attaches the program to the runtime that is linked into it"),
    ("src/actor/call.rs", "makes a method from its type, and takes over the loader's call"),
    ("src/actor/spawn.rs", "makes a constructor from its type, and takes over the loader's call"),
    ("src/remote.rs", "makes a function from its type, and takes over the loader's call"),
    ("src/remote/checkpoint.rs", "takes over the calls that save an actor and make it again"),
    ("src/remote/later.rs", "gives the rest of an async call away, and takes it back"),
    ("src/stream.rs", "makes a function from its type, and takes over the loader's call"),
    ("runtime/src/store/arena.rs", "maps the arena, and changes what may be written"),
    ("runtime/src/store/clock.rs", "reads the processor's counter"),
    ("runtime/src/store/segment.rs", "references into memory that processes share"),
    ("runtime/src/worker/library.rs", "opens a task's library and calls into it"),
    ("runtime/src/worker/output.rs", "a signal handler"),
    ("runtime/src/ray/wire.rs", "maps a memory file that is sealed"),
    (
        "src/ray_worker/boundary.rs",
        "the raw parts between Python and a Ray worker's engine, and a trampoline by its address",
    ),
    ("tests/crash/trace.rs", "steps and kills other processes"),
    ("tests/runtime/cell.rs", "plays a cell library: calls the table and is called as a trampoline"),
    ("tests/runtime/deaths.rs", "forks a twin as the session does"),
];

/// Complains about `unsafe` elsewhere, and about entries of the list that nothing needs any more.
pub fn check(files: &[File]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let first = file.code.lines().position(|line| has_word(line, "unsafe"));
        let allowed = ALLOWED.iter().any(|(path, _)| file.path.as_os_str() == *path);
        match (first, allowed) {
            (Some(line), false) => complaints.push(file.complaint(
                line + 1,
                "`unsafe` outside the files that may hold it; move it there, or argue for the file in xtask/src/tidy/unsafety.rs",
            )),
            (None, true) => complaints.push(file.complaint(0, "may hold `unsafe` and does not: strike it from the list")),
            _ => {}
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_told_where_it_may_not_stand_and_missed_where_it_may() {
        let told = |path: &str, text: &str| check(&[File::new(path, text)]).len();
        assert_eq!(told("src/any.rs", "// unsafe\nfn a() { unsafe { b() } }"), 1);
        assert_eq!(told("src/any.rs", "#![deny(unsafe_code)] // unsafe"), 0);
        assert_eq!(told("abi/src/lib.rs", "unsafe fn a() {}"), 0);
        assert_eq!(told("abi/src/lib.rs", "fn a() {}"), 1);
    }
}
