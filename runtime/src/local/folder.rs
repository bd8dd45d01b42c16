//! The session's folder: it holds the head's socket, and nothing of it is left behind.
//!
//! ```text
//!   $TMPDIR | /tmp        (not $XDG_RUNTIME_DIR: that is memory, and cells' libraries lie here, too)
//!   └── mobula-<uid>/                     0700, ours, no link
//!       └── session-<pid>-<random>/       0700
//!           ├── lock                      flock'ed for as long as the front process lives
//!           ├── head.sock                 0600
//!           ├── logs/                     the output of tasks, if it is redirected
//!           ├── kept/                     libraries of other sessions, for detached actors
//!           └── spill/                    objects for which there is no memory, in files without names
//! ```
//!
//! The front process removes its folder when it ends. When it is killed, the zygote does. When both are killed, the
//! next start finds a folder whose lock no process has, and removes it.
//!
//! Where the folder lies in memory itself, objects go elsewhere (`spill_folder.rs`).
//!
//! # Invariants
//! - A folder is called `session-…` only once its lock is taken, so no other start removes one that is being made.

use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A unix socket's path, with its final zero, has room for 108 bytes.
const SOCKET_PATH_MAX: usize = 107;

/// How the names of sessions' folders begin.
const SESSION: &str = "session-";

/// The head's socket in a session's folder.
pub const SOCKET: &str = "head.sock";

/// Why there is no folder for the session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The session's folder cannot be made.
    #[error("the session folder {} cannot be made", path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The folder for sessions is not safe to use.
    #[error("{} belongs to another user or can be read by others: remove it, or set TMPDIR to a folder of your own", path.display())]
    Unsafe {
        /// The folder.
        path: PathBuf,
    },
}

/// One session's folder. Removed when dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The lock ends with the process, however it ends.
    _lock: File,
}

impl Folder {
    /// Makes a folder, and removes those of dead sessions beside it.
    pub fn create() -> Result<Folder, FolderError> {
        let base = bases().into_iter().next().unwrap_or_else(|| "/tmp".into());
        Folder::create_in(&base)
    }

    fn create_in(base: &Path) -> Result<Folder, FolderError> {
        ensure_private(base)?;
        sweep(base);
        let failed = |source: std::io::Error| FolderError::Create { path: base.into(), source };
        let mut builder = tempfile::Builder::new();
        builder.prefix(NEWBORN).rand_bytes(8).permissions(Permissions::from_mode(0o700));
        let newborn = builder.tempdir_in(base).map_err(failed)?;
        let lock = open_lock(newborn.path(), OFlags::CREATE).map_err(failed)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
        let random = newborn.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let random = random.trim_start_matches(NEWBORN);
        let path = base.join(format!("{SESSION}{}-{random}", std::process::id()));
        std::fs::rename(newborn.path(), &path).map_err(failed)?;
        // The folder has another name now, and `Folder` removes it.
        let _ = newborn.keep();
        Ok(Folder { path, _lock: lock })
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder for objects for which there is no memory.
    pub fn spill(&self) -> PathBuf {
        self.path.join("spill")
    }

    /// The folder for libraries of other sessions.
    pub fn kept(&self) -> PathBuf {
        self.path.join("kept")
    }

    /// Where the head listens.
    pub fn socket(&self) -> PathBuf {
        socket_in(&self.path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// The session's folder that a file is in.
pub fn session_of(file: &Path) -> Option<&Path> {
    let is_one = |folder: &&Path| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SESSION));
    file.ancestors().find(is_one)
}

/// Removes a session's folder; it may be gone already.
pub fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %path.display(), %error, "session folder not removed");
    }
}

/// Where this user's sessions have their folders: the first one is for new sessions.
pub fn bases() -> Vec<PathBuf> {
    let wishes = [std::env::var_os("TMPDIR"), Some("/tmp".into())];
    let parents = wishes.into_iter().flatten().map(PathBuf::from);
    let fits = |parent: &PathBuf| parent.as_os_str().len() + 60 <= SOCKET_PATH_MAX && parent.is_dir();
    let uid = rustix::process::geteuid().as_raw();
    parents.filter(fits).map(|parent| parent.join(format!("mobula-{uid}"))).collect()
}

/// Where the head of the session in this folder listens.
pub fn socket_in(folder: &Path) -> PathBuf {
    folder.join(SOCKET)
}

/// Whether a folder is this user's.
pub fn is_ours(metadata: &std::fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

fn ensure_private(base: &Path) -> Result<(), FolderError> {
    let failed = |source| FolderError::Create { path: base.into(), source };
    match DirBuilder::new().mode(0o700).create(base) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let metadata = std::fs::symlink_metadata(base).map_err(failed)?;
    if !metadata.is_dir() || !is_ours(&metadata) || metadata.mode() & 0o077 != 0 {
        return Err(FolderError::Unsafe { path: base.into() });
    }
    Ok(())
}

/// Opens a folder's lock, which its owner holds for as long as it lives.
pub fn open_lock(folder: &Path, flags: OFlags) -> std::io::Result<File> {
    let flags = flags | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(folder.join("lock"), flags, Mode::from_raw_mode(0o600))?.into())
}

/// How a folder's name begins until it is locked.
const NEWBORN: &str = "new-";
/// A folder that is older was left by a process that was killed in between.
const BIRTH_MAX: Duration = Duration::from_secs(60);

/// Removes the folders of sessions whose front process is dead. What cannot be removed is left for another time.
fn sweep(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_newborn = name.to_string_lossy().starts_with(NEWBORN);
        if !is_newborn && !name.to_string_lossy().starts_with(SESSION) {
            continue;
        }
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|made| made.elapsed().ok());
        if is_newborn && age.is_none_or(|age| age < BIRTH_MAX) {
            continue;
        }
        let dead = match open_lock(&entry.path(), OFlags::empty()) {
            Ok(lock) => rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
            // Another process is removing it, or was killed while it did.
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if dead {
            remove(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_session_keeps_its_folder_and_a_dead_one_does_not() {
        let parent = tempfile::tempdir().unwrap();
        let base = parent.path().join("mobula-test");
        let alive = Folder::create_in(&base).unwrap();
        let dead = base.join("session-1-dead");
        std::fs::create_dir(&dead).unwrap();
        File::create(dead.join("lock")).unwrap();
        let newborn = base.join("new-1");
        std::fs::create_dir(&newborn).unwrap();
        let stillborn = base.join("new-2");
        std::fs::create_dir(&stillborn).unwrap();
        let long_ago = std::time::SystemTime::now() - 2 * BIRTH_MAX;
        File::open(&stillborn).unwrap().set_modified(long_ago).unwrap();

        let second = Folder::create_in(&base).unwrap();
        assert!(alive.path().exists());
        assert!(!dead.exists());
        assert!(newborn.exists(), "what is being born is left alone");
        assert!(!stillborn.exists(), "and what was never born is not");
        let path = second.path().to_owned();
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn nobody_else_can_look_in() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create_in(&parent.path().join("mobula-test")).unwrap();
        assert_eq!(std::fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_others_can_read_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let base = parent.path().join("mobula-test");
        std::fs::create_dir(&base).unwrap();
        std::fs::set_permissions(&base, Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(Folder::create_in(&base), Err(FolderError::Unsafe { .. })));
    }
}
