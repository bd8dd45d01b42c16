//! Bridges: sessions through a Python program of ours that is a driver of Ray, on this machine or behind `ssh`.
//!
//! ```text
//!   session ──DataRequest──▶ frames.rs ──stdin──▶ bridge.py, in a process of its own ──▶ Ray
//!           ◀─DataResponse── reader.rs ◀─stdout──┘
//! ```
//!
//! A bridge needs no client port, and moves large values at the speed of the pipe: they cross in one piece, and are put into Ray's store and read
//! from it in place. It needs Ray where it runs, of the version of the cluster, and it ends with its connection.
//!
//! The program is sent as text, so nothing is installed where it runs.

mod address;
mod calls;
mod frames;
mod pipes;
mod process;
mod reader;

pub(super) use address::BridgeAddress;
pub(super) use calls::Calls;

use super::connect_error::ConnectError;
use super::options::ConnectOptions;
use super::server_info::ServerInfo;
use super::stream::{Answers, Stream};
use super::value::Value;
use bytes::Bytes;
use frames::Frame;
use process::Process;
use reader::{Greeting, Reader};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// How many requests and answers wait between the session's thread and those that read and write.
const QUEUE: usize = 64;

/// A session that was started.
pub(super) struct Started {
    pub calls: Calls,
    pub stream: Stream,
    pub server: ServerInfo,
}

/// Starts a session for this pickled job.
pub(super) async fn start(
    address: &BridgeAddress,
    options: &ConnectOptions,
    job: Bytes,
) -> Result<Started, ConnectError> {
    let failed = |reason: String| ConnectError::Bridge { command: address.to_string(), reason };
    let (process, ends) = Process::start(address).map_err(|error| failed(error.to_string()))?;
    let process = Arc::new(process);
    let mut unfinished = Unfinished(Some(Arc::clone(&process)));
    let (frames, queue) = mpsc::channel(QUEUE);
    let (greet, greeted) = oneshot::channel();
    let (answer, answers) = mpsc::channel(QUEUE);
    let calls = Calls::new(frames.clone(), Arc::clone(&process));
    pipes::write_in_thread(ends.input, queue)?;
    pipes::read_in_thread(ends.output, Reader::new(&calls, answer, greet), process)?;
    let ours = address.options().iter().map(|(name, value)| (Value::text(name), value.clone())).collect();
    let _ = frames.send(Frame::new("init", vec![Value::Int(1), Value::Dict(ours)], vec![job])).await;
    let greeting = match tokio::time::timeout(options.patience, greeted).await {
        Ok(Ok(greeting)) => greeting,
        Ok(Err(_)) => return Err(failed(calls.last_words().await)),
        Err(_) => return Err(failed(format!("no answer in {} s", options.patience.as_secs()))),
    };
    let server = match greeting {
        Greeting { failure: Some(reason), .. } => return Err(failed(reason)),
        Greeting { ray, python, commit, .. } => ServerInfo { ray, python, commit, attempts: 1 },
    };
    if server.is_too_old() {
        return Err(ConnectError::TooOld { at: address.to_string(), version: server.ray });
    }
    let (requests, from_session) = mpsc::channel(QUEUE);
    tokio::spawn(frames::pump(from_session, frames));
    unfinished.0 = None;
    let stream = Stream { requests, answers: Answers::Bridge(answers) };
    Ok(Started { calls, stream, server })
}

/// A bridge that has not started, and is ended if its start is given up.
struct Unfinished(Option<Arc<Process>>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(process) = self.0.take() {
            process.kill();
            // Waits for its end, so that none is left.
            std::thread::spawn(move || process.end());
        }
    }
}
