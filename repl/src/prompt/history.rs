//! The history file: its place and its permissions.

use mobula_session::home::variable;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The most entries that are kept.
pub(crate) const ENTRIES_MAX: usize = 10_000;

/// Where the history is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HistoryChoice {
    /// `$XDG_STATE_HOME/mobula/history`, or `~/.local/state/mobula/history`.
    #[default]
    Default,
    /// In this file.
    File(PathBuf),
    /// Nowhere: the history is forgotten when the session ends.
    Off,
}

impl HistoryChoice {
    /// The history file, if there is to be one. The default place needs `HOME` or `XDG_STATE_HOME`.
    ///
    /// ```
    /// use mobula_repl::HistoryChoice;
    /// assert_eq!(HistoryChoice::Off.path(), None);
    /// ```
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            HistoryChoice::Default => default_path(variable),
            HistoryChoice::File(path) => Some(path.clone()),
            HistoryChoice::Off => None,
        }
    }
}

/// The default file. The XDG specification says to ignore a path that is not absolute.
fn default_path(env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("mobula/history"))
}

/// Makes the folder of the history file, for its owner alone. The line editor makes the file itself, with mode 0600.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| DirBuilder::new().recursive(true).mode(0o700).create(folder))
}

/// The last `count` entries, numbered, for `:history`.
pub(crate) fn list(entries: &[String], count: usize) -> String {
    let width = entries.len().to_string().len();
    let indent = format!("\n{}", " ".repeat(width + 2));
    let numbered = (1..).zip(entries).skip(entries.len().saturating_sub(count));
    let lines = numbered.map(|(number, entry)| format!("{number:>width$}  {}", entry.replace('\n', &indent)));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_with(state: Option<&str>, home: Option<&str>) -> Option<PathBuf> {
        default_path(|name| if name == "HOME" { home } else { state }.map(OsString::from))
    }

    #[test]
    fn the_history_is_state_as_xdg_understands_it() {
        assert_eq!(path_with(Some("/s"), Some("/h")), Some("/s/mobula/history".into()));
        assert_eq!(path_with(None, Some("/h")), Some("/h/.local/state/mobula/history".into()));
        assert_eq!(path_with(Some("s"), Some("/h")), Some("/h/.local/state/mobula/history".into()));
        assert_eq!(path_with(None, None), None);
    }

    #[test]
    fn the_list_shows_the_last_entries_and_keeps_their_lines_together() {
        let entries: Vec<String> = (1..=9).map(|n| n.to_string()).chain(["a\nb".to_owned()]).collect();
        assert_eq!(list(&entries, 2), " 9  9\n10  a\n    b");
        assert_eq!(list(&entries, 0), "");
    }
}
