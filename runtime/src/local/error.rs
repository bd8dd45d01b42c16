//! Errors of starting a runtime.

use super::folder::FolderError;
use super::zygote::ZygoteError;
use crate::scheduler::ResourcesError;
use crate::store::RegionError;

/// Why a runtime does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no folder for the session.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// There is no memory for the store.
    #[error(transparent)]
    Store(#[from] RegionError),
    /// The resources make no sense.
    #[error(transparent)]
    Resources(#[from] ResourcesError),
    /// The zygote does not answer.
    #[error(transparent)]
    Zygote(#[from] ZygoteError),
    /// The system refuses something that the head needs.
    #[error("the runtime cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl StartError {
    /// For `map_err`: the system refused to do `what`.
    pub(super) fn system<E: Into<std::io::Error>>(what: &'static str) -> impl FnOnce(E) -> StartError {
        move |source| StartError::System { what, source: source.into() }
    }
}
