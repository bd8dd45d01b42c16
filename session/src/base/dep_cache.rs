//! Crates that `:dep` compiled, kept for later sessions.
//!
//! ```text
//! <folder>/lock       shared by sessions that read, exclusive for one that writes
//!         /7/…        the layer: what is read, with its checksums
//!         /.draft-…   a layer that is being written
//! ```
//!
//! A layer gets its name when it is whole and is never written again. Files are not merged one by one: if two sessions compile a crate at
//! once, a merge may put one's library beside the other's fingerprint. Cargo believes fingerprints and would never compile that crate
//! again. So a new layer includes the previous one only if both have the same libraries under the same names. Otherwise it is what the
//! session has, and the rest is compiled once more.

use super::checksums::{Entry, Manifest, Stamp, stamps};
use super::link_tree;
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// If there would be more, all layers are removed.
const BYTES_MAX: u64 = 8 << 30;

/// How the name of a layer begins before it is whole.
const DRAFT: &str = ".draft-";

/// The folder of layers.
pub struct Kept(PathBuf);

impl Kept {
    /// The layers in this folder, which need not exist.
    pub fn new(dir: PathBuf) -> Kept {
        Kept(dir)
    }

    /// Places the newest layer into a session's folder. A damaged layer is left out, and the session compiles.
    ///
    /// # Errors
    /// The session's folder cannot be written.
    pub fn link_into(&self, to: &Path) -> io::Result<()> {
        let Ok(_lock) = self.lock(FlockOperation::LockShared) else { return Ok(()) };
        let Some((layer, manifest)) = self.layer() else { return Ok(()) };
        manifest.0.keys().try_for_each(|name| link_tree::place(name, &layer, to))
    }

    /// Keeps the files in these parts of a session's folder that are not in `seed`.
    ///
    /// # Errors
    /// The folder of layers cannot be written.
    pub fn keep(&self, target: &Path, parts: &[PathBuf], seed: &BTreeMap<String, Stamp>) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        let (old, known) = self.layer().unzip();
        let known = known.unwrap_or_default();
        let mut mine = stamps(target, parts)?;
        mine.retain(|name, stamp| !link_tree::is_own(name) && seed.get(name) != Some(stamp));
        let is_known = |name: &str, stamp: &Stamp| known.0.get(name).is_some_and(|entry| entry.stamp == *stamp);
        if mine.iter().all(|(name, stamp)| is_known(name, stamp)) {
            self.sweep(old.as_deref());
            return Ok(());
        }
        let differs = |(name, stamp): (&String, &Stamp)| {
            link_tree::is_output(name) && known.0.contains_key(name) && !is_known(name, stamp)
        };
        let others = if mine.iter().any(differs) { Manifest::default() } else { known.clone() };
        if mine.values().map(|stamp| stamp.bytes).sum::<u64>() + others.bytes() > BYTES_MAX {
            self.sweep(None);
            return Ok(());
        }
        let draft = tempfile::Builder::new().prefix(DRAFT).tempdir_in(&self.0)?;
        let mut manifest = Manifest::default();
        for (name, entry) in others.0.iter().filter(|(name, _)| !mine.contains_key(*name)) {
            link_tree::place(name, old.as_deref().unwrap_or(target), draft.path())?;
            manifest.0.insert(name.clone(), entry.clone());
        }
        for name in mine.keys() {
            let path = draft.path().join(name);
            link_tree::place(name, target, draft.path())?;
            File::open(&path)?.sync_all()?;
            manifest.0.insert(name.clone(), Entry::of(&path)?);
        }
        manifest.write(draft.path())?;
        let number = self.newest().as_deref().and_then(number).unwrap_or(0) + 1;
        let layer = self.0.join(number.to_string());
        fs::rename(draft.path(), &layer)?;
        let _ = draft.keep();
        File::open(&self.0)?.sync_all()?;
        self.sweep(Some(&layer));
        Ok(())
    }

    /// Compares every byte with its checksum, and removes all layers if one differs. Returns whether one did.
    pub fn forget_if_damaged(&self) -> bool {
        let Ok(_lock) = self.lock(FlockOperation::LockExclusive) else { return false };
        let is_damaged = match self.newest() {
            Some(layer) => !Manifest::read(&layer).is_ok_and(|manifest| manifest.is_whole(&layer)),
            None => false,
        };
        if is_damaged {
            self.sweep(None);
        }
        is_damaged
    }

    fn lock(&self, operation: FlockOperation) -> io::Result<File> {
        let lock = File::options().read(true).write(true).create(true).truncate(false).open(self.0.join("lock"))?;
        flock(&lock, operation)?;
        Ok(lock)
    }

    /// The newest layer, if its sizes and times are unchanged.
    fn layer(&self) -> Option<(PathBuf, Manifest)> {
        let layer = self.newest()?;
        let manifest = Manifest::read(&layer).ok().filter(|manifest| manifest.looks_whole(&layer))?;
        Some((layer, manifest))
    }

    fn newest(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(|path| number(path).is_some()).max_by_key(|path| number(path))
    }

    /// Removes earlier layers, and what killed sessions left. Called under the exclusive lock.
    fn sweep(&self, keep: Option<&Path>) {
        for path in fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if Some(path.as_path()) == keep || path.ends_with("lock") {
                continue;
            }
            // A layer that is removed halfway must not be taken for the newest.
            let gone = self.0.join(format!("{DRAFT}removed-{}", path.file_name().unwrap_or_default().display()));
            let path = if number(&path).is_some() && fs::rename(&path, &gone).is_ok() { gone } else { path };
            let _ = fs::remove_dir_all(path);
        }
    }
}

