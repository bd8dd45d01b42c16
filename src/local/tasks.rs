//! What becomes of tasks: submitted, run, finished, failed.
//!
//! A failure is stored in the task's results, where everybody who asks for them finds it, and it is announced once, where
//! it began. Tasks that were to use a failed result fail with the same failure and add their names to it.

use super::RuntimeEvent;
use super::head::{FAILURES_MAX, Head};
use super::requests::Nonsense;
use crate::abi::{Cause, Failure};
use crate::protocol::{
    Argument, Body, ClientId, ObjectId, ResultFrame, TaskFrame, TaskId, TaskInput, TaskSpec, ToClient, WorkerId,
};
use crate::scheduler::{Event, Resources};
use crate::store::{Holder, State};
use std::sync::Arc;

/// A task that has not ended.
#[derive(Debug)]
pub(super) struct Task {
    spec: TaskSpec,
    /// The worker that runs it, or did last.
    pid: u32,
}

impl Head {
    /// A client submits a task.
    pub(super) fn submit(&mut self, from: ClientId, spec: TaskSpec) -> Result<(), Nonsense> {
        let first = spec.task.0;
        let last = first.0.checked_add(u64::from(spec.returns).saturating_sub(1)).map(ObjectId);
        if spec.returns == 0 || first.client() != from || last.is_none_or(|last| last.client() != from) {
            return Err("it names results as if it were another client");
        }
        for index in 0..spec.returns {
            if !self.store.objects.insert(first.offset(index), State::Pending, Vec::new(), from) {
                return Err("it names two objects the same");
            }
        }
        let (mut waits_for, mut failed, mut unknown) = (Vec::new(), None, None);
        for arg in &spec.args {
            match arg {
                Argument::Ref(id) => {
                    self.store.objects.retain(*id, Holder::Task);
                    match self.store.objects.state(*id) {
                        Some(State::Pending) if !waits_for.contains(id) => waits_for.push(*id),
                        Some(State::Failed(_)) => failed = failed.or(Some(*id)),
                        None => unknown = Some(*id),
                        _ => {}
                    }
                }
                Argument::Inline { refs, .. } => {
                    for id in refs {
                        self.store.objects.retain(*id, Holder::Task);
                    }
                }
            }
        }
        let task = spec.task;
        self.tasks.insert(task, Task { spec, pid: 0 });
        match (failed, unknown) {
            (Some(object), _) => self.carry_failure(task, object),
            (None, Some(id)) => {
                let message =
                    format!("its argument, object {id}, is gone: keep an ObjectRef to it until the task is submitted");
                self.fail_at_origin(task, Cause::Refused { message });
            }
            (None, None) => self.tell(Event::Submitted { task, needs: Resources::one_cpu(), waits_for }),
        }
        Ok(())
    }

    /// Gives the task to the worker.
    pub(super) fn run_task(&mut self, task: TaskId, worker: WorkerId) {
        let Some(pid) = self.pool.start(worker, task) else {
            // It has died since it was chosen. The task has not begun, so somebody else may have it.
            return self.tell(Event::Missed(worker));
        };
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        entry.pid = pid;
        let mut args = Vec::with_capacity(entry.spec.args.len());
        for arg in &entry.spec.args {
            args.push(match arg {
                Argument::Inline { bytes, .. } => TaskInput::Inline(bytes.clone()),
                Argument::Ref(id) => match self.store.objects.state(*id) {
                    Some(State::Ready(Body::Inline(bytes))) => TaskInput::Inline(bytes.clone()),
                    // The task keeps it. A worker that keeps a view for longer says so before it says that it is done.
                    Some(State::Ready(Body::Shared(extent))) => TaskInput::Shared(*id, *extent),
                    state => {
                        // The scheduler runs a task when its arguments are there, and the task itself keeps them.
                        debug_assert!(false, "task {task:?} runs without its argument {id}: {state:?}");
                        tracing::error!(?task, %id, "argument missing");
                        return self.task_is_broken(task, worker);
                    }
                },
            });
        }
        let spec = &entry.spec;
        let frame = TaskFrame {
            task,
            returns: spec.returns,
            name: spec.name.clone(),
            cell: spec.cell,
            library: spec.library.clone(),
            offset: spec.offset,
            args,
        };
        self.label_output(worker, &frame.name, frame.cell, pid);
        self.send(worker.client(), &ToClient::Run(frame));
    }

    fn task_is_broken(&mut self, task: TaskId, worker: WorkerId) {
        self.pool.finish(worker);
        self.fail_at_origin(task, Cause::Refused { message: "an argument is missing; please report this".into() });
        self.tell(Event::Finished(worker));
    }

