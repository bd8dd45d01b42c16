//! The twins from before earlier cells, by which these can be undone.
//!
//! ```text
//!   former(3)   former(4)   twin(7) ◀── host, which runs the cell after checkpoint 7
//!       └───────────┴─ wait until the host dies or wakes one, and then for the front process to call it
//! ```
//!
//! Between two cells they cost the memory that the cells since have written, and the objects of the store that these have given back.

use super::twin::Twin;

/// How many bytes of its own a process may have of which twins are kept. One twin is kept of it; more of one with a quarter of that.
const BYTES_MAX: u64 = 1 << 30;

/// How many bytes of the store may be kept for twins.
const STORE_BYTES_MAX: u64 = 64 << 20;

/// Those that are children of this process. Those of a dead host wait at the front process.
#[derive(Debug, Default)]
pub struct Formers {
    kept: Vec<(u64, Twin)>,
}

impl Formers {
    /// Keeps the twin with this checkpoint.
    pub fn keep(&mut self, checkpoint: u64, twin: Twin) {
        self.kept.push((checkpoint, twin));
    }

    /// Has the twin with this checkpoint offer itself to the front process, if it is here.
    pub fn wake(&self, checkpoint: u64) {
        self.kept.iter().filter(|(known, _)| *known == checkpoint).for_each(|(_, twin)| twin.wake());
    }

    /// Ends those that are older than this checkpoint.
    pub fn end_before(&mut self, checkpoint: u64) {
        self.kept.extract_if(.., |(known, _)| *known < checkpoint).for_each(|(_, twin)| twin.end());
    }

    /// Forgets them: the host is dead, and each goes on by itself.
    pub fn forget(&mut self) {
        self.kept.clear();
    }
}

/// The oldest checkpoint of which a twin is kept, when something has run. `last` is that of the newest twin that is kept if that was a
/// cell of a person; `oldest` is that of the twins from before; `bytes` of its own a process has, and `held_back` bytes are kept in the
/// store for twins.
///
/// # Errors
/// Why the cell cannot be undone, as the end of a sentence.
pub fn oldest(
    oldest: u64,
    last: Option<u64>,
    bytes: u64,
    held_back: Result<Option<u64>, &'static str>,
) -> Result<u64, String> {
    let mib = |bytes: u64| bytes >> 20;
    match held_back? {
        Some(held) if held > STORE_BYTES_MAX => {
            return Err(format!(
                "it gave back {} MiB of the store, of which up to {} are kept for a cell",
                mib(held),
                mib(STORE_BYTES_MAX)
            ));
        }
        _ if bytes > BYTES_MAX => {
            return Err(format!(
                "its process has {} MiB of memory, and is copied up to {}; large values belong into the store",
                mib(bytes),
                mib(BYTES_MAX)
            ));
        }
        _ => {}
    }
    Ok(last.filter(|_| bytes > BYTES_MAX / 4).unwrap_or(oldest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_kept_of_small_processes_and_of_a_large_one_only_the_last() {
        assert_eq!(oldest(3, Some(7), 40 << 20, Ok(None)), Ok(3));
        assert_eq!(oldest(3, Some(7), 400 << 20, Ok(None)), Ok(7));
        assert_eq!(oldest(3, None, 400 << 20, Ok(None)), Ok(3), "what looks at variables is no cell");
        let why = oldest(3, Some(7), 2 << 30, Ok(None)).unwrap_err();
        assert!(why.starts_with("its process has 2048 MiB of memory, and is copied up to 1024"), "{why}");
    }

    #[test]
    fn what_the_store_keeps_for_twins_has_a_limit_and_what_cannot_come_back_is_told() {
        assert_eq!(oldest(3, Some(7), 0, Ok(Some(1 << 20))), Ok(3));
        let why = oldest(3, Some(7), 0, Ok(Some(80 << 20))).unwrap_err();
        assert_eq!(why, "it gave back 80 MiB of the store, of which up to 64 are kept for a cell");
        assert_eq!(oldest(3, Some(7), 0, Err("it gave back an actor")), Err("it gave back an actor".to_owned()));
    }
}
