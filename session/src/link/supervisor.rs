//! The link's thread: it follows the cell host, reads its messages, notices its death, and promotes a twin.

use super::output::Output;
use super::stdin::{Input, Look};
use super::{ATTENTION, Interrupt, Shared, write_all};
use crate::comms::Comms;
use crate::event::{CellId, Event, Stream};
use crate::host::Host;
use crate::link::wire::{FromHost, ToHost, receive, send};
use crate::outlet::Outlet;
use crate::reports::record::{Death, Kept};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a dead host's twin may take to offer itself.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);

/// How long an earlier twin may take to offer itself, for which the host is to make room.
const GO_BACK_MAX: Duration = Duration::from_secs(2);

/// The current cell host.
struct Present {
    socket: OwnedFd,
    pidfd: OwnedFd,
    pid: i32,
    /// The last checkpoint that the link has counted.
    checkpoint: u64,
    /// The first cell since the twin was made after which none could be made.
    unguarded: Option<CellId>,
    /// Whether the host was a twin: then this process, not evcxr, must reap it.
    adopted: bool,
}

/// A twin with an earlier checkpoint, whose host has died. It waits to be promoted or ended.
struct Former {
    checkpoint: u64,
    socket: OwnedFd,
    pidfd: OwnedFd,
    pid: i32,
}

/// The thread's whole state.
pub struct Hosts {
    shared: Arc<Shared>,
    runtime: Arc<dyn Host>,
    outlet: Arc<dyn Outlet>,
    comms: Arc<Comms>,
    listener: OwnedFd,
    output: Output,
    input: Input,
    /// Whether the notice of [`Look::Blind`] has been shown.
    blind_is_told: bool,
    /// Connections that have not sent their first message.
    strangers: Vec<OwnedFd>,
    present: Option<Present>,
    formers: Vec<Former>,
    /// The highest checkpoint that any process may have.
    newest: u64,
    /// Twins that were told to exit. This process inherited them and must reap them.
    leaving: Vec<OwnedFd>,
    /// When and how the host died, until that is dealt with.
    dead: Option<(Instant, Death)>,
    /// A twin was told to take over and is not ready yet.
    promoting: bool,
    /// The earlier checkpoint for whose twin the host is to make room, and until when that one is waited for.
    going_back: Option<(u64, Instant)>,
    /// The cell before which that twin was made, if it is an older one.
    back_to: Option<CellId>,
    /// The write end of evcxr's result pipe.
    results: Option<OwnedFd>,
    /// Whether evcxr waits for a library to end.
    loaded: bool,
}

impl Hosts {
    /// A link without a cell host. Makes this process the subreaper, which inherits twins whose host has died.
    ///
    /// # Errors
    /// The output's pipes cannot be made.
    pub fn new(
        shared: Arc<Shared>,
        runtime: Arc<dyn Host>,
        outlet: Arc<dyn Outlet>,
        comms: Arc<Comms>,
        listener: OwnedFd,
    ) -> Result<Hosts, Errno> {
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        let output = Output::new(shared.clone(), outlet.clone())?;
        Ok(Hosts {
            shared,
            runtime,
            outlet,
            comms,
            listener,
            output,
            input: Input::default(),
            blind_is_told: false,
            strangers: Vec::new(),
            present: None,
            formers: Vec::new(),
            newest: 0,
            leaving: Vec::new(),
            dead: None,
            promoting: false,
            going_back: None,
            back_to: None,
            results: None,
            loaded: false,
        })
    }

    /// Serves until the link ends.
    pub fn run(&mut self) {
        while !self.turn() {}
        // The host has outlived the time it was given.
        if let Some(host) = self.present.take().filter(|_| self.dead.is_none()) {
            let _ = pidfd_send_signal(&host.pidfd, Signal::KILL);
            if host.adopted {
                let _ = waitid(WaitId::PidFd(host.pidfd.as_fd()), WaitIdOptions::EXITED);
            }
        }
    }

    /// Whether the link may end: it was asked to, and either no process of a cell is left or its time is up.
    fn is_over(&self) -> bool {
        let Some(latest) = self.shared.lock().stop else { return false };
        let alone =
            (self.present.is_none() || self.dead.is_some()) && self.formers.is_empty() && self.leaving.is_empty();
        alone || Instant::now() >= latest
    }

