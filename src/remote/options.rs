//! `.options()`: the resources that a task takes, its retries, its name.

use super::checkpoint::{NotSaved, Saved};
use crate::abi::{Placement, SchedulingStrategy, TaskOptions};
use std::marker::PhantomData;

/// A function with options for its tasks; `.remote(…)` starts one. `S` is the function's signature, as a function pointer, and `P` says
/// whether an actor's state is saved.
///
/// Each option counts for the tasks that are started through it, and overrides what `#[remote(…)]` says of the function.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// fn half(n: u32) -> u32 {
///     n / 2
/// }
/// let careful = half.options().num_cpus(0.5).max_retries(5).name("half of a number");
/// assert_eq!(get(careful.remote(8))?, 4);
/// # Ok::<(), mobula::GetError>(())
/// ```
#[must_use = "options do nothing until `.remote(…)` starts a task"]
pub struct Options<F, S, P = NotSaved> {
    pub(crate) options: TaskOptions,
    /// Of a stream.
    pub(crate) buffer: Option<usize>,
    /// The function's type alone says what to run.
    of: Of<(F, S, P)>,
}

/// Types without values of them.
type Of<T> = PhantomData<fn() -> T>;

impl<F, S, P> Clone for Options<F, S, P> {
    fn clone(&self) -> Options<F, S, P> {
        Options { options: self.options.clone(), buffer: self.buffer, of: PhantomData }
    }
}

impl<F, S> Options<F, S> {
    /// No options yet, of a function.
    pub(crate) fn of(_: F) -> Options<F, S> {
        Options { options: TaskOptions::default(), buffer: None, of: PhantomData }
    }

    /// After how many calls of `&mut self` methods an actor's state is saved, which must be `Serialize` and `Deserialize` for that. It goes
    /// with [`max_restarts`](Options::max_restarts): then an actor whose process has died has the state again that it had. It begins with
    /// the last checkpoint, and runs the calls since, in order, with the arguments that they had, which are kept until the next checkpoint.
    /// The results that those calls gave do not change. (The original Ray's promise; today's Ray leaves checkpoints to the actor.)
    ///
    /// What a call does besides, such as writing a file or starting tasks, it does again. Methods with `&self` are taken not to change the
    /// state.
    pub fn checkpoint_interval(self, calls: u32) -> Options<F, S, Saved> {
        let Options { mut options, buffer, .. } = self;
        options.actor.checkpoint_interval = Some(calls);
        Options { options, buffer, of: PhantomData }
    }
}

impl<F, S, P> Options<F, S, P> {
    /// CPUs that the task takes while it runs; 1 if this is not said. With 0, as many run at once as are submitted, up to the runtime's
    /// limit of processes.
    pub fn num_cpus(mut self, cpus: f64) -> Self {
        self.options.num_cpus = Some(cpus);
        self
    }

    /// GPUs that the task takes: whole ones, or a part of one. It sees no others (`CUDA_VISIBLE_DEVICES`).
    pub fn num_gpus(mut self, gpus: f64) -> Self {
        self.options.num_gpus = Some(gpus);
        self
    }

    /// Bytes of memory that the task reserves, of those that [`Config::memory`](crate::Config::memory) says. The task starts when so many
    /// are free; as in Ray, it is not held to them.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.options.memory = Some(bytes);
        self
    }

    /// An amount of a custom resource; see [`Config::resource`](crate::Config::resource).
    pub fn resource(mut self, name: impl Into<String>, amount: f64) -> Self {
        self.options.set_resource(name.into(), amount);
        self
    }

    /// How often the task is run again after its worker has died; 3 if this is not said, -1 for as often as it takes.
    pub fn max_retries(mut self, retries: i32) -> Self {
        self.options.max_retries = Some(retries);
        self
    }

    /// Runs the task again after a panic or an `Err`, too, as often as [`max_retries`](Options::max_retries) says.
    pub fn retry_panics(mut self) -> Self {
        self.options.retry_panics = Some(true);
        self
    }

    /// Ends the worker when it has run the function so often: for code that leaks.
    pub fn max_calls(mut self, calls: u32) -> Self {
        self.options.max_calls = Some(calls);
        self
    }

    /// The task's name in messages and tables; the function's if this is not said. Of an actor: the name by which
    /// [`actor`](crate::actor()) finds it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// How often an actor is started again after its process has died: by its constructor, with the same arguments, or as
    /// [`checkpoint_interval`](Options::checkpoint_interval) says. 0 if this is not said, -1 for no bound. Calls that it had not begun run
    /// then.
    pub fn max_restarts(mut self, restarts: i32) -> Self {
        self.options.actor.max_restarts = Some(restarts);
        self
    }

    /// How often a call is run again that an actor's process died over, if the actor is started again. 0 if this is not said, -1 for no
    /// bound.
    pub fn max_task_retries(mut self, retries: i32) -> Self {
        self.options.actor.max_task_retries = Some(retries);
        self
    }

    /// Lets an actor live until [`kill`](crate::kill) or the end of the session, also without a handle. One with a name does so anyway.
    pub fn detached(mut self) -> Self {
        self.options.actor.is_detached = true;
        self
    }

    /// How many items a stream's task may be ahead of its reader, at least 1; 64 if this is not said. It counts for `.stream(…)` alone.
    pub fn buffer(mut self, items: usize) -> Self {
        self.buffer = Some(items);
        self
    }

    /// Takes the actor that has the name already, if there is one of this type, instead of a new one.
    pub fn get_if_exists(mut self) -> Self {
        self.options.actor.gets_existing = true;
        self
    }

    /// The placement group whose resources the task or the actor takes, or one bundle of it
    /// ([`PlacementGroup::bundle`](crate::PlacementGroup::bundle)). It waits until the group has them.
    pub fn placement_group(mut self, place: impl Into<Placement>) -> Self {
        self.options.placement = Some(place.into());
        self
    }

    /// Where the task or the actor runs, of the machines of a Ray cluster. One machine has all in one place, so nothing is different there.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// # use mobula::prelude::*;
    /// let three = (|a: i64, b: i64| a + b).options().scheduling_strategy(SchedulingStrategy::Spread).remote(1, 2);
    /// assert_eq!(get(&three)?, 3);
    /// # Ok::<(), mobula::GetError>(())
    /// ```
    pub fn scheduling_strategy(mut self, strategy: SchedulingStrategy) -> Self {
        self.options.scheduling_strategy = Some(strategy);
        self
    }

    /// A variable of the environment in which the task runs.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.options.env.retain(|(known, _)| *known != name);
        self.options.env.push((name, value.into()));
        self
    }
}
