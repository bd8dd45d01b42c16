//! A session is private: its folders are for its owner only, and nothing of it listens on the network.

use crate::support::{Notebook, Place};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

#[test]
fn folders_are_0700_files_and_sockets_0600_and_no_port_is_open() {
    let place = Place::new();
    let running = Notebook::new()
        .cell("let stored = put(&vec![1u8; 1_000_000])?;")
        .cell(
            "std::fs::write(\"{here}/pid\", format!(\"{}\\n\", std::process::id())).unwrap();\n\
             while !std::path::Path::new(\"{here}/go\").exists() { std::thread::yield_now() }",
        )
        .start(&place);
    place.pid_in("pid");

    // The folder that holds the runtime's socket, and everything in it.
    let sockets: Vec<PathBuf> =
        below(place.folder()).into_iter().filter(|path| kind(path).is_some_and(|kind| kind.is_socket())).collect();
    assert!(!sockets.is_empty(), "the test sees no socket of the runtime");
    for socket in &sockets {
        let folder = socket.parent().expect("a socket lies in a folder");
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
        assert_eq!(mode(socket) & 0o077, 0, "{}", socket.display());
    }

    let ours: BTreeSet<String> = place.processes().iter().flat_map(|(pid, _)| sockets_of(*pid)).collect();
    assert!(!ours.is_empty(), "the test sees no open socket");
    let listening: Vec<String> = listening_inodes().intersection(&ours).cloned().collect();
    assert!(listening.is_empty(), "sockets {listening:?} listen on the network");

    place.write("go", "");
    running.finish();
    place.leaves_nothing();
}

/// Everything below `folder`, links not followed.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() && !path.is_symlink() { below(&path) } else { vec![path] }).collect()
}

fn kind(path: &Path) -> Option<fs::FileType> {
    fs::symlink_metadata(path).ok().map(|metadata| metadata.file_type())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// The inodes of the sockets that a process has open.
fn sockets_of(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| fs::read_link(entry.path()).ok()).map(|name| name.display().to_string());
    names.filter_map(|name| Some(name.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}

/// The inodes of all TCP sockets that listen, of both IP versions.
fn listening_inodes() -> BTreeSet<String> {
    const LISTEN: &str = "0A";
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let rows =
        tables.iter().flat_map(|table| table.lines().skip(1)).map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(3) == Some(&LISTEN))
        .filter_map(|row| row.get(9).map(|inode| (*inode).to_owned()))
        .collect()
}
