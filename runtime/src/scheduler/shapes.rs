//! Shapes: what tasks ask for besides one CPU, each numbered once.

use super::Resources;
use super::names::{CPU, GPU, name_in};
use std::collections::HashMap;

/// A shape by number. 0 is the plain one: one CPU, in any worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapeId(pub u16);

impl ShapeId {
    /// One CPU, in any worker.
    pub const PLAIN: ShapeId = ShapeId(0);
}

/// A program by number, whose functions are in its own executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgramId(pub u16);

/// A worker's environment by number. 0 is the runtime's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentId(pub u16);

/// What a task asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// What it takes while it runs.
    pub needs: Resources,
    /// Variables of its worker's environment, sorted by name.
    pub env: Vec<(String, String)>,
    /// The placement group that it takes it from.
    pub group: Option<u64>,
    /// The program whose function it is; `None`: a function in a library, which every worker can open, or in the runtime's own executable.
    pub program: Option<ProgramId>,
}

/// What of a worker's process a shape asks for: variables, and which program it is.
type Surroundings = (Vec<(String, String)>, Option<ProgramId>);

/// All shapes of a runtime.
#[derive(Clone, Debug)]
pub struct Shapes {
    all: Vec<(Shape, EnvironmentId)>,
    numbers: HashMap<Shape, ShapeId>,
    environments: Vec<Surroundings>,
}

impl Default for Shapes {
    fn default() -> Shapes {
        let plain = Shape { needs: Resources::one_cpu(), env: Vec::new(), group: None, program: None };
        Shapes {
            numbers: HashMap::from([(plain.clone(), ShapeId::PLAIN)]),
            all: vec![(plain, EnvironmentId::default())],
            environments: vec![(Vec::new(), None)],
        }
    }
}

impl Shapes {
    /// The number of a shape; `None` when there are too many.
    pub fn number(&mut self, shape: Shape) -> Option<ShapeId> {
        if let Some(number) = self.numbers.get(&shape) {
            return Some(*number);
        }
        let number = ShapeId(u16::try_from(self.all.len()).ok()?);
        let known = self.environments.iter().position(|(env, program)| (env, program) == (&shape.env, &shape.program));
        let environment = known.unwrap_or_else(|| {
            self.environments.push((shape.env.clone(), shape.program));
            self.environments.len() - 1
        });
        self.numbers.insert(shape.clone(), number);
        self.all.push((shape, EnvironmentId(environment as u16)));
        Some(number)
    }

    /// What a shape takes.
    pub fn needs(&self, shape: ShapeId) -> &Resources {
        &self.all[usize::from(shape.0) % self.all.len()].0.needs
    }

    /// The placement group that it takes that from.
    pub fn group(&self, shape: ShapeId) -> Option<u64> {
        self.all[usize::from(shape.0) % self.all.len()].0.group
    }

    /// The GPUs among that, in ten-thousandths.
    pub fn gpus(&self, shape: ShapeId) -> i64 {
        self.units(shape, GPU)
    }

    /// The CPUs among that, in ten-thousandths.
    pub fn cpus(&self, shape: ShapeId) -> i64 {
        self.units(shape, CPU)
    }

    fn units(&self, shape: ShapeId, resource: &str) -> i64 {
        match self.group(shape) {
            None => self.needs(shape).units(resource),
            Some(group) => self.needs(shape).units(&name_in(resource, group, None)),
        }
    }

    /// The environment that it runs in.
    pub fn environment_of(&self, shape: ShapeId) -> EnvironmentId {
        self.all[usize::from(shape.0) % self.all.len()].1
    }

    /// Its variables.
    pub fn variables(&self, environment: EnvironmentId) -> &[(String, String)] {
        self.environments.get(usize::from(environment.0)).map_or(&[], |(variables, _)| variables)
    }

    /// The program that its worker is; `None` for the runtime's own.
    pub fn program(&self, environment: EnvironmentId) -> Option<ProgramId> {
        self.environments.get(usize::from(environment.0))?.1
    }
}
