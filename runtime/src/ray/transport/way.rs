//! The way to a cluster that an address names, and the start of a session on it.

use super::bridge::{self, BridgeAddress};
use super::connect_error::ConnectError;
use super::door::{ClientDoor, Door};
use super::job_config::job_config;
use super::line::Line;
use super::options::{Address, ConnectOptions};
use super::server_info::ServerInfo;
use super::start;
use super::stream::Stream;

/// A session that was started.
pub(super) struct Started {
    /// Its name at a client port.
    pub client: String,
    pub door: Door,
    pub stream: Stream,
    pub server: ServerInfo,
    /// The number of the last request.
    pub req: i32,
}

/// How a session reaches its cluster.
pub(super) enum Way {
    Client(Box<Line>),
    Bridge(BridgeAddress),
}

impl Way {
    /// The way to this address.
    pub(super) fn new(address: &str, options: &ConnectOptions) -> Result<Way, ConnectError> {
        let wrong = |reason| ConnectError::Address { address: address.into(), reason };
        if let Some(rest) = address.strip_prefix(BridgeAddress::SCHEME) {
            return Ok(Way::Bridge(BridgeAddress::parse(rest).map_err(wrong)?));
        }
        let line = Line::new(&Address::parse(address).map_err(wrong)?, options)?;
        Ok(Way::Client(Box::new(line)))
    }

    /// Starts a session.
    pub(super) async fn start(&self, options: &ConnectOptions) -> Result<Started, ConnectError> {
        let job = job_config(options)?;
        match self {
            Way::Client(line) => {
                let start::Started { client, channel, stream, server, req } = start::start(line, options, &job).await?;
                let door = ClientDoor { line: Line::clone(line), channel, client: client.clone() };
                Ok(Started { client, door: Door::Client(Box::new(door)), stream, server, req })
            }
            Way::Bridge(address) => {
                let bridge::Started { calls, stream, server } = bridge::start(address, options, job).await?;
                Ok(Started { client: String::new(), door: Door::Bridge(calls), stream, server, req: 1 })
            }
        }
    }
}
