//! The person's home folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The home folder of the person who runs this: from `HOME`, else from the password database, as in Cargo. `None` if neither has one.
///
/// ```
/// assert!(mobula_session::home().is_none_or(|home| home.is_absolute()));
/// ```
pub fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}

/// A path that a person wrote, from `folder`; `~/` is the home folder.
pub(crate) fn path_from(folder: &Path, path: &str) -> PathBuf {
    match path.strip_prefix("~/").zip(home()) {
        Some((rest, home)) => home.join(rest),
        None => folder.join(path),
    }
}

/// An environment variable; for `HOME`, the folder that [`home`] finds.
///
/// ```
/// assert_eq!(mobula_session::home::variable("HOME").map(Into::into), mobula_session::home());
/// ```
pub fn variable(name: &str) -> Option<OsString> {
    if name == "HOME" { home().map(PathBuf::into_os_string) } else { std::env::var_os(name) }
}