    /// Waits for something to happen and deals with it. `true`: the link is to end.
    fn turn(&mut self) -> bool {
        let timeout = self.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|left| Timespec::try_from(left + Duration::from_millis(1)).ok());
        let mut fds = vec![PollFd::new(&self.shared.wake, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        // While the front end has no room, the cells' output stays in its pipes.
        let is_read = if self.outlet.is_full() { PollFlags::empty() } else { PollFlags::IN };
        fds.extend(self.output.ends().map(|end| PollFd::new(end, is_read)));
        // A host known to be dead sends nothing more.
        if let Some(host) = self.present.as_ref().filter(|_| self.dead.is_none() || self.promoting) {
            fds.push(PollFd::new(&host.pidfd, PollFlags::IN));
            fds.push(PollFd::new(&host.socket, PollFlags::IN));
        }
        let known = fds.len();
        fds.extend(self.strangers.iter().map(|stranger| PollFd::new(stranger, PollFlags::IN)));
        fds.extend(self.leaving.iter().map(|pidfd| PollFd::new(pidfd, PollFlags::IN)));
        fds.extend(self.formers.iter().map(|former| PollFd::new(&former.pidfd, PollFlags::IN)));
        if poll(&mut fds, timeout.as_ref()).is_err() {
            return false;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);

        if ready[0] {
            let mut count = [0; 8];
            let _ = rustix::io::read(&self.shared.wake, &mut count);
        }
        if ready[2] {
            self.output.read(false);
        }
        if ready[3] {
            self.output.read(true);
        }
        if known > 5 && ready[5] {
            self.host_speaks();
        }
        if known > 4 && ready[4] {
            self.host_died();
        }
        for at in (0..self.strangers.len()).rev() {
            if ready.get(known + at) == Some(&true) {
                let stranger = self.strangers.remove(at);
                self.stranger_speaks(stranger);
            }
        }
        if ready[1]
            && let Ok(stranger) = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC)
        {
            self.strangers.push(stranger);
        }
        self.leaving.retain(lives);
        self.formers.retain(|former| lives(&former.pidfd));
        self.check_deadlines();
        self.go_back();
        self.promote_former();
        let pid = self.present.as_ref().filter(|_| self.loaded && self.dead.is_none()).map(|host| host.pid);
        match pid.map_or(Look::Nothing, |pid| self.input.look(pid)) {
            Look::Nothing => {}
            Look::Wants => {
                self.output.read(false);
                self.output.read(true);
                self.input.ask(&self.shared, &self.outlet);
            }
            Look::Blind(text) => {
                if !std::mem::replace(&mut self.blind_is_told, true) {
                    self.outlet.put(Event::Notice { text: text.to_owned() });
                }
            }
        }
        self.is_over()
    }

    fn deadline(&self) -> Option<Instant> {
        let takeover = self.dead.as_ref().map(|(since, _)| *since + TAKEOVER_MAX);
        let going_back = self.going_back.map(|(_, until)| until);
        let interrupt = match self.shared.lock().interrupt {
            Interrupt::Asked(next, end) if self.loaded => Some(next.min(end)),
            _ => None,
        };
        let (stop, held) = {
            let state = self.shared.lock();
            (state.stop, state.held_until)
        };
        takeover
            .into_iter()
            .chain(going_back)
            .chain(interrupt)
            .chain(stop)
            .chain(held)
            .chain(self.input.deadline())
            .min()
    }

