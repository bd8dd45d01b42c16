//! The thread of a session: takes requests, writes what the outbox decides, and hands out answers.
//!
//! ```text
//!  Session ──commands──▶ Driver ──▶ Outbox      what goes out next, which ids are kept
//!                          │ ▲
//!                 requests ▼ │ answers          one stream, opened again when it breaks
//!                        the cluster ◀──▶ beside.rs: wait, info, output
//! ```

use super::beside::{self, Beside, State, Waited};
use super::call::{Done, Info, Kind, Log, Wait, Wire, Work, chunks};
use super::error::RayError;
use super::line::{Line, Stream, may_recover, status_text};
use super::outbox::{Next, Outbox, Request, Sent, Ticket, Told};
use super::pickle;
use super::proto::client_task::RemoteExecType;
use super::proto::data_request::Type as Ask;
use super::proto::data_response::Type as Answer;
use super::proto::terminate_request::{ActorTerminate, TaskObjectTerminate, TerminateType};
use super::proto::{
    AcknowledgeRequest, ClientListNamedActorsRequest, ClientTask, ClientTaskTicket, ConnectionCleanupRequest,
    DataRequest, DataResponse, GetRequest, GetResponse, ReleaseRequest, TaskOptions, TerminateRequest,
};
use super::reference::{Key, LetGo, Ref};
use super::start::Started;
use super::value::Value;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Ids are released together, at the latest after this.
const RELEASE_AFTER: Duration = Duration::from_millis(20);

/// The cluster is told that answers have arrived after so many, so that it need not keep them.
const ACKNOWLEDGE_EVERY: u32 = 32;

/// Between attempts to connect again.
const RECONNECT_EVERY: Duration = Duration::from_millis(250);

/// How long the end of a session may take.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// What is asked of the thread.
pub(super) enum Command {
    Ask(Box<Request<Work>>),
    Dropped(Key),
    /// The time of a wait is over. What it waits for may not have ids yet.
    Hurry(u64),
    Info(Info, Done<String>),
    OnLog(Box<dyn Fn(Log) + Send>),
    OnEnd(Box<dyn FnOnce(String) + Send>),
    Close,
}

/// The way to the thread, and the names of new handles.
pub(super) struct Commands {
    queue: mpsc::UnboundedSender<Command>,
    keys: AtomicU64,
    /// Ends attempts to connect again.
    closed: Notify,
}

impl Commands {
    pub(super) fn new() -> (Arc<Commands>, mpsc::UnboundedReceiver<Command>) {
        // Without a bound: what is in it is held by callers that do not wait, and each of them has its memory already.
        let (queue, commands) = mpsc::unbounded_channel();
        (Arc::new(Commands { queue, keys: AtomicU64::new(0), closed: Notify::new() }), commands)
    }

    /// Gives the command back when the session has ended.
    pub(super) fn send(&self, command: Command) -> Result<(), Command> {
        if matches!(command, Command::Close) {
            self.closed.notify_one();
        }
        self.queue.send(command).map_err(|error| error.0)
    }

    pub(super) fn new_ref(self: &Arc<Commands>) -> Ref {
        // A counter; what is made by it is handed over with the commands.
        let key = Key(self.keys.fetch_add(1, Ordering::Relaxed));
        Ref::new(key, Arc::clone(self) as Arc<dyn LetGo>)
    }
}

impl LetGo for Commands {
    fn let_go(&self, key: Key) {
        // After the end there is nothing to release.
        let _ = self.queue.send(Command::Dropped(key));
    }
}

/// A request on its way, and who waits for its answer.
pub(super) struct Pending {
    wire: Wire,
    then: Then,
}

enum Then {
    /// The answer's ids are those of the request's keys.
    Settle,
    Get {
        of: Ref,
        done: Done<Value>,
        parts: Vec<Bytes>,
    },
    NamedActor {
        actor: Ref,
        done: Done<Ref>,
    },
    NamedActors(Done<String>),
    Nothing,
}

