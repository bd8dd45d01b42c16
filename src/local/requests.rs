//! What clients say, and what the head answers.

use super::head::Head;
use super::waits::WaitKey;
use crate::abi::{Failure, Fault};
use crate::protocol::{
    Body, ClientId, Extent, INLINE_BYTES_MAX, Known, ObjectId, PROTOCOL_VERSION, RegionInfo, Request, Role, ToClient,
    ToHead,
};
use crate::scheduler::Event;
use crate::store::{Holder, State};

/// How many bytes of small objects go into one `WaitDone`. What does not fit is opened one by one.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Why a client is not worth listening to any longer.
pub(super) type Nonsense = &'static str;

impl Head {
    /// Handles one message.
    ///
    /// # Errors
    /// The client talks nonsense and must be dropped.
    pub(super) fn handle_message(&mut self, from: ClientId, message: ToHead) -> Result<(), Nonsense> {
        let Some(client) = self.clients.get(&from) else { return Ok(()) };
        if let ToHead::Hello { version, role, pid, takeover } = message {
            return self.hello(from, version, role, pid, takeover);
        }
        if client.role.is_none() {
            return Err("it speaks before it says hello");
        }
        match message {
            ToHead::Hello { .. } => {}
            ToHead::Alloc { req, size } => self.alloc(from, req, size),
            ToHead::Abort { offset } => self.abort(from, offset)?,
            ToHead::Seal { id, body, contains } => self.seal(from, id, body, contains)?,
            ToHead::Submit(spec) => self.submit(from, spec)?,
            ToHead::Retain { ids } => ids.into_iter().for_each(|id| {
                self.store.objects.retain(id, Holder::Client(from));
            }),
            ToHead::Release { ids } => ids.into_iter().for_each(|id| self.release(id, Holder::Client(from))),
            ToHead::Wait { req, ids, num_returns } => self.wait((from, req), ids, num_returns),
            ToHead::WaitNoLonger { req } => {
                if let Some(wait) = self.waits.remove((from, req)) {
                    self.answer_wait((from, req), &wait.ids);
                    self.unblock(from);
                }
            }
            ToHead::Open { req, id } => self.open(from, req, id),
            ToHead::Ask { req, question } => {
                let answer = self.answer(question).map_err(|fault| *fault);
                self.send(from, &ToClient::Answer { req, answer });
            }
            ToHead::TaskDone { task, results } => self.task_done(from, task, results)?,
            ToHead::TaskFailed { task, cause } => self.task_failed(from, task, cause)?,
        }
        Ok(())
    }

    fn hello(
        &mut self,
        from: ClientId,
        version: u32,
        role: Role,
        pid: u32,
        takeover: Option<Vec<ObjectId>>,
    ) -> Result<(), Nonsense> {
        if version != PROTOCOL_VERSION {
            return Err("it speaks another version");
        }
        if (role == Role::Worker) != from.worker().is_some() {
            return Err("it is not what it says it is");
        }
        let client = self.clients.get_mut(&from).ok_or("it is gone")?;
        if client.role.is_some() {
            return Err("it says hello twice");
        }
        (client.role, client.pid) = (Some(role), pid);
        if let Some(held) = takeover {
            self.take_over(from, held);
        }
        let region = RegionInfo { generation: self.store.generation, len: self.store.region.len() };
        let file = self.store.region.file().try_clone_to_owned().map_err(|_| "there is no descriptor for it")?;
        self.send_beside(from, &ToClient::Welcome { client: from, region }, Some(file));
        if let Some(worker) = from.worker() {
            self.worker_connected(worker, pid);
        }
        tracing::debug!(client = from.0, ?role, pid, "client");
        Ok(())
    }

    /// A twin has become the driver: exactly the references that it knows of stand.
    fn take_over(&mut self, twin: ClientId, held: Vec<ObjectId>) {
        for id in held {
            self.store.objects.retain(id, Holder::Client(twin));
        }
        let dead: Vec<ClientId> =
            self.orphans.keys().copied().chain(self.drivers()).filter(|driver| *driver != twin).collect();
        dead.into_iter().for_each(|driver| self.remove_client(driver));
    }

    fn alloc(&mut self, from: ClientId, req: Request, size: u64) {
        let answer = match self.store.allocator.alloc(size) {
            Some(extent) => {
                if let Some(client) = self.clients.get_mut(&from) {
                    client.drafts.insert(extent.offset, extent);
                }
                ToClient::Granted { req, offset: extent.offset, backed: self.store.backing.covers(extent) }
            }
            None => {
                let allocator = &self.store.allocator;
                let detail = format!(
                    "the largest free piece has {} bytes; {} objects are alive",
                    allocator.largest_free(),
                    self.store.objects.len()
                );
                let (used, limit) = (allocator.used(), allocator.limit());
                ToClient::Refused { req, fault: Fault::StoreFull { needed: size, used, limit, detail } }
            }
        };
        self.send(from, &answer);
    }

