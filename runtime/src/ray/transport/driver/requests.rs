//! Requests of a session on their way out.

use super::{Command, Driver, Pending, Then};
use crate::ray::transport::beside::{self, Beside, Waited};
use crate::ray::transport::bursts::{Question, Wanted};
use crate::ray::transport::call::{Get, Kind, Wait, Wire, Work, chunks};
use crate::ray::transport::error::RayError;
use crate::ray::transport::outbox::{Next, Ticket};
use crate::ray::transport::pickle;
use crate::ray::transport::proto::client_task::RemoteExecType;
use crate::ray::transport::proto::data_request::Type as Ask;
use crate::ray::transport::proto::terminate_request::{ActorTerminate, TaskObjectTerminate, TerminateType};
use crate::ray::transport::proto::{
    ClientListNamedActorsRequest, ClientTask, GetRequest, ReleaseRequest, TaskOptions, TerminateRequest,
};
use crate::ray::transport::reference::Ref;
use crate::ray::transport::value::Value;
use bytes::Bytes;
use std::sync::Arc;

impl Driver {
    /// Fills what goes out next.
    pub(super) fn write(&mut self, flush: bool) {
        while self.outgoing.is_empty() {
            match self.outbox.next(flush) {
                Some(Next::Request(ticket, work)) => self.write_work(ticket, work),
                Some(Next::Release(ids)) => {
                    let wire = Wire::One(Ask::Release(ReleaseRequest { ids: ids.clone() }));
                    let req = self.outbox.released(&ids, Pending { wire, then: Then::Nothing });
                    self.queue_messages(req);
                }
                None => break,
            }
        }
    }

    fn write_work(&mut self, ticket: Ticket, work: Work) {
        let written = match work {
            Work::Put(value) => self.pickle(&value).map(|pieces| (Wire::Put(chunks(pieces)), Then::Settle)),
            Work::Schedule { kind, target, name, args, options, baseline } => {
                self.task(kind, &target, name, args, options, baseline).map(|wire| (wire, Then::Settle))
            }
            Work::Get { get, is_small } => {
                return match self.outbox.id(get.of.key()).cloned() {
                    Some(id) if is_small => {
                        let pushed = self.bursts.came(&id, get);
                        pushed.into_iter().for_each(|get| self.push(id.clone(), get));
                    }
                    Some(id) => self.push(id, get),
                    None => {
                        let why = self.failure(&get.of);
                        get.done.tell(Err(why));
                    }
                };
            }
            Work::Wait(wait) => return self.wait(wait),
            Work::Cancel { of, force, recursive } => {
                if force {
                    self.cancelled.insert(of.key());
                }
                let terminate = |id| TerminateType::TaskObject(TaskObjectTerminate { id, force, recursive });
                self.terminate(&of, terminate).map(|wire| (wire, Then::Nothing))
            }
            Work::Kill { actor, no_restart } => {
                let terminate = |id| TerminateType::Actor(ActorTerminate { id, no_restart });
                self.terminate(&actor, terminate).map(|wire| (wire, Then::Nothing))
            }
            Work::NamedActor { name, namespace, actor, done } => {
                let task = ClientTask {
                    r#type: RemoteExecType::NamedActor.into(),
                    name,
                    namespace: namespace.unwrap_or_default(),
                    client_id: self.client.clone(),
                    ..ClientTask::default()
                };
                // It has no arguments, which the cluster reads all the same.
                let args = self.pickle(&arguments(Vec::new()));
                args.map(|args| (Wire::Task(Box::new(task), chunks(args)), Then::NamedActor { actor, done }))
            }
            Work::NamedActors { everywhere, done } => {
                let ask = Ask::ListNamedActors(ClientListNamedActorsRequest { all_namespaces: everywhere });
                Ok((Wire::One(ask), Then::NamedActors(done)))
            }
        };
        match written {
            Ok((wire, then)) => {
                let req = self.outbox.sent(ticket, Pending { wire, then });
                self.queue_messages(req);
            }
            Err(why) => {
                self.outbox.unsent(ticket, why);
                self.fail_what_failed();
            }
        }
    }

    /// Has the cluster push a value when it is there.
    pub(super) fn push(&mut self, id: Bytes, get: Get) {
        let wire = Wire::One(Ask::Get(GetRequest { ids: vec![id], asynchronous: true, ..GetRequest::default() }));
        let req = self.outbox.sent(Ticket::default(), Pending { wire, then: Then::Get { get, parts: Vec::new() } });
        self.queue_messages(req);
    }