    fn check_deadlines(&mut self) {
        let mut state = self.shared.lock();
        let now = Instant::now();
        if state.held_until.is_some_and(|until| until <= now) {
            let cell = state.cell;
            for report in state.show_held_failures() {
                self.outlet.put(Event::Text { cell, stream: Stream::Stderr, text: format!("{report}\n") });
            }
        }
        let overdue = match state.interrupt {
            Interrupt::Asked(_, end) if end <= now => true,
            // A cell that unwinds or waits for a runtime call stops by itself; any other would not.
            Interrupt::Asked(next, end) if next <= now => {
                let is_heeded = self.runtime.is_interrupt_heeded(state.turn);
                state.interrupt = Interrupt::Asked(now + ATTENTION, end);
                !is_heeded
            }
            Interrupt::Asked(..) => false,
            Interrupt::Now => true,
            Interrupt::None | Interrupt::Killed => state.closing && state.interrupt == Interrupt::None,
        };
        if overdue && self.loaded && self.dead.is_none() {
            state.interrupt = Interrupt::Killed;
            if let Some(host) = &self.present {
                let _ = pidfd_send_signal(&host.pidfd, Signal::KILL);
            }
        }
        let hopeless = state.closing;
        drop(state);
        if hopeless {
            self.end_formers(|_| true);
        }
        if self.dead.as_ref().is_some_and(|(since, _)| hopeless || since.elapsed() > TAKEOVER_MAX) {
            // No twin takes over. Closing evcxr's pipe tells evcxr that its child is gone; it starts a new one.
            self.note_death();
            self.end_formers(|_| true);
            self.going_back = None;
            self.present = None;
            self.results = None;
            self.loaded = false;
        }
    }

