//! The connection of a session: opened, named and opened again.

use super::connect_error::ConnectError;
use super::options::{Address, ConnectOptions, Tls};
use super::proto::cluster_info_type::TypeEnum;
use super::proto::raylet_data_streamer_client::RayletDataStreamerClient;
use super::proto::raylet_driver_client::RayletDriverClient;
use super::proto::raylet_log_streamer_client::RayletLogStreamerClient;
use super::proto::{ClusterInfoRequest, ClusterInfoResponse, DataRequest};
use super::stream::{Answers, Stream};
use std::error::Error;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

/// The largest message. Values come in pieces of 5 MiB; the rest is what a cluster says of itself.
const MESSAGE_BYTES_MAX: usize = i32::MAX as usize;

/// How much may be under way before the receiver has taken it. A piece of a value and more, so that no piece waits for a round trip.
const WINDOW_BYTES: u32 = 16 << 20;

/// How many requests wait between the session's thread and the connection.
const QUEUE: usize = 16;

/// An attempt to connect ends after this.
const ATTEMPT: Duration = Duration::from_secs(5);

/// A connection without traffic is asked whether it is there, this often and for this long. Both together are less than the usual grace.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Where and as whom a session connects.
#[derive(Clone)]
pub(super) struct Line {
    endpoint: Endpoint,
    at: String,
    token: Option<MetadataValue<Ascii>>,
    is_encrypted: bool,
}

impl Line {
    pub(super) fn new(address: &Address, options: &ConnectOptions) -> Result<Line, ConnectError> {
        let at = address.authority();
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{at}"))
            .map_err(|_| ConnectError::Address { address: format!("ray://{at}"), reason: "its host is none" })?
            .connect_timeout(ATTEMPT)
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let endpoint = match &options.tls {
            Some(tls) => endpoint
                .tls_config(tls_config(tls))
                .map_err(|error| ConnectError::Tls { at: at.clone(), reason: chain(&error) })?,
            None => endpoint,
        };
        let token = match options.token.find() {
            Some(token) => {
                let value = MetadataValue::try_from(format!("Bearer {token}"));
                Some(value.map_err(|_| ConnectError::TokenRefused { at: at.clone() })?)
            }
            None => None,
        };
        Ok(Line { endpoint, at, token, is_encrypted: options.tls.is_some() })
    }

    pub(super) fn at(&self) -> &str {
        &self.at
    }

    /// A new connection, of which nothing is known but that something listens.
    pub(super) async fn connect(&self) -> Result<Channel, ConnectError> {
        let connected = tokio::time::timeout(2 * ATTEMPT, self.endpoint.connect()).await;
        let at = self.at.clone();
        match connected {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) if self.is_encrypted && !is_refused(&error) => {
                Err(ConnectError::Tls { at, reason: innermost(&error) })
            }
            Ok(Err(error)) => Err(ConnectError::Unreachable { at, reason: innermost(&error) }),
            Err(_) => {
                Err(ConnectError::Unreachable { at, reason: format!("no answer in {} s", 2 * ATTEMPT.as_secs()) })
            }
        }
    }

    /// Asks whether Ray's client port is what answers, and lets us in.
    pub(super) async fn greet(&self, channel: &Channel, client: &str) -> Result<(), ConnectError> {
        let at = self.at.clone();
        let mut driver = self.driver(channel);
        let ask = driver.cluster_info(self.request(ClusterInfoRequest { r#type: TypeEnum::Ping.into() }, client));
        let answer: Result<_, Status> = match tokio::time::timeout(2 * ATTEMPT, ask).await {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            // Where all of its threads serve sessions, a head takes a call and leaves it.
            Err(_) => return Err(ConnectError::Silent { at }),
        };
        match answer {
            Ok(ClusterInfoResponse { .. }) => Ok(()),
            Err(status) => Err(self.refusal(&status)),
        }
    }

    /// What a status says at the start of a session.
    pub(super) fn refusal(&self, status: &Status) -> ConnectError {
        let at = self.at.clone();
        match status.code() {
            Code::Unauthenticated if self.token.is_none() => ConnectError::TokenMissing { at },
            Code::Unauthenticated => ConnectError::TokenRefused { at },
            Code::ResourceExhausted => ConnectError::TooManyClients { at },
            Code::Unimplemented => ConnectError::NotRay {
                at,
                found: "it speaks gRPC and does not know sessions; perhaps it is the GCS port".into(),
            },
            _ if status.source().is_some() || status.code() == Code::Internal => {
                ConnectError::NotRay { at, found: format!("it does not speak gRPC: {}", status_text(status)) }
            }
            _ => ConnectError::Refused { at, attempts: 1, reason: status_text(status) },
        }
    }

    /// Opens the stream. `first` is on its way before the cluster says anything, because the cluster waits for it.
    pub(super) async fn open(
        &self,
        channel: &Channel,
        client: &str,
        first: DataRequest,
        reconnecting: bool,
    ) -> Result<Stream, Status> {
        let (requests, queue) = mpsc::channel(QUEUE);
        requests.try_send(first).expect("the queue is new");
        let mut request = self.request(ReceiverStream::new(queue), client);
        let again = if reconnecting { "True" } else { "False" };
        request.metadata_mut().insert("reconnecting", MetadataValue::from_static(again));
        let mut streamer = RayletDataStreamerClient::new(channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let answers = streamer.datapath(request).await?.into_inner();
        Ok(Stream { requests, answers: Answers::Client(Box::new(answers)) })
    }

    /// The calls beside the stream.
    pub(super) fn driver(&self, channel: &Channel) -> RayletDriverClient<Channel> {
        RayletDriverClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The stream of output.
    pub(super) fn logs(&self, channel: &Channel) -> RayletLogStreamerClient<Channel> {
        RayletLogStreamerClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// `message` with the name of the session and the token.
    pub(super) fn request<T>(&self, message: T, client: &str) -> Request<T> {
        let mut request = Request::new(message);
        let metadata: &mut MetadataMap = request.metadata_mut();
        metadata.insert("client_id", client.parse().expect("hexadecimal digits"));
        if let Some(token) = &self.token {
            metadata.insert("authorization", token.clone());
        }
        request
    }
}

fn tls_config(tls: &Tls) -> ClientTlsConfig {
    let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.authority));
    if let Some((certificate, key)) = &tls.identity {
        config = config.identity(Identity::from_pem(certificate, key));
    }
    if let Some(domain) = &tls.domain {
        config = config.domain_name(domain);
    }
    config
}

/// Whether a call that ended so may succeed on another connection. The codes are those that Ray's own client takes for final.
pub(super) fn may_recover(status: &Status) -> bool {
    !matches!(
        status.code(),
        Code::ResourceExhausted
            | Code::InvalidArgument
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::Unauthenticated
            | Code::Unimplemented
    )
}

/// Whether a status comes from the connection, and not from the cluster.
pub(super) fn is_of_connection(status: &Status) -> bool {
    status.source().is_some() || status.code() == Code::Unavailable
}

/// A status in words.
pub(super) fn status_text(status: &Status) -> String {
    let text = match status.source() {
        Some(source) => innermost(source),
        None => status.message().trim().to_owned(),
    };
    if text.is_empty() { status.code().description().to_owned() } else { text }
}

fn is_refused(error: &tonic::transport::Error) -> bool {
    let mut error: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = error {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return io.raw_os_error().is_some();
        }
        error = inner.source();
    }
    false
}

/// The words of the last cause, which is the system's or the library's that failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
        texts.push(error.to_string());
    }
    texts.dedup();
    texts.join(": ")
}
