//! Answers of a cluster to the requests of a session.

use super::{ACKNOWLEDGE_EVERY, Driver, Pending, Then};
use crate::ray::transport::beside::join;
use crate::ray::transport::bursts::Answered;
use crate::ray::transport::call::Get;
use crate::ray::transport::error::RayError;
use crate::ray::transport::outbox::{Sent, Told};
use crate::ray::transport::pickle;
use crate::ray::transport::proto::data_request::Type as Ask;
use crate::ray::transport::proto::data_response::Type as Answer;
use crate::ray::transport::proto::{AcknowledgeRequest, ClientTaskTicket, DataRequest, GetResponse};
use crate::ray::transport::reference::Key;
use crate::ray::transport::stream::Reply;
use crate::ray::transport::value::Value;
use bytes::Bytes;

impl Driver {
    pub(super) fn answer(&mut self, reply: Reply) {
        let Reply { answer, buffers } = reply;
        let req = answer.req_id;
        match answer.r#type {
            Some(Answer::Get(part)) => self.got(req, part, &buffers),
            Some(Answer::Put(put)) => {
                if let Some(sent) = self.answered(req) {
                    let ids = if put.valid { Ok(vec![put.id]) } else { Err(self.exception(&put.error)) };
                    self.settle(sent.into, ids);
                }
            }
            Some(Answer::TaskTicket(ticket)) => self.ticket(req, ticket),
            Some(Answer::ListNamedActors(list)) => {
                if let Some(Sent { what: Pending { then: Then::NamedActors(done), .. }, .. }) = self.answered(req) {
                    done.tell(Ok(list.actors_json));
                }
            }
            Some(Answer::Release(_) | Answer::Terminate(_) | Answer::ConnectionInfo(_)) => drop(self.answered(req)),
            Some(Answer::Init(_) | Answer::ConnectionCleanup(_)) | None => {}
        }
    }

    /// The request of a complete answer that the cluster keeps until it is acknowledged. Those come in the order of their requests.
    fn answered(&mut self, req: i32) -> Option<Sent<Pending>> {
        let sent = self.outbox.answered(req);
        self.unacknowledged += 1;
        if self.unacknowledged >= ACKNOWLEDGE_EVERY && !self.grace.is_zero() {
            self.unacknowledged = 0;
            let ask = Ask::Acknowledge(AcknowledgeRequest { req_id: req });
            self.outgoing.push_back(DataRequest { req_id: 0, r#type: Some(ask) });
        }
        sent
    }

    fn settle(&mut self, into: Vec<Key>, ids: Result<Vec<Bytes>, RayError>) {
        match ids {
            Ok(ids) => {
                let mut ids = ids.into_iter();
                for key in into {
                    match ids.next() {
                        Some(id) => self.outbox.settle(key, id),
                        None => {
                            self.outbox.fail(key, RayError::here("the call gives fewer objects than were asked for"))
                        }
                    }
                }
            }
            Err(why) => into.into_iter().for_each(|key| self.outbox.fail(key, why.clone())),
        }
        self.fail_what_failed();
    }

    fn ticket(&mut self, req: i32, ticket: ClientTaskTicket) {
        let Some(sent) = self.answered(req) else { return };
        if ticket.valid && self.outbox.told(&ticket.return_ids, sent.position) == Told::Doubtful {
            return self.ask_again(sent);
        }
        let ids = if ticket.valid { Ok(ticket.return_ids) } else { Err(self.exception(&ticket.error)) };
        let failed = ids.as_ref().err().cloned();
        self.settle(sent.into, ids);
        if let Then::NamedActor { actor, done } = sent.what.then {
            done.tell(failed.map_or(Ok(actor), Err));
        }
    }

    fn got(&mut self, req: i32, part: GetResponse, buffers: &[Bytes]) {
        let Some(sent) = self.outbox.peek(req) else { return };
        let Then::Get { parts, .. } = &mut sent.what.then else { return };
        if part.valid && part.chunk_id as usize == parts.len() {
            parts.push(part.data);
        }
        if part.valid && part.chunk_id + 1 < part.total_chunks {
            return;
        }
        let Some(mut sent) = self.outbox.answered(req) else { return };
        let Then::Get { get, parts } = sent.what.then else { return };
        if !part.valid {
            let why = self.exception(&part.error);
            return get.done.tell(Err(why));
        }
        let (value, refs) = self.read(&join(&parts), buffers);
        let ids = refs.iter().map(|(_, id)| id);
        if self.outbox.told(ids, sent.position) == Told::Doubtful {
            sent.what.then = Then::Get { get, parts: Vec::new() };
            return self.ask_again(sent);
        }
        for (key, id) in refs {
            self.outbox.adopt(key, id);
        }
        self.give(get, value.and_then(RayError::check));
    }

    /// Hands out what a get was made for.
    fn give(&self, get: Get, result: Result<Value, RayError>) {
        get.done.tell(match result {
            // An older Ray only tells that the worker died which it killed.
            Err(RayError::WorkerCrashed(_)) if self.cancelled.contains(&get.of.key()) => Err(RayError::Cancelled),
            result => result,
        });
    }

    /// Takes which of the gets that are collected are ready.
    pub(super) fn ready(&mut self, ready: &[usize]) {
        let Answered { fetch, push } = self.bursts.answered(ready);
        if !fetch.is_empty() {
            self.fetch(fetch);
        }
        for get in push {
            if let Some(id) = self.outbox.id(get.of.key()).cloned() {
                self.push(id, get);
            }
        }
    }

    /// Hands out values that came together. What is no plain value is pushed.
    pub(super) fn fetched(&mut self, number: u64, list: Option<Bytes>) {
        let Some(wanted) = self.fetched.remove(&number) else { return };
        // None if one of them has failed: which one, they say one by one.
        let values = match list.map(|list| self.read(&list, &[]).0) {
            Some(Ok(Value::List(values))) => values,
            _ => Vec::new(),
        };
        // Of a reference in one nobody knows whether a release on the stream came after it.
        let mut values = values.into_iter().map(|value| Some(value).filter(|value| !value.has_refs()));
        for (id, get) in wanted {
            match values.next().flatten() {
                Some(value) => self.give(get, RayError::check(value)),
                None => self.push(id, get),
            }
        }
    }

    /// Sends a request once more, because its answer may have crossed a release of what it brought.
    fn ask_again(&mut self, sent: Sent<Pending>) {
        let req = self.outbox.again(sent);
        self.queue_messages(req);
    }

    /// A pickle as a value, and the new keys in it with their ids.
    fn read(&self, data: &Bytes, buffers: &[Bytes]) -> (Result<Value, RayError>, Vec<(Key, Bytes)>) {
        let mut refs = Vec::new();
        let value = pickle::read(data, buffers, &mut |id| {
            let of = self.commands.new_ref();
            refs.push((of.key(), id.clone()));
            of
        });
        let failed = |why| RayError::here(format_args!("what the cluster sent cannot be read: {why}"));
        (value.map_err(failed), refs)
    }

    /// A pickled exception as a failure. References in it are not kept for us.
    fn exception(&self, data: &Bytes) -> RayError {
        match self.read(data, &[]).0 {
            Ok(exception) => RayError::of(exception),
            Err(why) => why,
        }
    }
}
