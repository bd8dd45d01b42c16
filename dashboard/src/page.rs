//! A page: started with one call, gone when dropped.

use crate::guard::Guard;
use crate::routes::{Site, routes};
use crate::secret::Secret;
use crate::server;
use crate::source::Source;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// How a page is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The name or address to listen on. Default: this machine alone.
    pub host: Option<String>,
    /// The port. Default: one that is free.
    pub port: Option<u16>,
    /// Whether a Jupyter server may stand between the page and its readers.
    pub is_proxied: bool,
}

/// Why a page was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The page cannot listen there.
    #[error("the web page cannot listen on {host}, port {port}: {source}")]
    Bind {
        /// The name or address.
        host: String,
        /// The port; 0 for any.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system refused something else.
    #[error("the web page cannot {what}: {source}")]
    System {
        /// What was wanted.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A web page that is being served. Dropping it ends its connections.
#[derive(Debug)]
pub struct Page {
    url: String,
    port: u16,
    token: Secret,
    is_open_to_others: bool,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts to serve a page on a thread of its own and returns at once. The source is asked nothing before there is a reader.
///
/// # Errors
/// See [`StartError`].
pub fn start(source: Arc<dyn Source>, options: &Options) -> Result<Page, StartError> {
    let host = options.host.clone().unwrap_or_else(|| Ipv4Addr::LOCALHOST.to_string());
    let wish = options.port.unwrap_or(0);
    let bind = |source| StartError::Bind { host: host.clone(), port: wish, source };
    let system = |what| move |source| StartError::System { what, source };
    let listener = TcpListener::bind((host.as_str(), wish)).map_err(bind)?;
    listener.set_nonblocking(true).map_err(system("watch its socket"))?;
    let address = listener.local_addr().map_err(system("learn its port"))?;
    let (token, cookie) = (Secret::new(), Secret::new());
    let (token, cookie) = (token.map_err(system("make its token"))?, cookie.map_err(system("make its cookie"))?);
    let guard = Guard {
        token: token.clone(),
        cookie,
        cookie_name: format!("mobula-{}", address.port()),
        host: host.clone(),
        is_proxied: options.is_proxied,
    };
    let (end, ended) = oneshot::channel();
    let serve = move || server::serve(listener, || routes(Site::new(source, guard)), ended);
    let thread = std::thread::Builder::new().name("mobula-page".into()).spawn(serve);
    let thread = thread.map_err(system("start its thread"))?;
    // A page that listens everywhere is found here, too.
    let name = if address.ip().is_unspecified() { Ipv4Addr::LOCALHOST.to_string() } else { host };
    let name = if name.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) { format!("[{name}]") } else { name };
    let url = format!("http://{name}:{}/?token={}", address.port(), token.digits());
    Ok(Page {
        url,
        port: address.port(),
        token,
        is_open_to_others: !address.ip().is_loopback(),
        end: Some(end),
        thread: Some(thread),
    })
}

impl Page {
    /// Its address, with the token.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The token in its address.
    pub fn token(&self) -> &str {
        self.token.digits()
    }

    /// Whether other machines reach it. Who has started it says so to the person: the connection is not encrypted.
    pub fn is_open_to_others(&self) -> bool {
        self.is_open_to_others
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
