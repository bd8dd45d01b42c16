//! The thread of a session: takes commands, has requests written as the outbox decides, and takes answers.
//!
//! ```text
//!  Session ──commands──▶ Driver ──▶ requests.rs ──▶ Outbox      what goes out next, which ids are kept
//!                          │ ▲         └──▶ Bursts              what is fetched together
//!                 requests ▼ │ answers.rs                       one stream, opened again when it breaks
//!                        the cluster ◀──▶ beside.rs: wait, info, values, output
//! ```

mod answers;
mod requests;

use super::beside::{self, State};
use super::bursts::{Bursts, Wanted};
use super::call::{Done, Get, Info, Log, Wire, Work, guarded};
use super::door::{ClientDoor, Door};
use super::error::RayError;
use super::line::{Line, may_recover, status_text};
use super::outbox::{Outbox, Request};
use super::proto::data_request::Type as Ask;
use super::proto::{ConnectionCleanupRequest, DataRequest, GetRequest};
use super::reference::{Key, LetGo, Ref};
use super::stream::{Reply, Stream};
use super::way::{Started, Way};
use bytes::Bytes;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::{Code, Status};

/// Ids are released together, at the latest after this.
const RELEASE_AFTER: Duration = Duration::from_millis(20);

/// Gets that are fetched together wait for more of them this long.
const TOGETHER_AFTER: Duration = Duration::from_millis(20);

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
    /// The places of those gets of a burst that are ready.
    Ready(Vec<usize>),
    /// What has come of gets that were made together.
    Fetched(u64, Option<Bytes>),
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
        get: Get,
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
            Then::Get { get, .. } => get.done.tell(Err(why)),
            Then::NamedActor { done, .. } => done.tell(Err(why)),
            Then::NamedActors(done) => done.tell(Err(why)),
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
    Answer(Result<Option<Reply>, Status>),
    /// Idle ids are due, or gets are that waited for more.
    Time,
}

pub(super) struct Driver {
    way: Way,
    client: String,
    grace: Duration,
    commands: Arc<Commands>,
    queue: mpsc::UnboundedReceiver<Command>,
    outbox: Outbox<Work, Pending, RayError>,
    bursts: Bursts<Get>,
    /// Objects whose tasks were cancelled by force.
    cancelled: HashSet<Key>,
    /// Gets that are made together and are under way.
    fetched: HashMap<u64, Vec<Wanted<Get>>>,
    next_fetch: u64,
    stream: Stream,
    /// Written, and not yet taken by the connection.
    outgoing: VecDeque<DataRequest>,
    /// When idle ids are released.
    release_at: Option<Instant>,
    /// When gets wait no longer for more.
    together_at: Option<Instant>,
    /// Answers that the cluster keeps until they are acknowledged.
    unacknowledged: u32,
    state: watch::Sender<State>,
    on_end: Option<Box<dyn FnOnce(String) + Send>>,
    /// Why the session has ended, for those who ask after it.
    ended: Arc<Mutex<Option<String>>>,
}

