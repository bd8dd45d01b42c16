//! Cell hosts that connect: one at a time, the next one when that has died.

use super::{End, Host, Object, Place, Shared};
use crate::abi::Fault;
use crate::local::Outbox;
use crate::ray::wire::{self, Body, FromCluster, INLINE_BYTES_MAX, Incoming, Parcel, ToCluster};
use bytes::Bytes;
use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType};
use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// Listens for cell hosts in this folder, as long as the cluster is there.
///
/// # Errors
/// The system's.
pub(super) fn listen(folder: &Path, shared: &Arc<Shared>) -> io::Result<PathBuf> {
    // A number, because the socket of a session that was left may be there for a moment.
    let path = (0..).map(|number| folder.join(format!("ray-{number}"))).find(|path| !path.exists());
    let path = path.ok_or(io::ErrorKind::AlreadyExists)?;
    let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&listener, &SocketAddrUnix::new(&path)?)?;
    rustix::net::listen(&listener, 8)?;
    let shared = Arc::downgrade(shared);
    std::thread::Builder::new().name("mobula-cluster".into()).spawn(move || accept(&listener, &shared))?;
    Ok(path)
}

/// Ends the listening there, when the session has left the cluster.
pub(super) fn stop(path: &Path) {
    // The thread looks when somebody comes.
    let _ = UnixStream::connect(path);
    let _ = std::fs::remove_file(path);
}

fn accept(listener: &OwnedFd, shared: &Weak<Shared>) {
    loop {
        let Ok(socket) = rustix::net::accept_with(listener, SocketFlags::CLOEXEC) else { return };
        let Some(shared) = shared.upgrade().filter(|shared| !shared.state().is_left) else { return };
        let socket = Arc::new(socket);
        let begun = std::thread::Builder::new().name("mobula-cluster".into()).spawn(move || serve(&shared, socket));
        if let Err(error) = begun {
            tracing::error!(%error, "the system has no thread for a cell host");
        }
    }
}

/// Reads what a cell host says, until it is gone.
fn serve(shared: &Arc<Shared>, socket: Arc<OwnedFd>) {
    let mut incoming = Incoming::default();
    let held = match incoming.next(&*socket) {
        Ok(Some(ToCluster::Hello { version: wire::VERSION, held })) => held,
        _ => return,
    };
    let writes = Arc::clone(&socket);
    let write = move |parcel: Parcel<FromCluster>| {
        if let Err(error) = wire::send(&*writes, &parcel) {
            tracing::debug!(%error, "the cell host is gone");
        }
    };
    let Ok(outbox) = Outbox::start("mobula-cluster", 0, write) else { return };
    let number = shared.greet(Arc::clone(&socket), Arc::new(outbox), held);
    while let Ok(Some(message)) = incoming.next(&*socket) {
        if let Err(error) = shared.heed(message, &mut incoming) {
            tracing::error!(%error, "a cell host sends nonsense");
            break;
        }
    }
    shared.lost(number);
}

impl Host {
    pub(super) fn hang_up(&self) {
        let _ = rustix::net::shutdown(&*self.socket, Shutdown::Both);
    }
}

impl Shared {
    /// A cell host has come, with references to these objects. It is told how they are.
    fn greet(&self, socket: Arc<OwnedFd>, outbox: Arc<Outbox<Parcel<FromCluster>>>, held: Vec<u64>) -> u64 {
        let held: HashSet<u64> = held.into_iter().collect();
        let (number, gone, news, before) = {
            let mut state = self.state();
            state.hosts += 1;
            let number = state.hosts;
            let before = state.host.replace(Host { number, socket, outbox: Arc::clone(&outbox) });
            let mut unused = Vec::new();
            for (id, object) in &mut state.objects {
                object.is_held = held.contains(id);
                if !object.is_held {
                    unused.push(*id);
                }
            }
            let gone = Shared::free(&mut state, unused);
            let mut news: Vec<FromCluster> = held.iter().filter_map(|id| state.news(*id)).collect();
            news.extend(state.closed.clone().map(|reason| FromCluster::Closed { reason }));
            (number, gone, news, before)
        };
        drop((gone, before.map(|before| before.hang_up())));
        news.into_iter().for_each(|message| outbox.put(message.into(), 1));
        number
    }

    /// A cell host is gone. What it referred to is kept for the one that takes its place.
    fn lost(&self, number: u64) {
        let mut state = self.state();
        let host = state.host.take_if(|host| host.number == number);
        drop(state);
        drop(host);
    }

    fn heed(self: &Arc<Shared>, message: ToCluster, incoming: &mut Incoming) -> io::Result<()> {
        match message {
            ToCluster::Hello { .. } => return Err(io::ErrorKind::InvalidData.into()),
            ToCluster::Put { id, refs, body } => {
                let content = incoming.content(body)?;
                self.put(id, refs, Bytes::from_owner(content));
            }
            ToCluster::Submit(task) => self.submit(task),
            ToCluster::Fetch { id } => self.fetch(id),
            ToCluster::Retain { id } => {
                let news = {
                    let mut state = self.state();
                    state.objects.get_mut(&id).into_iter().for_each(|object| object.is_held = true);
                    state.news(id)
                };
                match news {
                    Some(news) => self.tell(news.into()),
                    None => self.watch(id),
                }
            }
            ToCluster::Release { ids } => {
                let gone = {
                    let mut state = self.state();
                    for id in &ids {
                        if let Some(object) = state.objects.get_mut(id) {
                            object.is_held = false;
                        }
                    }
                    Shared::free(&mut state, ids)
                };
                drop(gone);
            }
            ToCluster::Met { id } => self.met(id),
            ToCluster::Ask { req, question } => self.asked(req, question),
            ToCluster::Heeded { turn } => self.state().heeded = Some(turn),
        }
        Ok(())
    }

    /// Puts a value: a large one goes to the cluster, a small one goes along with whoever takes it.
    fn put(&self, id: u64, refs: Vec<u64>, bytes: Bytes) {
        let place = if bytes.len() <= INLINE_BYTES_MAX {
            Place::Known { inline: Some(bytes), payload: None }
        } else {
            let payload = self.session.put(super::values::payload(bytes, self.boot.has_numpy));
            Place::Known { inline: None, payload: Some(payload) }
        };
        let mut state = self.state();
        for inner in &refs {
            if let Some(object) = state.objects.get_mut(inner) {
                object.inside += 1;
            }
        }
        state.objects.insert(id, Object { is_held: true, inside: 0, place, end: End::Ready, is_watched: true, refs });
    }

    pub(super) fn answer(&self, req: u64, answer: Result<crate::abi::Answer, Fault>) {
        self.tell(FromCluster::Answered { req, answer }.into());
    }
}

impl super::State {
    /// What a cell host has to know of an object; `None` while it is pending.
    pub fn news(&self, id: u64) -> Option<FromCluster> {
        let object = self.objects.get(&id)?;
        match &object.end {
            End::Pending => None,
            End::Failed(failure) => Some(FromCluster::Failed { id, failure: failure.clone() }),
            End::Ready => {
                let body = match &object.place {
                    Place::Known { inline: Some(bytes), .. } => Some(Body::Inline(bytes.to_vec())),
                    Place::Actor(..) => Some(Body::Inline(Vec::new())),
                    _ => None,
                };
                Some(FromCluster::Ready { id, refs: object.refs.clone(), body })
            }
        }
    }
}
