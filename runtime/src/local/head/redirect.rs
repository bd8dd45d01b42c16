//! The output of workers in files instead of cells: `redirect_output`.
//!
//! ```text
//!   <session folder>/logs/worker-<pid>.out, .err        what it writes now, up to ROTATE_BYTES
//!                         worker-<pid>.out.1, .err.1    what it wrote before that
//! ```
//!
//! The files end with the session's folder.

use crate::local::Stream;
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A file as long as this is put aside, and the one before it removed.
const ROTATE_BYTES: u64 = 16 << 20;

/// The files of all workers.
#[derive(Debug)]
pub(super) struct Redirect {
    folder: PathBuf,
    files: HashMap<(u32, Stream), (File, u64)>,
}

impl Redirect {
    /// Files in the session's folder.
    pub fn new(session: &Path) -> Redirect {
        Redirect { folder: session.join("logs"), files: HashMap::new() }
    }

    /// Adds text to a worker's file.
    ///
    /// # Errors
    /// The disk is full, or the folder is gone.
    pub fn write(&mut self, pid: u32, stream: Stream, text: &str) -> std::io::Result<()> {
        let path = self.path(pid, stream);
        let key = (pid, stream);
        if self.files.get(&key).is_some_and(|(_, written)| *written >= ROTATE_BYTES) {
            self.files.remove(&key);
            fs::rename(&path, path.with_added_extension("1"))?;
        }
        if !self.files.contains_key(&key) {
            DirBuilder::new().mode(0o700).recursive(true).create(&self.folder)?;
            let file = File::options().append(true).create(true).open(&path)?;
            let written = file.metadata()?.len();
            self.files.insert(key, (file, written));
        }
        if let Some((file, written)) = self.files.get_mut(&key) {
            file.write_all(text.as_bytes())?;
            *written += text.len() as u64;
        }
        Ok(())
    }

    /// Closes the files of a worker that is gone.
    pub fn close(&mut self, pid: u32) {
        self.files.retain(|(of, _), _| *of != pid);
    }

    fn path(&self, pid: u32, stream: Stream) -> PathBuf {
        self.folder.join(format!("worker-{pid}.{}", if stream == Stream::Stdout { "out" } else { "err" }))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_put_aside_and_only_one_is_kept() {
        let session = tempfile::tempdir().unwrap();
        let mut redirect = Redirect::new(session.path());
        let lines = "a line of text\n".repeat(1 << 16);
        let enough = 3 * ROTATE_BYTES / lines.len() as u64;
        (0..enough).for_each(|_| redirect.write(7, Stream::Stdout, &lines).unwrap());
        redirect.write(7, Stream::Stderr, "oh\n").unwrap();
        redirect.close(7);
        redirect.write(7, Stream::Stderr, "again\n").unwrap();
        let len = |name: &str| fs::metadata(session.path().join("logs").join(name)).unwrap().len();
        assert!(len("worker-7.out.1") >= ROTATE_BYTES && len("worker-7.out") <= ROTATE_BYTES + lines.len() as u64);
        assert_eq!(fs::read_to_string(session.path().join("logs/worker-7.err")).unwrap(), "oh\nagain\n");
        assert_eq!(fs::read_dir(session.path().join("logs")).unwrap().count(), 3);
    }
}