    fn host_speaks(&mut self) {
        let Some(host) = &self.present else { return };
        match receive::<FromHost>(&host.socket) {
            Ok(Some((FromHost::Load { library }, _))) => self.load(library),
            Ok(Some((FromHost::LoadFailed { message }, _))) => self.shared.lock().record.load_failed = Some(message),
            Ok(Some((FromHost::Ended { how, undone }, _))) => {
                let mut state = self.shared.lock();
                state.record.undone = undone;
                state.record.panicked |= how == 1;
                state.record.failed |= how == 2;
                state.record.returned |= how == 8;
            }
            Ok(Some((FromHost::Crashed { frames }, _))) => self.shared.lock().record.crash = frames,
            Ok(Some((FromHost::Done { checkpoint, unguarded, kept, load_us, fork_us }, _))) => {
                self.shared.lock().record.unguarded = unguarded;
                self.done(checkpoint, kept, load_us, fork_us);
            }
            Ok(Some((FromHost::GoBack { checkpoint }, _))) => {
                self.loaded = true;
                self.going_back = Some((checkpoint, Instant::now() + GO_BACK_MAX));
            }
            Ok(Some((FromHost::Promoted, _))) => self.promoted(),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                // It hung up, but is not dead yet: the pidfd tells of its end.
                if let Some(host) = &self.present {
                    let _ = pidfd_send_signal(&host.pidfd, Signal::KILL);
                }
                self.host_died();
            }
        }
    }

    fn load(&mut self, library: String) {
        let mut state = self.shared.lock();
        if !library.is_empty() {
            state.sources.remember(&library);
            state.record.library = Some(library);
        }
        let skip = state.running && state.interrupt != Interrupt::None;
        let (cell, turn) = (state.cell.0, state.turn.0);
        state.record.loaded_at.get_or_insert_with(Instant::now);
        drop(state);
        self.loaded = true;
        if skip {
            self.answer(&ToHost::Skip, &[]);
        } else {
            let (reader, memory) = {
                let state = self.shared.lock();
                (state.input.clone(), state.memory)
            };
            // Without a pipe the cell reads from the previous one, which is at its end.
            let input = self.input.open(reader).ok();
            let fds: Vec<_> = input.iter().map(|fd| fd.as_fd()).collect();
            self.answer(&ToHost::Begin { cell, turn, memory }, &fds);
        }
        if skip {
            self.shared.lock().record.panicked = true;
            self.finish(true);
        }
    }

    fn done(&mut self, checkpoint: u64, kept: Kept, load_us: u64, fork_us: u64) {
        let oldest = kept.oldest;
        let mut state = self.shared.lock();
        (state.checkpoint, state.oldest) = (Some(checkpoint), oldest);
        state.record.returned_at = Some(Instant::now());
        (state.record.load_us, state.record.fork_us) = (load_us, fork_us);
        state.record.kept = Some(kept);
        let unguarded = state.record.unguarded.is_some().then_some(state.cell);
        drop(state);
        self.newest = self.newest.max(checkpoint);
        if let Some(host) = &mut self.present {
            host.checkpoint = checkpoint;
            host.unguarded = unguarded.map(|cell| host.unguarded.unwrap_or(cell));
        }
        self.end_formers(|former| former < oldest);
        self.answer(&ToHost::Commit, &[]);
        let failed = self.shared.lock().record.load_failed.is_some();
        self.finish(failed);
    }

    /// If the host wants to make room for an earlier twin, and that one is here or has not come in time, answers.
    fn go_back(&mut self) {
        let Some((checkpoint, until)) = self.going_back else { return };
        let is_here = self.formers.iter().any(|former| former.checkpoint == checkpoint);
        if self.dead.is_some() {
            self.going_back = None;
        } else if is_here {
            self.going_back = None;
            self.shared.lock().record.undone = true;
            if let Some(host) = &mut self.present {
                host.checkpoint = checkpoint;
            }
            self.end_formers(|former| former > checkpoint);
            self.answer(&ToHost::Exit, &[]);
        } else if until <= Instant::now() {
            self.going_back = None;
            self.answer(&ToHost::Skip, &[]);
            self.finish(true);
        }
    }

    /// Tells those to exit whose checkpoint is no longer wanted.
    fn end_formers(&mut self, is_over: impl Fn(u64) -> bool) {
        for former in self.formers.extract_if(.., |former| is_over(former.checkpoint)) {
            let _ = send(&former.socket, &ToHost::Exit, &[]);
            self.leaving.push(former.pidfd);
        }
    }

    /// If the twin that is to take the dead host's place waits here, promotes it.
    fn promote_former(&mut self) {
        let Some(host) = &self.present else { return };
        let wanted = host.checkpoint;
        if self.dead.is_some()
            && !self.promoting
            && let Some(at) = self.formers.iter().position(|former| former.checkpoint == wanted)
        {
            let former = self.formers.remove(at);
            self.promote(former);
        }
    }

    /// Takes in all of the cell's output, then tells evcxr that the library has run, or that it `panicked`.
    fn finish(&mut self, panicked: bool) {
        self.input.close();
        self.output.drain();
        self.loaded = false;
        self.shared.lock().record.done_at = Some(Instant::now());
        let mut lines = self.output.take_controls();
        if panicked {
            lines = vec!["EVCXR_PANIC_NOTIFICATION".into()];
        }
        lines.push("EVCXR_EXECUTION_COMPLETE".into());
        let text = lines.join("\n") + "\n";
        if let Some(results) = &self.results {
            write_all(results, text.as_bytes());
        }
    }

    fn answer(&self, message: &ToHost, fds: &[BorrowedFd<'_>]) {
        if let Some(host) = &self.present {
            let _ = send(&host.socket, message, fds);
        }
    }

    fn stranger_speaks(&mut self, stranger: OwnedFd) {
        match receive::<FromHost>(&stranger) {
            Ok(Some((FromHost::Hello { pid }, fds))) => self.new_host(stranger, pid, fds),
            Ok(Some((FromHost::Candidate { pid, checkpoint }, _))) => self.candidate(stranger, pid, checkpoint),
            _ => {}
        }
    }

    fn new_host(&mut self, socket: OwnedFd, pid: i32, mut fds: Vec<OwnedFd>) {
        let (Some(results), Some(pidfd)) = (fds.pop(), open_pidfd(pid)) else { return };
        self.end_formers(|_| true);
        // Twins of an earlier host, which may still come, have lower ones.
        self.newest += 2;
        let checkpoint = self.newest;
        if send(&socket, &ToHost::Welcome { checkpoint }, &self.output.write_ends()).is_err() {
            return;
        }
        self.results = Some(results);
        {
            let mut state = self.shared.lock();
            (state.checkpoint, state.oldest) = (Some(checkpoint), checkpoint);
        }
        self.shared.arrived.notify_all();
        self.present = Some(Present { socket, pidfd, pid, checkpoint, unguarded: None, adopted: false });
        self.dead = None;
        self.going_back = None;
        self.promoting = false;
        self.loaded = false;
        self.runtime.cell_host_changed(pid as u32, false);
        self.comms.host_changed();
    }

    fn host_died(&mut self) {
        let Some(host) = &self.present else { return };
        if self.dead.is_some() && !self.promoting {
            return;
        }
        // evcxr waits for the child that it started itself; the zombie is left for it.
        let keep = if host.adopted { WaitIdOptions::empty() } else { WaitIdOptions::NOWAIT };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | keep;
        let death = match waitid(WaitId::PidFd(host.pidfd.as_fd()), options) {
            Ok(Some(status)) => Death::of(&status),
            // Not dead yet: the pidfd will tell.
            Ok(None) => return,
            Err(_) => Death::Exit(0),
        };
        // If a twin died while it was being promoted, the first death is the one to report.
        let first = self.dead.take().map_or(death, |(_, first)| first);
        self.dead = Some((Instant::now(), first));
        self.promoting = false;
    }

    /// Handles a twin's offer. The right twin holds the last checkpoint that the link has counted. Those with earlier ones wait, if cells can
    /// be undone by them.
    fn candidate(&mut self, socket: OwnedFd, pid: i32, checkpoint: u64) {
        self.host_died();
        let Some(pidfd) = open_pidfd(pid) else { return };
        let (closing, oldest) = {
            let state = self.shared.lock();
            (state.closing, state.oldest)
        };
        let wanted = self.present.as_ref().filter(|_| !closing).map(|host| host.checkpoint);
        let candidate = Former { checkpoint, socket, pidfd, pid };
        if self.dead.is_some() && !self.promoting && wanted == Some(checkpoint) {
            self.promote(candidate);
        } else if (oldest..wanted.unwrap_or_default()).contains(&checkpoint) {
            let _ = send(&candidate.socket, &ToHost::Hold, &[]);
            self.formers.push(candidate);
        } else {
            let _ = send(&candidate.socket, &ToHost::Exit, &[]);
            self.leaving.push(candidate.pidfd);
        }
    }

    /// Has a twin take the dead host's place.
    fn promote(&mut self, Former { checkpoint, socket, pidfd, pid }: Former) {
        let oldest = self.shared.lock().oldest;
        // The dead host may have made a checkpoint that has not been counted.
        self.newest += 1;
        if send(&socket, &ToHost::Promote { newest: self.newest, oldest }, &[]).is_ok() {
            self.back_to = self.present.as_ref().and_then(|host| host.unguarded);
            self.shared.lock().checkpoint = Some(checkpoint);
            self.present = Some(Present { socket, pidfd, pid, checkpoint, unguarded: None, adopted: true });
            self.promoting = true;
        }
    }

    /// The new host is connected to the runtime: the cell that ran at the death is over.
    fn promoted(&mut self) {
        let Some(pid) = self.present.as_ref().map(|host| host.pid) else { return };
        self.promoting = false;
        self.runtime.cell_host_changed(pid as u32, true);
        self.comms.host_changed();
        self.output.drain();
        let idle = !self.loaded;
        let death = self.note_death();
        let back_to = self.back_to.take();
        if let Some(cell) = back_to {
            let mut state = self.shared.lock();
            state.gone_back.get_or_insert(cell);
            state.record.gone_back = Some(cell);
        }
        if !idle {
            self.finish(true);
        } else if let Some(death) = death {
            let is_whole = back_to.map_or("every variable is intact".into(), |cell| {
                format!("variables are as they were before cell {cell}")
            });
            let text = format!(
                "the process that runs the cells {death} while no cell was running; a copy took its place and {is_whole}"
            );
            self.outlet.put(Event::Notice { text });
        }
    }

    fn note_death(&mut self) -> Option<Death> {
        let (_, death) = self.dead.take()?;
        let mut state = self.shared.lock();
        if self.loaded && !state.record.undone {
            state.record.death = Some(death.clone());
        }
        drop(state);
        Some(death)
    }
}

/// Whether a twin has not ended. One that has is reaped, unless its host lives, whose child it is.
fn lives(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    if matches!(poll(&mut fds, Some(&Timespec::default())), Ok(0)) {
        return true;
    }
    let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    false
}

fn open_pidfd(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}
