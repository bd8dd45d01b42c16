//! The workers' output pipes, read by the head and delivered to the observer.
//!
//! # Invariants
//! - A pipe is read whenever it has bytes and the front end takes output. Else this pipe waits, and nothing else does.
//! - A task's output is delivered before its result exists, because its worker is answered only then. What is folded (`folds.rs`) comes
//!   at the latest before the result of the last task of its cell.

use super::Head;
use super::folds::Folded;
use super::lines::Label;
use super::output_limit::HeldBack;
use super::pool::{Pool, READ_BYTES, STREAMS};
use crate::protocol::{ClientId, ObjectId, Request, RuntimeEvent, SessionId, Stream, WorkerId};
use crate::sync::Ordering;
use rustix::event::epoll;
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::time::Instant;

impl Head {
    /// The label of what the worker writes at the moment.
    fn label(&self, worker: WorkerId) -> Label {
        let Some(desk) = self.desk(worker.client()) else { return Label::nobody() };
        let task = ObjectId(desk.current.load(Ordering::Acquire));
        if task.0 == 0 {
            let pid = self.pool.pid(worker);
            let of_actor = self.actor_label(worker).map(|(title, cell)| Label { task: title.into(), cell, pid });
            return of_actor.unwrap_or(Label { pid, ..Label::nobody() });
        }
        let spec = self.segment.read_spec(task.slot());
        Label { task: self.functions.name(spec.function).into(), cell: spec.cell, pid: self.pool.pid(worker) }
    }

    /// The cell that a worker works for at the moment, by the runtime's number; 0 for none.
    pub(super) fn cell_of_worker(&self, worker: WorkerId) -> u64 {
        self.label(worker).cell
    }