    fn abort(&mut self, from: ClientId, offset: u64) -> Result<(), Nonsense> {
        let client = self.clients.get_mut(&from).ok_or("it is gone")?;
        let extent = client.drafts.remove(&offset).ok_or("it gives back what it does not have")?;
        self.store.allocator.free(extent);
        Ok(())
    }

    fn seal(&mut self, from: ClientId, id: ObjectId, body: Body, contains: Vec<ObjectId>) -> Result<(), Nonsense> {
        if id.client() != from {
            return Err("it names an object as if it were another client");
        }
        let body = self.checked_body(from, body)?;
        if !self.store.objects.insert(id, State::Ready(body), contains, from) {
            return Err("it names two objects the same");
        }
        Ok(())
    }

    /// The body, if it is the client's to seal. Space becomes the object's.
    pub(super) fn checked_body(&mut self, from: ClientId, body: Body) -> Result<Body, Nonsense> {
        match &body {
            Body::Inline(bytes) if bytes.len() <= INLINE_BYTES_MAX => {}
            Body::Inline(_) => return Err("it sends a large object inside a message"),
            Body::Shared(extent) => {
                let client = self.clients.get_mut(&from).ok_or("it is gone")?;
                if client.drafts.remove(&extent.offset) != Some(*extent) {
                    return Err("it seals what it was not granted");
                }
                self.store.backing.add(*extent);
            }
        }
        Ok(body)
    }

    /// One holder less.
    pub(super) fn release(&mut self, id: ObjectId, holder: Holder) {
        let freed = self.store.objects.release(id, holder);
        self.store.reclaim(freed);
    }

    fn wait(&mut self, key: WaitKey, ids: Vec<ObjectId>, num_returns: u64) {
        let is_pending = |id: &ObjectId| self.store.objects.state(*id) == Some(&State::Pending);
        let pending: Vec<ObjectId> = ids.iter().copied().filter(is_pending).collect();
        let finished = (ids.len() - pending.len()) as u64;
        let missing = num_returns.min(ids.len() as u64).saturating_sub(finished);
        if missing == 0 {
            return self.answer_wait(key, &ids);
        }
        self.waits.insert(key, ids, &pending, missing);
        if let Some(client) = self.clients.get_mut(&key.0) {
            client.waits_open += 1;
        }
        if let Some(worker) = key.0.worker() {
            self.tell(Event::Blocked(worker));
        }
    }

    fn answer_wait(&mut self, (client, req): WaitKey, ids: &[ObjectId]) {
        let mut bytes = 0;
        let mut ready = Vec::new();
        for (index, id) in (0..).zip(ids) {
            let known = match self.store.objects.state(*id) {
                Some(State::Pending) => continue,
                Some(State::Ready(body)) => Some(Known::Ready(body.clone())),
                Some(State::Failed(failure)) => Some(Known::Failed(Box::new(Failure::clone(failure)))),
                // It is gone. Opening it says so.
                None => None,
            };
            bytes += match &known {
                Some(Known::Ready(Body::Inline(payload))) => payload.len(),
                Some(Known::Failed(_)) => 1024,
                _ => 0,
            };
            ready.push((index, known.filter(|_| bytes <= ANSWER_BYTES_MAX)));
        }
        self.send(client, &ToClient::WaitDone { req, ready });
    }

    /// Objects have been finished: whoever waits for them hears of it.
    pub(super) fn answer_waiters(&mut self, id: ObjectId) {
        for (key, wait) in self.waits.finished(id) {
            self.answer_wait(key, &wait.ids);
            self.unblock(key.0);
        }
    }

    fn unblock(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.waits_open = client.waits_open.saturating_sub(1);
        if client.waits_open == 0
            && let Some(worker) = id.worker()
        {
            self.tell(Event::Unblocked(worker));
        }
    }

    fn open(&mut self, from: ClientId, req: Request, id: ObjectId) {
        let known = match self.store.objects.state(id) {
            Some(State::Ready(body)) => Ok(Known::Ready(body.clone())),
            Some(State::Failed(failure)) => Ok(Known::Failed(Box::new(Failure::clone(failure)))),
            Some(State::Pending) => Err(Fault::NotReady { id: id.0 }),
            None => Err(Fault::Unknown { id: id.0 }),
        };
        self.send(from, &ToClient::Opened { req, known });
    }

    /// The extents of drafts that exist, over all clients.
    pub(super) fn drafts(&self) -> impl Iterator<Item = &Extent> {
        self.clients.values().flat_map(|client| client.drafts.values())
    }
}
