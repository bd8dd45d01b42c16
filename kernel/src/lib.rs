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
//! [`run`] is the whole kernel; [`install`] makes Jupyter find it. Nothing is printed: stdout and stderr belong to
//! whoever started the process, and what there is to say goes to `tracing`.
//!
//! # Invariants
//! - No message ends the kernel, however malformed; only a shutdown request, a signal or the end of its parent does.
//! - `kernel_info` is answered from the first moment, whatever the evaluator is doing.
//! - Each request is busy, outputs, reply, idle, in this order; everything that it causes names it as its parent.

mod analysis;
mod answers;
mod cells;
mod comms;
mod connection;
mod control;
mod cursor;
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

/// At the end, what was said last has this long to reach the clients.
const FAREWELL_WAIT_MAX: Duration = Duration::from_secs(1);
/// At the end, the evaluator has this long to end its processes. Jupyter kills a kernel after five seconds.
const EVALUATOR_WAIT_MAX: Duration = Duration::from_secs(3);
/// The evaluator parses Rust, and deep nesting takes deep stacks.
const CELLS_STACK_BYTES: usize = 64 << 20;

/// Why a kernel did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The file that Jupyter gave is of no use.
    #[error(transparent)]
    ConnectionFile(#[from] ConnectionFileError),
    /// A port is taken, or an address is not ours.
    #[error("cannot listen for {channel} at {endpoint}")]
    Bind {
        /// `shell`, `iopub`, …
        channel: &'static str,
        /// Where, as ZeroMQ writes it.
        endpoint: String,
        /// Why.
        source: std::io::Error,
    },
    /// The system gives no threads, signals or the like.
    #[error("cannot start the kernel's threads")]
    Threads(#[from] std::io::Error),
}

/// Serves the front end that the connection file describes, until it asks for the end.
///
/// `start` is called once, on this thread, with the sink for the evaluator's events; requests are answered already
/// while it runs. The sink may block its caller when the front ends do not keep up, so it must not be called on an
/// async runtime's thread.
///
/// When this returns, the evaluator has been told to shut down, but a cell that does not let itself be ended may still
/// run on its thread: the caller is expected to end the process.
///
/// # Errors
/// The connection file is of no use, or its ports cannot be bound.
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

/// The kernel without the process around it.
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
    // Only set here.
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
            // Waited for, so that a socket's file is gone with it.
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

    // All are bound before any is served: a client that reaches one can reach all.
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
    tokio::spawn(shell::serve(kernel.clone(), shell_messages, shell::Desks { turns, turns_sent, questions }));
    tokio::spawn(control::serve(kernel.clone(), control_messages));
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

/// Lets what was said last reach whoever listens, and releases whoever waits.
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
