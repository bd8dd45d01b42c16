//! The address of a cluster, and how a session on it is wished.

use super::value::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};
use tokio::sync::watch;

/// Ray's client port, where an address names none.
const PORT: u16 = 10001;

/// How a session is wished. [`Default`] asks for nothing in particular.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The namespace of named actors; a new one if there is none.
    pub namespace: Option<String>,
    /// Ray's `runtime_env`: variables, packages, a folder.
    pub runtime_env: Vec<(String, Value)>,
    /// Metadata of the job, which Ray's tools show.
    pub metadata: Vec<(String, String)>,
    /// The word that lets in.
    pub token: Token,
    /// An encrypted connection.
    pub tls: Option<Tls>,
    /// How long the cluster keeps the session after the connection broke. Zero ends it at once.
    pub grace: Duration,
    /// How long [`connect`](super::Session::connect) tries.
    pub patience: Duration,
    /// Ends that before.
    pub given_up: GiveUp,
}

/// A word to a start that nobody waits for any more. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct GiveUp(Arc<watch::Sender<bool>>);

impl GiveUp {
    /// Says it.
    pub fn now(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was said.
    pub fn is_said(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it is said.
    pub(super) async fn said(&self) {
        // The sender is here, so the channel stays open.
        let _ = self.0.subscribe().wait_for(|is_said| *is_said).await;
    }
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions {
            namespace: None,
            runtime_env: Vec::new(),
            metadata: Vec::new(),
            token: Token::Environment,
            tls: None,
            grace: Duration::from_secs(30),
            patience: Duration::from_secs(90),
            given_up: GiveUp::default(),
        }
    }
}

/// Where the cluster's token comes from.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Token {
    /// As Ray looks for it: `RAY_AUTH_TOKEN`, the file that `RAY_AUTH_TOKEN_PATH` names, `~/.ray/auth_token`. None if `RAY_AUTH_MODE` is `disabled`.
    Environment,
    /// No token.
    None,
    /// This one.
    Given(String),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Token::Environment => "Environment",
            Token::None => "None",
            Token::Given(_) => "Given(…)",
        })
    }
}

impl Token {
    pub(super) fn find(&self) -> Option<String> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let read = |path: PathBuf| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let token = match self {
            Token::None => None,
            Token::Given(token) => Some(token.clone()),
            Token::Environment if variable("RAY_AUTH_MODE").is_some_and(|mode| mode == "disabled") => None,
            Token::Environment => variable("RAY_AUTH_TOKEN")
                .or_else(|| variable("RAY_AUTH_TOKEN_PATH").and_then(|path| read(path.into())))
                .or_else(|| variable("HOME").and_then(|home| read(PathBuf::from(home).join(".ray/auth_token")))),
        };
        token.filter(|token| !token.is_empty())
    }
}

/// Certificates in PEM. A cluster with `RAY_USE_TLS=1` wants to see one of the client, too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tls {
    /// Who signs the cluster's certificate.
    pub authority: Vec<u8>,
    /// This side's certificate and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name in the cluster's certificate, if it is not the address.
    pub domain: Option<String>,
}

/// Where a cluster is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Address {
    pub host: String,
    pub port: u16,
}

impl Address {
    /// Reads `ray://host:port`; the reason if it is none.
    pub(super) fn parse(address: &str) -> Result<Address, &'static str> {
        let rest = address.strip_prefix("ray://").ok_or("it does not begin with `ray://`")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            // An address of IPv6.
            Some(rest) => match rest.split_once(']').ok_or("a `]` is missing")? {
                (host, "") => (host, None),
                (host, port) => (host, Some(port.strip_prefix(':').ok_or("a `:` is missing before the port")?)),
            },
            None => match rest.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if host.is_empty() {
            return Err("it names no host");
        }
        if host.contains(['/', '?', '@', ' ']) || (!rest.starts_with('[') && host.contains(':')) {
            return Err("its host is none; `ray://host:10001` is one");
        }
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or("its port is no number from 1 to 65535")?,
            None => PORT,
        };
        Ok(Address { host: host.into(), port })
    }

    /// The host and the port, as a URL has them.
    pub(super) fn authority(&self) -> String {
        let Address { host, port } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_perhaps_a_port() {
        let read = |address: &str| Address::parse(address).map(|address| address.authority());
        assert_eq!(read("ray://head:10002"), Ok("head:10002".into()));
        assert_eq!(read("ray://10.0.0.1"), Ok("10.0.0.1:10001".into()));
        assert_eq!(read("ray://[::1]:7/"), Ok("[::1]:7".into()));
        for bad in
            ["head:10001", "ray://", "ray://:1", "ray://a:b", "ray://a:0", "ray://a:1:2", "ray://a/b", "ray://[::1"]
        {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
