//! The clients' requests and the head's answers.

use super::Head;
use crate::abi::{Answer, CommAnswer, Fault, Question};
use crate::protocol::{
    ArenaInfo, ClientId, Held, ObjectId, PROTOCOL_VERSION, Request, Role, SessionId, Takeover, ToClient, ToHead,
};
use crate::scheduler::Event;
use crate::store::{Keep, Kind, Seat, State};
use crate::sync::Ordering;
use std::collections::HashMap;
use std::os::fd::OwnedFd;

/// Why a client is dropped.
pub(super) type Nonsense = &'static str;

impl Head {
    /// Handles one message.
    ///
    /// # Errors
    /// The client's message is invalid, and the client must be dropped.
    pub(super) fn handle_message(&mut self, from: ClientId, message: ToHead) -> Result<(), Nonsense> {
        let Some(client) = self.clients.get(&from) else { return Ok(()) };
        if let ToHead::Hello { version, role, pid, session, takeover } = message {
            return self.hello(from, version, role, (pid, session), takeover);
        }
        if client.role.is_none() {
            return Err("message before `Hello`");
        }
        let worker = from.worker().ok_or("the client is not a worker");
        match message {
            ToHead::Hello { .. } => {}
            ToHead::Intern { req, mut function } => {
                self.keep_library_for_actors(&function.library);
                self.name_program(from, &mut function);
                let function = self.functions.number(function);
                self.send(from, &ToClient::Interned { req, function });
            }
            ToHead::Resolve { req, function } => {
                let mut function = self.functions.get(function).cloned();
                if let Some(function) = &mut function
                    && let Some(kept) = self.library_to_open(&function.library)
                {
                    function.library = kept;
                }
                if let Some(function) = &mut function {
                    self.recognise_program(from, function);
                }
                self.send(from, &ToClient::Function { req, function });
            }
            ToHead::Number { req, options } => match self.number_of_options(from, options) {
                Ok(options) => self.send(from, &ToClient::Numbered { req, options }),
                Err(message) => self.send(from, &ToClient::Refused { req, fault: Fault::Refused { message } }),
            },
            ToHead::Spawn { req, options } => self.spawn(from, req, options),
            ToHead::Spawned { mailbox, task } => self.spawned(from, mailbox, task),
            ToHead::Unspawned { mailbox } => self.unspawned(from, mailbox),
            ToHead::CallsMax { req, options } => {
                let max = self.options.get(options).and_then(|known| known.options.max_calls);
                self.send(from, &ToClient::Calls { req, max });
            }
            ToHead::Room { req, units, bytes } => self.want_room(from, req, units, bytes),
            ToHead::RoomNoLonger { req } => self.forget_room(from, Some(req)),
            ToHead::Restore { req, id } => self.restore(from, req, id),
            ToHead::Forget { position, len } => self.spill.forget(position, len),
            ToHead::Blame { req, id } => self.tell_blame(from, req, id),
            ToHead::Arena { req } => {
                let arena = self.arena_info();
                let fds = self.arena_descriptors()?;
                self.send_beside(from, &ToClient::Arena { req, arena }, fds);
            }
            ToHead::Ask { req, question: Question::Shutdown } => match worker {
                Ok(_) => {
                    let message = "a task cannot shut down the runtime that runs it".into();
                    self.send(from, &ToClient::Answer { req, answer: Err(Fault::Refused { message }) });
                }
                Err(_) => self.shut_down(from, req),
            },
            ToHead::Ask { req, question: Question::Comm { call, cell } } => self.pass_comm(from, req, cell, call),
            ToHead::Ask { req, question: Question::Join(joining) } => self.pass_join(from, req, Some(joining)),
            ToHead::Ask { req, question: Question::Leave } => self.pass_join(from, req, None),
            ToHead::Ask { req, question } => {
                let answer = self.answer(self.session_of(from), question).map_err(|fault| *fault);
                self.send(from, &ToClient::Answer { req, answer });
            }
            ToHead::Wrote { req } => {
                let worker = worker?;
                self.end_output(worker);
                self.end_folds_of(worker);
                self.done_when_taken(from, req);
            }
            ToHead::Failed { req, task, cause } => {
                let worker = worker?;
                let makes_again = self.makes_again(worker, task);
                if !makes_again && !self.runs(from, task) {
                    return Err("the client ended a task that it does not run");
                }
                self.end_output(worker);
                self.end_folds_of(worker);
                let pid = self.pool.pid(worker);
                if makes_again {
                    self.restart_failed(task, cause, pid);
                } else if !self.ends_cancelled(task, pid) && !self.retries(task, &cause) {
                    self.fail_at_origin(task, cause, pid);
                }
                self.done_when_taken(from, req);
            }
            ToHead::Carry { task, object } => {
                if !self.runs(from, task) {
                    return Err("the client ended a task that it does not run");
                }
                self.carry_failure(task, object);
            }
            ToHead::Ready => self.worker_ready(worker?),
            ToHead::Blocked => self.tell(Event::Blocked(worker?)),
            ToHead::Unblocked => self.tell(Event::Unblocked(worker?)),
            ToHead::Parked { lease } => {
                let worker = worker?;
                // A lease that has been given since counts: the worker may have a task again.
                if self.desk(from).is_some_and(|desk| desk.leased.load(Ordering::Acquire) == lease) {
                    self.tell(Event::Parked(worker));
                }
            }
            ToHead::Ended { also } => {
                let worker = worker?;
                self.forget_maker(worker);
                self.tell(Event::Ended { worker, also });
            }
            ToHead::Settled => self.settled(worker?),
            ToHead::Unsent { call } => self.unsent(call),
            ToHead::Strand { task } => self.adopt(task),
            ToHead::Stranded => self.adopt_strands(),
            ToHead::Poke => self.look_at_watched(),
            ToHead::Front(said) => self.hear_front(from, said)?,
            ToHead::Unserved { function } if self.scheduler.cpus() == 0 => {
                self.warn_needs_a_cpu(function, self.session_of(from));
            }
            // One more try to start a worker; if none starts, the task is refused like those before it.
            ToHead::Unserved { .. } => self.tell(Event::Demanded),
        }
        Ok(())
    }

