//! A task's options in Ray's words: what `.options(…)` takes there.

use crate::{SchedulingStrategy, TaskOptions};

/// The value of an option.
#[derive(Clone, Debug, PartialEq)]
pub enum RayOption {
    /// A number.
    Float(f64),
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
    /// Yes or no.
    Bool(bool),
    /// Amounts by name.
    Amounts(Vec<(String, f64)>),
    /// Variables of an environment, which a `runtime_env` has.
    Env(Vec<(String, String)>),
    /// A bundle of a placement group, by the group's number; -1 for any of them.
    Bundle {
        /// The group.
        group: u64,
        /// The bundle.
        bundle: i64,
    },
    /// A node by its id; `soft`: or another one.
    Node {
        /// The id, in hexadecimal digits.
        id: String,
        /// Whether another one will do.
        soft: bool,
    },
}

/// Options by their names.
pub type RayOptions = Vec<(&'static str, RayOption)>;

impl TaskOptions {
    /// These as Ray has them. `max_calls`, which Ray takes from a function's decorator alone, is not among them.
    ///
    /// # Errors
    /// An option that Ray does not have; the sentence says what to do instead.
    pub fn for_ray(&self) -> Result<RayOptions, String> {
        let mut options = RayOptions::new();
        let of_actor = &self.actor;
        if of_actor.is_stream {
            return Err(
                "a stream does not run on a Ray cluster: return a list, or let an actor hand out the items".into()
            );
        }
        if of_actor.checkpoint_interval.is_some() {
            return Err(
                "`checkpoint_interval` is not an option on a Ray cluster: let the actor write its state to a file or an object, and read it in its constructor".into(),
            );
        }
        let mut add = |name, value: Option<RayOption>| options.extend(value.map(|value| (name, value)));
        add("num_cpus", self.num_cpus.map(RayOption::Float));
        add("num_gpus", self.num_gpus.map(RayOption::Float));
        add("memory", self.memory.map(|bytes| RayOption::Int(bytes as i64)));
        add("resources", (!self.resources.is_empty()).then(|| RayOption::Amounts(self.resources.clone())));
        add("max_retries", self.max_retries.map(|retries| RayOption::Int(retries.into())));
        add("retry_exceptions", self.retry_panics.map(RayOption::Bool));
        add("runtime_env", (!self.env.is_empty()).then(|| RayOption::Env(self.env.clone())));
        let bundle = |bundle: Option<u32>| bundle.map_or(-1, i64::from);
        let placed = self.placement.map(|place| RayOption::Bundle { group: place.group, bundle: bundle(place.bundle) });
        let strategy = self.scheduling_strategy.as_ref().map(|strategy| match strategy {
            SchedulingStrategy::Default => RayOption::Text("DEFAULT".into()),
            SchedulingStrategy::Spread => RayOption::Text("SPREAD".into()),
            SchedulingStrategy::NodeAffinity { node_id, soft } => RayOption::Node { id: node_id.clone(), soft: *soft },
        });
        add("scheduling_strategy", placed.or(strategy));
        if self.is_actor() {
            add("name", self.name.clone().map(RayOption::Text));
            add("max_restarts", of_actor.max_restarts.map(|restarts| RayOption::Int(restarts.into())));
            add("max_task_retries", of_actor.max_task_retries.map(|retries| RayOption::Int(retries.into())));
            add("max_concurrency", of_actor.max_concurrency.map(|calls| RayOption::Int(calls.into())));
            // With a name it lives on here, too, until the session ends; Ray ends it with its last handle.
            add("lifetime", of_actor.is_detached.then(|| RayOption::Text("detached".into())));
            add("get_if_exists", of_actor.gets_existing.then_some(RayOption::Bool(true)));
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ActorOptions, Placement};

    #[test]
    fn options_have_the_names_that_ray_gives_them() {
        assert_eq!(TaskOptions::default().for_ray(), Ok(Vec::new()));
        let placement = Some(Placement { group: 7, bundle: None });
        let options = TaskOptions { retry_panics: Some(true), placement, max_calls: Some(1), ..TaskOptions::default() };
        let expected = vec![
            ("retry_exceptions", RayOption::Bool(true)),
            ("scheduling_strategy", RayOption::Bundle { group: 7, bundle: -1 }),
        ];
        assert_eq!(options.for_ray(), Ok(expected));
        let spread = TaskOptions { scheduling_strategy: Some(SchedulingStrategy::Spread), ..TaskOptions::default() };
        assert_eq!(spread.for_ray(), Ok(vec![("scheduling_strategy", RayOption::Text("SPREAD".into()))]));
    }

    #[test]
    fn what_ray_does_not_have_is_refused_with_what_to_do_instead() {
        let actor = |of_actor| TaskOptions { actor: ActorOptions { type_id: 1, ..of_actor }, ..TaskOptions::default() };
        let stream = actor(ActorOptions { is_stream: true, ..ActorOptions::default() });
        assert!(stream.for_ray().unwrap_err().contains("return a list"));
        let saved = actor(ActorOptions { checkpoint_interval: Some(3), ..ActorOptions::default() });
        assert!(saved.for_ray().unwrap_err().contains("in its constructor"));
    }
}
