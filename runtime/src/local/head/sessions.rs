//! Sessions of other processes that have joined this runtime: what they are told, and what becomes of them.
//!
//! ```text
//!   front process ──Front──▶ head: a session ◀──Driver, with the session's number── its cell host
//!        │ its connection ends
//!        ▼
//!   its drivers' references, its unfinished tasks, its actors and names end; detached actors stay
//! ```
//!
//! The process that owns the runtime is session 0, and is reached through [`crate::local::Observer`].
//!
//! # Invariants
//! - A front process that does not take its messages holds up no other session: output is left out, and that is said.
//! - A session's number is given to another one only after 254 others.

use super::Head;
use super::tasks::Origin;
use crate::abi::{Answer, Cause, CellRecord, CommCall, Joining, Published, SHARE_MAX, SessionInfo};
use crate::client::Fallible;
use crate::local::observer::locate_causes;
use crate::local::{CommReply, JoinReply, JoinedAt};
use crate::protocol::{ClientId, FromFront, ObjectId, Request, Role, RuntimeEvent, SessionId, ToClient, ToFront};
use crate::scheduler::{Event, ProgramId};
use crate::store::{TaskKind, Word};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How many bytes wait for a front process before output for it is left out.
const QUEUED_BYTES: usize = 8 << 20;

/// A session of another process.
#[derive(Debug)]
struct Joined {
    front: ClientId,
    /// Of its named actors.
    namespace: Option<String>,
    share: u32,
    /// The plain program that it is, if it is one.
    program: Option<ProgramId>,
    /// Whether `init` has been called.
    is_explicit: bool,
    /// Bytes of output that were left out.
    left_out: usize,
}

/// A failure whose places are being looked up by its session.
#[derive(Debug)]
struct Unlocated {
    session: SessionId,
    origin: Arc<Origin>,
    /// Who asks why an object failed.
    asked_by: Vec<(ClientId, Request, ObjectId)>,
}

/// An object with a name.
#[derive(Debug)]
struct Named {
    id: ObjectId,
    schema: String,
    by: SessionId,
}

/// The sessions that have joined.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    joined: BTreeMap<SessionId, Joined>,
    last: SessionId,
    failures: u64,
    unlocated: HashMap<u64, Unlocated>,
    published: BTreeMap<String, Named>,
}

impl Sessions {
    fn of_front(&self, front: ClientId) -> Option<SessionId> {
        self.joined.iter().find(|(_, joined)| joined.front == front).map(|(id, _)| *id)
    }
}

impl Head {
    /// Makes a session for a front process. `None` when there are too many.
    pub(super) fn join(&mut self, front: ClientId) -> Option<SessionId> {
        let sessions = &mut self.sessions;
        let next = (1..=255).map(|step: u8| SessionId(sessions.last.0.wrapping_add(step)));
        let free = next.into_iter().find(|id| *id != SessionId::OWNER && !sessions.joined.contains_key(id))?;
        sessions.last = free;
        sessions
            .joined
            .insert(free, Joined { front, namespace: None, share: 1, program: None, is_explicit: false, left_out: 0 });
        self.tell(Event::Joined(free, 1));
        Some(free)
    }

    /// The plain program that a session is, if it is one.
    pub(super) fn program_of_session(&self, session: SessionId) -> Option<ProgramId> {
        self.sessions.joined.get(&session)?.program
    }

    /// Notes that a session is a plain program. False if there is no such session.
    pub(super) fn set_program(&mut self, session: SessionId, program: ProgramId) -> bool {
        self.sessions.joined.get_mut(&session).map(|joined| joined.program = Some(program)).is_some()
    }

    /// The plain programs that are sessions.
    pub(super) fn joined_programs(&self) -> impl Iterator<Item = ProgramId> {
        self.sessions.joined.values().filter_map(|joined| joined.program)
    }

