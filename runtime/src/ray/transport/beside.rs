//! Calls beside the stream of a session, which change nothing and are made again on another connection: wait, questions about the cluster, output.

use super::call::{Info, Log, guarded};
use super::door::Door;
use super::error::RayError;
use super::line::{is_of_connection, status_text};
use super::proto::WaitResponse;
use super::proto::cluster_info_response::ResponseType;
use super::proto::cluster_info_type::TypeEnum;
use bytes::{Bytes, BytesMut};
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tonic::Status;

/// The cluster waits at most this long at a time, because a thread of it waits.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// How long some of many small objects are waited for.
const BURST_WAIT: Duration = Duration::from_millis(100);

/// Between a call that failed and the next attempt.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// What calls beside the stream need.
#[derive(Clone)]
pub(super) struct Beside {
    pub state: watch::Receiver<State>,
}

/// The connection of a session, as its calls see it.
#[derive(Clone)]
pub(super) enum State {
    Up(Door),
    /// A new one is made.
    Down,
    /// The session has ended; why.
    Ended(String),
}

impl Beside {
    /// The connection, as soon as there is one.
    async fn door(&mut self) -> Result<Door, RayError> {
        let state = self.state.wait_for(|state| !matches!(state, State::Down)).await;
        match state.as_deref() {
            Ok(State::Up(door)) => Ok(door.clone()),
            Ok(State::Ended(reason)) => Err(RayError::SessionEnded(reason.clone())),
            Ok(State::Down) | Err(_) => Err(RayError::SessionEnded("it was closed".into())),
        }
    }

    /// Makes a call, again if it is the connection that fails.
    async fn call<T, F>(&mut self, make: impl Fn(Door) -> F) -> Result<T, RayError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        loop {
            match make(self.door().await?).await {
                Ok(answer) => return Ok(answer),
                Err(status) if is_of_connection(&status) => sleep(AGAIN_AFTER).await,
                Err(status) => return Err(RayError::here(status_text(&status))),
            }
        }
    }
}

/// What is waited for.
pub(super) enum Waited {
    /// The object with this id.
    For(Bytes),
    /// It will have none: it is ready.
    Failed,
    /// It has none yet.
    Promised,
}

/// Waits until `returns` of the objects are ready, or until the time is over. The places of those that are.
pub(super) async fn wait(
    mut beside: Beside,
    of: &[Waited],
    returns: usize,
    until: Option<Instant>,
) -> Result<Vec<usize>, RayError> {
    let id = |waited: &Waited| match waited {
        Waited::For(id) => Some(id.clone()),
        Waited::Failed | Waited::Promised => None,
    };
    let failed = of.iter().filter(|waited| matches!(waited, Waited::Failed)).count();
    // Each once: Ray refuses an object that is named twice.
    let mut seen = HashSet::new();
    let object_ids: Vec<Bytes> = of.iter().filter_map(id).filter(|id| seen.insert(id.clone())).collect();
    let wanted = returns.min(of.len()).saturating_sub(failed);
    let mut ready = HashSet::new();
    let mut num_returns = wanted.clamp(1, object_ids.len().max(1));
    while !object_ids.is_empty() {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let time = if wanted == 0 { Duration::ZERO } else { left.unwrap_or(WAIT_MAX).min(WAIT_MAX) };
        let answer: WaitResponse = beside
            .call(|door| {
                let object_ids = object_ids.clone();
                async move { door.wait(object_ids, num_returns, time).await }
            })
            .await?;
        if !answer.valid {
            return Err(RayError::here("the cluster could not wait for the objects"));
        }
        ready = answer.ready_object_ids.into_iter().collect();
        let count = of.iter().filter_map(id).filter(|id| ready.contains(id)).count();
        if count >= wanted || left.is_some_and(|left| left <= time) {
            break;
        }
        // One that is named twice is ready twice, so fewer were asked for at first than may be needed.
        if ready.len() >= num_returns {
            num_returns = (num_returns + 1).min(object_ids.len());
        }
    }
    let is_ready = |waited: &Waited| match waited {
        Waited::For(id) => ready.contains(id),
        Waited::Failed => true,
        Waited::Promised => false,
    };
    Ok((0..of.len()).filter(|place| is_ready(&of[*place])).collect())
}

/// The cluster's answer to a question, as JSON.
pub(super) async fn info(mut beside: Beside, info: Info) -> Result<String, RayError> {
    let kind = match info {
        Info::Nodes => TypeEnum::Nodes,
        Info::ClusterResources => TypeEnum::ClusterResources,
        Info::AvailableResources => TypeEnum::AvailableResources,
        Info::Timeline => TypeEnum::Timeline,
        Info::DashboardUrl => TypeEnum::DashboardUrl,
        Info::RuntimeContext => TypeEnum::RuntimeContext,
        Info::NamedActors { .. } => unreachable!("it is asked for on the stream"),
    };
    Ok(match beside.call(async |door: Door| door.info(kind).await).await?.response_type {
        Some(ResponseType::Json(json)) => json,
        Some(ResponseType::ResourceTable(table)) => {
            let entries = table.table.into_iter().map(|(name, amount)| (name, amount.into()));
            serde_json::Value::Object(entries.collect()).to_string()
        }
        Some(ResponseType::RuntimeContext(context)) => serde_json::json!({
            "job_id": hex(&context.job_id),
            "node_id": hex(&context.node_id),
            "worker_id": hex(&context.worker_id),
            "namespace": context.namespace,
            "gcs_address": context.gcs_address,
            "session_name": context.session_name,
        })
        .to_string(),
        None => return Err(RayError::here("the cluster's answer is empty")),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hands on the output of the session's tasks until the session ends.
pub(super) async fn logs(mut beside: Beside, tell: Box<dyn Fn(Log) + Send>) {
    while let Ok(door) = beside.door().await {
        if let Ok(mut logs) = door.logs().await {
            while let Some(data) = logs.message().await {
                if matches!(data.level, -1 | -2) {
                    guarded(|| tell(Log { is_error: data.level == -2, text: data.msg }));
                }
            }
        }
        sleep(AGAIN_AFTER).await;
    }
}

/// The places of those objects that are ready, as soon as `returns` are, or after a short time.
pub(super) async fn ready(beside: Beside, ids: &[Bytes], returns: usize) -> Vec<usize> {
    let waited: Vec<Waited> = ids.iter().cloned().map(Waited::For).collect();
    // A question that failed has found nothing.
    wait(beside, &waited, returns, Some(Instant::now() + BURST_WAIT)).await.unwrap_or_default()
}

/// The values of these objects, which are ready, as the pickle of one list. None if one of them failed.
pub(super) async fn values(mut beside: Beside, ids: Vec<Bytes>) -> Option<Bytes> {
    let ask = |door: Door| {
        let ids = ids.clone();
        async move { door.values(ids, WAIT_MAX).await }
    };
    let parts = beside.call(ask).await.ok()?;
    let data: Vec<Bytes> = parts.into_iter().map(|part| part.valid.then_some(part.data)).collect::<Option<_>>()?;
    Some(join(&data))
}

/// The parts of a value in a row. One part is not copied.
pub(super) fn join(parts: &[Bytes]) -> Bytes {
    match parts {
        [part] => part.clone(),
        parts => {
            let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
            parts.iter().for_each(|part| whole.extend_from_slice(part));
            whole.freeze()
        }
    }
}
