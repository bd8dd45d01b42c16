//! The requests of a session, as they are made and as they are written.

use super::error::RayError;
use super::proto::client_task::RemoteExecType;
use super::proto::data_request::Type as Ask;
use super::proto::{ClientTask, DataRequest, PutRequest};
use super::reference::Ref;
use super::value::Value;
use bytes::{Bytes, BytesMut};
use std::time::Duration;

/// Values are sent in pieces of at most this.
pub(super) const CHUNK_BYTES: usize = 5 << 20;

/// A call of a function, a class or a method.
#[derive(Debug)]
pub struct Schedule<'a> {
    /// What is called.
    pub kind: Kind,
    /// The function or the class, which was put, or the actor.
    pub target: &'a Ref,
    /// The name that Ray's tools show.
    pub name: &'a str,
    /// The arguments. A reference that is one itself is replaced by its value before the call.
    pub args: Vec<Value>,
    /// Ray's options of this call. Without any, the cluster does less.
    pub options: Vec<(String, Value)>,
    /// The options of the function or the class. Those of its first call in a session are taken.
    pub baseline: Vec<(String, Value)>,
    /// How many objects the call gives. One of [`Kind::NewActor`] gives the actor.
    pub returns: u32,
}

/// What is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A function.
    Task,
    /// A class, whose instance is an actor.
    NewActor,
    /// An actor's method.
    Method(String),
}

/// A question to a cluster, which answers in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Info {
    /// The nodes, as `ray.nodes()` gives them.
    Nodes,
    /// All resources and their amounts.
    ClusterResources,
    /// The resources that are free, and their amounts.
    AvailableResources,
    /// The events of Ray's timeline.
    Timeline,
    /// The dashboard's URL.
    DashboardUrl,
    /// The session's job, node and namespace.
    RuntimeContext,
    /// The names of actors, in this namespace or in all.
    NamedActors {
        /// In all namespaces, with those.
        everywhere: bool,
    },
}

/// A piece of output of a session's tasks. Ray has put the task's name and process before each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Of standard error.
    pub is_error: bool,
    /// The text, with its ends of lines.
    pub text: String,
}

/// A function of the engine that is told something, once, in the session's thread. It must not block.
pub(super) struct Done<T>(pub Box<dyn FnOnce(Result<T, RayError>) + Send>);

impl<T> Done<T> {
    pub(super) fn tell(self, result: Result<T, RayError>) {
        guarded(|| (self.0)(result));
    }
}

/// Calls a function of the engine. A panic of it ends only the call: the session is everybody's.
pub(super) fn guarded(call: impl FnOnce()) {
    // What the function has half changed is the engine's, which knows of the panic by its hook.
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err() {
        tracing::error!("a function that a session called has panicked");
    }
}

/// A request that is not yet written.
pub(super) enum Work {
    Put(Value),
    Schedule {
        kind: Kind,
        target: Ref,
        name: String,
        args: Vec<Value>,
        options: Vec<(String, Value)>,
        baseline: Vec<(String, Value)>,
    },
    Get {
        get: Get,
        /// Many of its kind may come together.
        is_small: bool,
    },
    Wait(Wait),
    Cancel {
        of: Ref,
        force: bool,
        recursive: bool,
    },
    Kill {
        actor: Ref,
        no_restart: bool,
    },
    NamedActor {
        name: String,
        namespace: Option<String>,
        actor: Ref,
        done: Done<Ref>,
    },
    NamedActors {
        everywhere: bool,
        done: Done<String>,
    },
}

/// A value that is wanted. The reference is held until it is there, so that nothing releases it before.
pub(super) struct Get {
    pub of: Ref,
    pub done: Done<Value>,
}

/// A question which of some references are ready.
pub(super) struct Wait {
    pub of: Vec<Ref>,
    pub returns: usize,
    pub until: Option<tokio::time::Instant>,
    pub done: Done<Vec<usize>>,
}