fn number(layer: &Path) -> Option<u64> {
    layer.file_name()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 32 << 10;

    struct Actors {
        dir: tempfile::TempDir,
        kept: Kept,
    }

    impl Actors {
        fn new() -> Actors {
            let dir = tempfile::tempdir().unwrap();
            let kept = Kept::new(dir.path().join("added"));
            Actors { dir, kept }
        }

        /// A session that compiles `name` to `byte`s, with a fingerprint that says so.
        fn compiles(&self, session: &str, name: &str, byte: u8) {
            let deps = self.dir.path().join(session).join("deps");
            fs::create_dir_all(&deps).unwrap();
            for (file, bytes) in [(format!("lib{name}.rlib"), LARGE), (format!("{name}.fingerprint"), 9)] {
                let _ = fs::remove_file(deps.join(&file));
                fs::write(deps.join(file), vec![byte; bytes]).unwrap();
            }
        }

        fn keeps(&self, session: &str) {
            self.kept.keep(&self.dir.path().join(session), &["deps".into()], &BTreeMap::new()).unwrap();
        }

        /// What a new session finds: names, and the byte that each consists of.
        fn finds(&self, session: &str) -> Vec<String> {
            let to = self.dir.path().join(session);
            self.kept.link_into(&to).unwrap();
            let named = |name: &String| format!("{} {}", &name[5..], fs::read(to.join(name)).unwrap()[0]);
            stamps(&to, &["deps"]).unwrap().keys().map(named).collect()
        }

        fn folders(&self) -> usize {
            fs::read_dir(&self.kept.0).unwrap().flatten().filter(|entry| !entry.path().ends_with("lock")).count()
        }
    }

    #[test]
    fn what_one_session_compiles_the_next_one_finds_with_what_was_there() {
        let all = Actors::new();
        assert!(all.finds("first").is_empty());
        all.compiles("first", "a", 1);
        all.keeps("first");
        all.compiles("other", "b", 1);
        all.keeps("other");
        assert_eq!(all.finds("next"), ["a.fingerprint 1", "b.fingerprint 1", "liba.rlib 1", "libb.rlib 1"]);
        all.keeps("next");
        assert_eq!(all.folders(), 1);
    }

    #[test]
    fn a_library_never_stands_beside_the_fingerprint_of_another() {
        let all = Actors::new();
        // Two sessions at once, then the first again after its crate was edited: the same length, other bytes.
        for (session, byte) in [("one", 1), ("two", 2), ("one", 3)] {
            all.compiles(session, "a", byte);
            all.keeps(session);
            let both = [format!("a.fingerprint {byte}"), format!("liba.rlib {byte}")];
            assert_eq!(all.finds(&format!("after {byte}")), both);
        }
    }

    #[test]
    fn what_depends_on_another_sessions_library_is_not_kept_beside_ones_own() {
        let all = Actors::new();
        all.compiles("one", "a", 1);
        all.compiles("one", "on_a", 1);
        all.compiles("two", "a", 2);
        all.keeps("one");
        all.keeps("two");
        assert_eq!(all.finds("three"), ["a.fingerprint 2", "liba.rlib 2"]);
    }

    #[test]
    fn a_layer_that_lost_bytes_is_not_taken_and_one_with_others_is_forgotten() {
        let all = Actors::new();
        all.compiles("one", "a", 1);
        all.keeps("one");
        // A new file of the same age, so that the session's link keeps its bytes.
        let put = |bytes: &[u8]| {
            let library = all.kept.newest().unwrap().join("deps/liba.rlib");
            let modified = fs::metadata(&library).unwrap().modified().unwrap();
            fs::remove_file(&library).unwrap();
            fs::write(&library, bytes).unwrap();
            File::open(&library).unwrap().set_modified(modified).unwrap();
        };
        assert!(!all.kept.forget_if_damaged());
        put(&[1; 100]);
        assert!(all.finds("two").is_empty());
        all.keeps("one");
        assert_eq!(all.finds("three").len(), 2);
        put(&[7; LARGE]);
        assert!(all.kept.forget_if_damaged());
        assert!(all.finds("four").is_empty() && all.folders() == 0);
    }

    #[test]
    fn what_the_killed_have_left_goes_with_the_next_that_keeps() {
        let all = Actors::new();
        all.compiles("one", "a", 1);
        all.keeps("one");
        for left in [".draft-x/deps", "0/deps", ".draft-removed-4/deps"] {
            fs::create_dir_all(all.kept.0.join(left)).unwrap();
        }
        all.keeps("one");
        assert_eq!((all.folders(), all.finds("two").len()), (1, 2));
    }
}
