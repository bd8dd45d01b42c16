//! Configuration: starts or joins a runtime, and reports its address and resources.

use crate::abi::{Address, Answer, DriverMode, InitOptions, Question, SHARE_MAX, Tenant};
use crate::calls;
use crate::display::{Table, Tabular, shown_as_a_table};
use crate::error::{InitError, Size};

/// Starts the runtime with the defaults. This is optional: the first call of any other function starts it, too.
///
/// # Errors
/// [`InitError::Refused`] when this function or [`init_with`] has started the runtime already.
///
/// ```
/// # mobula::inline::attach();
/// let address = mobula::init()?;
/// assert!(address.num_cpus >= 1.0);
/// # Ok::<(), mobula::InitError>(())
/// ```
pub fn init() -> Result<AddressInfo, InitError> {
    init_with(Config::new())
}

/// Starts the runtime, or joins one, as `config` says.
///
/// # Errors
/// [`InitError::BadOption`] when an option makes no sense; [`InitError::Refused`] when this function or [`init`] has
/// started the runtime already, and [`Config::ignore_reinit`] is not set.
///
/// ```
/// # mobula::inline::attach();
/// use mobula::{Config, gib, init_with};
/// init_with(Config::new().num_cpus(8.0).resource("tpu", 2.0).object_store_memory(gib(4)).ignore_reinit())?;
/// # Ok::<(), mobula::InitError>(())
/// ```
pub fn init_with(config: Config) -> Result<AddressInfo, InitError> {
    let options = config.check()?;
    if options.driver_mode != DriverMode::InProcess || calls::is_in_process() {
        return ask_init(&options);
    }
    may_go_in_process()?;
    // The runtime is told, too: a second `init` is one, wherever tasks run.
    ask_init(&options)?;
    go_in_process(&options)
}

fn ask_init(options: &InitOptions) -> Result<AddressInfo, InitError> {
    match calls::ask(&Question::Init(options.clone())).map_err(InitError::from_fault)? {
        Answer::Address(address) => Ok(address.into()),
        other => Err(InitError::Disconnected { reason: format!("it answered `init` with {other:?}") }),
    }
}

/// Whether tasks may run in this process from now on.
fn may_go_in_process() -> Result<(), InitError> {
    let bad = |message: String| Err(InitError::BadOption { option: "driver_mode".into(), message });
    if !cfg!(any(test, feature = "inline")) {
        return bad("this build has no engine for it: build the crate with the feature `inline`".into());
    }
    if calls::role() == Tenant::WORKER {
        return bad("a task cannot choose where tasks run".into());
    }
    match calls::ask(&Question::Objects).map_err(InitError::from_fault)? {
        Answer::Objects(objects) if !objects.is_empty() => {
            let there = objects.len();
            bad(format!(
                "there are objects already ({there}): choose where tasks run before anything is put or submitted"
            ))
        }
        _ => Ok(()),
    }
}

/// Has tasks run in this process from now on.
#[cfg(any(test, feature = "inline"))]
fn go_in_process(options: &InitOptions) -> Result<AddressInfo, InitError> {
    calls::go_in_process(&crate::inline::TABLE);
    ask_init(options)
}

#[cfg(not(any(test, feature = "inline")))]
fn go_in_process(options: &InitOptions) -> Result<AddressInfo, InitError> {
    ask_init(options)
}

/// Shuts the runtime down, as `ray.shutdown` does in Ray. Its workers end, and tasks that have not finished never will.
/// Its objects are gone, so [`get`](crate::get) of one returns an error. Arrays that a variable holds stay readable.
/// The next [`init`], task or [`put`](crate::put) starts a new runtime.
///
/// # Errors
/// [`InitError::Refused`] in a task; [`InitError::Disconnected`] when there is no runtime.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// let before = put(&1).unwrap();
/// shutdown()?;
/// assert!(get(&before).is_err());
/// init_with(Config::new().num_cpus(2.0))?;
/// # Ok::<(), mobula::InitError>(())
/// ```
pub fn shutdown() -> Result<(), InitError> {
    let ended = calls::ask(&Question::Shutdown).map(drop).map_err(InitError::from_fault);
    if !calls::is_in_process() {
        return ended;
    }
    calls::leave_process();
    calls::ask(&Question::Shutdown).map(drop).map_err(InitError::from_fault)
}

/// Returns `n` GiB in bytes.
pub const fn gib(n: u64) -> u64 {
    n << 30
}