    /// A worker's task has returned.
    pub(super) fn task_done(
        &mut self,
        from: ClientId,
        task: TaskId,
        results: Vec<ResultFrame>,
    ) -> Result<(), Nonsense> {
        let worker = self.check_running(from, task)?;
        let wanted = self.tasks.get(&task).map(|entry| entry.spec.returns as usize);
        if wanted != Some(results.len()) {
            return Err("it returns another number of results than its task has");
        }
        let mut states = Vec::with_capacity(results.len());
        for result in results {
            match self.checked_body(from, result.body) {
                Ok(body) => states.push((State::Ready(body), result.contains)),
                Err(nonsense) => {
                    self.store.reclaim(states.iter().filter_map(|(state, _)| state.extent()).collect());
                    return Err(nonsense);
                }
            }
        }
        self.end_output(worker);
        self.pool.finish(worker);
        self.finish(task, states);
        self.tell(Event::Finished(worker));
        Ok(())
    }

    /// A worker's task has failed.
    pub(super) fn task_failed(&mut self, from: ClientId, task: TaskId, cause: Cause) -> Result<(), Nonsense> {
        let worker = self.check_running(from, task)?;
        self.end_output(worker);
        self.pool.finish(worker);
        self.fail_at_origin(task, cause);
        self.tell(Event::Finished(worker));
        Ok(())
    }

    fn check_running(&self, from: ClientId, task: TaskId) -> Result<WorkerId, Nonsense> {
        let worker = from.worker().ok_or("it is no worker")?;
        if self.pool.running(worker) != Some(task) {
            return Err("it ends a task that it does not run");
        }
        Ok(worker)
    }

    /// The task's worker has died. How is known to the pool.
    pub(super) fn lose_task(&mut self, task: TaskId, worker: WorkerId) {
        let cause = self.pool.cause_of_death(worker);
        self.fail_at_origin(task, cause);
    }

    /// No worker can be started.
    pub(super) fn refuse_task(&mut self, task: TaskId) {
        let message = format!("no worker process can be started: {}", self.pool.last_trouble());
        self.fail_at_origin(task, Cause::Refused { message });
    }

    /// The task needs more than the machine was said to have.
    pub(super) fn warn_infeasible(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get(&task) else { return };
        self.notice(format!(
            "task `{}` needs {} and the runtime has {}: it waits until there is more",
            entry.spec.name,
            Resources::one_cpu(),
            self.scheduler.total()
        ));
    }

    /// An argument of the task has failed, and so has the task.
    pub(super) fn carry_failure(&mut self, task: TaskId, object: ObjectId) {
        let Some(State::Failed(failure)) = self.store.objects.state(object) else { return };
        let mut failure = Failure::clone(failure);
        if let Some(entry) = self.tasks.get(&task) {
            failure.carried_by.push(entry.spec.name.clone());
        }
        self.fail(task, failure);
    }

    fn fail_at_origin(&mut self, task: TaskId, mut cause: Cause) {
        let Some(entry) = self.tasks.get(&task) else { return };
        if let Cause::Panic { place: Some(place), .. } = &mut cause
            && place.cell.is_none()
        {
            // The worker's hook knows the line, not the library.
            place.library.clone_from(&entry.spec.library);
            place.cell = self.observer.locate(place);
        }
        let (name, cell) = (entry.spec.name.clone(), entry.spec.cell);
        let failure = Failure { task: name, pid: entry.pid, cell, cause, carried_by: Vec::new() };
        tracing::debug!(?task, ?failure, "task failed");
        self.failures.push_back(failure.clone());
        if self.failures.len() > FAILURES_MAX {
            self.failures.pop_front();
        }
        self.observer.event(RuntimeEvent::TaskFailed(failure.clone()));
        self.fail(task, failure);
    }

    fn fail(&mut self, task: TaskId, failure: Failure) {
        let Some(entry) = self.tasks.get(&task) else { return };
        let failure = State::Failed(Arc::new(failure));
        let states = vec![(failure, Vec::new()); entry.spec.returns as usize];
        self.finish(task, states);
    }

    /// The task has ended: its results are what they are, and its arguments are no longer needed by it.
    fn finish(&mut self, task: TaskId, states: Vec<(State, Vec<ObjectId>)>) {
        let Some(entry) = self.tasks.remove(&task) else { return };
        for (index, (state, contains)) in (0..).zip(states) {
            let id = task.0.offset(index);
            let failed = matches!(state, State::Failed(_));
            let freed = self.store.objects.finish(id, state, contains);
            self.store.reclaim(freed);
            self.answer_waiters(id);
            self.tell(if failed { Event::ObjectFailed(id) } else { Event::ObjectReady(id) });
        }
        for arg in &entry.spec.args {
            match arg {
                Argument::Ref(id) => self.release(*id, Holder::Task),
                Argument::Inline { refs, .. } => refs.iter().for_each(|id| self.release(*id, Holder::Task)),
            }
        }
    }
}
