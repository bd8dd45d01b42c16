//! The cache folder: prepared folders, which of them a session may use, and when they are removed.
//!
//! ```text
//! <cache>/mobula/lock                 held by the process that prepares or removes folders
//!               /<key>-<random>/used  held, shared, by each session that uses the folder
//!                              /ready     the folder is complete
//!                              /damaged   it was found damaged: no new session uses it
//!               /.removed-…           being removed
//! ```
//!
//! A folder is prepared once and never repaired. One that is incomplete or damaged stays for the sessions that use it and for compilers
//! that outlived a killed session. The next session prepares another under a new name.
//!
//! # Invariants
//! - A folder without `ready` is written only by the holder of `lock`, so the next holder may remove it.
//! - A folder is removed only while no session holds `used`, and loses its name before it loses a file.

use super::checksums::Manifest;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A folder that no session has used for longer is removed.
const UNUSED_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// How an unfinished file's name begins, and when its writer is surely gone.
const UNNAMED: &str = ".tmp";
const UNNAMED_MAX: Duration = Duration::from_secs(24 * 3600);

/// How a folder's name begins while it is removed.
const REMOVED: &str = ".removed-";

/// The folder with all prepared folders.
pub struct Cache(PathBuf);

/// A prepared folder. No process removes it while this value lives.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    _used: Option<Arc<File>>,
}

impl Cache {
    /// The cache in this folder, which need not exist.
    pub fn new(dir: PathBuf) -> Cache {
        Cache(dir)
    }

    /// A complete folder for `key`, or a new one that `make` fills. When two processes need it at the same time, one makes it.
    ///
    /// # Errors
    /// A sentence: the cache folder cannot be written, or the message of `make`.
    pub fn get(&self, key: &str, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<Folder, String> {
        if let Some(folder) = self.find(key) {
            return Ok(folder);
        }
        let explain = |error: io::Error| format!("the cache folder {} cannot be prepared: {error}", self.0.display());
        fs::create_dir_all(&self.0).map_err(explain)?;
        let lock = File::create(self.0.join("lock")).map_err(explain)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| explain(error.into()))?;
        if let Some(folder) = self.find(key) {
            return Ok(folder);
        }
        self.sweep();
        let new = tempfile::Builder::new().prefix(&format!("{key}-")).tempdir_in(&self.0).map_err(explain)?;
        File::create(new.path().join("used")).map_err(explain)?;
        make(new.path())?;
        // The files must be on the disk before `ready` says so.
        File::open(new.path()).and_then(|dir| Ok(rustix::fs::syncfs(dir)?)).map_err(explain)?;
        File::create(new.path().join("ready")).and_then(|ready| ready.sync_all()).map_err(explain)?;
        let folder = Folder { _used: used(new.path()).map_err(explain)?, path: new.keep() };
        Ok(folder)
    }

    /// The newest folder for `key` that is complete, undamaged as far as sizes and times tell, and not being removed.
    fn find(&self, key: &str) -> Option<Folder> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let prefix = format!("{key}-");
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        let mut complete: Vec<(SystemTime, PathBuf)> =
            named.filter_map(|entry| Some((used_at(&entry.path().join("ready"))?, entry.path()))).collect();
        complete.sort();
        complete.into_iter().rev().find_map(|(_, path)| claim(path))
    }

    /// Removes folders that are incomplete, damaged, or long unused. Called under the lock.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name.starts_with(REMOVED) {
                let _ = fs::remove_dir_all(&path);
                continue;
            }
            if name.starts_with(UNNAMED) && is_older(used_at(&path), UNNAMED_MAX) {
                let _ = fs::remove_file(&path);
                continue;
            }
            let used = used_at(&path.join("ready"));
            // Earlier versions had no file `used`.
            let lock = File::open(path.join("used")).ok();
            let is_in_use =
                lock.as_ref().is_some_and(|lock| flock(lock, FlockOperation::NonBlockingLockExclusive).is_err());
            let is_cut_off = lock.is_some() && used.is_none();
            if !is_in_use && (is_cut_off || path.join("damaged").exists() || is_older(used, UNUSED_MAX)) {
                let removed = self.0.join(format!("{REMOVED}{name}"));
                if fs::rename(&path, &removed).is_ok() {
                    let _ = fs::remove_dir_all(&removed);
                }
            }
        }
    }
}

impl Folder {
    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Compares every byte with what was prepared. A damaged folder is not used by sessions that start from now on.
    pub fn is_damaged(&self) -> bool {
        let is_whole = Manifest::read(&self.path).is_ok_and(|manifest| manifest.is_whole(&self.path));
        if !is_whole {
            condemn(&self.path);
        }
        !is_whole
    }
}