/// Options of [`init_with`]: how to start a runtime, or which one to join. Unset options have defaults.
///
/// Of the options that `ray.init` once had, `redis_address` is [`Config::connect`]'s argument; `num_redis_shards` has no
/// counterpart, because no database stands between processes; neither has `node_ip_address`, because a runtime is on
/// one machine and listens on none of its addresses.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "a configuration does nothing until it is given to `init_with`"]
pub struct Config {
    options: InitOptions,
    object_id_seed: Option<u64>,
}

impl Config {
    /// Options for a runtime on this machine, with the defaults.
    pub fn new() -> Config {
        Config::default()
    }

    /// Options to join a runtime that `mobula start` has left running: `"auto"` for the one on this machine, or its folder or socket.
    /// [`shutdown`] leaves it. Tasks and actors of this session, but for detached actors, end with the session.
    ///
    /// `"ray://host:10001"` joins an existing Ray cluster by its client port: functions and actors of cells run on its workers, with Ray's resources,
    /// and [`get`](crate::get) brings results here. Streams, checkpoints and [`publish`](crate::publish) are refused there. A token is taken from where
    /// Ray takes it: `RAY_AUTH_TOKEN`, the file that `RAY_AUTH_TOKEN_PATH` names, `~/.ray/auth_token`.
    ///
    /// ```no_run
    /// use mobula::prelude::*;
    /// init_with(Config::connect("ray://10.0.0.5:10001").namespace("team"))?;
    /// # Ok::<(), mobula::InitError>(())
    /// ```
    pub fn connect(address: impl Into<String>) -> Config {
        let options = InitOptions { address: Some(address.into()), ..InitOptions::default() };
        Config { options, object_id_seed: None }
    }

    /// Sets the namespace of the session's named actors in a runtime that it joins. Sessions of one namespace find each other's actors
    /// with [`actor`](crate::actor()), and detached ones of sessions that have ended; without it, a session has one of its own, as in Ray.
    pub fn namespace(mut self, name: impl Into<String>) -> Config {
        self.options.namespace = Some(name.into());
        self
    }

    /// Sets how much of a runtime that it joins the session gets while several want more than there is: one of 2 gets twice as much as one
    /// of 1, the default. Of tasks with options, that is CPU time; plain ones are taken in turn, as many at once as the share says.
    ///
    /// ```no_run
    /// use mobula::{Config, init_with};
    /// init_with(Config::connect("auto").share(2))?;
    /// # Ok::<(), mobula::InitError>(())
    /// ```
    pub fn share(mut self, share: u32) -> Config {
        self.options.share = Some(share);
        self
    }

    /// Sets how many CPUs tasks can share. Default: the machine's.
    pub fn num_cpus(mut self, cpus: f64) -> Config {
        self.options.num_cpus = Some(cpus);
        self
    }

    /// Sets how many GPUs tasks can share. Default: those that are found.
    pub fn num_gpus(mut self, gpus: f64) -> Config {
        self.options.num_gpus = Some(gpus);
        self
    }

    /// Sets how many bytes of memory tasks can reserve; see [`gib`]. Default: what the store leaves of the machine's.
    pub fn memory(mut self, bytes: u64) -> Config {
        self.options.memory = Some(bytes);
        self
    }

    /// Adds a custom resource, and how much of it there is.
    pub fn resource(mut self, name: impl Into<String>, amount: f64) -> Config {
        self.options.resources.push((name.into(), amount));
        self
    }

    /// Sets how many worker processes are started at once and kept ready. Default: one for each CPU.
    pub fn num_workers(mut self, workers: u32) -> Config {
        self.options.num_workers = Some(workers);
        self
    }

    /// Sets the store's limit in bytes; see [`gib`].
    pub fn object_store_memory(mut self, bytes: u64) -> Config {
        self.options.object_store_memory = Some(bytes);
        self
    }

    /// Sets the folder that the store's memory comes from. Default: `/dev/shm`.
    pub fn store_directory(mut self, folder: impl Into<String>) -> Config {
        self.options.store_directory = Some(folder.into());
        self
    }

    /// Sets the folder on disk for objects that find no room in memory. Its files have no names and end with the
    /// runtime. Default: the session's own folder; if that is in memory itself (tmpfs), the person's cache folder or
    /// `/var/tmp`.
    pub fn spill_directory(mut self, folder: impl Into<String>) -> Config {
        self.options.spill_directory = Some(folder.into());
        self
    }

