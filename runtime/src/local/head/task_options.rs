//! The options of tasks, numbered: a task names its options by a number, so that its description is short.

use crate::abi::{Placement, TaskOptions};
use crate::scheduler::{CPU, GPU, MEMORY, ProgramId, Resources, ResourcesError, Shape, ShapeId, needs_in};
use crate::store::SHAPED;
use std::collections::HashMap;

/// The zygote takes them in one packet.
const ENV_BYTES_MAX: usize = 4096;

/// Options under one number.
#[derive(Clone, Debug)]
pub struct Known {
    /// The options, without a name.
    pub options: TaskOptions,
    /// What a task with these options asks for.
    pub shape: ShapeId,
    /// What an actor with these options keeps of that once it is made.
    pub keeps: ShapeId,
    /// The program that their functions are in, if that is one of its own.
    pub program: Option<ProgramId>,
}

/// All options that tasks of this runtime have.
#[derive(Debug, Default)]
pub struct KnownOptions {
    list: Vec<Known>,
    /// By their bytes, which are equal when they are, and the program.
    numbers: HashMap<(Vec<u8>, Option<ProgramId>), u16>,
}

impl KnownOptions {
    /// The number of options of tasks whose functions are in this program, if it is one of its own; `shape` numbers their shape. A number
    /// with [`SHAPED`] is that of a task that is not plain.
    ///
    /// # Errors
    /// A sentence: an amount is none, or there are too many different options.
    pub fn number(
        &mut self,
        options: TaskOptions,
        program: Option<ProgramId>,
        mut shape: impl FnMut(Shape) -> Option<ShapeId>,
    ) -> Result<u16, String> {
        let bytes = postcard::to_stdvec(&options).map_err(|error| error.to_string())?;
        let key = (bytes, program);
        if let Some(number) = self.numbers.get(&key) {
            return Ok(*number);
        }
        let full = || format!("there are {} different options of tasks, and no room for more", self.list.len());
        let length: usize = options.env.iter().map(|(name, value)| name.len() + value.len()).sum();
        if length > ENV_BYTES_MAX {
            return Err(format!(
                "`env`: {length} bytes are more than the {ENV_BYTES_MAX} that a task's variables may have"
            ));
        }
        let needs = needs_of(&options).map_err(|error| error.to_string())?;
        // As in Ray, an actor takes a CPU while it is made, and keeps none unless it asks for some.
        let cpus = if options.is_actor() { options.num_cpus.unwrap_or(0.0) } else { options.num_cpus.unwrap_or(1.0) };
        let kept = TaskOptions { num_cpus: Some(cpus), ..options.clone() };
        let kept = needs_of(&kept).map_err(|error| error.to_string())?;
        let placed = |needs: Resources| match options.placement {
            Some(Placement { group, bundle }) => (needs_in(&needs, group, bundle), Some(group)),
            None => (needs, None),
        };
        let mut number = |needs: Resources| {
            let (needs, group) = placed(needs);
            shape(Shape { needs, env: options.env.clone(), group, program })
        };
        let (of_task, keeps) = (number(needs), number(kept));
        let (shape, keeps) = (of_task.ok_or_else(full)?, keeps.ok_or_else(full)?);
        let index = u16::try_from(self.list.len() + 1).ok().filter(|index| *index < SHAPED).ok_or_else(full)?;
        let is_plain = shape == ShapeId::PLAIN && !options.is_actor();
        let number = if is_plain { index } else { index | SHAPED };
        self.list.push(Known { options, shape, keeps, program });
        self.numbers.insert(key, number);
        Ok(number)
    }

    /// The options of a number; `None` for the defaults, and for a number that nobody has.
    pub fn get(&self, number: u16) -> Option<&Known> {
        self.list.get(usize::from(number & !SHAPED).checked_sub(1)?)
    }
}

/// What a task with these options takes.
pub(super) fn needs_of(options: &TaskOptions) -> Result<Resources, ResourcesError> {
    let cpus = [(CPU, options.num_cpus.unwrap_or(1.0))];
    let gpus = options.num_gpus.map(|gpus| (GPU, gpus));
    let custom = options.resources.iter().map(|(name, amount)| (name.as_str(), *amount));
    let memory = options.memory.map(|bytes| (MEMORY, bytes as f64));
    let all = cpus.into_iter().chain(gpus).chain(memory).chain(custom);
    // What is not needed is not part of a shape, so that it has one number.
    Resources::new(all.filter(|(_, amount)| *amount != 0.0))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::scheduler::Scheduler;

    #[test]
    fn options_that_ask_for_one_cpu_are_plain_and_others_are_not() {
        let (mut known, mut scheduler) = (KnownOptions::default(), Scheduler::default());
        let mut number_in = |options: TaskOptions, program: Option<ProgramId>| {
            known.number(options, program, |shape| scheduler.shapes().number(shape)).unwrap()
        };
        let of_programs = [1, 2].map(|program| number_in(TaskOptions::default(), Some(ProgramId(program))));
        let mut number = |options: TaskOptions| number_in(options, None);
        let retried = number(TaskOptions { max_retries: Some(1), ..TaskOptions::default() });
        let half = number(TaskOptions { num_cpus: Some(0.5), ..TaskOptions::default() });
        let also_half = number(TaskOptions { num_cpus: Some(0.5), max_calls: Some(3), ..TaskOptions::default() });
        assert_eq!((retried & SHAPED, half & SHAPED, also_half & SHAPED), (0, SHAPED, SHAPED));
        assert_eq!(half, number(TaskOptions { num_cpus: Some(0.5), ..TaskOptions::default() }));
        let shape = |number: u16| known.get(number).unwrap().shape;
        assert_eq!((shape(half), shape(retried)), (shape(also_half), ShapeId::PLAIN));
        assert!(known.get(0).is_none() && known.get(77).is_none());
        assert_ne!(of_programs[0], of_programs[1], "a worker of one program runs no task of another");
        assert!(of_programs.iter().all(|number| number & SHAPED != 0), "other workers do not have the function");
    }
}
