//! The start of a session: a greeting, `Init` until the cluster has started what serves it, and what it is that answers.
//!
//! A cluster starts a process for each session, and that fails now and then: the process that forks it has threads (the fork fails, or the child does
//! not answer). Such a session cannot be started again, so each attempt has a name of its own.

use super::connect_error::ConnectError;
use super::line::{Line, is_of_connection, status_text};
use super::options::ConnectOptions;
use super::proto::data_request::Type as Ask;
use super::proto::data_response::Type as Answer;
use super::proto::{ConnectionInfoRequest, ConnectionInfoResponse, DataRequest, InitRequest};
use super::server_info::ServerInfo;
use super::stream::Stream;
use bytes::Bytes;
use std::time::{Duration, Instant};
use tonic::Status;
use tonic::transport::Channel;

/// An attempt is given up after this, and the next one made. A cluster that works takes three to five seconds.
const ATTEMPT_MAX: Duration = Duration::from_secs(40);

/// At most so many attempts, each under another name.
const ATTEMPTS_MAX: u32 = 12;

/// A session that was started.
pub(super) struct Started {
    pub client: String,
    pub channel: Channel,
    pub stream: Stream,
    pub server: ServerInfo,
    /// The number of the last request.
    pub req: i32,
}

/// Starts a session, or says why there is none.
pub(super) async fn start(line: &Line, options: &ConnectOptions, job: &Bytes) -> Result<Started, ConnectError> {
    let until = Instant::now() + options.patience;
    let channel = line.connect().await?;
    line.greet(&channel, &name()).await?;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let client = name();
        let attempt = tokio::time::timeout(ATTEMPT_MAX, attempt(line, &channel, &client, options, job)).await;
        let reason = match attempt {
            Ok(Ok((stream, info))) => {
                let server = ServerInfo {
                    ray: info.ray_version,
                    python: info.python_version,
                    commit: info.ray_commit,
                    attempts,
                };
                if server.is_too_old() {
                    return Err(ConnectError::TooOld { at: line.at().into(), version: server.ray });
                }
                return Ok(Started { client, channel, stream, server, req: 2 });
            }
            Ok(Err(Failed::ForGood(error))) => return Err(error),
            Ok(Err(Failed::Once(reason))) => reason,
            Err(_) => format!("no answer in {} s", ATTEMPT_MAX.as_secs()),
        };
        tracing::debug!(attempts, reason, "a session did not start");
        if attempts == ATTEMPTS_MAX || Instant::now() >= until {
            return Err(ConnectError::Refused { at: line.at().into(), attempts, reason });
        }
    }
}

enum Failed {
    /// Another attempt may succeed.
    Once(String),
    ForGood(ConnectError),
}

async fn attempt(
    line: &Line,
    channel: &Channel,
    client: &str,
    options: &ConnectOptions,
    config: &Bytes,
) -> Result<(Stream, ConnectionInfoResponse), Failed> {
    let of_status = |status: Status| match line.refusal(&status) {
        ConnectError::Refused { reason, .. } => Failed::Once(reason),
        _ if is_of_connection(&status) => Failed::Once(status_text(&status)),
        error => Failed::ForGood(error),
    };
    let ended = || Failed::Once("the cluster ended the connection".into());
    let init = InitRequest {
        job_config: config.clone(),
        ray_init_kwargs: "{}".into(),
        reconnect_grace_period: options.grace.as_secs().try_into().unwrap_or(i32::MAX),
    };
    let first = DataRequest { req_id: 1, r#type: Some(Ask::Init(init)) };
    let mut stream = line.open(channel, client, first, false).await.map_err(of_status)?;
    match stream.answers.message().await.map_err(of_status)?.ok_or_else(ended)?.answer.r#type {
        Some(Answer::Init(init)) if init.ok => {}
        Some(Answer::Init(init)) => {
            let reason = last_words(&init.msg);
            return Err(if is_final(&init.msg) {
                Failed::ForGood(ConnectError::Refused { at: line.at().into(), attempts: 1, reason })
            } else {
                Failed::Once(reason)
            });
        }
        _ => return Err(Failed::Once("the first answer was none to `Init`".into())),
    }
    let ask = DataRequest { req_id: 2, r#type: Some(Ask::ConnectionInfo(ConnectionInfoRequest {})) };
    stream.requests.send(ask).await.map_err(|_| ended())?;
    match stream.answers.message().await.map_err(of_status)?.ok_or_else(ended)?.answer.r#type {
        Some(Answer::ConnectionInfo(info)) => Ok((stream, info)),
        _ => Err(Failed::Once("the second answer says nothing of the cluster".into())),
    }
}

/// A new name for a session, in Ray's form.
fn name() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Whether the cluster's answer to `Init` is the same for every attempt: the job or its environment is not what it takes.
fn is_final(message: &str) -> bool {
    ["ray.init()` on the server failed", "Failed to create runtime_env", "Runtime environment doesn't match"]
        .iter()
        .any(|words| message.contains(words))
}

/// The last line of a Python traceback, which says what was wrong.
fn last_words(message: &str) -> String {
    message.trim_end().lines().next_back().unwrap_or_default().trim().to_owned()
}
