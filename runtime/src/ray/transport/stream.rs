//! The stream that is a session, over either transport: numbered requests, and an answer to each.

use super::proto::{DataRequest, DataResponse};
use bytes::Bytes;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

/// Both directions of the stream that is the session.
pub(super) struct Stream {
    pub requests: mpsc::Sender<DataRequest>,
    pub answers: Answers,
}

/// What comes on the stream.
pub(super) enum Answers {
    Client(Box<Streaming<DataResponse>>),
    Bridge(mpsc::Receiver<Result<Reply, Status>>),
}

/// An answer, and the buffers that its pickle names and does not hold.
pub(super) struct Reply {
    pub answer: DataResponse,
    pub buffers: Vec<Bytes>,
}

impl Answers {
    /// The next one; none after the last one.
    pub(super) async fn message(&mut self) -> Result<Option<Reply>, Status> {
        match self {
            Answers::Client(answers) => {
                Ok(answers.message().await?.map(|answer| Reply { answer, buffers: Vec::new() }))
            }
            Answers::Bridge(answers) => answers.recv().await.transpose(),
        }
    }
}