impl Then {
    fn fail(self, why: RayError) {
        match self {
            Then::Get { done, .. } => done(Err(why)),
            Then::NamedActor { done, .. } => done(Err(why)),
            Then::NamedActors(done) => done(Err(why)),
            Then::Settle | Then::Nothing => {}
        }
    }
}

/// Why the loop ended.
enum End {
    /// Somebody closed the session.
    Closed,
    /// The stream broke; another connection may go on.
    Broken(String),
    /// The cluster ended the session.
    Over(String),
}

/// What the loop waits for.
enum Event {
    /// None when nobody can send one any more.
    Command(Option<Command>),
    /// A message was handed to the connection, or it takes no more.
    Sent(bool),
    Answer(Result<Option<DataResponse>, Status>),
    /// Idle ids are due.
    Release,
}

pub(super) struct Driver {
    line: Line,
    client: String,
    grace: Duration,
    commands: Arc<Commands>,
    queue: mpsc::UnboundedReceiver<Command>,
    outbox: Outbox<Work, Pending, RayError>,
    stream: Stream,
    /// Written, and not yet taken by the connection.
    outgoing: VecDeque<DataRequest>,
    /// When idle ids are released.
    release_at: Option<Instant>,
    /// Answers that the cluster keeps until they are acknowledged.
    unacknowledged: u32,
    state: watch::Sender<State>,
    on_end: Option<Box<dyn FnOnce(String) + Send>>,
    /// Why the session has ended, for those who ask after it.
    ended: Arc<Mutex<Option<String>>>,
}

impl Driver {
    pub(super) fn new(
        line: Line,
        started: Started,
        grace: Duration,
        commands: Arc<Commands>,
        queue: mpsc::UnboundedReceiver<Command>,
        ended: Arc<Mutex<Option<String>>>,
    ) -> Driver {
        Driver {
            line,
            client: started.client,
            grace,
            commands,
            queue,
            outbox: Outbox::new(started.req),
            stream: started.stream,
            outgoing: VecDeque::new(),
            release_at: None,
            unacknowledged: 0,
            state: watch::Sender::new(State::Up(started.channel)),
            on_end: None,
            ended,
        }
    }

    /// Serves the session until its end.
    pub(super) async fn run(mut self) {
        let reason = loop {
            match self.serve().await {
                End::Closed => {
                    self.say_goodbye().await;
                    break "it was closed".to_owned();
                }
                End::Over(reason) => break reason,
                End::Broken(reason) => {
                    tracing::debug!(reason, "the connection to the cluster broke");
                    if let Err(reason) = self.reconnect(reason).await {
                        break reason;
                    }
                }
            }
        };
        self.end(reason);
    }

    async fn serve(&mut self) -> End {
        loop {
            let flush = self.release_at.is_some_and(|at| at <= Instant::now());
            if flush {
                self.release_at = None;
            }
            self.write(flush);
            if self.release_at.is_none() && self.outbox.has_idle() {
                self.release_at = Some(Instant::now() + RELEASE_AFTER);
            }
            match self.event().await {
                Event::Command(command) => {
                    let mut next = command;
                    while let Some(command) = next {
                        if let Command::Close = command {
                            return End::Closed;
                        }
                        self.command(command);
                        next = self.queue.try_recv().ok();
                    }
                }
                Event::Answer(Ok(Some(answer))) => self.answer(answer),
                Event::Answer(Ok(None)) => return End::Broken("the cluster ended the connection".into()),
                Event::Answer(Err(status)) => return ended_by(&status),
                // The connection takes no more. Why, the answers say.
                Event::Sent(false) => return self.last_answers().await,
                Event::Sent(true) | Event::Release => {}
            }
        }
    }

