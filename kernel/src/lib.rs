//! Mobula as a Jupyter kernel: five sockets in front of one [`Evaluator`].
//!
//! ```text
//!              ┌ shell ───▶ sorts ─▶ cells thread ────▶ Evaluator::execute
//!              │                └──▶ analysis thread ─▶ Evaluator::complete, inspect
//! front end ◀─▶┤ control ─▶ interrupt, shutdown, kernel_info: also while a cell runs
//!              │ stdin ◀──▶ questions of the cell
//!              │ iopub ◀── backlog ◀── events of the cells (Sink)
//!              └ heartbeat: echo
//! ```
//!
//! [`run`] is the whole kernel; [`install`] registers it with Jupyter. The kernel prints nothing: stdout and stderr
//! belong to the process that started it, and diagnostics go to `tracing`.
//!
//! # Invariants
//! - No message ends the kernel, however malformed; only a shutdown request, a signal or the death of its parent does.
//! - `kernel_info_request` is answered from the first moment, whatever the evaluator is doing.
//! - Each request causes a busy status, its outputs, its reply and an idle status, in this order. Each of these
//!   messages has the request as its parent.

mod analysis;
mod answers;
mod cells;
mod comms;
mod connection;
mod control;
mod cursor;
mod debug;
mod history;
mod info;
pub mod install;
mod iopub;
mod kernel;
mod lifetime;
mod routes;
mod shell;
mod sockets;
mod stdin;
#[cfg(test)]
mod tests;
mod usage;
mod wire;
mod zmtp;

pub use connection::ConnectionFileError;

