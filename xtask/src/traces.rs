//! Traces of programs on the machine: processes with a mark in their environment, and names in `/dev/shm`.
//!
//! `cargo xtask fresh` and the tests in `tests/outside` both look for it; the latter include this file by its path.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// The processes that are alive and have `variable` set to `folder`: id and command line.
pub fn processes(variable: &str, folder: &Path) -> Vec<(u32, String)> {
    let mark = format!("{variable}={}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc can be read").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push((pid, String::from_utf8_lossy(&words).replace('\0', " ")));
        }
    }
    found
}

/// The names in `/dev/shm` that could be ours.
pub fn shared_memory() -> BTreeSet<OsString> {
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().contains("mobula")).collect()
}