    /// Whether this client runs the task. A waiting task is in an object's list and must not end before it is taken
    /// out.
    fn runs(&self, client: ClientId, task: ObjectId) -> bool {
        let word = self.word(task).filter(|word| word.state() == State::Running);
        word.is_some_and(|word| word.owner() == self.seat(client))
    }

    /// Answers a call of a comm; `None` refuses it.
    pub(super) fn answer_comm(&mut self, to: ClientId, req: Request, answer: Option<CommAnswer>) {
        let refusal = || Fault::Refused { message: "there is no session here that has comms".into() };
        self.send(to, &ToClient::Answer { req, answer: answer.map(Answer::Comm).ok_or_else(refusal) });
    }

    pub(super) fn done(&mut self, to: ClientId, req: Request) {
        self.send(to, &ToClient::Done { req });
    }

    fn hello(
        &mut self,
        from: ClientId,
        version: u32,
        role: Role,
        (pid, session): (u32, SessionId),
        takeover: Option<Takeover>,
    ) -> Result<(), Nonsense> {
        if version != PROTOCOL_VERSION {
            return Err("wrong protocol version");
        }
        if (role == Role::Worker) != from.worker().is_some() {
            return Err("the client's role does not match its id");
        }
        let client = self.clients.get(&from).ok_or("the client is gone")?;
        if client.role.is_some() {
            return Err("second `Hello`");
        }
        if !self.has_session(session) {
            return Err("the session has ended");
        }
        if role == Role::JoinedProgram {
            self.program_joins(session, pid)?;
        }
        let seat = match takeover {
            Some(takeover) => self.take_over(session, takeover)?,
            None => match self.free_seat() {
                Some(seat) => seat,
                None => {
                    self.pool.no_seat();
                    return Err("all seats are taken");
                }
            },
        };
        debug_assert!(
            seat != Seat::HEAD && self.clients.values().all(|other| other.seat != Some(seat)),
            "a seat is one client's"
        );
        let session = match role {
            Role::Front => self.join(from).ok_or("there are too many sessions")?,
            _ => session,
        };
        let client = self.clients.get_mut(&from).ok_or("the client is gone")?;
        (client.role, client.pid, client.seat, client.session) = (Some(role), pid, Some(seat), session);
        self.dropped.remove(&seat);
        let desk = self.segment.desk(seat);
        desk.interrupted.store(0, Ordering::Release);
        desk.pid.store(pid, Ordering::Relaxed);
        desk.share.store(self.share_of(session), Ordering::Relaxed);
        let plain = self.plain_options(from)?;
        let (limits, arena) = (self.segment.limits(), self.arena_info());
        let welcome = ToClient::Welcome { client: from, seat, session, limits, arena, plain };
        let control = self.segment.file().and_then(|file| file.try_clone_to_owned().ok());
        let mut fds = vec![control.ok_or("a descriptor cannot be duplicated")?];
        fds.extend(self.arena_descriptors()?);
        self.send_beside(from, &welcome, fds);
        if let Some(worker) = from.worker() {
            self.worker_connected(worker, pid);
        }
        tracing::debug!(client = from.0, ?role, pid, "client");
        Ok(())
    }

    /// Makes a twin the driver in the dead driver's seat. Exactly the references that the twin names are kept.
    fn take_over(&mut self, session: SessionId, takeover: Takeover) -> Result<Seat, Nonsense> {
        let Takeover { seat, cell, held } = takeover;
        let orphans = self.orphans.iter().filter(|(_, orphan)| orphan.session == session);
        let orphans = orphans.map(|(id, orphan)| (*id, orphan.seat, orphan.pid));
        let live = self.drivers(session).into_iter().filter_map(|id| Some((id, self.seat(id)?, self.clients[&id].pid)));
        let dead: Vec<(ClientId, Seat, u32)> = orphans.chain(live).collect();
        if !dead.iter().any(|(_, other, _)| *other == seat) {
            return Err("the seat is not that of a dead driver");
        }
        // While those that only it had a handle of are still known by it.
        self.undo_actors_after(cell);
        self.undo_groups_after(cell);
        for (id, other, pid) in dead {
            if other != seat {
                self.remove_client(id, pid, None);
                continue;
            }
            self.orphans.remove(&id);
            self.remove_connection(id);
            let kind = |held: &Held| if held.pinned { Kind::Pin } else { Kind::Ref };
            let kept: HashMap<ObjectId, Kind> = held.iter().map(|held| (held.id, kind(held))).collect();
            let estate = self.segment.bury(seat, Keep::These(&kept));
            self.settle(estate, pid, None);
        }
        Ok(seat)
    }

    pub(super) fn arena_info(&self) -> ArenaInfo {
        let generation = self.segment.header().arena.load(Ordering::Acquire);
        let huge = self.settings.config.huge_pages != Some(false);
        ArenaInfo { generation, len: self.region.len(), unit_bytes: self.region.unit_bytes(), huge }
    }

    fn arena_descriptors(&self) -> Result<Vec<OwnedFd>, Nonsense> {
        let file = self.region.file().try_clone_to_owned().map_err(|_| "a descriptor cannot be duplicated")?;
        let reader = self.region.reader().map_err(|_| "a descriptor cannot be duplicated")?;
        Ok(vec![file, reader])
    }
}
