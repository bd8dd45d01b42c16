//! The folder for spilled objects: one on disk, never on tmpfs.

use super::{Head, refuse};
use crate::client::Fallible;
use crate::local::Config;
use crate::local::folder::Folder;
use std::path::{Path, PathBuf};

/// `TMPFS_MAGIC` and `RAMFS_MAGIC` of `<linux/magic.h>`: file systems whose files are memory.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// The folder that was asked for; else the session's own, unless that is memory and there is one on disk.
pub(super) fn spill_folder(config: &Config, session: &Folder) -> PathBuf {
    let own = session.spill();
    let asked = config.spill_directory.clone();
    asked.unwrap_or_else(|| if is_in_memory(session.path()) { on_disk().unwrap_or(own) } else { own })
}

/// A folder of this person, or of all users, on disk. Files there have no name, so nothing of them is left.
fn on_disk() -> Option<PathBuf> {
    let caches = [("XDG_CACHE_HOME", ""), ("HOME", ".cache")];
    let caches =
        caches.into_iter().filter_map(|(name, below)| Some(PathBuf::from(std::env::var_os(name)?).join(below)));
    let mut folders = caches.chain([PathBuf::from("/var/tmp")]);
    folders.find(|folder| !is_in_memory(folder) && tempfile::tempfile_in(folder).is_ok())
}

fn is_in_memory(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|stat| IN_MEMORY.contains(&stat.f_type))
}

impl Head {
    /// Sets the folder after `init`, which may have named one.
    ///
    /// # Errors
    /// Nothing can be written into the named folder.
    pub(super) fn set_spill_folder(&mut self, config: &Config) -> Fallible<()> {
        if let Some(folder) = &config.spill_directory {
            let works = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
            if let Err(error) = works {
                return refuse(format!("`spill_directory`: nothing can be written in {}: {error}", folder.display()));
            }
        }
        self.spill.set_folder(spill_folder(config, &self.folder));
        Ok(())
    }

    /// Shows once where objects go, if that is not the session's folder.
    pub(super) fn tell_spill_folder(&mut self) {
        let folder = self.spill.folder();
        if std::mem::replace(&mut self.spill_is_told, true) || folder.starts_with(self.folder.path()) {
            return;
        }
        let what = if is_in_memory(folder) { ", which is memory too" } else { "" };
        self.notice(format!("the store is full: unused objects are moved to {}{what}", folder.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_from_disk() {
        let is_tmpfs = |folder: &str| {
            let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
            let mut words = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            words.any(|words| words[1] == folder && words[2] == "tmpfs")
        };
        assert_eq!(is_in_memory(Path::new("/dev/shm")), is_tmpfs("/dev/shm"));
        assert!(!is_in_memory(Path::new("/proc")) && !is_in_memory(Path::new("/no such folder")));
    }

    #[test]
    fn a_folder_that_was_asked_for_is_taken() {
        let session = Folder::create().unwrap();
        let asked = Config { spill_directory: Some("/elsewhere".into()), ..Config::default() };
        assert_eq!(spill_folder(&asked, &session), Path::new("/elsewhere"));
        let folder = spill_folder(&Config::default(), &session);
        assert!(folder.starts_with(session.path()) != is_in_memory(session.path()) || on_disk().is_none());
    }
}