    /// Sets whether the store uses huge pages. Default: where the kernel makes them on request (`MADV_COLLAPSE`).
    /// `true` also uses huge pages that were set aside for programs (`vm.nr_hugepages`), and gives a notice when there
    /// are none to be had; a folder on hugetlbfs can be given as [`Config::store_directory`]. `false` uses none.
    pub fn huge_pages(mut self, huge: bool) -> Config {
        self.options.huge_pages = Some(huge);
        self
    }

    /// Sets how long a `put` waits for room before it fails. It waits when memory is full of objects that are being
    /// read and the disk takes no more. Default: 3 seconds.
    pub fn store_wait(mut self, wait: std::time::Duration) -> Config {
        self.options.store_wait_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Sends what tasks print to files in the session's folder, `logs/worker-<pid>.out` and `.err`, instead of to the
    /// cells. A file of 16 MiB is put aside, and the one before it removed. Failures of tasks are still shown.
    pub fn redirect_output(mut self) -> Config {
        self.options.redirect_output = true;
        self
    }

    /// Sets where tasks run, and what is shown of them; see [`DriverMode`].
    pub fn driver_mode(mut self, mode: DriverMode) -> Config {
        self.options.driver_mode = mode;
        self
    }

    /// Sets whether a line that several workers write within a second is shown once, and then counted:
    /// `[repeated 7x across 4 workers]`. Default: it is. What one worker repeats is shown each time.
    pub fn fold_output(mut self, folds: bool) -> Config {
        self.options.fold_output = Some(folds);
        self
    }

    /// Sets whether it is bounded how much of what a cell's tasks print is shown: 16 MiB at once, and 1 MiB a second beside that. Default: it
    /// is. A line says how much was held back; [`Config::redirect_output`] writes all of it to files.
    pub fn limit_output(mut self, limits: bool) -> Config {
        self.options.limit_output = Some(limits);
        self
    }

    /// Refused, with a sentence: an object's id is its place in shared memory, and two runs of a program that starts
    /// tasks do not take places in the same order. It is here because Ray's `init` has it.
    pub fn object_id_seed(mut self, seed: u64) -> Config {
        self.object_id_seed = Some(seed);
        self
    }

    /// Sets whether this function starts the web page. Default: it does. [`dashboard`](crate::dashboard) starts it in any case.
    pub fn include_dashboard(mut self, include: bool) -> Config {
        self.options.dashboard.include = Some(include);
        self
    }

    /// Sets the name or address that the web page listens on. Default: `127.0.0.1`, this machine alone. The page is not encrypted: on a
    /// network that others read, they read its token, too.
    pub fn dashboard_host(mut self, host: impl Into<String>) -> Config {
        self.options.dashboard.host = Some(host.into());
        self
    }

    /// Sets the port of the web page. Default: one that is free.
    pub fn dashboard_port(mut self, port: u16) -> Config {
        self.options.dashboard.port = Some(port);
        self
    }

    /// Accepts a runtime that is already running as it is, instead of failing.
    pub fn ignore_reinit(mut self) -> Config {
        self.options.ignore_reinit = true;
        self
    }

    fn check(self) -> Result<InitOptions, InitError> {
        let bad = |option: &str, message: String| Err(InitError::BadOption { option: option.into(), message });
        let Config { options, object_id_seed } = self;
        let mut amounts: Vec<(&str, f64)> =
            options.resources.iter().map(|(name, amount)| (name.as_str(), *amount)).collect();
        amounts.extend(options.num_cpus.map(|cpus| ("num_cpus", cpus)));
        amounts.extend(options.num_gpus.map(|gpus| ("num_gpus", gpus)));
        if let Some((name, amount)) = amounts.iter().find(|(_, amount)| !amount.is_finite() || *amount < 0.0) {
            return bad(name, format!("an amount must be a finite number of at least 0, not {amount}"));
        }
        if object_id_seed.is_some() {
            return bad(
                "object_id_seed",
                "an object's id is its place in shared memory and cannot be chosen; compare values, not ids".into(),
            );
        }
        let shapes_store = options.object_store_memory.is_some()
            || options.memory.is_some()
            || options.store_directory.is_some()
            || options.spill_directory.is_some()
            || options.huge_pages.is_some();
        if let Some(address) = options.address.as_ref().filter(|_| !amounts.is_empty() || shapes_store) {
            return bad(
                "address",
                format!("the runtime at `{address}` has its own resources; leave those options out to join it"),
            );
        }
        if let Some(share) = options.share {
            if !(1..=SHARE_MAX).contains(&share) {
                return bad("share", format!("a share is a number from 1 to {SHARE_MAX}, not {share}"));
            }
            if options.address.is_none() {
                let message = "a share is one of a runtime that several sessions have joined: give it together with `Config::connect`";
                return bad("share", message.into());
            }
        }
        let mut names: Vec<&str> = options.resources.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return bad(twice[0], "this resource is given twice".into());
        }
        if let Some(taken) = names.iter().find(|name| matches!(**name, "" | "CPU" | "GPU" | "memory")) {
            return bad(
                taken,
                "a resource needs a name of its own; CPUs, GPUs and memory have `num_cpus`, `num_gpus` and `memory`"
                    .into(),
            );
        }
        Ok(options)
    }
}

