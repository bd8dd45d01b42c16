//! The options of a task: the resources that it takes, its retries, its name.

use serde::{Deserialize, Serialize};

/// Options of a task, as `.options()` and `#[remote(…)]` give them. `None` and empty lists mean the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskOptions {
    /// CPUs; 1 by default. 0: as many at once as are submitted.
    pub num_cpus: Option<f64>,
    /// GPUs; 0 by default.
    pub num_gpus: Option<f64>,
    /// Bytes of memory that the task reserves; 0 by default.
    pub memory: Option<u64>,
    /// Custom resources by name.
    pub resources: Vec<(String, f64)>,
    /// Runs beyond the first, after a worker's death; 3 by default, -1 for no bound.
    pub max_retries: Option<i32>,
    /// Whether a panic or an `Err` is retried as a worker's death is.
    pub retry_panics: Option<bool>,
    /// Runs of this function after which its worker ends.
    pub max_calls: Option<u32>,
    /// The task's name in messages and tables, instead of the function's.
    pub name: Option<String>,
    /// Variables of the environment of the worker.
    pub env: Vec<(String, String)>,
    /// The placement group whose resources it takes, instead of the machine's.
    pub placement: Option<Placement>,
    /// Where it runs, of the machines of a cluster.
    pub scheduling_strategy: Option<SchedulingStrategy>,
    /// What only an actor has.
    pub actor: ActorOptions,
}

/// A place in a placement group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The group's number.
    pub group: u64,
    /// One of its bundles; any of them without one.
    pub bundle: Option<u32>,
}

/// Where a task or an actor runs, of the machines of a cluster: Ray's `scheduling_strategy`. On one machine all are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SchedulingStrategy {
    /// Where its arguments are and room is, on few machines rather than on many.
    #[default]
    Default,
    /// On as many machines as can be.
    Spread,
    /// On one machine.
    NodeAffinity {
        /// The machine's id, as `ray list nodes` shows it.
        node_id: String,
        /// Whether it runs on another one where this one is gone or has no room; it fails if not.
        soft: bool,
    },
}

/// Where the bundles of a placement group are to be, in Ray's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlacementStrategy {
    /// On as few machines as can be.
    #[default]
    Pack,
    /// On as many machines as can be.
    Spread,
    /// On one machine.
    StrictPack,
    /// Each on a machine of its own.
    StrictSpread,
}

impl PlacementStrategy {
    /// Ray's name for it.
    pub fn ray_name(self) -> &'static str {
        match self {
            PlacementStrategy::Pack => "PACK",
            PlacementStrategy::Spread => "SPREAD",
            PlacementStrategy::StrictPack => "STRICT_PACK",
            PlacementStrategy::StrictSpread => "STRICT_SPREAD",
        }
    }
}

/// Options of an actor besides those of the task that its constructor is. `None` and `false` mean the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActorOptions {
    /// How often the actor is started again after its process has died; 0 by default, -1 for no bound.
    pub max_restarts: Option<i32>,
    /// How often a call is run again after the actor's process has died; 0 by default, -1 for no bound.
    pub max_task_retries: Option<i32>,
    /// How many calls that only read run at once, in threads of their own; 1 by default.
    pub max_concurrency: Option<u32>,
    /// After how many calls that may change its state the actor saves it; never by default.
    pub checkpoint_interval: Option<u32>,
    /// Whether the actor lives on without a handle, as one with a name does.
    pub is_detached: bool,
    /// Whether an actor of the same name is taken instead of a new one.
    pub gets_existing: bool,
    /// Whether it is no actor of a person's but the task of a stream.
    pub is_stream: bool,
    /// The actor's type; see [`Instance::type_id`](crate::Instance::type_id). Set by the crate, not by a person; 0 for a task.
    pub type_id: u64,
    /// The type's name, for messages.
    pub type_name: String,
}

/// Each call that runs at once has a thread.
const MAX_CONCURRENCY: u32 = 1000;

/// Runs beyond the first, where nothing is said.
const MAX_RETRIES: u32 = 3;

impl TaskOptions {
    /// The options that a submission carries; its defaults when it carries none.
    ///
    /// # Errors
    /// Bytes that are no options, or an option that makes no sense; the sentence says which.
    pub fn read(bytes: &[u8]) -> Result<TaskOptions, String> {
        if bytes.is_empty() {
            return Ok(TaskOptions::default());
        }
        let options: TaskOptions = postcard::from_bytes(bytes).map_err(|_| "its options cannot be read".to_owned())?;
        options.check()?;
        Ok(options)
    }

