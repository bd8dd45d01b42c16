//! Folders of compiled files, shared by the sessions of a machine.
//!
//! Any session may write any file of such a folder at any time, and be killed in the middle of it. So a file comes to its name whole, and is never
//! written again under it: others may have it mapped.

use std::fs;
use std::io;
use std::path::Path;

/// Smaller files are copied: what is Cargo's own in such a folder it writes in place, and a link would be written with it.
const LINKED_BYTES_MIN: u64 = 16 << 10;

/// What a copy is called before it is whole.
const DRAFT: &str = ".draft-";

/// What belongs to one session: its cells' crates.
const OWN: [&str; 4] = ["ctx-", "libctx", "mobula_base", "libmobula_base"];

/// Puts everything in a folder that is not there yet into another: links where the file system allows them, copies elsewhere. What
/// belongs to one session is left out, and a folder that does not exist is an empty one.
pub fn link_tree(from: &Path, to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    fs::create_dir_all(to)?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if OWN.iter().chain([&DRAFT]).any(|own| name.to_string_lossy().starts_with(own)) {
            continue;
        }
        let (path, target) = (entry.path(), to.join(&name));
        let meta = entry.metadata()?;
        if meta.is_dir() {
            link_tree(&path, &target)?;
        } else if is_there(&target, meta.len()) {
            continue;
        } else if meta.len() < LINKED_BYTES_MIN || fs::hard_link(&path, &target).is_err() {
            copy_keeping_time(&path, &target)?;
        }
    }
    Ok(())
}

/// Whether there is such a file. Of compiled code, one of another length was cut off before copies were whole.
fn is_there(target: &Path, bytes: u64) -> bool {
    fs::metadata(target).is_ok_and(|there| bytes < LINKED_BYTES_MIN || there.len() == bytes)
}

/// Cargo compares times, so a copy must be as old as the original.
fn copy_keeping_time(from: &Path, to: &Path) -> io::Result<()> {
    let mut draft = tempfile::Builder::new().prefix(DRAFT).tempfile_in(to.parent().unwrap_or(to))?;
    let (mut source, meta) = (fs::File::open(from)?, fs::metadata(from)?);
    let bytes = io::copy(&mut source, &mut draft)?;
    draft.as_file().set_modified(meta.modified()?)?;
    draft.as_file().set_permissions(meta.permissions())?;
    if bytes >= LINKED_BYTES_MIN {
        // A lost small file is Cargo's own, which makes it anew; half a library would be linked with.
        draft.as_file().sync_all()?;
    }
    draft.persist(to).map(drop).map_err(|error| error.error)
}

/// How many bytes the files in a folder have.
pub fn bytes(dir: &Path) -> u64 {
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    fs::read_dir(dir).into_iter().flatten().flatten().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::PathBuf;

    #[test]
    fn a_linked_tree_has_the_same_files_but_not_the_cells_own() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("sub")).unwrap();
        for name in ["libserde-1.rlib", "sub/x", "ctx-12.d", "libctx.so"] {
            fs::write(from.join(name), name).unwrap();
        }
        link_tree(&from, &to).unwrap();
        assert!(to.join("libserde-1.rlib").exists() && to.join("sub/x").exists());
        assert!(!to.join("ctx-12.d").exists() && !to.join("libctx.so").exists());
        assert_eq!(bytes(&to), "libserde-1.rlib".len() as u64 + "sub/x".len() as u64);
        link_tree(&dir.path().join("nothing"), &to).unwrap();
    }

    fn two_folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        for folder in [&from, &to] {
            fs::create_dir_all(folder).unwrap();
        }
        (dir, from, to)
    }

    #[test]
    fn a_library_that_was_cut_off_is_put_right() {
        let (_dir, from, to) = two_folders();
        let whole = vec![7; LINKED_BYTES_MIN as usize];
        fs::write(from.join("libserde.so"), &whole).unwrap();
        fs::write(to.join("libserde.so"), &whole[..100]).unwrap();
        link_tree(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("libserde.so")).unwrap(), whole);
    }

    #[test]
    fn whoever_reads_while_several_write_finds_whole_files_or_none() {
        let (_dir, from, to) = two_folders();
        let text = "x".repeat(LINKED_BYTES_MIN as usize - 1);
        fs::write(from.join("small"), &text).unwrap();
        std::thread::scope(|scope| {
            let writers = [(); 2].map(|()| {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _ = fs::remove_file(to.join("small"));
                        link_tree(&from, &to).unwrap();
                    }
                })
            });
            while !writers.iter().all(|writer| writer.is_finished()) {
                if let Ok(seen) = fs::read_to_string(to.join("small")) {
                    assert_eq!(seen.len(), text.len());
                }
            }
        });
        let names = fs::read_dir(&to).unwrap().flatten().map(|entry| entry.file_name()).collect::<Vec<_>>();
        assert_eq!(names, ["small"]);
    }

    #[test]
    fn what_cargo_writes_in_place_is_a_copy_as_old_as_the_original_and_what_was_there_stays() {
        let (_dir, from, to) = two_folders();
        fs::write(from.join("small"), "1").unwrap();
        fs::write(from.join("large"), vec![0; LINKED_BYTES_MIN as usize]).unwrap();
        fs::write(from.join("both"), "new").unwrap();
        fs::write(to.join("both"), "old").unwrap();
        link_tree(&from, &to).unwrap();
        let of = |name: &str| [&from, &to].map(|dir| fs::metadata(dir.join(name)).unwrap());
        let [ours, theirs] = of("small");
        assert!(ours.ino() != theirs.ino() && ours.modified().unwrap() == theirs.modified().unwrap());
        let [ours, theirs] = of("large");
        assert_eq!(ours.ino(), theirs.ino());
        assert_eq!(fs::read_to_string(to.join("both")).unwrap(), "old");
    }
}
