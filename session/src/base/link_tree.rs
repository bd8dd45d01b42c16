//! Files of Cargo's, placed from one folder into another: as links where no process writes them in place, as copies elsewhere.
//!
//! A link shares the bytes with the cache and with every other session. Measured (Cargo and rustc 1.95; a library, a procedural macro, a
//! dylib and a build script compiled again): rustc and the linker replace their outputs, under a new inode. Cargo's own small files, and
//! what a build script writes into its folder `out`, are written in place, whatever their size.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Smaller files are not worth a link.
const SHARED_BYTES_MIN: u64 = 16 << 10;

/// Name prefixes of what belongs to one session: its cells' crates.
const OWN: [&str; 4] = ["ctx-", "libctx", "mobula_base", "libmobula_base"];

/// Whether rustc or the linker makes a file of this name, below a folder that Cargo builds in.
pub fn is_output(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let is_library = [".rlib", ".rmeta", ".so"].iter().any(|end| file.ends_with(end));
    let is_script = ["build-script-", "build_script_"].iter().any(|begin| file.starts_with(begin));
    (is_library || is_script) && !file.ends_with(".d") && !name.contains("/out/")
}

/// Whether a path belongs to one session.
pub fn is_own(path: &str) -> bool {
    path.split('/').any(|part| OWN.iter().any(|own| part.starts_with(own)))
}

/// Places the file `name` from one folder into another, which is a session's own or has no name yet: no other process sees half a file. An
/// existing file stays.
///
/// # Errors
/// The file cannot be read or written.
pub fn place(name: &str, from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (from.join(name), to.join(name));
    if to.exists() {
        return Ok(());
    }
    fs::create_dir_all(to.parent().unwrap_or(&to))?;
    let meta = fs::metadata(&from)?;
    if meta.len() >= SHARED_BYTES_MIN && is_output(name) && fs::hard_link(&from, &to).is_ok() {
        return Ok(());
    }
    fs::copy(&from, &to)?;
    // Cargo compares times, so a copy must be as old as the original.
    File::open(&to)?.set_modified(meta.modified()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn what_is_written_in_place_is_a_copy_as_old_as_the_original_and_the_rest_is_linked() {
        let dir = tempfile::tempdir().unwrap();
        let large = vec![0; SHARED_BYTES_MIN as usize];
        let files = [
            ("deps/liba.rlib", &large[..], true),
            ("deps/liba.so", &large, true),
            ("build/a-1/build-script-build", &large, true),
            ("deps/libsmall.rmeta", b"small", false),
            ("build/a-1/out/libc.rlib", &large, false),
            ("build/a-1/out/generated.rs", &large, false),
            ("build/a-1/output", &large, false),
            ("deps/a.d", &large, false),
        ];
        for (name, bytes, is_linked) in files {
            let [from, to] = ["from", "to"].map(|folder| dir.path().join(folder));
            fs::create_dir_all(from.join(name).parent().unwrap()).unwrap();
            fs::write(from.join(name), bytes).unwrap();
            place(name, &from, &to).unwrap();
            let [ours, theirs] = [&from, &to].map(|folder| fs::metadata(folder.join(name)).unwrap());
            assert_eq!(ours.ino() == theirs.ino(), is_linked, "{name}");
            assert_eq!((ours.modified().unwrap(), ours.len()), (theirs.modified().unwrap(), theirs.len()), "{name}");
        }
    }

    #[test]
    fn what_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["new", "old"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
            fs::write(dir.path().join(folder).join("file"), folder).unwrap();
        }
        place("file", &dir.path().join("new"), &dir.path().join("old")).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("old/file")).unwrap(), "old");
    }

    #[test]
    fn a_cells_own_crate_is_known_by_its_name() {
        assert!(is_own("debug/deps/libctx-1.so") && is_own("debug/.fingerprint/mobula_base_2-1f/lib-mobula_base_2"));
        assert!(!is_own("debug/deps/libserde-1.rlib"));
    }
}
