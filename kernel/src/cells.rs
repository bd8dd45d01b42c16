//! The cells thread: runs cells and other ordered shell requests one at a time, in order of arrival.
//!
//! ```text
//! busy ─▶ execute_input ─▶ outputs ─▶ execute_result | error ─▶ (all written) ─▶ execute_reply ─▶ idle
//! ```
//!
//! # Invariants
//! - A failed cell that is not silent publishes exactly one `error` message; its reply has the same words.
//! - Every request gets a busy status, a reply and an idle status, even if it is aborted, malformed, or hits our own
//!   bug.
//! - When a cell fails and its request has `stop_on_error`, execute requests already waiting are aborted; later ones
//!   run.

use crate::answers;
use crate::comms;
use crate::debug::Needs;
use crate::history::History;
use crate::kernel::{Channel, Kernel, refusal};
use crate::routes::{Route, bundle_content};
use crate::wire::{Draft, Request, timestamp, typed};
use jupyter_protocol::{ExecuteRequest, JupyterMessageContent};
use mobula_session::{Bundle, CellError, Evaluator, Outcome, Phase};
use serde_json::{Map, Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use tokio::sync::mpsc;

/// A request that waits for the cells thread.
pub(crate) struct Turn {
    /// Its sequence number in the queue.
    pub(crate) number: u64,
    /// The request itself.
    pub(crate) request: Request,
}

/// State of the thread that takes the turns.
pub(crate) struct Cells {
    kernel: Arc<Kernel>,
    turns_sent: Arc<AtomicU64>,
    history: History,
    /// Execute requests with a number below this are aborted.
    abort_below: u64,
    /// Evaluator cells without an execution count: silent ones, unstored ones, and `user_expressions`.
    uncounted: u64,
}

/// The outcome of a cell.
struct Ran {
    result: Result<(), CellError>,
    value: Option<Bundle>,
    pages: Vec<Bundle>,
    phases: Vec<Phase>,
}

impl Cells {
    /// `turns_sent` counts the requests that have been put into the queue.
    pub(crate) fn new(kernel: Arc<Kernel>, turns_sent: Arc<AtomicU64>) -> Cells {
        Cells { kernel, turns_sent, history: History::default(), abort_below: 0, uncounted: 0 }
    }

    /// Serves the queued requests until the kernel ends.
    pub(crate) fn serve(mut self, mut turns: mpsc::Receiver<Turn>) {
        while let Some(Turn { number, request }) = turns.blocking_recv() {
            match &*request.msg_type {
                "execute_request" => {
                    self.execute_request(number, &request);
                }
                "debug_request" => self.debug_request(&request),
                "history_request" => {
                    let content = match typed(&request.msg_type, request.content.clone()) {
                        Ok(JupyterMessageContent::HistoryRequest(ask)) => {
                            json!({"status": "ok", "history": self.history.answer(&ask)})
                        }
                        Ok(_) => unreachable!("`typed` keeps the type of a history_request"),
                        Err(error) => refusal("BadRequest", error),
                    };
                    self.kernel.answer(Channel::Shell, &request, content);
                }
                "comm_open" | "comm_msg" | "comm_close" => comms::run_callbacks(&self.kernel, &request),
                "shutdown_request" => answers::shut_down(&self.kernel, Channel::Shell, &request),
                _ => answers::unknown(&self.kernel, Channel::Shell, &request),
            }
        }
    }

    /// Answers a `debug_request` for which the session must be asked.
    fn debug_request(&mut self, request: &Request) {
        let (kernel, content) = (self.kernel.clone(), Value::Object(request.content.clone()));
        let evaluator = kernel.evaluator();
        // Another request of the queue may have asked for the same.
        let reply = match kernel.debugger.needs(&content, || evaluator.known_variables()) {
            Needs::Nothing(reply) => reply,
            Needs::Variables => kernel.debugger.variables(&content, &evaluator.variables()),
        };
        kernel.answer(Channel::Control, request, reply);
    }

    fn execute_request(&mut self, number: u64, request: &Request) {
        if number < self.abort_below {
            return self.kernel.answer(Channel::Shell, request, json!({"status": "aborted"}));
        }
        let started = SystemTime::now();
        self.kernel.iopub.busy(&request.origin, true);
        let (content, phases) = match typed(&request.msg_type, request.content.clone()) {
            Ok(JupyterMessageContent::ExecuteRequest(ask)) => self.execute(request, &ask),
            Ok(_) => unreachable!("`typed` keeps the type of an execute_request"),
            Err(error) => (refusal("BadRequest", error), Vec::new()),
        };
        // Outputs before the reply: some clients stop reading IOPub once they have the reply.
        let _ = self.kernel.iopub.settle().blocking_recv();
        let phases: Map<String, Value> =
            phases.into_iter().map(|phase| (phase.name, json!(phase.took.as_micros() as f64 / 1000.0))).collect();
        let metadata = json!({"started": timestamp(started), "phases": phases});
        self.kernel.reply_with(Channel::Shell, request, content, metadata);
        self.kernel.iopub.idle(&request.origin);
    }

    /// Runs the cell and publishes its outputs. Returns the reply's content and the phases.
    fn execute(&mut self, request: &Request, ask: &ExecuteRequest) -> (Value, Vec<Phase>) {
        let kernel = self.kernel.clone();
        let evaluator = kernel.evaluator();
        let counts = ask.store_history && !ask.silent;
        let shown = evaluator.next_cell().0.saturating_sub(self.uncounted);
        if !ask.code.trim().is_empty() {
            evaluator.announce();
        }
        if !ask.silent {
            let content = json!({"code": ask.code, "execution_count": shown});
            kernel.iopub.post(&request.origin, Draft::new("execute_input", content));
        }
        let blank = ask.code.trim().is_empty();
        let ran = match blank {
            true => Ran { result: Ok(()), value: None, pages: Vec::new(), phases: Vec::new() },
            false => {
                let route = Route { origin: request.origin.clone(), count: shown, silent: ask.silent };
                let origin = request.cell.as_deref();
                self.run(&*evaluator, &ask.code, origin, route, counts, ask.allow_stdin)
            }
        };
        if counts && !blank {
            let output = ran.value.as_ref().and_then(Bundle::plain).map(str::to_owned);
            self.history.push(shown, ask.code.clone(), output);
        }
        // The execution count of the last cell that counts.
        let count = if counts && !blank { shown } else { shown.saturating_sub(1) };
        let content = match ran.result {
            Ok(()) => {
                let expressions = self.user_expressions(&*evaluator, request, ask);
                let page = |bundle: Bundle| json!({"source": "page", "data": bundle.data, "start": 0});
                let payload: Vec<Value> = ran.pages.into_iter().map(page).collect();
                json!({"status": "ok", "execution_count": count, "payload": payload, "user_expressions": expressions})
            }
            Err(error) => {
                let mut content = error_content(&error);
                if !ask.silent {
                    kernel.iopub.post(&request.origin, Draft::new("error", content.clone()));
                    if ask.stop_on_error {
                        self.abort_below = self.turns_sent.load(Ordering::SeqCst);
                    }
                }
                content["status"] = "error".into();
                content["execution_count"] = count.into();
                content["payload"] = json!([]);
                content["user_expressions"] = json!({});
                content
            }
        };
        (content, ran.phases)
    }

    /// Runs one cell of the evaluator.
    fn run(
        &mut self,
        evaluator: &dyn Evaluator,
        code: &str,
        origin: Option<&str>,
        route: Route,
        counts: bool,
        allow_stdin: bool,
    ) -> Ran {
        let kernel = self.kernel.clone();
        let cell = evaluator.next_cell();
        let reader = allow_stdin.then(|| kernel.stdin.reader(&route.origin));
        // Front ends that have names for cells are notebooks with a person before them: they replace a display that changes. A console
        // does not, and what a program executes and keeps should not tell how fast that was.
        evaluator.watch_tasks(origin.is_some() && !route.silent);
        kernel.routes.open(cell, route);
        let input = reader.as_ref().map(crate::stdin::Reader::input);
        let outcome = catch_unwind(AssertUnwindSafe(|| match origin {
            _ if !counts => evaluator.execute_unstored(code, input),
            Some(origin) => evaluator.execute_again(origin, code, input),
            None => evaluator.execute(code, input),
        }));
        drop(reader);
        let (value, pages) = kernel.routes.close();
        if !counts {
            self.uncounted += evaluator.next_cell().0.saturating_sub(cell.0);
        }
        let Outcome { result, phases, .. } = outcome.unwrap_or_else(|panic| {
            // A panic here is our bug, and must not end the notebook's session.
            let said =
                panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            let value = format!("bug: the kernel panicked while it ran the cell: {}", said.unwrap_or("no message"));
            let error = CellError { name: "SessionError".into(), plain: value.clone(), ansi: value.clone(), value };
            Outcome { cell, result: Err(error), phases: Vec::new(), exit: None }
        });
        Ran { result, value, pages, phases }
    }

    /// Evaluates the request's `user_expressions` after the cell: each gives its value, or its error.
    fn user_expressions(&mut self, evaluator: &dyn Evaluator, request: &Request, ask: &ExecuteRequest) -> Value {
        let mut expressions: Vec<_> = ask.user_expressions.iter().flatten().collect();
        expressions.sort();
        let mut values = Map::new();
        for (name, expression) in expressions {
            let route = Route { origin: request.origin.clone(), count: 0, silent: true };
            let ran = self.run(evaluator, expression, None, route, false, false);
            let value = match ran.result {
                Ok(()) => {
                    let shown = bundle_content(ran.value.unwrap_or_else(|| Bundle::text("()")));
                    json!({"status": "ok", "data": shown["data"], "metadata": shown["metadata"]})
                }
                Err(error) => {
                    let mut content = error_content(&error);
                    content["status"] = "error".into();
                    content
                }
            };
            values.insert(name.clone(), value);
        }
        Value::Object(values)
    }
}

fn error_content(error: &CellError) -> Value {
    json!({"ename": error.name, "evalue": error.value, "traceback": error.traceback()})
}