use jupyter_protocol::ConnectionInfo;
use kernel::Kernel;
use mobula_session::{Evaluator, Sink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// At shutdown, the last messages have this long to reach the clients.
const FAREWELL_WAIT_MAX: Duration = Duration::from_secs(1);
/// At shutdown, the evaluator has this long to end its processes. Jupyter kills a kernel after five seconds.
const EVALUATOR_WAIT_MAX: Duration = Duration::from_secs(3);
/// The evaluator parses Rust, and deeply nested code needs a deep stack.
const CELLS_STACK_BYTES: usize = 64 << 20;

/// Why a kernel did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The connection file cannot be used.
    #[error(transparent)]
    ConnectionFile(#[from] ConnectionFileError),
    /// A port is taken, or an address is not this machine's.
    #[error("cannot bind the {channel} socket to {endpoint}")]
    Bind {
        /// The socket: `shell`, `iopub`, …
        channel: &'static str,
        /// The endpoint, in ZeroMQ's notation.
        endpoint: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The system refused a thread, a signal handler or the like.
    #[error("cannot start the kernel's threads")]
    Threads(#[from] std::io::Error),
}

/// Serves the front end that the connection file describes, until the kernel is shut down.
///
/// `start` is called once, on this thread, with the sink for the evaluator's events; requests are answered while it
/// runs. The sink may block when the front ends do not keep up, so it must not be called on a thread of an async
/// runtime.
///
/// When this returns, the evaluator has been told to shut down. A cell that cannot be ended may still run on its
/// thread, so the caller is expected to end the process.
///
/// # Errors
/// The connection file cannot be used, or the system refuses a port, a thread or a signal handler.
///
/// ```no_run
/// # fn start(_: mobula_session::Sink) -> mobula_session::Session { unimplemented!() }
/// mobula_kernel::run("connection.json".as_ref(), |sink| start(sink))?;
/// # Ok::<(), mobula_kernel::KernelError>(())
/// ```
pub fn run<E: Evaluator>(connection_file: &Path, start: impl FnOnce(Sink) -> E) -> Result<(), KernelError> {
    let connection = connection::read(connection_file)?;
    serve(connection, start, |kernel| {
        lifetime::take_signals(kernel)?;
        lifetime::follow_parent(kernel)
    })
}

/// The kernel without the process around it, which `prepare` connects.
fn serve<E: Evaluator>(
    connection: ConnectionInfo,
    start: impl FnOnce(Sink) -> E,
    prepare: impl FnOnce(&Arc<Kernel>) -> std::io::Result<()>,
) -> Result<(), KernelError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("mobula-kernel")
        .enable_all()
        .build()?;
    let (kernel, sockets) = runtime.block_on(open(connection))?;
    runtime.block_on(async { prepare(&kernel) })?;

    let for_sink = Arc::downgrade(&kernel);
    let sink: Sink = Arc::new(move |event| {
        if let Some(kernel) = for_sink.upgrade() {
            kernel.routes.deliver(event);
        }
    });
    let evaluator = Arc::new(start(sink));
    // Set only here.
    let _ = kernel.evaluator.set(evaluator.clone());

    runtime.block_on(kernel.stopped());
    runtime.block_on(farewell(&kernel));
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("mobula-end".into()).spawn(move || {
        evaluator.shutdown();
        let _ = ended.send(());
    })?;
    if end.recv_timeout(EVALUATOR_WAIT_MAX).is_err() {
        tracing::warn!("the evaluator has not ended in time");
    }
    runtime.block_on(async {
        for socket in sockets {
            socket.abort();
            // Awaited, so that the socket's file is removed before this returns.
            let _ = socket.await;
        }
    });
    runtime.shutdown_background();
    Ok(())
}

/// Binds the sockets and starts the loops behind them.
async fn open(connection: ConnectionInfo) -> Result<(Arc<Kernel>, Vec<tokio::task::JoinHandle<()>>), KernelError> {
    let info = info::Info::gather();
    let wire = Arc::new(wire::Wire::new(wire::Key::new(&connection.key)));
    let (shell, shell_service, shell_messages) = sockets::Router::new();
    let (control, control_service, control_messages) = sockets::Router::new();
    let (stdin, stdin_service, mut stdin_messages) = sockets::Router::new();
    let (iopub, publisher) = iopub::IoPub::new(wire.clone());

    // All sockets are bound before any is served: a client that reaches one can reach all.
    let at = async |channel, port, endpoint: String| {
        let bound = zmtp::Listener::bind(&connection.transport, &connection.ip, port).await;
        bound.map_err(|source| KernelError::Bind { channel, endpoint, source })
    };
    let shell_listener = at("shell", connection.shell_port, connection.shell_url()).await?;
    let control_listener = at("control", connection.control_port, connection.control_url()).await?;
    let stdin_listener = at("stdin", connection.stdin_port, connection.stdin_url()).await?;
    let iopub_listener = at("iopub", connection.iopub_port, connection.iopub_url()).await?;
    let heartbeat_listener = at("heartbeat", connection.hb_port, connection.hb_url()).await?;
    let listeners = vec![
        zmtp::serve(shell_listener, shell_service),
        zmtp::serve(control_listener, control_service),
        zmtp::serve(stdin_listener, stdin_service),
        zmtp::serve(iopub_listener, publisher),
        zmtp::serve(heartbeat_listener, Arc::new(sockets::Heartbeat)),
    ];

    let kernel = Arc::new(Kernel {
        connection,
        wire: wire.clone(),
        shell,
        control,
        iopub: iopub.clone(),
        stdin: stdin::Stdin::new(wire.clone(), stdin, iopub.clone()),
        routes: routes::Routes::new(iopub),
        info,
        debugger: debug::Debugger::default(),
        evaluator: std::sync::OnceLock::new(),
        stop: watch::Sender::new(false),
    });
    let (turns, turns_in) = mpsc::channel(shell::TURNS_MAX);
    let (questions, questions_in) = mpsc::channel(shell::QUESTIONS_MAX);
    let turns_sent = Arc::new(AtomicU64::new(0));
    let cells = cells::Cells::new(kernel.clone(), turns_sent.clone());
    std::thread::Builder::new()
        .name("mobula-cells".into())
        .stack_size(CELLS_STACK_BYTES)
        .spawn(move || cells.serve(turns_in))?;
    let for_analysis = kernel.clone();
    std::thread::Builder::new()
        .name("mobula-analysis".into())
        .stack_size(CELLS_STACK_BYTES)
        .spawn(move || analysis::serve(&for_analysis, questions_in))?;
    let (usage, usage_in) = mpsc::channel(usage::REQUESTS_MAX);
    let for_usage = kernel.clone();
    std::thread::Builder::new().name("mobula-usage".into()).spawn(move || usage::serve(&for_usage, usage_in))?;
    let desks = control::Desks { turns: turns.clone(), turns_sent: turns_sent.clone(), usage };
    tokio::spawn(control::serve(kernel.clone(), control_messages, desks));
    tokio::spawn(shell::serve(kernel.clone(), shell_messages, shell::Desks { turns, turns_sent, questions }));
    let for_stdin = kernel.stdin.clone();
    tokio::spawn(async move {
        while let Some(frames) = stdin_messages.recv().await {
            match wire.decode(frames) {
                Ok(request) => for_stdin.received(request),
                Err(error) => tracing::warn!(%error, "ignored on stdin"),
            }
        }
    });
    Ok((kernel, listeners))
}

/// Delivers the last messages to the clients, and releases every thread that waits.
async fn farewell(kernel: &Kernel) {
    kernel.stdin.withdraw();
    let all = async {
        let _ = kernel.iopub.settle().await;
        kernel.shell.flush().await;
        kernel.control.flush().await;
    };
    if tokio::time::timeout(FAREWELL_WAIT_MAX, all).await.is_err() {
        tracing::debug!("a client did not read its last messages");
    }
    kernel.iopub.close();
}