    /// The next thing that happens. What waits in `outgoing` is sent meanwhile.
    async fn event(&mut self) -> Event {
        let (requests, outgoing) = (&self.stream.requests, &mut self.outgoing);
        let has_outgoing = !outgoing.is_empty();
        let send = async {
            let Ok(permit) = requests.reserve().await else { return false };
            permit.send(outgoing.pop_front().expect("it is not empty"));
            true
        };
        let release_at = self.release_at;
        tokio::select! {
            command = self.queue.recv() => Event::Command(command),
            is_sent = send, if has_outgoing => Event::Sent(is_sent),
            answer = self.stream.answers.message() => Event::Answer(answer),
            () = sleep_until(release_at.unwrap_or_else(Instant::now)), if release_at.is_some() => Event::Release,
        }
    }

    /// What is still on its way to us, and how it ends.
    async fn last_answers(&mut self) -> End {
        loop {
            match timeout(CLOSE_MAX, self.stream.answers.message()).await {
                Ok(Ok(Some(answer))) => self.answer(answer),
                Ok(Err(status)) => return ended_by(&status),
                Ok(Ok(None)) | Err(_) => return End::Broken("the cluster ended the connection".into()),
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Ask(request) => {
                let until = match &request.what {
                    Work::Wait(wait) => wait.until,
                    _ => None,
                };
                let number = self.outbox.ask(*request);
                if let Some(until) = until {
                    let commands = Arc::clone(&self.commands);
                    tokio::spawn(async move {
                        sleep_until(until).await;
                        let _ = commands.send(Command::Hurry(number));
                    });
                }
                self.fail_what_failed();
            }
            Command::Hurry(number) => self.outbox.hurry(number),
            Command::Dropped(key) => self.outbox.dropped(key),
            Command::Info(info, done) => {
                let beside = self.beside();
                tokio::spawn(async move { done(beside::info(beside, info).await) });
            }
            Command::OnLog(tell) => drop(tokio::spawn(beside::logs(self.beside(), tell))),
            Command::OnEnd(tell) => self.on_end = Some(tell),
            Command::Close => unreachable!("the loop looks for it"),
        }
    }

    fn beside(&self) -> Beside {
        Beside { line: self.line.clone(), client: self.client.clone(), state: self.state.subscribe() }
    }

    /// Fills what goes out next.
    fn write(&mut self, flush: bool) {
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
            Work::Get { of, done } => match self.get(&of) {
                Some(wire) => Ok((wire, Then::Get { of, done, parts: Vec::new() })),
                None => {
                    let why = self.failure(&of);
                    return done(Err(why));
                }
            },
            Work::Wait(wait) => return self.wait(wait),
            Work::Cancel { of, force, recursive } => {
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

    /// Queues the messages of a request that the outbox has noted.
    fn queue_messages(&mut self, req: i32) {
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

    fn get(&self, of: &Ref) -> Option<Wire> {
        let id = self.outbox.id(of.key())?.clone();
        Some(Wire::One(Ask::Get(GetRequest { ids: vec![id], asynchronous: true, start_chunk_id: 0 })))
    }

    fn terminate(&self, of: &Ref, terminate: impl Fn(Bytes) -> TerminateType) -> Result<Wire, RayError> {
        let id = self.outbox.id(of.key()).cloned().ok_or_else(|| self.failure(of))?;
        let terminate_type = Some(terminate(id));
        Ok(Wire::One(Ask::Terminate(TerminateRequest { client_id: self.client.clone(), terminate_type })))
    }

    fn failure(&self, of: &Ref) -> RayError {
        self.outbox.failure(of.key()).cloned().unwrap_or_else(|| RayError::here("the reference is of another session"))
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
            (wait.done)(beside::wait(beside, &of, wait.returns, wait.until).await);
            // Held until now, so that no release overtakes the question.
            drop(wait.of);
        });
    }

    fn answer(&mut self, answer: DataResponse) {
        let req = answer.req_id;
        match answer.r#type {
            Some(Answer::Get(part)) => self.got(req, part),
            Some(Answer::Put(put)) => {
                if let Some(sent) = self.answered(req) {
                    let ids = if put.valid { Ok(vec![put.id]) } else { Err(self.exception(&put.error)) };
                    self.settle(sent.into, ids);
                }
            }
            Some(Answer::TaskTicket(ticket)) => self.ticket(req, ticket),
            Some(Answer::ListNamedActors(list)) => {
                if let Some(Sent { what: Pending { then: Then::NamedActors(done), .. }, .. }) = self.answered(req) {
                    done(Ok(list.actors_json));
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
            done(failed.map_or(Ok(actor), Err));
        }
    }

    fn got(&mut self, req: i32, part: GetResponse) {
        let Some(sent) = self.outbox.peek(req) else { return };
        let Then::Get { parts, .. } = &mut sent.what.then else { return };
        if part.valid && part.chunk_id as usize == parts.len() {
            parts.push(part.data);
        }
        if part.valid && part.chunk_id + 1 < part.total_chunks {
            return;
        }
        let Some(mut sent) = self.outbox.answered(req) else { return };
        let Then::Get { of, done, parts } = sent.what.then else { return };
        if !part.valid {
            let why = self.exception(&part.error);
            return done(Err(why));
        }
        let data = join(&parts);
        let (value, refs) = self.read(&data);
        let ids = refs.iter().map(|(_, id)| id);
        if self.outbox.told(ids, sent.position) == Told::Doubtful {
            sent.what.then = Then::Get { of, done, parts: Vec::new() };
            return self.ask_again(sent);
        }
        for (key, id) in refs {
            self.outbox.adopt(key, id);
        }
        done(value.and_then(RayError::check));
    }

    /// Sends a request once more, because its answer may have crossed a release of what it brought.
    fn ask_again(&mut self, sent: Sent<Pending>) {
        let req = self.outbox.again(sent);
        self.queue_messages(req);
    }

    /// A pickle as a value, and the new keys in it with their ids.
    fn read(&self, data: &Bytes) -> (Result<Value, RayError>, Vec<(Key, Bytes)>) {
        let mut refs = Vec::new();
        let value = pickle::read(data, &mut |id| {
            let of = self.commands.new_ref();
            refs.push((of.key(), id.clone()));
            of
        });
        let failed = |why| RayError::here(format_args!("what the cluster sent cannot be read: {why}"));
        (value.map_err(failed), refs)
    }

    /// A pickled exception as a failure. References in it are not kept for us.
    fn exception(&self, data: &Bytes) -> RayError {
        match self.read(data).0 {
            Ok(exception) => RayError::of(exception),
            Err(why) => why,
        }
    }

    /// Tells whoever waits for something that never goes out.
    fn fail_what_failed(&mut self) {
        for (work, why) in self.outbox.take_failed() {
            work.fail(why);
        }
    }

    /// Connects again and sends what has no answer once more. The reason why not, if the session is over.
    async fn reconnect(&mut self, broken: String) -> Result<(), String> {
        self.state.send_replace(State::Down);
        if self.grace.is_zero() {
            return Err(broken);
        }
        let until = Instant::now() + self.grace;
        let commands = Arc::clone(&self.commands);
        loop {
            let why = tokio::select! {
                // Until the last moment: the cluster counts from when it saw the end.
                attempt = self.attempt() => match attempt {
                    Ok((channel, stream)) => {
                        self.resume(channel, stream);
                        return Ok(());
                    }
                    Err(Some(reason)) => return Err(reason),
                    Err(None) => &broken,
                },
                () = commands.closed.notified() => return Err("it was closed".into()),
            };
            if Instant::now() >= until {
                return Err(format!("no connection for {} s ({why})", self.grace.as_secs()));
            }
            sleep(RECONNECT_EVERY).await;
        }
    }

    /// One attempt; a reason if none can succeed.
    async fn attempt(&self) -> Result<(Channel, Stream), Option<String>> {
        let channel = self.line.connect().await.map_err(|_| None)?;
        // The cluster answers a stream only when it has something to say, so it is asked for an object that there is not.
        let probe = GetRequest { ids: vec![Bytes::from_static(&[0; 28])], asynchronous: true, start_chunk_id: 0 };
        let first = DataRequest { req_id: i32::MAX, r#type: Some(Ask::Get(probe)) };
        let opened = timeout(CLOSE_MAX, self.line.open(&channel, &self.client, first, true)).await.map_err(|_| None)?;
        let over = |status: Status| match status.code() {
            Code::NotFound => Some("the cluster has given the session up".to_owned()),
            _ if may_recover(&status) => None,
            _ => Some(status_text(&status)),
        };
        let mut stream = opened.map_err(over)?;
        let answer = timeout(CLOSE_MAX, stream.answers.message()).await.map_err(|_| None)?;
        match answer.map_err(over)? {
            Some(_) => Ok((channel, stream)),
            None => Err(None),
        }
    }

    fn resume(&mut self, channel: Channel, stream: Stream) {
        self.stream = stream;
        self.outgoing.clear();
        self.outbox.for_unanswered(|req, pending| {
            if let Then::Get { parts, .. } = &mut pending.then {
                parts.clear();
            }
            self.outgoing.extend(pending.wire.messages(req));
        });
        self.state.send_replace(State::Up(channel));
    }

    /// Sends what was asked for before the end, and ends the session in good order.
    async fn say_goodbye(&mut self) {
        self.write(true);
        while !self.outgoing.is_empty() || self.outbox.has_next() {
            for message in std::mem::take(&mut self.outgoing) {
                let sent = timeout(CLOSE_MAX, self.stream.requests.send(message)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
            }
            self.write(true);
        }
        let goodbye = DataRequest { req_id: 0, r#type: Some(Ask::ConnectionCleanup(ConnectionCleanupRequest {})) };
        if self.stream.requests.send(goodbye).await.is_err() {
            return;
        }
        // The end of requests; the end of answers follows when the job has ended.
        (self.stream.requests, _) = mpsc::channel(1);
        let rest = async { while let Ok(Some(_)) = self.stream.answers.message().await {} };
        let _ = timeout(CLOSE_MAX, rest).await;
    }

    /// Answers everybody that the session has ended.
    fn end(mut self, reason: String) {
        let why = RayError::SessionEnded(reason.clone());
        self.state.send_replace(State::Ended(reason.clone()));
        *self.ended.lock().expect("no panic inside") = Some(reason.clone());
        self.queue.close();
        let (works, sent) = self.outbox.end();
        works.into_iter().for_each(|work| work.fail(why.clone()));
        sent.into_iter().for_each(|pending| pending.then.fail(why.clone()));
        while let Ok(command) = self.queue.try_recv() {
            refuse(command, &reason);
        }
        if let Some(tell) = self.on_end.take() {
            tell(reason);
        }
    }
}

/// Answers a command that comes after the end.
pub(super) fn refuse(command: Command, reason: &str) {
    let why = RayError::SessionEnded(reason.to_owned());
    match command {
        Command::Ask(request) => request.what.fail(why),
        Command::Info(_, done) => done(Err(why)),
        Command::OnEnd(tell) => tell(reason.to_owned()),
        Command::Dropped(_) | Command::Hurry(_) | Command::OnLog(_) | Command::Close => {}
    }
}

fn ended_by(status: &Status) -> End {
    let text = status_text(status);
    if may_recover(status) { End::Broken(text) } else { End::Over(text) }
}

/// The arguments of a call, as the cluster reads them: those by place, and none by name.
fn arguments(args: Vec<Value>) -> Value {
    Value::Tuple(vec![Value::Tuple(args), Value::Dict(Vec::new())])
}

/// The parts of a value in a row. One part is not copied.
fn join(parts: &[Bytes]) -> Bytes {
    match parts {
        [part] => part.clone(),
        parts => {
            let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
            parts.iter().for_each(|part| whole.extend_from_slice(part));
            whole.freeze()
        }
    }
}