    /// Asks which of the gets that are collected can be fetched, if it is time.
    pub(super) fn ask_for_ready(&mut self) {
        if let Some(Question { ids, returns }) = self.bursts.next() {
            let (beside, commands) = (self.beside(), Arc::clone(&self.commands));
            tokio::spawn(async move {
                let ready = beside::ready(beside, &ids, returns).await;
                let _ = commands.send(Command::Ready(ready));
            });
        }
    }

    /// Fetches what is ready, together.
    pub(super) fn fetch(&mut self, wanted: Vec<Wanted<Get>>) {
        let (number, beside, commands) = (self.next_fetch, self.beside(), Arc::clone(&self.commands));
        self.next_fetch += 1;
        let ids = wanted.iter().map(|(id, _)| id.clone()).collect();
        self.fetched.insert(number, wanted);
        tokio::spawn(async move {
            let list = beside::values(beside, ids).await;
            let _ = commands.send(Command::Fetched(number, list));
        });
    }

    /// Queues the messages of a request that the outbox has noted.
    pub(super) fn queue_messages(&mut self, req: i32) {
        let sent = self.outbox.peek(req).expect("it was just sent");
        self.outgoing.extend(sent.what.wire.messages(req));
    }

    fn pickle(&self, value: &Value) -> Result<Vec<Bytes>, RayError> {
        let id_of = |of: &Ref| self.outbox.id(of.key()).cloned();
        pickle::write(value, &self.client, &id_of).map(pickle::Pieces::finish).map_err(RayError::here)
    }

    fn options(&self, options: Vec<(String, Value)>) -> Result<Option<TaskOptions>, RayError> {
        if options.is_empty() {
            return Ok(None);
        }
        let options = Value::Dict(options.into_iter().map(|(name, value)| (Value::Str(name), value)).collect());
        // They are read without references: the cluster loads them before it knows whose they are.
        let pieces = pickle::write(&options, &self.client, &|_| None).map_err(RayError::here)?;
        Ok(Some(TaskOptions { pickled_options: pieces.finish().concat().into() }))
    }

    fn task(
        &self,
        kind: Kind,
        target: &Ref,
        name: String,
        args: Vec<Value>,
        options: Vec<(String, Value)>,
        baseline: Vec<(String, Value)>,
    ) -> Result<Wire, RayError> {
        let payload_id = self.outbox.id(target.key()).cloned().ok_or_else(|| self.failure(target))?;
        let r#type = kind.wire().into();
        let name = match kind {
            Kind::Method(method) => method,
            _ => name,
        };
        let task = ClientTask {
            r#type,
            name,
            payload_id,
            client_id: self.client.clone(),
            options: self.options(options)?,
            baseline_options: self.options(baseline)?,
            ..ClientTask::default()
        };
        Ok(Wire::Task(Box::new(task), chunks(self.pickle(&arguments(args))?)))
    }

    fn terminate(&self, of: &Ref, terminate: impl Fn(Bytes) -> TerminateType) -> Result<Wire, RayError> {
        let id = self.outbox.id(of.key()).cloned().ok_or_else(|| self.failure(of))?;
        let terminate_type = Some(terminate(id));
        Ok(Wire::One(Ask::Terminate(TerminateRequest { client_id: self.client.clone(), terminate_type })))
    }

    fn failure(&self, of: &Ref) -> RayError {
        self.outbox.failure(of.key()).cloned().unwrap_or_else(|| RayError::here("the reference is of another session"))
    }

    pub(super) fn beside(&self) -> Beside {
        Beside { state: self.state.subscribe() }
    }

    /// Asks beside the stream.
    fn wait(&mut self, wait: Wait) {
        let waited = |of: &Ref| match self.outbox.id(of.key()) {
            Some(id) => Waited::For(id.clone()),
            None if self.outbox.failure(of.key()).is_some() => Waited::Failed,
            None => Waited::Promised,
        };
        let of: Vec<Waited> = wait.of.iter().map(waited).collect();
        let beside = self.beside();
        tokio::spawn(async move {
            wait.done.tell(beside::wait(beside, &of, wait.returns, wait.until).await);
            // Held until now, so that no release overtakes the question.
            drop(wait.of);
        });
    }
}

/// The arguments of a call, as the cluster reads them: those by place, and none by name.
fn arguments(args: Vec<Value>) -> Value {
    Value::Tuple(vec![Value::Tuple(args), Value::Dict(Vec::new())])
}
