//! The person's home folder.

use std::ffi::OsString;
use std::path::PathBuf;

/// The folder of the person who runs this: what `HOME` says, else the password database, as Cargo has it. `None` where that has no entry either.
///
/// ```
/// assert!(mobula_session::home().is_none_or(|home| home.is_absolute()));
/// ```
pub fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}

/// An environment variable, and for `HOME` the folder that [`home`] finds.
///
/// ```
/// assert_eq!(mobula_session::home::variable("HOME").map(Into::into), mobula_session::home());
/// ```
pub fn variable(name: &str) -> Option<OsString> {
    if name == "HOME" { home().map(PathBuf::into_os_string) } else { std::env::var_os(name) }
}
