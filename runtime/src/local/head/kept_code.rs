//! Libraries of sessions, kept for detached actors: these may be made again when a session is over, and its files with it.
//!
//! ```text
//!   session's folder/cells/units/libcells_3-1f2e3d4c.so ──hard link──▶ runtime's folder/kept/<session's folder>/libcells_3-1f2e3d4c.so
//! ```
//!
//! The libraries of one session lie beside each other there, so each finds those that it is linked against: `$ORIGIN` is in its rpath.
//! While there is a detached actor, those of all sessions are kept, because each may call it, and a restart runs calls again.
//!
//! # Invariants
//! - A session's libraries are kept before its folder can be gone: since the head knows of the actor, or of the function.
//! - They are kept until that folder is gone and no detached actor that lives would be made again by its functions.

use super::Head;
use crate::local::folder;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// How deep in a session's folder libraries lie, those of its `:dep` included.
const DEPTH_MAX: usize = 8;

/// The libraries that are kept, by the folder of their session.
#[derive(Debug, Default)]
pub(super) struct KeptCode {
    by_folder: BTreeMap<PathBuf, Kept>,
}

#[derive(Debug)]
struct Kept {
    to: PathBuf,
    names: HashSet<OsString>,
}

impl KeptCode {
    /// Keeps a library and all others of its session. `kept` is the folder for libraries that are kept.
    ///
    /// # Errors
    /// The first library that cannot be kept.
    fn keep(&mut self, kept: &Path, library: &Path) -> std::io::Result<()> {
        let (Some(session), Some(name)) = (folder::session_of(library), library.file_name()) else { return Ok(()) };
        let known = self.by_folder.get(session);
        if known.is_some_and(|kept| kept.names.contains(name)) || !library.exists() {
            return Ok(());
        }
        let Some(to) = session.file_name().map(|name| kept.join(name)) else { return Ok(()) };
        std::fs::create_dir_all(&to)?;
        let names = &mut self
            .by_folder
            .entry(session.to_owned())
            .or_insert(Kept { to: to.clone(), names: HashSet::new() })
            .names;
        for library in libraries_in(session, DEPTH_MAX) {
            let Some(name) = library.file_name().filter(|name| !names.contains(*name)) else { continue };
            let copy = to.join(name);
            match std::fs::hard_link(&library, &copy) {
                Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                    std::fs::copy(&library, copy)?;
                }
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            names.insert(name.to_owned());
        }
        Ok(())
    }

    /// Where a library lies that is kept.
    fn place_of(&self, library: &Path) -> Option<PathBuf> {
        let kept = self.by_folder.get(folder::session_of(library)?)?;
        let name = library.file_name()?;
        kept.names.contains(name).then(|| kept.to.join(name))
    }

    /// Gives up what was kept of sessions that are over, but for those whose folders are needed.
    fn release(&mut self, is_needed: impl Fn(&Path) -> bool) {
        self.by_folder.retain(|session, kept| {
            let stays = session.exists() || is_needed(session);
            if !stays {
                folder::remove(&kept.to);
            }
            stays
        });
    }
}

impl Head {
    /// Keeps the code of all sessions: there is a detached actor from now on.
    pub(super) fn keep_code(&mut self) {
        let libraries: Vec<String> = self.functions.libraries().map(str::to_owned).collect();
        libraries.iter().for_each(|library| self.keep_library(library));
    }

    /// Keeps the code that a function is in, if a detached actor may need it.
    pub(super) fn keep_library_for_actors(&mut self, library: &str) {
        if self.has_detached_actors() {
            self.keep_library(library);
        }
    }

    fn keep_library(&mut self, library: &str) {
        if let Err(error) = self.kept_code.keep(&self.folder.kept(), Path::new(library)) {
            tracing::warn!(library, %error, "library not kept for detached actors");
        }
    }

    /// Where a worker opens a library: there, or where it is kept.
    pub(super) fn library_to_open(&self, library: &str) -> Option<String> {
        self.kept_code.place_of(Path::new(library))?.to_str().map(str::to_owned)
    }

    /// Gives up the code of sessions that are over, but for that of detached actors.
    pub(super) fn release_code(&mut self) {
        let functions = self.functions_of_detached_actors();
        let library = |number: u32| self.functions.get(number).map(|function| PathBuf::from(&function.library));
        let libraries: Vec<PathBuf> = functions.into_iter().filter_map(library).collect();
        self.kept_code.release(|session| libraries.iter().any(|library| library.starts_with(session)));
        self.release_programs();
    }
}

/// The libraries in a folder. Linkers are given files of such names that are none.
fn libraries_in(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut libraries = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) && depth > 0 {
            libraries.extend(libraries_in(&path, depth - 1));
        } else if kind.is_ok_and(|kind| kind.is_file())
            && path.extension().is_some_and(|end| end == "so")
            && is_elf(&path)
        {
            libraries.push(path);
        }
    }
    libraries
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_an_actor_needs_outlives_the_folder_of_its_session() {
        let base = tempfile::tempdir().unwrap();
        let (session, kept) = (base.path().join("session-1-abc"), base.path().join("kept"));
        let (cells, stubs) = (session.join("cells/libraries"), session.join("cells/stubs"));
        [&cells, &stubs].into_iter().for_each(|dir| std::fs::create_dir_all(dir).unwrap());
        std::fs::write(cells.join("cell_1.so"), b"\x7fELF of a cell").unwrap();
        std::fs::write(stubs.join("libc.so"), b"/* nothing */").unwrap();
        let mut code = KeptCode::default();
        code.keep(&kept, &cells.join("cell_1.so")).unwrap();
        std::fs::write(cells.join("cell_2.so"), b"\x7fELF of another one").unwrap();
        assert_eq!(code.place_of(&cells.join("cell_2.so")), None);
        code.keep(&kept, &cells.join("cell_2.so")).unwrap();
        assert_eq!(code.place_of(&stubs.join("libc.so")), None, "that is no library");
        std::fs::remove_dir_all(&session).unwrap();
        code.release(|needed| needed == session);
        let place = code.place_of(&cells.join("cell_1.so")).unwrap();
        assert_eq!(std::fs::read(place).unwrap(), b"\x7fELF of a cell");
        code.release(|_| false);
        assert_eq!(code.place_of(&cells.join("cell_1.so")), None);
        assert!(std::fs::read_dir(&kept).unwrap().next().is_none());
    }
}