    /// Says how much of a custom resource is taken, in the place of what was said before.
    pub fn set_resource(&mut self, name: String, amount: f64) {
        self.resources.retain(|(known, _)| *known != name);
        self.resources.push((name, amount));
    }

    fn check(&self) -> Result<(), String> {
        let amounts = [("num_cpus", self.num_cpus), ("num_gpus", self.num_gpus)];
        let amounts = amounts.into_iter().filter_map(|(name, amount)| Some((name, amount?)));
        let amounts = amounts.chain(self.resources.iter().map(|(name, amount)| (name.as_str(), *amount)));
        for (name, amount) in amounts {
            if !amount.is_finite() || !(0.0..=1e9).contains(&amount) {
                return Err(format!("`{name}`: an amount must be a finite number of at least 0, not {amount}"));
            }
        }
        if let Some(gpus) = self.num_gpus.filter(|gpus| *gpus > 1.0 && gpus.fract() != 0.0) {
            return Err(format!("`num_gpus`: a task has whole GPUs or a part of one, not {gpus}"));
        }
        if let Some((name, _)) =
            self.resources.iter().find(|(name, _)| matches!(name.as_str(), "" | "CPU" | "GPU" | "memory"))
        {
            return Err(format!("`{name}` is not a custom resource: use `num_cpus`, `num_gpus` or `memory`"));
        }
        if self.max_retries.is_some_and(|retries| retries < -1) {
            return Err("`max_retries`: a number from 0 up, or -1 for no bound".into());
        }
        self.check_actor()?;
        if self.placement.is_some() && self.scheduling_strategy.is_some() {
            return Err(
                "`scheduling_strategy`: a place in a placement group is one already, so there can be no other".into()
            );
        }
        if let Some(SchedulingStrategy::NodeAffinity { node_id, .. }) = &self.scheduling_strategy
            && (node_id.is_empty() || !node_id.bytes().all(|digit| digit.is_ascii_hexdigit()))
        {
            return Err(format!(
                "`scheduling_strategy`: `{node_id}` is not the id of a node, which has hexadecimal digits"
            ));
        }
        if self.max_calls == Some(0) {
            return Err("`max_calls`: a number from 1 up".into());
        }
        let is_bad =
            |(name, value): &&(String, String)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
        match self.env.iter().find(is_bad) {
            Some((name, _)) => {
                Err(format!("`env`: `{name}` is not the name of a variable, or its value has a zero byte"))
            }
            None => Ok(()),
        }
    }

    fn check_actor(&self) -> Result<(), String> {
        let of_actor = &self.actor;
        let bounds = [("max_restarts", of_actor.max_restarts), ("max_task_retries", of_actor.max_task_retries)];
        for (name, bound) in bounds.into_iter().filter_map(|(name, bound)| Some((name, bound?))) {
            if bound < -1 {
                return Err(format!("`{name}`: a number from 0 up, or -1 for no bound"));
            }
        }
        if self.is_actor() {
            let foreign = [
                ("max_retries", self.max_retries.is_some(), "`max_restarts`, and `max_task_retries` for its calls"),
                ("retry_panics", self.retry_panics.is_some(), "`try_spawn`, whose error its calls return"),
                ("max_calls", self.max_calls.is_some(), "`kill`"),
            ];
            if let Some((name, _, instead)) = foreign.into_iter().find(|(_, is_set, _)| *is_set) {
                if of_actor.is_stream {
                    return Err(format!("`{name}` is no option of a stream, which is run once"));
                }
                return Err(format!("`{name}` is an option of tasks; an actor has {instead}"));
            }
            if of_actor.max_concurrency.is_some_and(|calls| !(1..=MAX_CONCURRENCY).contains(&calls)) {
                return Err(format!("`max_concurrency`: a number from 1 to {MAX_CONCURRENCY}"));
            }
            if of_actor.checkpoint_interval == Some(0) {
                return Err("`checkpoint_interval`: a number of calls from 1 up".into());
            }
            if of_actor.checkpoint_interval.is_some() && self.restarts() == 0 {
                return Err(
                    "`checkpoint_interval` is for an actor that is started again: give it `max_restarts`, too".into()
                );
            }
            if of_actor.gets_existing && self.name.is_none() {
                return Err("`get_if_exists`: only an actor with a `name` can be found".into());
            }
            return Ok(());
        }
        let own = [
            ("max_restarts", of_actor.max_restarts.is_some()),
            ("max_task_retries", of_actor.max_task_retries.is_some()),
            ("max_concurrency", of_actor.max_concurrency.is_some()),
            ("checkpoint_interval", of_actor.checkpoint_interval.is_some()),
            ("detached", of_actor.is_detached),
            ("get_if_exists", of_actor.gets_existing),
        ];
        match own.into_iter().find(|(_, is_set)| *is_set) {
            Some((name, _)) => Err(format!("`{name}` is an option of actors, which `.spawn(…)` starts")),
            None => Ok(()),
        }
    }

