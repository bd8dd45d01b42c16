//! The frames that a person wants to see, those of cells and what they call, told from the runtime around them.

use super::ThreadStack;

/// Beginnings of names that belong to the runtime.
const OWN: [&str; 6] =
    ["mobula::", "mobula_abi::", "mobula_runtime::", "<mobula::", "<mobula_abi::", "<mobula_runtime::"];
/// Functions with which the C library and Rust start a program or a thread.
const START: [&str; 10] = [
    "_start",
    "__libc_start_main",
    "__libc_start_call_main",
    "main",
    "start_thread",
    "clone",
    "__clone",
    "clone3",
    "__clone3",
    "std::rt::lang_start",
];
/// The same, of which the names go on.
const START_BEGINNINGS: [&str; 2] = ["std::rt::lang_start", "std::sys::backtrace::__rust_begin_short"];
/// The same in parts of the standard library whose names are longer.
const START_END: &str = "::thread_start";

/// Says of each frame which cell it is of and whether it is the runtime's own, and of the thread whether it runs a cell's code.
pub fn marked(mut thread: ThreadStack) -> ThreadStack {
    for frame in &mut thread.frames {
        let name = frame.file.as_deref().and_then(|file| file.rsplit('/').next());
        let number = name.and_then(|name| name.strip_prefix("cell ")).and_then(|number| number.parse().ok());
        if let Some(number) = number {
            (frame.cell, frame.file) = (Some(number), Some(format!("cell {number}")));
            frame.function = in_cell(&frame.function);
        }
        frame.is_own |= has_beginning(&frame.function, &OWN) || is_start(&frame.function);
    }
    // What has called the start of a thread is the C library, which often does not tell the names of its functions.
    if let Some(start) = thread.frames.iter().position(|frame| is_start(&frame.function)) {
        thread.frames[start..].iter_mut().for_each(|frame| frame.is_own = true);
    }
    // What has called the oldest function of a cell is how the runtime came to it.
    if let Some(oldest) = thread.frames.iter().rposition(|frame| frame.cell.is_some() && !frame.is_own) {
        thread.is_of_cell = true;
        thread.frames[oldest + 1..].iter_mut().for_each(|frame| frame.is_own = true);
    }
    thread
}

/// A function's name as its cell calls it: without the crates that cells are compiled as.
fn in_cell(function: &str) -> String {
    let (mut short, mut rest) = (String::new(), function);
    while let Some(at) = rest.find("cell") {
        let (before, after) = rest.split_at(at);
        short.push_str(before);
        let number = after.strip_prefix("cells_").or_else(|| after.strip_prefix("cell_"));
        let digits = number.map_or(0, |number| number.bytes().take_while(u8::is_ascii_digit).count());
        let is_begin = !before.ends_with(|last: char| last.is_alphanumeric() || last == '_' || last == ':');
        match number.and_then(|number| number[digits..].strip_prefix("::")) {
            Some(behind) if digits > 0 && is_begin => rest = behind,
            _ => {
                short.push_str(&after[..4]);
                rest = &after[4..];
            }
        }
    }
    short + rest
}

fn is_start(function: &str) -> bool {
    has_beginning(function, &START_BEGINNINGS) || START.contains(&function) || is_start_in_std(function)
}

fn is_start_in_std(function: &str) -> bool {
    function.contains("std::sys::") && function.ends_with(START_END)
}

fn has_beginning(function: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|begin| function.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::super::Frame;
    use super::*;

    fn thread(frames: &[(&str, &str)]) -> ThreadStack {
        let frame = |(function, file): &(&str, &str)| Frame {
            function: (*function).into(),
            file: Some((*file).into()),
            ..Frame::default()
        };
        let frames = frames.iter().map(frame).collect();
        marked(ThreadStack { tid: 1, name: "worker".into(), state: "running", is_of_cell: false, frames, end: None })
    }

    #[test]
    fn what_called_a_cells_function_and_what_the_runtime_does_for_it_is_folded() {
        let marked = thread(&[
            ("syscall", "syscall.S"),
            ("mobula::api::get", "src/api/get.rs"),
            ("<std::sys::thread::unix::Thread>::sleep", "thread/unix.rs"),
            ("cells_2::outer", "/tmp/units/cell 2"),
            ("core::ops::function::FnOnce::call_once", "function.rs"),
            ("run", "worker.rs"),
        ]);
        let own: Vec<bool> = marked.frames.iter().map(|frame| frame.is_own).collect();
        assert_eq!((own, marked.is_of_cell), (vec![false, true, false, false, true, true], true));
        let frame = &marked.frames[3];
        assert_eq!((frame.function.as_str(), frame.cell, frame.file.as_deref()), ("outer", Some(2), Some("cell 2")));
    }

    #[test]
    fn the_start_of_a_thread_is_folded_where_no_cell_is() {
        for start in ["start_thread", "<std::sys::thread::unix::Thread>::new::thread_start"] {
            let marked = thread(&[("work", "pool.rs"), (start, ""), ("0x7f80fca9b8ec", "")]);
            let own: Vec<bool> = marked.frames.iter().map(|frame| frame.is_own).collect();
            assert_eq!((own, marked.is_of_cell), (vec![false, true, true], false));
        }
    }

    #[test]
    fn names_lose_the_crates_of_cells_and_nothing_else() {
        for (full, short) in [
            ("cells_12::inner", "inner"),
            ("<cells_1::P as cells_2::Area>::area", "<P as Area>::area"),
            ("my::cells_1::inner", "my::cells_1::inner"),
            ("cells_x::inner", "cells_x::inner"),
            ("subcells_1::a", "subcells_1::a"),
            ("cell", "cell"),
        ] {
            assert_eq!(in_cell(full), short);
        }
    }
}
