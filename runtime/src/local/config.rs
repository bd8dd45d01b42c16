//! The runtime's start options.

use super::gpus;
use crate::abi::{DashboardOptions, DriverMode, InitOptions};
use crate::scheduler::{CPU, GPU, MEMORY, Resources, ResourcesError};
use crate::store::{Limits, default_bytes, memory_of_machine};
use std::path::PathBuf;
use std::time::Duration;

/// How long a `put` waits for room, unless something else is said.
const STORE_WAIT: Duration = Duration::from_secs(3);

/// What a runtime is started with. `None` means the default, which is the machine's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Logical CPUs for the scheduler. Default: as many as this process may use.
    pub num_cpus: Option<f64>,
    /// GPUs for the scheduler. Default: those that are found.
    pub num_gpus: Option<f64>,
    /// Bytes of memory that tasks can reserve. Default: what the store leaves of the machine's.
    pub memory: Option<u64>,
    /// Custom resources.
    pub resources: Vec<(String, f64)>,
    /// Worker processes that stand ready. Default: one for each CPU, at least one.
    pub num_workers: Option<u32>,
    /// The store's limit in bytes. Default: 30 % of the machine's memory.
    pub object_store_memory: Option<u64>,
    /// Where the store's memory comes from. Default: `/dev/shm`.
    pub store_directory: Option<PathBuf>,
    /// The folder for objects that do not fit in memory. Default: the session's folder, or another one if that lies in
    /// memory itself.
    pub spill_directory: Option<PathBuf>,
    /// Whether the store uses huge pages. Default: where the kernel makes them without being set up for it.
    pub huge_pages: Option<bool>,
    /// Whether the output of tasks goes to files in the session's folder, and not to the cells.
    pub redirect_output: bool,
    /// Whether a line that several workers write is shown once, and then counted. Default: it is.
    pub fold_output: Option<bool>,
    /// Whether no more than 1 MiB a second of what a cell's tasks print is shown, beyond a burst of 16 MiB. Default: it is.
    pub limit_output: Option<bool>,
    /// Whether nothing is shown of what tasks print and of how they fail.
    pub is_silent: bool,
    /// The web page.
    pub dashboard: DashboardOptions,
    /// How long a `put` waits for room, when nothing more can go to disk. Default: 3 seconds.
    pub store_wait: Option<Duration>,
    /// Objects and unfinished tasks that there can be at once. Default: 16,777,216.
    pub objects_max: Option<u32>,
    /// Whether sessions of other processes may join. Then no session changes or ends the runtime.
    pub is_shared: bool,
}

impl Config {
    /// These options, with those that `other` sets in their place.
    pub fn overridden_by(mut self, other: Config) -> Config {
        self.num_cpus = other.num_cpus.or(self.num_cpus);
        self.num_gpus = other.num_gpus.or(self.num_gpus);
        self.memory = other.memory.or(self.memory);
        self.num_workers = other.num_workers.or(self.num_workers);
        self.object_store_memory = other.object_store_memory.or(self.object_store_memory);
        self.store_directory = other.store_directory.or(self.store_directory);
        self.spill_directory = other.spill_directory.or(self.spill_directory);
        self.huge_pages = other.huge_pages.or(self.huge_pages);
        self.redirect_output |= other.redirect_output;
        self.fold_output = other.fold_output.or(self.fold_output);
        self.limit_output = other.limit_output.or(self.limit_output);
        self.is_silent |= other.is_silent;
        self.is_shared |= other.is_shared;
        self.dashboard.include = other.dashboard.include.or(self.dashboard.include);
        self.dashboard.host = other.dashboard.host.or(self.dashboard.host);
        self.dashboard.port = other.dashboard.port.or(self.dashboard.port);
        self.store_wait = other.store_wait.or(self.store_wait);
        self.objects_max = other.objects_max.or(self.objects_max);
        if !other.resources.is_empty() {
            self.resources = other.resources;
        }
        self
    }

