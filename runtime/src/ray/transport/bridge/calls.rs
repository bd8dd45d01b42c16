//! Questions to a bridge beside the stream: wait, what the cluster says of itself, output.

use super::frames::{Frame, ids_in, text_of};
use super::process::Process;
use crate::ray::transport::proto::cluster_info_response::ResponseType;
use crate::ray::transport::proto::cluster_info_type::TypeEnum;
use crate::ray::transport::proto::{ClusterInfoResponse, LogData, WaitRequest, WaitResponse};
use crate::ray::transport::value::Value;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc, oneshot};
use tonic::Status;

/// Questions to a bridge beside the stream. Its process is killed when the last clone is dropped, if it has not ended.
#[derive(Clone)]
pub(in crate::ray::transport) struct Calls(Arc<Inner>);

struct Inner {
    frames: mpsc::Sender<Frame>,
    number: AtomicI64,
    shared: Arc<Shared>,
    process: Arc<Process>,
}

/// What those who ask and the thread that reads have in common.
#[derive(Default)]
pub(super) struct Shared {
    pub waiting: Mutex<HashMap<i64, Asker>>,
    pub logs: Mutex<Option<mpsc::UnboundedSender<LogData>>>,
    /// How the bridge ended.
    pub ended: Mutex<Option<String>>,
    pub has_ended: Notify,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.process.kill();
    }
}

/// Who waits for the answer to a question.
pub(super) type Asker = oneshot::Sender<Result<Value, Status>>;

pub(super) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Calls {
    pub(super) fn new(frames: mpsc::Sender<Frame>, process: Arc<Process>) -> Calls {
        Calls(Arc::new(Inner { frames, number: AtomicI64::new(0), shared: Arc::default(), process }))
    }

    /// What the thread that reads needs of it, which does not keep the bridge alive.
    pub(super) fn for_reader(&self) -> (Arc<Shared>, mpsc::WeakSender<Frame>) {
        (Arc::clone(&self.0.shared), self.0.frames.downgrade())
    }

    async fn ask(&self, kind: &str, fields: Vec<Value>) -> Result<Value, Status> {
        let number = self.0.number.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        lock(&self.0.shared.waiting).insert(number, tell);
        let fields = std::iter::once(Value::Int(number)).chain(fields).collect();
        let gone = || Status::unavailable("the bridge has ended");
        self.0.frames.send(Frame::new(kind, fields, Vec::new())).await.map_err(|_| gone())?;
        told.await.unwrap_or_else(|_| Err(gone()))
    }

    pub(in crate::ray::transport) async fn wait(&self, ask: WaitRequest) -> Result<WaitResponse, Status> {
        let ids = Value::List(ask.object_ids.into_iter().map(Value::Bytes).collect());
        let answer = self.ask("wait", vec![ids, Value::Int(ask.num_returns), Value::Float(ask.timeout)]).await?;
        let ready_object_ids = ids_in(&answer);
        Ok(WaitResponse { valid: true, ready_object_ids, remaining_object_ids: Vec::new() })
    }

    pub(in crate::ray::transport) async fn info(&self, kind: TypeEnum) -> Result<ClusterInfoResponse, Status> {
        let name = kind.as_str_name().to_lowercase();
        let answer = self.ask("info", vec![Value::Str(name)]).await?;
        let json = text_of(answer);
        Ok(ClusterInfoResponse { r#type: kind.into(), response_type: Some(ResponseType::Json(json)) })
    }

    /// Output, from now on. What was asked for before ends.
    pub(in crate::ray::transport) fn logs(&self) -> mpsc::UnboundedReceiver<LogData> {
        // Without a bound, as the engine takes it at once.
        let (tell, logs) = mpsc::unbounded_channel();
        *lock(&self.0.shared.logs) = Some(tell);
        logs
    }

    /// How the bridge ended, when it has.
    pub(super) async fn last_words(&self) -> String {
        let shared = &self.0.shared;
        let has_ended = shared.has_ended.notified();
        let known = lock(&shared.ended).clone();
        if let Some(words) = known {
            return words;
        }
        has_ended.await;
        lock(&shared.ended).clone().unwrap_or_default()
    }
}
