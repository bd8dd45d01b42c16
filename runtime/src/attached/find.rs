//! Finding a runtime that sessions may join, by its address.
//!
//! ```text
//!   mobula-<uid>/session-<pid>-<random>/runtime     what the runtime says of itself; only a shared one has the file
//!                                       lock        held for as long as it lives
//! ```

use crate::abi::ABI_VERSION;
use crate::local::folder::{self, SOCKET, bases, socket_in};
use crate::protocol::PROTOCOL_VERSION;
use rustix::fs::FlockOperation;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The file in the folder of a shared runtime.
const RECORD: &str = "runtime";

/// Why no runtime was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// None is there.
    #[error("no runtime that sessions can join runs on this machine: `mobula start` starts one")]
    None,
    /// That one has ended, or never was.
    #[error("there is no runtime at {}: `mobula status` shows the one that runs", path.display())]
    Gone {
        /// The folder.
        path: PathBuf,
    },
    /// It is a session's own.
    #[error("the runtime at {} is a session's own, which others cannot join: `mobula start` starts one that they can", path.display())]
    NotShared {
        /// The folder.
        path: PathBuf,
    },
    /// It is another user's.
    #[error("the runtime at {} belongs to another user: each user has runtimes of their own", path.display())]
    OtherUser {
        /// The folder.
        path: PathBuf,
    },
    /// It was built from other sources.
    #[error(
        "the runtime at {} is mobula {theirs} and this is mobula {ours}: end it with `mobula stop` and start it with this version",
        path.display()
    )]
    OtherVersion {
        /// The folder.
        path: PathBuf,
        /// Its version.
        theirs: String,
        /// This version.
        ours: String,
    },
    /// The address has another form.
    #[error(
        "{address:?} is no address of a runtime: it is `auto`, or the folder or the socket that `mobula start` prints"
    )]
    Unknown {
        /// The address.
        address: String,
    },
    /// The address is that of another machine.
    #[error(
        "{address:?} is on another machine: a runtime is on one machine, and the address of a Ray cluster begins with `ray://`"
    )]
    OtherMachine {
        /// The address.
        address: String,
    },
}

/// What a shared runtime says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The version of its program, with those of what crosses between processes.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it was started.
    pub began: SystemTime,
    /// The URL of its web page, with its token.
    pub dashboard: Option<String>,
}

impl Record {
    /// That of a runtime of this process.
    pub fn here(dashboard: Option<String>) -> Record {
        Record { version: version(), pid: std::process::id(), began: SystemTime::now(), dashboard }
    }

    /// Writes it into the runtime's folder, which makes the runtime one that others find.
    ///
    /// # Errors
    /// What the system said.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        // Whoever reads it meanwhile reads all of it or nothing.
        let new = folder.join("runtime.new");
        std::fs::write(&new, self.to_string())?;
        std::fs::rename(new, folder.join(RECORD))
    }

    fn read(folder: &Path) -> Option<Record> {
        let text = std::fs::read_to_string(folder.join(RECORD)).ok()?;
        let value = |name: &str| {
            let mut pairs = text.lines().filter_map(|line| line.split_once(" = "));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        Some(Record {
            version: value("version")?,
            pid: value("pid")?.parse().ok()?,
            began: UNIX_EPOCH + Duration::from_secs(value("began")?.parse().ok()?),
            dashboard: value("dashboard"),
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let began = self.began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        writeln!(f, "version = {}\npid = {}\nbegan = {began}", self.version, self.pid)?;
        self.dashboard.iter().try_for_each(|url| writeln!(f, "dashboard = {url}"))
    }
}

/// This program's version, with those of what crosses between processes.
fn version() -> String {
    format!("{} (abi {ABI_VERSION}, protocol {PROTOCOL_VERSION})", env!("CARGO_PKG_VERSION"))
}

/// A runtime that can be joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its folder.
    pub folder: PathBuf,
    /// Where it listens.
    pub socket: PathBuf,
    /// What it says of itself.
    pub record: Record,
}

/// The shared runtimes of this user on this machine, of whatever version: those of `TMPDIR` before those of `/tmp`, newest first.
pub fn shared() -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    for base in bases() {
        let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
        let mut found: Vec<Found> = entries.filter_map(|entry| at(entry.path())).collect();
        found.sort_by_key(|found| std::cmp::Reverse(found.record.began));
        found.retain(|found| !all.contains(found));
        all.extend(found);
    }
    all
}

fn at(folder: PathBuf) -> Option<Found> {
    let record = Record::read(&folder).filter(|_| is_alive(&folder))?;
    Some(Found { socket: socket_in(&folder), folder, record })
}

/// Finds the runtime that an address means: `auto`, or its folder or socket.
///
/// # Errors
/// See [`FindError`].
///
/// ```
/// use mobula_runtime::attached::{FindError, find};
/// assert!(matches!(find("10.0.0.5:6379"), Err(FindError::OtherMachine { .. })));
/// ```
pub fn find(address: &str) -> Result<Found, FindError> {
    if address == "auto" {
        return shared().into_iter().next().ok_or(FindError::None).and_then(fits);
    }
    let path = Path::new(address);
    if !path.is_absolute() {
        let is_remote =
            address.contains("://") || address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = address.to_owned();
        return Err(if is_remote { FindError::OtherMachine { address } } else { FindError::Unknown { address } });
    }
    let folder = if path.file_name().is_some_and(|name| name == SOCKET) { path.parent().unwrap_or(path) } else { path };
    let path = folder.to_owned();
    match std::fs::metadata(folder) {
        Ok(metadata) if !folder::is_ours(&metadata) => Err(FindError::OtherUser { path }),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(FindError::OtherUser { path }),
        Ok(_) if is_alive(folder) => at(path.clone()).ok_or(FindError::NotShared { path }).and_then(fits),
        _ => Err(FindError::Gone { path }),
    }
}

/// Finds the socket of a runtime to look at: as [`find`], but also that of a session of this user. Without an address it is the shared one,
/// or else the session that was started last.
///
/// # Errors
/// See [`FindError`].
pub fn find_to_look_at(address: Option<&str>) -> Result<PathBuf, FindError> {
    match find(address.unwrap_or("auto")) {
        Ok(found) => Ok(found.socket),
        Err(FindError::NotShared { path }) => Ok(socket_in(&path)),
        Err(FindError::None) => newest_session().ok_or(FindError::None),
        Err(error) => Err(error),
    }
}

/// The socket of the session that was started last.
fn newest_session() -> Option<PathBuf> {
    let folders = bases().into_iter().flat_map(|base| std::fs::read_dir(base).into_iter().flatten().flatten());
    let living = folders.map(|entry| entry.path()).filter(|folder| is_alive(folder)).map(|folder| socket_in(&folder));
    let made = living.filter_map(|socket| Some((std::fs::metadata(&socket).ok()?.modified().ok()?, socket)));
    made.max().map(|(_, socket)| socket)
}

fn fits(found: Found) -> Result<Found, FindError> {
    let ours = version();
    if found.record.version == ours {
        return Ok(found);
    }
    Err(FindError::OtherVersion { path: found.folder, theirs: found.record.version, ours })
}

/// Whether the process that owns this folder lives.
fn is_alive(folder: &Path) -> bool {
    let lock = folder::open_lock(folder, rustix::fs::OFlags::empty());
    lock.is_ok_and(|lock| rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err())
}
