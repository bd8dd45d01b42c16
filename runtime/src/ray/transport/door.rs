//! Calls beside the stream of a session, over either transport.

use super::bridge::Calls;
use super::call::seconds;
use super::line::Line;
use super::proto::cluster_info_type::TypeEnum;
use super::proto::{
    ClusterInfoRequest, ClusterInfoResponse, GetRequest, GetResponse, LogData, LogSettingsRequest, WaitRequest,
    WaitResponse,
};
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// Python's level of logging from which on the cluster tells what it logs itself: nothing.
const NO_LOGGING: i32 = 100;

/// Where calls beside the stream go.
#[derive(Clone)]
pub(super) enum Door {
    Client(Box<ClientDoor>),
    Bridge(Calls),
}

/// A connection to a client port.
#[derive(Clone)]
pub(super) struct ClientDoor {
    pub line: Line,
    pub channel: Channel,
    /// The session's name.
    pub client: String,
}

/// Output of a session's tasks.
pub(super) enum Logs {
    Client {
        logs: Box<Streaming<LogData>>,
        /// Held, because the end of the requests ends the output.
        _settings: mpsc::Sender<LogSettingsRequest>,
    },
    Bridge(mpsc::UnboundedReceiver<LogData>),
}

impl Logs {
    pub(super) async fn message(&mut self) -> Option<LogData> {
        match self {
            Logs::Client { logs, .. } => logs.message().await.ok().flatten(),
            Logs::Bridge(logs) => logs.recv().await,
        }
    }
}

impl Door {
    /// Which of some objects are ready, as soon as `returns` are, or after `time`.
    pub(super) async fn wait(
        &self,
        object_ids: Vec<Bytes>,
        returns: usize,
        time: Duration,
    ) -> Result<WaitResponse, Status> {
        let ask = |client_id| WaitRequest {
            object_ids,
            num_returns: returns as i64,
            timeout: seconds(Some(time)),
            client_id,
        };
        match self {
            Door::Client(door) => {
                let ClientDoor { line, channel, client } = &**door;
                let request = line.request(ask(client.clone()), client);
                Ok(line.driver(channel).wait_object(request).await?.into_inner())
            }
            Door::Bridge(calls) => calls.wait(ask(String::new())).await,
        }
    }

    /// The values of objects that are ready, as the pickle of one list in parts; or, in the last part, the exception of one of them.
    pub(super) async fn values(&self, ids: Vec<Bytes>, time: Duration) -> Result<Vec<GetResponse>, Status> {
        match self {
            Door::Client(door) => {
                let ClientDoor { line, channel, client } = &**door;
                let ask = GetRequest { ids, timeout: time.as_secs_f32(), asynchronous: false, start_chunk_id: 0 };
                let mut answers = line.driver(channel).get_object(line.request(ask, client)).await?.into_inner();
                let mut parts = Vec::new();
                while let Some(part) = answers.message().await? {
                    parts.push(part);
                }
                Ok(parts)
            }
            Door::Bridge(_) => Err(Status::unimplemented("a bridge pushes values")),
        }
    }

    /// What the cluster says of itself.
    pub(super) async fn info(&self, kind: TypeEnum) -> Result<ClusterInfoResponse, Status> {
        match self {
            Door::Client(door) => {
                let ClientDoor { line, channel, client } = &**door;
                let request = line.request(ClusterInfoRequest { r#type: kind.into() }, client);
                Ok(line.driver(channel).cluster_info(request).await?.into_inner())
            }
            Door::Bridge(calls) => calls.info(kind).await,
        }
    }

    /// Output, from now on.
    pub(super) async fn logs(&self) -> Result<Logs, Status> {
        match self {
            Door::Client(door) => {
                let ClientDoor { line, channel, client } = &**door;
                let (settings, queue) = mpsc::channel(1);
                let wish = LogSettingsRequest { enabled: true, loglevel: NO_LOGGING };
                settings.try_send(wish).expect("the queue is new");
                let request = line.request(ReceiverStream::new(queue), client);
                let logs = line.logs(channel).logstream(request).await?.into_inner();
                Ok(Logs::Client { logs: Box::new(logs), _settings: settings })
            }
            Door::Bridge(calls) => Ok(Logs::Bridge(calls.logs())),
        }
    }
}
