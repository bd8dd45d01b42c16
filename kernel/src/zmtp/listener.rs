//! A socket's endpoint: a TCP port or a Unix socket.

use super::connection::{Service, run};
use jupyter_protocol::connection_info::Transport;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

/// The pause after a failed accept, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket. Dropping an IPC socket removes its file.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Ipc { listener: UnixListener, path: PathBuf },
}

impl Listener {
    /// Binds `port` at `ip`. For `ipc`, binds the file `{ip}-{port}`, which only its owner can open.
    pub(crate) async fn bind(transport: &Transport, ip: &str, port: u16) -> io::Result<Listener> {
        match transport {
            Transport::TCP => {
                let host = match ip.trim_start_matches('[').trim_end_matches(']') {
                    "" | "*" => "0.0.0.0",
                    host => host,
                };
                Ok(Listener::Tcp(TcpListener::bind((host, port)).await?))
            }
            Transport::IPC => {
                let path = PathBuf::from(format!("{ip}-{port}"));
                // A killed kernel may have left this file behind. A live one cannot have it: the name is this kernel's
                // own.
                if std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.file_type().is_socket()) {
                    std::fs::remove_file(&path)?;
                }
                let listener = UnixListener::bind(&path)?;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
                Ok(Listener::Ipc { listener, path })
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Ipc { path, .. } = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Accepts connections until the task is aborted. A task of its own serves each connection.
pub(crate) fn serve<S: Service>(listener: Listener, service: Arc<S>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let accepted = match &listener {
                Listener::Tcp(tcp) => tcp.accept().await.map(|(stream, _)| {
                    // Nagle's algorithm would delay small replies. A socket that refuses the option still works.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(run(stream, service.clone()));
                }),
                Listener::Ipc { listener, .. } => listener.accept().await.map(|(stream, _)| {
                    tokio::spawn(run(stream, service.clone()));
                }),
            };
            if let Err(error) = accepted {
                tracing::warn!(socket = S::TYPE, %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    })
}