    /// A session's share of what the sessions take from each other.
    pub(super) fn share_of(&self, session: SessionId) -> u32 {
        self.sessions.joined.get(&session).map_or(1, |joined| joined.share)
    }

    /// Whether there is such a session.
    pub(super) fn has_session(&self, id: SessionId) -> bool {
        id == SessionId::OWNER || self.sessions.joined.contains_key(&id)
    }

    /// The session for which a client asks: that of its process, or of the task that it runs.
    pub(super) fn session_of(&self, client: ClientId) -> SessionId {
        let Some(known) = self.clients.get(&client) else { return SessionId::OWNER };
        if client.worker().is_none() {
            return known.session;
        }
        SessionId::of(client.worker().map_or(0, |worker| self.cell_of_worker(worker)))
    }

    /// Where a session's named actors are: a name means another actor in each.
    pub(super) fn namespace_of(&self, session: SessionId) -> String {
        let joined = self.sessions.joined.get(&session);
        let given = joined.and_then(|joined| joined.namespace.clone());
        given.unwrap_or_else(
            || if session == SessionId::OWNER { String::new() } else { format!("session {}", session.0) },
        )
    }

    /// Says what a front process has asked for.
    pub(super) fn hear_front(&mut self, from: ClientId, said: FromFront) -> Result<(), &'static str> {
        let session = self.sessions.of_front(from).ok_or("the client is no front process")?;
        match said {
            FromFront::Namespace { name } => {
                if let Some(joined) = self.sessions.joined.get_mut(&session) {
                    joined.namespace = Some(name);
                }
            }
            FromFront::Share { share } => {
                let share = share.clamp(1, SHARE_MAX);
                if let Some(joined) = self.sessions.joined.get_mut(&session) {
                    joined.share = share;
                }
                self.tell(Event::Joined(session, share));
            }
            FromFront::Interrupt { turn } => self.interrupt(session, session.cell(turn)),
            FromFront::CellHost { pid, takeover: false } => self.keep_only_driver(session, pid),
            FromFront::CellHost { takeover: true, .. } => {}
            FromFront::Comm { client, req, answer } => self.answer_comm(client, req, answer),
            FromFront::Located { number, cause } => self.located(session, number, cause),
            FromFront::Cell(record) => {
                self.observer.cell_of_session(CellRecord { cell: session.cell(record.cell), ..record });
            }
            FromFront::Flush { number } => self.send(from, &ToClient::Front(ToFront::Flushed { number })),
        }
        Ok(())
    }

    /// Shows the session of a cell, by the runtime's number, that something has happened.
    pub(super) fn show_event(&mut self, cell: u64, event: RuntimeEvent) {
        match SessionId::of(cell) {
            SessionId::OWNER => self.observer.event(event),
            session => {
                self.observer.overhears(cell, &event);
                self.tell_front(session, ToFront::Event(event));
            }
        }
    }

    fn tell_front(&mut self, session: SessionId, message: ToFront) {
        let Some(joined) = self.sessions.joined.get_mut(&session) else { return };
        let front = joined.front;
        let queued = self.clients.get(&front).map_or(0, |client| client.connection.queued());
        if let ToFront::Event(event @ RuntimeEvent::TaskOutput { .. }) = &message {
            if queued > QUEUED_BYTES {
                joined.left_out += event.bytes();
                return;
            }
            if let left_out @ 1.. = std::mem::take(&mut joined.left_out) {
                let text = format!(
                    "{left_out} bytes of output of tasks were left out, because they were not taken fast enough"
                );
                self.send(front, &ToClient::Front(ToFront::Event(RuntimeEvent::Notice(text))));
            }
        }
        self.send(front, &ToClient::Front(message));
    }

    /// Shows all sessions a notice.
    pub(super) fn notice(&mut self, text: String) {
        tracing::info!(text, "notice");
        self.observer.event(RuntimeEvent::Notice(text.clone()));
        for session in self.sessions.joined.keys().copied().collect::<Vec<_>>() {
            self.tell_front(session, ToFront::Event(RuntimeEvent::Notice(text.clone())));
        }
    }

    /// Shows the session of a cell a notice.
    pub(super) fn notice_of(&mut self, cell: u64, text: String) {
        tracing::info!(text, cell, "notice");
        self.show_event(cell, RuntimeEvent::Notice(text));
    }

    /// Passes a call of the comms on to the session of its cell.
    pub(super) fn pass_comm(&mut self, client: ClientId, req: Request, cell: u64, call: CommCall) {
        let (session, number) = (SessionId::of(cell), SessionId::number(cell));
        if session == SessionId::OWNER {
            let wake = self.wake.clone();
            let reply = CommReply::new(move |answer| wake.ask(super::Command::CommAnswer { client, req, answer }));
            self.observer.comm(number, call, reply);
        } else if self.has_session(session) {
            self.tell_front(session, ToFront::Comm { client, req, cell: number, call });
        } else {
            self.answer_comm(client, req, None);
        }
    }

    /// Passes the wish to join a runtime, or to leave it, on to this process's session.
    pub(super) fn pass_join(&mut self, client: ClientId, req: Request, to: Option<Joining>) {
        let wake = self.wake.clone();
        let reply = JoinReply::new(move |answer| {
            let answer = match answer {
                Some(Ok(Some(JoinedAt { socket, session, is_cluster }))) => {
                    Ok(Answer::Joined { socket: socket.display().to_string(), session: session.0, is_cluster })
                }
                Some(Ok(None)) => Ok(Answer::Done),
                Some(Err(message)) => Err(message),
                None => Err("this process cannot join a runtime: only sessions of cells can".into()),
            };
            wake.ask(super::Command::Joined { client, req, answer });
        });
        self.observer.join(to, reply);
    }

    /// Tells the session of a failure's cell of it, and asks for its places there.
    pub(super) fn announce_to_session(&mut self, origin: &Arc<Origin>, is_shown: bool) {
        let session = SessionId::of(origin.cell());
        if session == SessionId::OWNER {
            if is_shown {
                self.observer.event(RuntimeEvent::TaskFailed(origin.told()));
            }
            return;
        }
        if !self.has_session(session) {
            return;
        }
        self.sessions.failures += 1;
        let number = self.sessions.failures;
        let unlocated = Unlocated { session, origin: Arc::clone(origin), asked_by: Vec::new() };
        self.sessions.unlocated.insert(number, unlocated);
        self.tell_front(session, ToFront::Failed { number, failure: origin.told(), is_shown });
    }

    /// Answers why an object failed, when the places of the failure are known.
    pub(super) fn tell_blame(&mut self, to: ClientId, req: Request, id: ObjectId) {
        if let Some(origin) = self.blames.origin(id)
            && let Some(unlocated) = self.sessions.unlocated.values_mut().find(|it| Arc::ptr_eq(&it.origin, origin))
        {
            return unlocated.asked_by.push((to, req, id));
        }
        let failure = self.blames.fetch(id, &self.functions).map(Box::new);
        self.send(to, &ToClient::Blame { req, failure });
    }

    fn located(&mut self, session: SessionId, number: u64, cause: Cause) {
        if self.sessions.unlocated.get(&number).is_none_or(|unlocated| unlocated.session != session) {
            return;
        }
        let Some(Unlocated { origin, asked_by, .. }) = self.sessions.unlocated.remove(&number) else { return };
        origin.locate(cause);
        for (to, req, id) in asked_by {
            self.tell_blame(to, req, id);
        }
    }

    /// Finds the places of a failure in the cells of this process; a joined session is asked when the failure is announced.
    pub(super) fn locate_here(&self, cell: u64, cause: &mut Cause) {
        if SessionId::of(cell) == SessionId::OWNER {
            locate_causes(&*self.observer, cause);
        }
    }

    /// A front process is gone, and its session ends.
    pub(super) fn end_session(&mut self, front: ClientId) {
        let Some(session) = self.sessions.of_front(front) else { return };
        tracing::info!(session = session.0, "session ended");
        self.sessions.joined.remove(&session);
        self.tell(Event::Left(session));
        let numbers: Vec<u64> =
            self.sessions.unlocated.iter().filter(|(_, it)| it.session == session).map(|(number, _)| *number).collect();
        for number in numbers {
            let Some(unlocated) = self.sessions.unlocated.remove(&number) else { continue };
            for (to, req, id) in unlocated.asked_by {
                self.tell_blame(to, req, id);
            }
        }
        let names: Vec<String> = self
            .sessions
            .published
            .iter()
            .filter(|(_, named)| named.by == session)
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.unpublish(session, &name);
        }
        self.undo_groups_after(session.cell(0));
        self.end_actors_of(session);
        self.cancel_tasks_of(session);
        self.keep_only_driver(session, 0);
        self.failures.retain(|origin| SessionId::of(origin.cell()) != session);
        self.release_code();
    }

    /// Cancels what a session's cells have started and has not ended. Calls end with their actors, or are another session's affair.
    fn cancel_tasks_of(&mut self, session: SessionId) {
        for task in self.slots_with(Word::is_task) {
            let spec = self.segment.read_spec(task.slot());
            if SessionId::of(spec.cell) == session && spec.kind == TaskKind::Normal {
                self.cancel(task);
            }
        }
    }

    /// Gives an object a name.
    pub(super) fn publish(&mut self, by: SessionId, id: ObjectId, name: String, schema: String) -> Fallible<()> {
        if let Some(known) = self.sessions.published.get(&name)
            && known.by != by
        {
            let owner = self.session_in_words(known.by);
            return super::refuse(format!("the name `{name}` is {owner}'s: choose another one"));
        }
        if !self.refer(id) {
            return super::refuse("the object is gone".into());
        }
        if let Some(before) = self.sessions.published.insert(name, Named { id, schema, by }) {
            self.give_up(vec![before.id]);
        }
        Ok(())
    }

    /// Takes a name back. False if the session has given none of that kind.
    pub(super) fn unpublish(&mut self, by: SessionId, name: &str) -> bool {
        if self.sessions.published.get(name).is_none_or(|named| named.by != by) {
            return false;
        }
        let named = self.sessions.published.remove(name);
        self.give_up(named.into_iter().map(|named| named.id).collect());
        true
    }

    /// The object of this name.
    pub(super) fn lookup(&self, name: &str) -> Option<Published> {
        let Named { id, schema, by } = self.sessions.published.get(name)?;
        Some(Published { id: id.0, schema: schema.clone(), by: self.session_in_words(*by) })
    }

    /// The sessions that have joined.
    pub(super) fn session_entries(&self) -> Vec<SessionInfo> {
        let pid = |joined: &Joined| self.clients.get(&joined.front).map_or(0, |front| front.pid);
        let entry = |(id, joined): (&SessionId, &Joined)| SessionInfo {
            session: id.0,
            pid: pid(joined),
            namespace: joined.namespace.clone(),
            share: joined.share,
        };
        self.sessions.joined.iter().map(entry).collect()
    }

    fn session_in_words(&self, session: SessionId) -> String {
        match self.sessions.joined.get(&session).and_then(|joined| self.clients.get(&joined.front)) {
            Some(front) => format!("session {} (pid {})", session.0, front.pid),
            None => "this session".into(),
        }
    }

    /// Notes that a session has called `init`. True for the first time.
    pub(super) fn is_first_init(&mut self, session: SessionId) -> bool {
        self.sessions.joined.get_mut(&session).is_some_and(|joined| !std::mem::replace(&mut joined.is_explicit, true))
    }

    /// Whether the client is the front process of a session.
    pub(super) fn is_front(&self, client: ClientId) -> bool {
        self.clients.get(&client).is_some_and(|client| client.role == Some(Role::Front))
    }
}