/// The address and the resources of a runtime, as [`init`] returns them. Displays as a table.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AddressInfo {
    /// The session's folder.
    pub session_dir: String,
    /// The runtime's socket.
    pub socket: String,
    /// The place of the store's memory: a folder, or `memfd`.
    pub store: String,
    /// The store's limit in bytes.
    pub object_store_memory: u64,
    /// The CPUs that tasks can share.
    pub num_cpus: f64,
    /// Process ids of the workers that run now.
    pub workers: Vec<u32>,
    /// The address of the web page, with its token; `None` where there is none. See [`dashboard`](crate::dashboard).
    pub dashboard_url: Option<String>,
}

impl From<Address> for AddressInfo {
    fn from(address: Address) -> AddressInfo {
        let Address { session_dir, socket, store, object_store_memory, num_cpus, workers, dashboard_url } = address;
        AddressInfo { session_dir, socket, store, object_store_memory, num_cpus, workers, dashboard_url }
    }
}

impl Tabular<2> for AddressInfo {
    fn table(&self) -> Result<Table<2>, &'static str> {
        let workers = self.workers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let mut table = Table::new(["runtime", ""]);
        table.row(["session folder".into(), self.session_dir.clone()]);
        table.row(["socket".into(), self.socket.clone()]);
        table.row(["store".into(), format!("{} in {}", Size(self.object_store_memory), self.store)]);
        table.row(["CPUs".into(), self.num_cpus.to_string()]);
        table.row(["workers".into(), workers]);
        if let Some(url) = &self.dashboard_url {
            table.row(["web page".into(), url.clone()]);
        }
        Ok(table)
    }
}

/// Amounts of resources, sorted by name. Displays as a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources(Vec<(String, f64)>);

impl Resources {
    pub(super) fn new(amounts: Vec<(String, f64)>) -> Resources {
        Resources(amounts)
    }

    /// Returns the amount of one resource, such as `"CPU"`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, amount)| *amount)
    }

    /// Iterates over names and amounts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), *amount))
    }
}

impl Tabular<2> for Resources {
    fn table(&self) -> Result<Table<2>, &'static str> {
        let mut table = Table::new(["resource", "amount"]);
        for (name, amount) in self.iter() {
            table.row([name.into(), amount.to_string()]);
        }
        Ok(table)
    }
}

shown_as_a_table!(Resources, AddressInfo);

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: Config) -> String {
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn resources_and_an_address_do_not_go_together() {
        let message = "`address`: the runtime at `auto` has its own resources; leave those options out to join it";
        assert_eq!(refused(Config::connect("auto").num_cpus(1.0)), message);
        assert!(Config::connect("auto").check().is_ok());
    }

    #[test]
    fn an_id_cannot_be_chosen() {
        assert!(refused(Config::new().object_id_seed(1)).contains("`object_id_seed`: an object's id is its place"));
    }

    #[test]
    fn amounts_are_numbers_from_zero_up() {
        assert_eq!(
            refused(Config::new().num_cpus(-1.0)),
            "`num_cpus`: an amount must be a finite number of at least 0, not -1"
        );
        assert_eq!(
            refused(Config::new().resource("tpu", f64::NAN)),
            "`tpu`: an amount must be a finite number of at least 0, not NaN"
        );
        assert!(Config::new().num_cpus(0.0).num_gpus(0.5).check().is_ok());
    }

    #[test]
    fn a_resource_has_one_name_and_it_is_not_that_of_cpus() {
        assert!(refused(Config::new().resource("tpu", 1.0).resource("tpu", 2.0)).contains("given twice"));
        assert!(refused(Config::new().resource("CPU", 1.0)).contains("`num_cpus`"));
    }
}
