//! The control socket: requests that must not wait for the running cell.

use crate::answers;
use crate::kernel::{Channel, Kernel};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Serves the socket until the kernel ends.
pub(crate) async fn serve(kernel: Arc<Kernel>, mut messages: mpsc::Receiver<Vec<Bytes>>) {
    while let Some(frames) = messages.recv().await {
        let request = match kernel.wire.decode(frames) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%error, "ignored on control");
                continue;
            }
        };
        let Some(request) = answers::at_once(&kernel, Channel::Control, request) else { continue };
        match &*request.msg_type {
            "shutdown_request" => answers::shut_down(&kernel, Channel::Control, &request),
            _ => answers::unknown(&kernel, Channel::Control, &request),
        }
    }
}