impl Driver {
    pub(super) fn new(
        way: Way,
        started: Started,
        grace: Duration,
        commands: Arc<Commands>,
        queue: mpsc::UnboundedReceiver<Command>,
        ended: Arc<Mutex<Option<String>>>,
    ) -> Driver {
        Driver {
            way,
            client: started.client,
            grace,
            commands,
            queue,
            outbox: Outbox::new(started.req),
            bursts: Bursts::new(),
            cancelled: HashSet::new(),
            fetched: HashMap::new(),
            next_fetch: 0,
            stream: started.stream,
            outgoing: VecDeque::new(),
            release_at: None,
            together_at: None,
            unacknowledged: 0,
            state: watch::Sender::new(State::Up(started.door)),
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
            if self.together_at.is_some_and(|at| at <= Instant::now()) {
                self.bursts.due();
            }
            self.ask_for_ready();
            let is_waiting = self.bursts.is_waiting();
            self.together_at = is_waiting.then(|| self.together_at.unwrap_or_else(|| Instant::now() + TOGETHER_AFTER));
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
                Event::Sent(true) | Event::Time => {}
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
        let time = [self.release_at, self.together_at].into_iter().flatten().min();
        tokio::select! {
            command = self.queue.recv() => Event::Command(command),
            is_sent = send, if has_outgoing => Event::Sent(is_sent),
            answer = self.stream.answers.message() => Event::Answer(answer),
            () = sleep_until(time.unwrap_or_else(Instant::now)), if time.is_some() => Event::Time,
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
            Command::Ask(mut request) => {
                if let Work::Get { is_small, .. } = &mut request.what {
                    // A bridge pushes at little cost.
                    *is_small &= matches!(self.way, Way::Client(_));
                }
                let until = match &request.what {
                    Work::Wait(wait) => wait.until,
                    Work::Get { is_small: true, .. } => {
                        self.bursts.asked();
                        None
                    }
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
            Command::Ready(ready) => self.ready(&ready),
            Command::Fetched(number, list) => self.fetched(number, list),
            Command::Dropped(key) => {
                self.cancelled.remove(&key);
                self.outbox.dropped(key);
            }
            Command::Info(info, done) => {
                let beside = self.beside();
                tokio::spawn(async move { done.tell(beside::info(beside, info).await) });
            }
            Command::OnLog(tell) => drop(tokio::spawn(beside::logs(self.beside(), tell))),
            Command::OnEnd(tell) => self.on_end = Some(tell),
            Command::Close => unreachable!("the loop looks for it"),
        }
    }

    /// Tells whoever waits for something that never goes out.
    fn fail_what_failed(&mut self) {
        for (work, why) in self.outbox.take_failed() {
            if let Work::Get { is_small: true, .. } = work {
                self.bursts.lost();
            }
            work.fail(why);
        }
    }

    /// Connects again and sends what has no answer once more. The reason why not, if the session is over.
    async fn reconnect(&mut self, broken: String) -> Result<(), String> {
        let line = match &self.way {
            Way::Client(line) if !self.grace.is_zero() => line.clone(),
            _ => return Err(broken),
        };
        self.state.send_replace(State::Down);
        let until = Instant::now() + self.grace;
        let commands = Arc::clone(&self.commands);
        loop {
            let why = tokio::select! {
                // Until the last moment: the cluster counts from when it saw the end.
                attempt = self.attempt(&line) => match attempt {
                    Ok((door, stream)) => {
                        self.resume(door, stream);
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
    async fn attempt(&self, line: &Line) -> Result<(Door, Stream), Option<String>> {
        let channel = line.connect().await.map_err(|_| None)?;
        // The cluster answers a stream only when it has something to say, so it is asked for an object that there is not.
        let probe = GetRequest { ids: vec![Bytes::from_static(&[0; 28])], asynchronous: true, ..GetRequest::default() };
        let first = DataRequest { req_id: i32::MAX, r#type: Some(Ask::Get(probe)) };
        let opened = timeout(CLOSE_MAX, line.open(&channel, &self.client, first, true)).await.map_err(|_| None)?;
        let over = |status: Status| match status.code() {
            Code::NotFound => Some("the cluster has given the session up".to_owned()),
            _ if may_recover(&status) => None,
            _ => Some(status_text(&status)),
        };
        let mut stream = opened.map_err(over)?;
        let answer = timeout(CLOSE_MAX, stream.answers.message()).await.map_err(|_| None)?;
        match answer.map_err(over)? {
            Some(_) => {
                let door = ClientDoor { line: line.clone(), channel, client: self.client.clone() };
                Ok((Door::Client(Box::new(door)), stream))
            }
            None => Err(None),
        }
    }

    fn resume(&mut self, door: Door, stream: Stream) {
        self.stream = stream;
        self.outgoing.clear();
        self.outbox.for_unanswered(|req, pending| {
            if let Then::Get { parts, .. } = &mut pending.then {
                parts.clear();
            }
            self.outgoing.extend(pending.wire.messages(req));
        });
        self.state.send_replace(State::Up(door));
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
        let fetched = std::mem::take(&mut self.fetched).into_values().flatten().map(|(_, get)| get);
        fetched.chain(self.bursts.end()).for_each(|get| get.done.tell(Err(why.clone())));
        while let Ok(command) = self.queue.try_recv() {
            refuse(command, &reason);
        }
        if let Some(tell) = self.on_end.take() {
            guarded(|| tell(reason));
        }
    }
}

/// Answers a command that comes after the end.
pub(super) fn refuse(command: Command, reason: &str) {
    let why = RayError::SessionEnded(reason.to_owned());
    match command {
        Command::Ask(request) => request.what.fail(why),
        Command::Info(_, done) => done.tell(Err(why)),
        Command::OnEnd(tell) => guarded(|| tell(reason.to_owned())),
        Command::Dropped(_)
        | Command::Hurry(_)
        | Command::Ready(_)
        | Command::Fetched(..)
        | Command::OnLog(_)
        | Command::Close => {}
    }
}

fn ended_by(status: &Status) -> End {
    let text = status_text(status);
    if may_recover(status) { End::Broken(text) } else { End::Over(text) }
}