    /// The CPUs for the scheduler.
    pub fn cpus(&self) -> f64 {
        self.num_cpus.unwrap_or_else(|| std::thread::available_parallelism().map_or(1.0, |cpus| cpus.get() as f64))
    }

    /// The workers that stand ready, from 1 to 4096.
    pub fn workers(&self) -> u32 {
        self.num_workers.unwrap_or_else(|| self.cpus().ceil() as u32).clamp(1, 4096)
    }

    /// Whether equal lines of several workers are folded.
    pub fn folds_output(&self) -> bool {
        self.fold_output.unwrap_or(true)
    }

    /// Whether it is bounded how much of the output is shown.
    pub fn limits_output(&self) -> bool {
        self.limit_output.unwrap_or(true)
    }

    /// How long a `put` waits for room.
    pub fn store_wait(&self) -> Duration {
        self.store_wait.unwrap_or(STORE_WAIT)
    }

    /// Objects and unfinished tasks that there can be at once: a multiple of 64, from 1024 up.
    pub fn objects_max(&self) -> u32 {
        self.objects_max.map_or(Limits::default().slots, |wished| wished.clamp(1024, 1 << 28).next_multiple_of(64))
    }

    /// All resources that the scheduler may give away.
    ///
    /// # Errors
    /// An invalid amount, or a custom resource whose name is empty or a built-in one.
    pub fn amounts(&self) -> Result<Resources, ResourcesError> {
        let reserved = self.resources.iter().find(|(name, _)| matches!(name.as_str(), "" | CPU | GPU | MEMORY));
        if let Some((name, amount)) = reserved {
            return Err(ResourcesError { name: format!("custom resource `{name}`"), amount: *amount });
        }
        let gpus = self.num_gpus.or_else(|| Some(gpus::found().len() as f64).filter(|found| *found > 0.0));
        let gpus = gpus.map(|gpus| (GPU, gpus));
        let memory = [(MEMORY, self.memory() as f64)];
        let custom = self.resources.iter().map(|(name, amount)| (name.as_str(), *amount));
        Resources::new([(CPU, self.cpus())].into_iter().chain(gpus).chain(memory).chain(custom))
    }

    /// Bytes of memory that tasks can reserve.
    pub fn memory(&self) -> u64 {
        let store = || self.object_store_memory.unwrap_or_else(default_bytes);
        self.memory.unwrap_or_else(|| memory_of_machine().saturating_sub(store()))
    }
}

impl From<&InitOptions> for Config {
    fn from(options: &InitOptions) -> Config {
        Config {
            is_shared: false,
            num_cpus: options.num_cpus,
            num_gpus: options.num_gpus,
            memory: options.memory,
            resources: options.resources.clone(),
            num_workers: options.num_workers,
            object_store_memory: options.object_store_memory,
            store_directory: options.store_directory.as_ref().map(PathBuf::from),
            spill_directory: options.spill_directory.as_ref().map(PathBuf::from),
            huge_pages: options.huge_pages,
            redirect_output: options.redirect_output,
            fold_output: options.fold_output,
            limit_output: options.limit_output,
            is_silent: options.driver_mode == DriverMode::Silent,
            dashboard: options.dashboard.clone(),
            store_wait: options.store_wait_ms.map(Duration::from_millis),
            objects_max: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_worker() {
        let config = Config { num_cpus: Some(0.0), ..Config::default() };
        assert_eq!(config.workers(), 1);
    }

    #[test]
    fn what_init_says_goes_before_what_the_command_line_said() {
        let first = Config { num_cpus: Some(2.0), object_store_memory: Some(1), ..Config::default() };
        let both = first.overridden_by(Config { num_cpus: Some(8.0), ..Config::default() });
        assert_eq!((both.num_cpus, both.object_store_memory), (Some(8.0), Some(1)));
    }

    #[test]
    fn a_custom_resource_cannot_pose_as_a_cpu() {
        let config = Config { resources: vec![("CPU".into(), 64.0)], ..Config::default() };
        assert!(config.amounts().is_err());
    }
}
