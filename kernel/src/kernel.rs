//! State shared by the socket loops: sockets, evaluator, shutdown.

use crate::debug::Debugger;
use crate::info::Info;
use crate::iopub::IoPub;
use crate::routes::Routes;
use crate::sockets::Router;
use crate::stdin::Stdin;
use crate::wire::{Draft, Request, Wire};
use jupyter_protocol::ConnectionInfo;
use mobula_session::Evaluator;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// The running kernel.
pub(crate) struct Kernel {
    pub(crate) connection: ConnectionInfo,
    pub(crate) wire: Arc<Wire>,
    pub(crate) shell: Router,
    pub(crate) control: Router,
    pub(crate) iopub: IoPub,
    pub(crate) stdin: Arc<Stdin>,
    pub(crate) routes: Routes,
    pub(crate) info: Info,
    pub(crate) debugger: Debugger,
    /// Set once the evaluator exists; it may still be starting.
    pub(crate) evaluator: OnceLock<Arc<dyn Evaluator>>,
    /// `true` once the kernel is to end.
    pub(crate) stop: watch::Sender<bool>,
}

/// The socket on which a request came, and on which its reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Requests that may wait for a cell.
    Shell,
    /// Requests that must not wait for a cell.
    Control,
}

impl Kernel {
    /// The evaluator. Blocks until it exists, so only plain threads may call it.
    pub(crate) fn evaluator(&self) -> Arc<dyn Evaluator> {
        self.evaluator.wait().clone()
    }

    /// Sends the reply to a request, with `_reply` in place of `_request` in its type.
    pub(crate) fn reply(&self, channel: Channel, request: &Request, content: Value) {
        self.reply_with(channel, request, content, json!({}));
    }

    /// As [`Kernel::reply`], with metadata.
    pub(crate) fn reply_with(&self, channel: Channel, request: &Request, content: Value, metadata: Value) {
        let Some(subject) = request.msg_type.strip_suffix("_request") else { return };
        let draft = Draft { msg_type: format!("{subject}_reply").into(), content, metadata, buffers: Vec::new() };
        let (_, frames) = self.wire.encode(&request.origin.identities, &request.origin, &draft);
        let router = match channel {
            Channel::Shell => &self.shell,
            Channel::Control => &self.control,
        };
        if !router.send(&frames) {
            tracing::debug!(msg_type = request.msg_type, "the client has gone before its reply");
        }
    }

    /// Sends a reply between a busy and an idle status, for a request that runs no cell.
    pub(crate) fn answer(&self, channel: Channel, request: &Request, content: Value) {
        self.iopub.busy(&request.origin, false);
        self.reply(channel, request, content);
        self.iopub.idle(&request.origin);
    }

    /// Interrupts the running cell, and withdraws its open question.
    pub(crate) fn interrupt(&self) {
        if let Some(evaluator) = self.evaluator.get() {
            evaluator.interrupt();
        }
        self.stdin.withdraw();
    }

    /// Tells the kernel to end.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns once the kernel is to end.
    pub(crate) async fn stopped(&self) {
        // The sender lives in `self`, so this returns only when the condition holds.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }
}

/// The content of an error reply.
pub(crate) fn refusal(name: &str, value: impl std::fmt::Display) -> Value {
    json!({"status": "error", "ename": name, "evalue": value.to_string(), "traceback": []})
}
