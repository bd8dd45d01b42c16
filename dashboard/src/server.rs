//! The server's loop: connections, how many there may be, and how long a silent one is kept.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

/// How many connections there may be. A browser opens six for a page.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take for the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// How long a reader may take nothing of what is sent to it.
const UNREAD_MAX: Duration = Duration::from_secs(30);
/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// How many threads may wait for the source at once.
const WAITERS_MAX: usize = 4;

/// Serves until `ended` resolves. `routes` is called on this thread, within its executor.
pub fn serve(listener: TcpListener, routes: impl FnOnce() -> Router, ended: oneshot::Receiver<()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let executor = builder.enable_all().max_blocking_threads(WAITERS_MAX).thread_name("mobula-page-asks").build();
    let executor = match executor {
        Ok(executor) => executor,
        Err(error) => return tracing::error!(%error, "the page's executor cannot be made"),
    };
    executor.block_on(async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "the page's socket cannot be watched"),
        };
        let accepting = accept(listener, routes());
        tokio::select! {
            () = accepting => {}
            _ = ended => {}
        }
    });
    // A question to a runtime that does not answer is left alone.
    executor.shutdown_background();
}

async fn accept(listener: tokio::net::TcpListener, routes: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let routes = routes.clone();
                tokio::spawn(async move {
                    answer(stream, routes).await;
                    drop(place);
                });
            }
            // A connection that is gone already, or no descriptor left: the next one may be better.
            Err(error) => {
                tracing::debug!(%error, "no connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, routes: Router) {
    let _ = stream.set_nodelay(true);
    let unread_ms = UNREAD_MAX.as_millis() as u32;
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, unread_ms);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).max_buf_size(HEAD_BYTES_MAX).max_headers(64);
    let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes)).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}