    /// As [`read`](TaskOptions::read), for a runtime on one machine, where all strategies are the same.
    ///
    /// # Errors
    /// Those of `read`, and that a certain machine is asked for.
    pub fn read_on_one_machine(bytes: &[u8]) -> Result<TaskOptions, String> {
        let options = TaskOptions::read(bytes)?;
        match &options.scheduling_strategy {
            Some(SchedulingStrategy::NodeAffinity { node_id, soft: false }) => Err(format!(
                "`scheduling_strategy`: this runtime is one machine and knows no node `{node_id}`; nodes are those of a Ray cluster, and with `soft` the task runs here"
            )),
            _ => Ok(TaskOptions { scheduling_strategy: None, ..options }),
        }
    }

    /// Whether these are options of an actor.
    pub fn is_actor(&self) -> bool {
        self.actor.type_id != 0
    }

    /// How often the actor is started again.
    pub fn restarts(&self) -> u32 {
        bound(self.actor.max_restarts, 0)
    }

    /// Runs of an actor's call beyond the first.
    pub fn call_retries(&self) -> u32 {
        bound(self.actor.max_task_retries, 0)
    }

    /// Runs beyond the first, after a worker's death.
    pub fn retries(&self) -> u32 {
        bound(self.max_retries, MAX_RETRIES)
    }

    /// Runs beyond the first, after a panic or an `Err`.
    pub fn panic_retries(&self) -> u32 {
        if self.retry_panics == Some(true) { self.retries() } else { 0 }
    }

    /// These options, where `over` says nothing else. Of resources and variables with one name, `over`'s counts.
    ///
    /// ```
    /// use mobula_abi::TaskOptions;
    /// let function = TaskOptions { num_cpus: Some(2.0), max_retries: Some(0), ..TaskOptions::default() };
    /// let call = TaskOptions { num_cpus: Some(1.0), ..TaskOptions::default() };
    /// let both = function.overridden_by(&call);
    /// assert_eq!((both.num_cpus, both.max_retries), (Some(1.0), Some(0)));
    /// ```
    pub fn overridden_by(&self, over: &TaskOptions) -> TaskOptions {
        // Either says where it runs, so one takes the place of the other.
        let says_where = |options: &TaskOptions| options.placement.is_some() || options.scheduling_strategy.is_some();
        let place = if says_where(over) { over } else { self };
        TaskOptions {
            num_cpus: over.num_cpus.or(self.num_cpus),
            num_gpus: over.num_gpus.or(self.num_gpus),
            memory: over.memory.or(self.memory),
            resources: named(&self.resources, &over.resources),
            max_retries: over.max_retries.or(self.max_retries),
            retry_panics: over.retry_panics.or(self.retry_panics),
            max_calls: over.max_calls.or(self.max_calls),
            name: over.name.clone().or_else(|| self.name.clone()),
            env: named(&self.env, &over.env),
            placement: place.placement,
            scheduling_strategy: place.scheduling_strategy.clone(),
            actor: over.actor.clone(),
        }
    }
}

/// A number of runs, of which -1 means no bound.
fn bound(said: Option<i32>, default: u32) -> u32 {
    said.map_or(default, |runs| u32::try_from(runs).unwrap_or(u32::MAX))
}

/// The entries of both, sorted by name.
fn named<T: Clone>(below: &[(String, T)], over: &[(String, T)]) -> Vec<(String, T)> {
    let all: std::collections::BTreeMap<&String, &T> =
        below.iter().chain(over).map(|(name, value)| (name, value)).collect();
    all.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_has_every_strategy_but_that_of_a_certain_node() {
        let read = |strategy| {
            let options = TaskOptions { scheduling_strategy: Some(strategy), ..TaskOptions::default() };
            TaskOptions::read_on_one_machine(&postcard::to_allocvec(&options).unwrap())
        };
        let node = |soft| SchedulingStrategy::NodeAffinity { node_id: "ab".into(), soft };
        assert_eq!(read(SchedulingStrategy::Spread), Ok(TaskOptions::default()));
        assert_eq!(read(node(true)), Ok(TaskOptions::default()));
        assert!(read(node(false)).unwrap_err().contains("one machine"));
    }
}
