//! The scheduler: a state machine that decides which worker may take tasks, and does nothing itself.
//!
//! [`Scheduler::handle`] takes one event and the time and answers with actions. It has no clock, no socket and no
//! randomness, so a history of events can be replayed, and the tests try thousands of them.

mod fairness;
mod gpus;
mod groups;
mod names;
mod resources;
#[allow(clippy::module_inception)]
mod scheduler;
mod shapes;
#[cfg(test)]
mod tests;

pub use groups::needs_in;
pub use names::{CPU, GPU, MEMORY};
pub use resources::{Resources, ResourcesError};
pub use scheduler::{Action, Environment, Event, HINTS_MAX, Scheduler, WORKERS_MAX};
pub use shapes::{EnvironmentId, ProgramId, Shape, ShapeId};
