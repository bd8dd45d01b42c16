//! The parts of a session that every evaluator uses.

use crate::analyst::analysis::{Analysis, Known};
use crate::base::compiler_process::Running;
use crate::host::Host;
use crate::link::Link;
use crate::outlet::Outlet;
use crate::reports::sources::Sources;
use crate::settings::Settings;
use crate::task_lines::TaskWatch;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What a session is made of, besides its evaluator. A clone has the same parts.
#[derive(Clone)]
pub struct Parts {
    pub settings: Settings,
    pub host: Arc<dyn Host>,
    pub link: Arc<Link>,
    pub sources: Arc<Sources>,
    pub outlet: Arc<dyn Outlet>,
    pub running: Running,
    pub known: Known,
    pub analysis: Analysis,
    pub watch: Arc<TaskWatch>,
    /// The number of the next cell.
    pub next: Arc<AtomicU64>,
}
