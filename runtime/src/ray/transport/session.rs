//! A session on a Ray cluster, as the engine uses it: from any thread, without waiting.

use super::call::{Done, Get, Info, Kind, Log, Schedule, Wait, Work};
use super::connect_error::ConnectError;
use super::driver::{Command, Commands, Driver, refuse};
use super::error::RayError;
use super::options::ConnectOptions;
use super::outbox::Request;
use super::reference::{Key, Ref};
use super::server_info::ServerInfo;
use super::value::Value;
use super::way::Way;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A session on a Ray cluster. Clones are one session; it ends when it is [closed](Session::close), or with its last clone.
///
/// Nothing here waits for the cluster but [`connect`](Session::connect) and `close`. What is asked for is sent in order by a thread of the session, which
/// also calls the functions that it was given: they must not block.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    commands: Arc<Commands>,
    server: ServerInfo,
    /// Set before the thread ends.
    ended: Arc<Mutex<Option<String>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Session {
    /// Starts a session on the cluster at `address`, and waits for it. The address is that of the cluster's client port, such as `ray://head:10001`, or
    /// that of a bridge: `ray+bridge:` runs this machine's `python3` as a driver of its own, `ray+bridge:/path/of/python` another one, and
    /// `ray+bridge:ssh host` that of another machine. What follows a `?` is given to `ray.init`, as in `ray+bridge:?address=auto`.
    ///
    /// # Errors
    ///
    /// Nothing is there, it is something else, or it lets nobody in; each with what to do about it.
    pub fn connect(address: &str, options: ConnectOptions) -> Result<Session, ConnectError> {
        let way = Way::new(address, &options)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (commands, queue) = Commands::new();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let ended = Arc::new(Mutex::new(None));
        let (for_thread, ended_there) = (Arc::clone(&commands), Arc::clone(&ended));
        let body = move || {
            runtime.block_on(async move {
                let started = tokio::select! {
                    started = way.start(&options) => started,
                    () = options.given_up.said() => Err(ConnectError::GivenUp),
                };
                match started {
                    Ok(started) => {
                        let server = started.server.clone();
                        let driver = Driver::new(way, started, options.grace, for_thread, queue, ended_there);
                        // Nobody waits any more if the session was given up; then the commands have ended, too.
                        let _ = tell.send(Ok(server));
                        driver.run().await;
                    }
                    Err(error) => drop(tell.send(Err(error))),
                }
            });
        };
        let thread = thread::Builder::new().name("mobula-ray".into()).spawn(body)?;
        let gone = || ConnectError::Prepare(std::io::Error::other("the session's thread has ended"));
        let server = told.recv().map_err(|_| gone())??;
        Ok(Session(Arc::new(Inner { commands, server, ended, thread: Mutex::new(Some(thread)) })))
    }

    /// Puts a value into the cluster's store. That it failed shows when it is used.
    #[must_use]
    pub fn put(&self, value: Value) -> Ref {
        let into = self.0.commands.new_ref();
        self.ask(needs(std::slice::from_ref(&value)), vec![into.key()], None, Work::Put(value));
        into
    }

    /// Has the cluster call something, as soon as it knows what the call names. The calls of one actor go out in the order in which they were made.
    #[must_use]
    pub fn schedule(&self, call: Schedule<'_>) -> Vec<Ref> {
        let Schedule { kind, target, name, args, mut options, baseline, returns } = call;
        let count = if kind == Kind::NewActor { 1 } else { returns };
        let says_returns = |options: &[(String, Value)]| options.iter().any(|(name, _)| name == "num_returns");
        if count != 1 && !says_returns(&options) && !says_returns(&baseline) {
            options.push(("num_returns".into(), Value::Int(count.into())));
        }
        let into: Vec<Ref> = (0..count).map(|_| self.0.commands.new_ref()).collect();
        let mut needs = needs(&args);
        needs.push(target.key());
        let lane = matches!(kind, Kind::Method(_)).then(|| target.key());
        let keys = into.iter().map(Ref::key).collect();
        let work = Work::Schedule { kind, target: target.clone(), name: name.into(), args, options, baseline };
        self.ask(needs, keys, lane, work);
        into
    }

    /// Has `done` called with the value of an object as soon as it is there.
    pub fn get(&self, of: &Ref, done: Box<dyn FnOnce(Result<Value, RayError>) + Send>) {
        let get = Get { of: of.clone(), done: Done(done) };
        self.ask(vec![of.key()], Vec::new(), None, Work::Get { get, is_small: false });
    }

    /// As [`get`](Session::get), of an object that is known to be small. Many that are asked for at once come together, which is faster.
    pub fn get_small(&self, of: &Ref, done: Box<dyn FnOnce(Result<Value, RayError>) + Send>) {
        let get = Get { of: of.clone(), done: Done(done) };
        self.ask(vec![of.key()], Vec::new(), None, Work::Get { get, is_small: true });
    }

    /// Has `done` called with the places of the objects that are ready, as soon as `num_returns` of them are, or after `timeout`. What failed is ready.
    pub fn wait(
        &self,
        of: &[Ref],
        num_returns: usize,
        timeout: Option<Duration>,
        done: Box<dyn FnOnce(Result<Vec<usize>, RayError>) + Send>,
    ) {
        let until = timeout.map(|timeout| tokio::time::Instant::now() + timeout);
        let wait = Wait { of: of.to_vec(), returns: num_returns, until, done: Done(done) };
        let needs = of.iter().map(Ref::key).collect();
        let request = Request { needs, into: Vec::new(), lane: None, tolerant: true, what: Work::Wait(wait) };
        self.send(Command::Ask(Box::new(request)));
    }

    /// Cancels the task that makes an object. With `force`, its worker is killed; with `recursive`, the tasks that it started are cancelled, too.
    pub fn cancel(&self, of: &Ref, force: bool, recursive: bool) {
        self.ask(vec![of.key()], Vec::new(), None, Work::Cancel { of: of.clone(), force, recursive });
    }

    /// Kills an actor, after the calls that were made before.
    pub fn kill(&self, actor: &Ref, no_restart: bool) {
        let work = Work::Kill { actor: actor.clone(), no_restart };
        self.ask(vec![actor.key()], Vec::new(), Some(actor.key()), work);
    }

    /// Looks for an actor by its name.
    pub fn named_actor(
        &self,
        name: &str,
        namespace: Option<&str>,
        done: Box<dyn FnOnce(Result<Ref, RayError>) + Send>,
    ) {
        let actor = self.0.commands.new_ref();
        let key = actor.key();
        let namespace = namespace.map(str::to_owned);
        self.ask(
            Vec::new(),
            vec![key],
            None,
            Work::NamedActor { name: name.into(), namespace, actor, done: Done(done) },
        );
    }

    /// Asks the cluster something about itself. The answer is a text in JSON.
    pub fn info(&self, of: Info, done: Box<dyn FnOnce(Result<String, RayError>) + Send>) {
        let done = Done(done);
        if let Info::NamedActors { everywhere } = of {
            return self.ask(Vec::new(), Vec::new(), None, Work::NamedActors { everywhere, done });
        }
        self.send(Command::Info(of, done));
    }

    /// Has `tell` called with the output of the session's tasks, from now on.
    pub fn on_log(&self, tell: Box<dyn Fn(Log) + Send>) {
        self.send(Command::OnLog(tell));
    }

    /// Has `tell` called when the session has ended, with the reason. The last one that was set is called.
    pub fn on_end(&self, tell: Box<dyn FnOnce(String) + Send>) {
        self.send(Command::OnEnd(tell));
    }

    /// What the cluster says of itself.
    #[must_use]
    pub fn server(&self) -> &ServerInfo {
        &self.0.server
    }

    /// Ends the session and with it its job, after what was asked for before. Waits for it.
    pub fn close(self) {
        let _ = self.0.commands.send(Command::Close);
        let thread = self.0.thread.lock().expect("no panic inside").take();
        if let Some(thread) = thread {
            // From one of its own callbacks, it cannot be waited for.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("the session's thread panicked");
            }
        }
    }

    fn ask(&self, needs: Vec<Key>, into: Vec<Key>, lane: Option<Key>, what: Work) {
        self.send(Command::Ask(Box::new(Request { needs, into, lane, tolerant: false, what })));
    }

    fn send(&self, command: Command) {
        if let Err(command) = self.0.commands.send(command) {
            let reason = self.0.ended.lock().expect("no panic inside").clone();
            refuse(command, &reason.unwrap_or_else(|| "its thread has ended".into()));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Close);
    }
}

/// What values name.
fn needs(values: &[Value]) -> Vec<Key> {
    values.iter().flat_map(Value::parts).filter_map(Value::reference).map(Ref::key).collect()
}