    /// Reads a pipe that has bytes.
    pub(super) fn read_pipe(&mut self, token: u64) {
        if self.observer.is_full() {
            return self.pause(token);
        }
        let label = Pool::client_of(token).worker().map_or_else(Label::nobody, |worker| self.label(worker));
        if let Some(worker) = Pool::client_of(token).worker()
            && let Some(desk) = self.desk(worker.client())
        {
            // Set before the pipe is read: a worker that finds its pipe empty must not take the output for delivered.
            let _ = desk.wrote.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
        }
        let Some(pipe) = self.pool.pipes.get_mut(&token) else { return };
        if *pipe.lines.label() != label {
            let rest = pipe.lines.end();
            pipe.lines.belongs_to(label);
            self.deliver(token, rest);
        }
        let Some(pipe) = self.pool.pipes.get_mut(&token) else { return };
        let mut bytes = [0; READ_BYTES];
        match rustix::io::read(&pipe.fd, &mut bytes) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(len) if len > 0 => {
                let text = pipe.lines.take(&bytes[..len]);
                self.deliver(token, text);
            }
            Ok(_) | Err(_) => {
                let rest = pipe.lines.end();
                self.deliver(token, rest);
                self.pool.pipes.remove(&token);
            }
        }
    }

    /// Stops reading this pipe until the front end has room. A process that writes into it waits when it is full.
    fn pause(&mut self, token: u64) {
        let Some(pipe) = self.pool.pipes.get(&token) else { return };
        if epoll::delete(&self.epoll, &pipe.fd).is_ok() {
            self.pool.paused.push(token);
        }
    }

    /// Answers a worker with `Done`, once the front end has taken the output before.
    pub(super) fn done_when_taken(&mut self, to: ClientId, req: Request) {
        if self.observer.is_full() { self.pool.unanswered.push((to, req)) } else { self.done(to, req) }
    }

    /// Goes on with paused pipes and unanswered workers, if the front end has room again.
    pub(super) fn resume(&mut self) {
        if self.observer.is_full() {
            return;
        }
        for (to, req) in std::mem::take(&mut self.pool.unanswered) {
            self.done(to, req);
        }
        for token in std::mem::take(&mut self.pool.paused) {
            if let Some(pipe) = self.pool.pipes.get(&token)
                && self.watch(pipe.fd.as_fd(), token).is_err()
            {
                // A pipe that is not watched would never be read to its end.
                self.pool.pipes.remove(&token);
            }
        }
    }

    /// Delivers everything that the worker's task has written up to now.
    pub(super) fn end_output(&mut self, worker: WorkerId) {
        let label = self.label(worker);
        for stream in STREAMS {
            let token = Pool::pipe_token(worker, stream);
            let Some(pipe) = self.pool.pipes.get_mut(&token) else { continue };
            pipe.lines.belongs_to(label.clone());
            // As much as is in the pipe now, and no more: a thread that the task has left behind may write for ever.
            let mut left = rustix::io::ioctl_fionread(&pipe.fd).unwrap_or(0) as usize;
            let mut texts = Vec::new();
            let mut bytes = [0; READ_BYTES];
            while left > 0 {
                match rustix::io::read(&pipe.fd, &mut bytes[..left.min(READ_BYTES)]) {
                    Ok(len) if len > 0 => {
                        left -= len;
                        texts.extend(pipe.lines.take(&bytes[..len]));
                    }
                    Err(Errno::INTR) => {}
                    _ => break,
                }
            }
            texts.extend(pipe.lines.end());
            for text in texts {
                self.deliver(token, Some(text));
            }
        }
    }

    fn deliver(&mut self, token: u64, text: Option<String>) {
        let (Some(text), Some(pipe)) = (text, self.pool.pipes.get(&token)) else { return };
        let (stream, label) = (pipe.stream, pipe.lines.label().clone());
        if let Some(worker) = Pool::client_of(token).worker().filter(|_| stream == Stream::Stderr) {
            self.note_line(worker, &label, &text);
        }
        if let Some(redirect) = &mut self.redirect
            && let Err(error) = redirect.write(label.pid, stream, &label.shown(&text))
        {
            self.redirect = None;
            self.settings.config.redirect_output = false;
            self.notice(format!("output of tasks comes here again, because its files cannot be written: {error}"));
        }
        // A shared runtime writes files, too, because sessions come and go.
        if self.redirect.is_some() && self.settings.config.redirect_output {
            return;
        }
        let mut text = match self.settings.config.folds_output() {
            true => self.folds.take(Instant::now(), &label, stream, &text),
            false => label.shown(&text),
        };
        if self.settings.config.limits_output() {
            text.truncate(self.output_limit.take(Instant::now(), &label, stream, &text).len());
        }
        self.show(Folded { label, stream, text });
    }

    /// Says how much was held back, in its place.
    fn tell_of(&mut self, held_back: Vec<HeldBack>) {
        for held_back in held_back {
            let text = held_back.told();
            self.show(Folded { label: held_back.label, stream: held_back.stream, text });
        }
    }

    fn show(&mut self, Folded { label, stream, text }: Folded) {
        if !text.is_empty() && !self.settings.config.is_silent {
            let (cell, task, pid) = (SessionId::number(label.cell), label.task.to_string(), label.pid);
            self.show_event(label.cell, RuntimeEvent::TaskOutput { cell, task, pid, stream, text });
        }
    }

    /// Shows the folded lines of the cell whose task this worker ends, and says what was held back, unless another task may add to them.
    pub(super) fn end_folds_of(&mut self, worker: WorkerId) {
        let task = self.task_of(worker);
        self.folds.has_written(worker, task);
        if self.folds.holds_nothing() && self.output_limit.deadline().is_none() {
            return;
        }
        let cell = self.label(worker).cell;
        let has_any = self.folds.has(cell) || self.output_limit.has(cell);
        if !has_any || self.has_other_tasks(worker, cell) {
            return;
        }
        self.folds.end_cell(cell).into_iter().for_each(|folded| self.show(folded));
        let held_back = self.output_limit.end_cell(cell);
        self.tell_of(held_back);
    }

    /// The task that a worker runs; 0 for none.
    fn task_of(&self, worker: WorkerId) -> ObjectId {
        ObjectId(self.desk(worker.client()).map_or(0, |desk| desk.current.load(Ordering::Acquire)))
    }

    /// Whether a task of the cell runs elsewhere, or may wait for a worker.
    fn has_other_tasks(&self, worker: WorkerId, cell: u64) -> bool {
        let others = self.clients.keys().filter_map(|id| id.worker()).filter(|other| *other != worker);
        let mut running = others.map(|other| (other, self.task_of(other)));
        running
            .any(|(other, task)| self.folds.may_write(other, task) && self.segment.read_spec(task.slot()).cell == cell)
            || self.segment.entries() > 0
            || self.scheduler.has_queues()
    }

    /// Shows the folded lines that have had their time.
    pub(super) fn end_overdue_folds(&mut self) {
        self.folds.end_overdue(Instant::now()).into_iter().for_each(|folded| self.show(folded));
        let held_back = self.output_limit.end_overdue(Instant::now());
        self.tell_of(held_back);
    }

    /// Shows all folded lines.
    pub(super) fn end_all_folds(&mut self) {
        self.folds.end_all().into_iter().for_each(|folded| self.show(folded));
        let held_back = self.output_limit.end_all();
        self.tell_of(held_back);
    }
}
