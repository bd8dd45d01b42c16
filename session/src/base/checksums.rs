//! The checksums of a folder of compiled files.
//!
//! Sizes and times are compared each time a folder is used, which takes a millisecond. Bytes are compared where only a file's time differs,
//! and after a failure that a damaged file would explain: hashing a hundred megabytes takes longer than a session's start.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The name of its file in the folder.
const NAME: &str = "files.json";

/// Size and time of a file. Two of Cargo's copies share them only if one was copied from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    pub bytes: u64,
    seconds: u64,
    nanoseconds: u32,
}

/// Stamp and checksum of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub stamp: Stamp,
    sha256: String,
}

/// Files by their paths in the folder. Names that are not UTF-8 are left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Manifest(pub BTreeMap<String, Entry>);

impl Stamp {
    pub fn of(meta: &Metadata) -> Stamp {
        let since = meta.modified().ok().and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
        let since = since.unwrap_or_default();
        Stamp { bytes: meta.len(), seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
    }
}

impl Entry {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(path: &Path) -> io::Result<Entry> {
        let mut file = File::open(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        Ok(Entry { stamp, sha256: hex::encode(hash.finalize()) })
    }

    fn has_bytes_of(&self, path: &Path) -> bool {
        Entry::of(path).is_ok_and(|there| there.stamp.bytes == self.stamp.bytes && there.sha256 == self.sha256)
    }
}

impl Manifest {
    /// Reads these files and folders in `dir`; one that does not exist has no files.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of(dir: &Path, parts: &[impl AsRef<Path>]) -> io::Result<Manifest> {
        let files = stamps(dir, parts)?;
        let entry = |name: String| Ok((name.clone(), Entry::of(&dir.join(name))?));
        files.into_keys().map(entry).collect::<io::Result<_>>().map(Manifest)
    }

    /// Reads the manifest that was written into `dir`.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn read(dir: &Path) -> io::Result<Manifest> {
        Ok(serde_json::from_slice(&fs::read(dir.join(NAME))?)?)
    }

    /// Writes the manifest and syncs it to the disk.
    ///
    /// # Errors
    /// `dir` cannot be written.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        fs::write(dir.join(NAME), serde_json::to_vec(self)?)?;
        File::open(dir.join(NAME))?.sync_all()
    }

    /// Whether all files have their sizes and times; where only a time differs, their bytes.
    pub fn looks_whole(&self, dir: &Path) -> bool {
        self.0.iter().all(|(name, entry)| {
            let path = dir.join(name);
            fs::metadata(&path).is_ok_and(|meta| {
                let stamp = Stamp::of(&meta);
                stamp == entry.stamp || stamp.bytes == entry.stamp.bytes && entry.has_bytes_of(&path)
            })
        })
    }

    /// Whether all files are there with their bytes.
    pub fn is_whole(&self, dir: &Path) -> bool {
        self.0.iter().all(|(name, entry)| entry.has_bytes_of(&dir.join(name)))
    }

    /// The size of all files together.
    pub fn bytes(&self) -> u64 {
        self.0.values().map(|entry| entry.stamp.bytes).sum()
    }
}

/// Size and time of every file in these parts of `dir`, by path.
///
/// # Errors
/// A folder cannot be read.
pub fn stamps(dir: &Path, parts: &[impl AsRef<Path>]) -> io::Result<BTreeMap<String, Stamp>> {
    let mut found = BTreeMap::new();
    for part in parts {
        let part = dir.join(part);
        if !part.exists() {
            continue;
        }
        for entry in walkdir::WalkDir::new(part) {
            let entry = entry?;
            let name = entry.path().strip_prefix(dir).ok().and_then(Path::to_str);
            if let Some(name) = name.filter(|_| entry.file_type().is_file()) {
                found.insert(name.to_owned(), Stamp::of(&entry.metadata()?));
            }
        }
    }
    Ok(found)
}
