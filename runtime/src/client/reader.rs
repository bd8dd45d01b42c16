//! A process that looks at a runtime and takes no part in it: the web page, the line of a cell's tasks, `mobula status`.

use super::connect::ConnectError;
use super::{Client, Fallible};
use crate::abi::{Answer, Question};
use crate::protocol::{Role, SessionId};
use std::path::Path;

/// A connection that asks. A process may have several, beside the client that its calls go through.
///
/// Tables of tasks and objects are read from shared memory, so that looking ten times a second holds nobody up.
pub struct Reader(pub(super) Client);

impl Reader {
    /// Connects to the runtime that listens on this socket.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(socket: &Path) -> Result<Reader, ConnectError> {
        Client::connect(socket, Role::Program, SessionId::OWNER, None).map(Reader)
    }

    /// Asks the runtime.
    ///
    /// # Errors
    /// [`crate::abi::Fault`]: the runtime is gone, or refuses the question.
    pub fn ask(&self, question: Question) -> Fallible<Answer> {
        self.0.question(question)
    }
}