/// Begins to use a complete folder.
fn claim(path: PathBuf) -> Option<Folder> {
    let used = used(&path).ok()?;
    // The folder may have been removed before the lock was taken.
    let ready = File::options().write(true).open(path.join("ready"));
    if !path.join("ready").exists() || path.join("damaged").exists() {
        return None;
    }
    if !Manifest::read(&path).is_ok_and(|manifest| manifest.looks_whole(&path)) {
        condemn(&path);
        return None;
    }
    let _ = ready.and_then(|ready| ready.set_modified(SystemTime::now()));
    Some(Folder { path, _used: used })
}

/// The lock that a user of a folder holds. `None` where the file system has no locks; no process removes a folder there either.
fn used(path: &Path) -> io::Result<Option<Arc<File>>> {
    let file = File::open(path.join("used"))?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Some(Arc::new(file))),
        Err(Errno::WOULDBLOCK) => Err(Errno::WOULDBLOCK.into()),
        Err(_) => Ok(None),
    }
}

/// Marks a folder as damaged, so that no new session uses it.
fn condemn(path: &Path) {
    let _ = File::create(path.join("damaged"));
}

fn is_older(time: Option<SystemTime>, age: Duration) -> bool {
    time.is_some_and(|time| time.elapsed().is_ok_and(|elapsed| elapsed > age))
}

fn used_at(ready: &Path) -> Option<SystemTime> {
    fs::metadata(ready).and_then(|ready| ready.modified()).ok()
}

/// The folder of crates that are kept between sessions: `$XDG_CACHE_HOME/mobula`, or `~/.cache/mobula`.
///
/// # Errors
/// Neither variable is set, and the person has no home folder.
///
/// ```
/// assert!(mobula_session::cache_dir().unwrap().ends_with("mobula"));
/// ```
pub fn cache_dir() -> Result<PathBuf, String> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| crate::home().map(|home| home.join(".cache")))
        .ok_or("there is no cache folder: set HOME or XDG_CACHE_HOME")?;
    Ok(base.join("mobula"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> impl FnOnce(&Path) -> Result<(), String> {
        move |dir: &Path| {
            fs::write(dir.join("library"), text).map_err(|error| error.to_string())?;
            let manifest = Manifest::of(dir, &["library"]).map_err(|error| error.to_string())?;
            manifest.write(dir).map_err(|error| error.to_string())
        }
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_that_was_cut_off_is_not_used_and_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().to_owned());
        assert_eq!(cache.get("key", |_| Err("no compiler".into())).unwrap_err(), "no compiler");
        assert_eq!(names(dir.path()), ["lock"]);
        fs::create_dir_all(dir.path().join("key-cut")).unwrap();
        fs::write(dir.path().join("key-cut/used"), "").unwrap();
        fs::create_dir_all(dir.path().join(".removed-key-x/seed")).unwrap();
        let folder = cache.get("key", made("whole")).unwrap();
        assert_eq!(names(dir.path()).len(), 2, "{:?}", names(dir.path()));
        assert_eq!(cache.get("key", |_| panic!("made twice")).unwrap().path(), folder.path());
    }

    #[test]
    fn a_damaged_folder_is_made_anew_and_stays_for_those_who_use_it() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().to_owned());
        let first = cache.get("key", made("whole")).unwrap();
        fs::write(first.path().join("library"), "cut").unwrap();
        let second = cache.get("key", made("whole")).unwrap();
        assert_ne!(first.path(), second.path());
        assert!(first.path().join("library").exists());
        // Another byte; the length and the time stay the same.
        let library = File::options().write(true).open(second.path().join("library")).unwrap();
        let modified = library.metadata().unwrap().modified().unwrap();
        io::Write::write_all(&mut &library, b"W").unwrap();
        library.set_modified(modified).unwrap();
        assert_eq!(cache.get("key", |_| panic!("not looked into")).unwrap().path(), second.path());
        assert!(second.is_damaged());
        drop(first);
        let third = cache.get("key", made("whole")).unwrap();
        assert!(!third.is_damaged() && second.path().exists());
        assert_eq!(names(dir.path()).len(), 3, "{:?}", names(dir.path()));
    }

    #[test]
    fn a_folder_is_not_removed_while_a_session_of_another_version_uses_it() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().to_owned());
        let old = cache.get("old", made("1")).unwrap();
        let ready = File::options().write(true).open(old.path().join("ready")).unwrap();
        ready.set_modified(SystemTime::now() - UNUSED_MAX * 2).unwrap();
        let path = old.path().to_owned();
        cache.get("new", made("2")).unwrap();
        assert!(path.join("library").exists());
        drop(old);
        cache.get("newer", made("3")).unwrap();
        assert!(!path.exists());
    }
}
