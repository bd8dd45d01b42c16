//! The path of this program, to start it again.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A path by which this process or a child of it can start this very program, also when its file was replaced or removed since, as an
/// update does. In that case the path is good for as long as this process lives.
pub fn own_program() -> PathBuf {
    let running = Path::new("/proc/self/exe");
    let is_it = |path: &PathBuf| {
        let (Ok(there), Ok(this)) = (path.metadata(), running.metadata()) else { return false };
        (there.dev(), there.ino()) == (this.dev(), this.ino())
    };
    // Not that path in any case: Cargo asks a compiler that it does not know by its path for its version.
    let by_name = std::env::current_exe().ok().filter(is_it);
    by_name.unwrap_or_else(|| format!("/proc/{}/exe", std::process::id()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_whose_file_is_there_has_its_name() {
        assert_eq!(own_program(), std::env::current_exe().unwrap());
    }
}