impl Work {
    /// Answers whoever waits for it that it will not be done.
    pub(super) fn fail(self, why: RayError) {
        match self {
            Work::Get { get, .. } => get.done.tell(Err(why)),
            Work::Wait(wait) => wait.done.tell(Err(why)),
            Work::NamedActor { done, .. } => done.tell(Err(why)),
            Work::NamedActors { done, .. } => done.tell(Err(why)),
            // Nobody is told but the references, which know.
            Work::Put(_) | Work::Schedule { .. } => {}
            Work::Cancel { .. } | Work::Kill { .. } => tracing::debug!(%why, "nothing was cancelled or killed"),
        }
    }
}

/// A request as it is written, once or again.
pub(super) enum Wire {
    One(Ask),
    Put(Vec<Bytes>),
    Task(Box<ClientTask>, Vec<Bytes>),
}

impl Wire {
    /// The messages of the request `req`. What is large is shared and not copied.
    pub(super) fn messages(&self, req: i32) -> Vec<DataRequest> {
        let message = |ask| DataRequest { req_id: req, r#type: Some(ask) };
        match self {
            Wire::One(ask) => vec![message(ask.clone())],
            Wire::Put(chunks) => {
                let total_chunks = count(chunks);
                let total_size = chunks.iter().map(Bytes::len).sum::<usize>() as i64;
                let put = |(chunk_id, data): (i32, &Bytes)| {
                    message(Ask::Put(PutRequest { data: data.clone(), chunk_id, total_chunks, total_size }))
                };
                (0..).zip(chunks).map(put).collect()
            }
            Wire::Task(task, chunks) => {
                let total_chunks = count(chunks);
                let piece = |(chunk_id, data): (i32, &Bytes)| {
                    message(Ask::Task(ClientTask {
                        data: data.clone(),
                        chunk_id,
                        total_chunks,
                        ..ClientTask::clone(task)
                    }))
                };
                (0..).zip(chunks).map(piece).collect()
            }
        }
    }
}

fn count(chunks: &[Bytes]) -> i32 {
    i32::try_from(chunks.len()).expect("at most 2^31 chunks")
}

/// Joins what is small and cuts what is large, so that each piece is one message. Only what is joined is copied.
pub(super) fn chunks(pieces: Vec<Bytes>) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    let mut open = BytesMut::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let is_large = piece.len() >= CHUNK_BYTES / 4;
            if open.is_empty() && is_large {
                chunks.push(piece.split_to(piece.len().min(CHUNK_BYTES)));
            } else if is_large || open.len() + piece.len() > CHUNK_BYTES {
                chunks.push(open.split().freeze());
            } else {
                open.extend_from_slice(&piece);
                break;
            }
        }
    }
    if !open.is_empty() {
        chunks.push(open.freeze());
    }
    chunks
}

impl Kind {
    pub(super) fn wire(&self) -> RemoteExecType {
        match self {
            Kind::Task => RemoteExecType::Function,
            Kind::NewActor => RemoteExecType::Actor,
            Kind::Method(_) => RemoteExecType::Method,
        }
    }
}

/// A time to wait that Ray takes: seconds, or -1 for ever.
pub(super) fn seconds(time: Option<Duration>) -> f64 {
    time.map_or(-1.0, |time| time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_panics_ends_only_its_call() {
        Done(Box::new(|_: Result<(), RayError>| panic!("as asked"))).tell(Ok(()));
    }

    #[test]
    fn pieces_become_chunks_that_share_what_is_large() {
        let large = Bytes::from(vec![7; 12 << 20]);
        let pieces =
            vec![Bytes::from_static(b"head"), large.clone(), Bytes::from_static(b"a"), Bytes::from_static(b"b")];
        let whole = pieces.concat();
        let chunks = chunks(pieces);
        assert_eq!(chunks.iter().map(Bytes::len).collect::<Vec<_>>(), [4, 5 << 20, 5 << 20, 2 << 20, 2]);
        assert_eq!(chunks[1].as_ptr(), large.as_ptr());
        assert_eq!(chunks.concat(), whole);
        assert_eq!(super::chunks(vec![Bytes::from(vec![1; 1000]); 6000]).len(), 2);
    }
}
