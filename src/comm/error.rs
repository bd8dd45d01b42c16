//! Failures of comms.

use crate::abi::Fault;

/// Why a comm could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommError {
    /// There are no front ends: this is a plain program.
    #[error("{message}")]
    NoSession {
        /// Why.
        message: String,
    },
    /// The comm was closed, or too many are open.
    #[error("the comm is closed")]
    Closed,
    /// The data are not JSON of the type that was asked for, or cannot be written as JSON.
    #[error("the data of the comm's message: {message}")]
    Data {
        /// What serde says.
        message: String,
    },
}

impl CommError {
    #[cold]
    pub(super) fn from_fault(fault: Box<Fault>) -> CommError {
        CommError::NoSession {
            message: match *fault {
                Fault::Refused { message } => message,
                Fault::Disconnected { reason } => reason,
                other => format!("{other:?}"),
            },
        }
    }
}
