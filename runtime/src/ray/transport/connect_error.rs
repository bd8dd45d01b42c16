//! The reasons why no session could be started, each with what to do about it.

/// The oldest Ray that takes arguments as a session sends them.
pub(super) const OLDEST_RAY: &str = "2.5";

/// Why no session could be started on a cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// What was given is no address.
    #[error("`{address}` is no address of a Ray cluster: {reason}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody waits for it any more.
    #[error("the start of the session was given up")]
    GivenUp,
    /// No connection.
    #[error(
        "nothing answers at {at}: {reason}; is the cluster running, and is this the client port of its head (10001 unless it was chosen)?"
    )]
    Unreachable {
        /// Host and port.
        at: String,
        /// The system's words.
        reason: String,
    },
    /// Something else listens there.
    #[error(
        "what listens at {at} is not Ray's client port ({found}); that is 10001 unless `ray start --ray-client-server-port` chose another"
    )]
    NotRay {
        /// Host and port.
        at: String,
        /// What is there instead.
        found: String,
    },
    /// Something listens there and says nothing.
    #[error(
        "what listens at {at} takes connections and does not answer: it is not Ray's client port, or its head has as many clients as it takes; end some, or start it with a larger RAY_CLIENT_SERVER_MAX_THREADS"
    )]
    Silent {
        /// Host and port.
        at: String,
    },
    /// The cluster wants a token.
    #[error(
        "the cluster at {at} wants a token, and none was found; set RAY_AUTH_TOKEN, or copy the head's ~/.ray/auth_token to this machine"
    )]
    TokenMissing {
        /// Host and port.
        at: String,
    },
    /// The token is wrong.
    #[error("the cluster at {at} refuses the token; the head prints its own with `ray get-auth-token`")]
    TokenRefused {
        /// Host and port.
        at: String,
    },
    /// Certificates.
    #[error("no encrypted connection to {at}: {reason}")]
    Tls {
        /// Host and port.
        at: String,
        /// What is wrong.
        reason: String,
    },
    /// A bridge did not start.
    #[error("no session through `{command}`: {reason}")]
    Bridge {
        /// What was run.
        command: String,
        /// Its words, or the system's.
        reason: String,
    },
    /// No place for one more session.
    #[error(
        "the cluster at {at} has as many clients as it takes; end one, or start its head with a larger RAY_CLIENT_SERVER_MAX_THREADS"
    )]
    TooManyClients {
        /// Host and port.
        at: String,
    },
    /// The cluster does not start what serves a session.
    #[error("the cluster at {at} did not start a session in {attempts} attempt(s): {reason}")]
    Refused {
        /// Host and port.
        at: String,
        /// How often it was asked.
        attempts: u32,
        /// The cluster's words.
        reason: String,
    },
    /// A Ray that is too old.
    #[error("the cluster at {at} runs Ray {version}, and sessions need {} or newer", OLDEST_RAY)]
    TooOld {
        /// Host and port.
        at: String,
        /// The cluster's.
        version: String,
    },
    /// The wishes cannot be sent.
    #[error("the session's environment cannot be sent: {0}")]
    Options(#[from] super::pickle::WriteError),
    /// This side.
    #[error("a session could not be prepared")]
    Prepare(#[from] std::io::Error),
}
