//! The source place of an instruction of a cell's library, read from the library's debug information.

use addr2line::Loader;
use std::path::Path;

/// Whether the direct evaluator made a library from a cell. Called by the crash handler, so it allocates nothing, and a path that it
/// accepts needs no escape in JSON.
pub fn is_of_a_cell(library: &str) -> bool {
    let name = library.rsplit('/').next().unwrap_or(library);
    (name.starts_with("cell_") || name.starts_with("libcells_"))
        && library.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
}

/// The place that the instruction at `offset` comes from: the file as the compiler calls it (`cell 3`), line, and column. Of inlined calls,
/// the innermost place that is in a cell.
pub fn place(library: &str, offset: u64) -> Option<(String, u32, u32)> {
    let loader = Loader::new(Path::new(library)).ok()?;
    let mut frames = loader.find_frames(offset).ok()?;
    while let Ok(Some(frame)) = frames.next() {
        let Some(location) = frame.location else { continue };
        let file = location.file.and_then(|file| file.rsplit('/').next()).unwrap_or_default();
        if file.starts_with("cell ") {
            return Some((file.to_owned(), location.line?, location.column.unwrap_or(0)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::is_of_a_cell;

    #[test]
    fn a_library_is_told_by_its_name() {
        assert!(is_of_a_cell("/tmp/x/libraries/cell_7.so") && is_of_a_cell("/tmp/x/units/libcells_2.so"));
        assert!(!is_of_a_cell("/usr/lib/libc.so.6") && !is_of_a_cell("/tmp/\"/cell_1.so"));
    }
}
