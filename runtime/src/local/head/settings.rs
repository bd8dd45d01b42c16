//! The runtime's options, as `init_with` changes them, and its answers about itself.
//!
//! A runtime runs from the start with what the command line said. The first `init` of a session may still change it;
//! later ones may not.

use super::Head;
use super::redirect::Redirect;
use super::refuse;
use super::spill_folder::spill_folder;
use crate::abi::{Address, Answer, Dashboard, Demand, Fault, InitOptions, Question, ResourceStatus, RuntimeStatus};
use crate::client::Fallible;
use crate::local::Config;
use crate::protocol::{ClientId, ObjectId, Request, SessionId, ToClient, WorkerId};
use crate::scheduler::{Event, Resources};
use crate::store::{Arena, Flags, Region, Segment, State};
use crate::sync::Ordering;
use std::sync::Arc;

/// The runtime's settings.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The options that it was started with.
    pub start: Config,
    pub config: Config,
    /// Whether `init` has been called.
    pub is_explicit: bool,
}

/// A client that has shut the runtime down and waits.
#[derive(Debug)]
pub(super) struct Farewell {
    from: ClientId,
    req: Request,
    /// The workers that are not gone yet.
    workers: Vec<WorkerId>,
}

impl Head {
    /// Tells the scheduler which resources and workers there are to be.
    pub(super) fn configure(&mut self) {
        // The amounts were checked before they were taken over.
        if let Ok(total) = self.settings.config.amounts() {
            let pool = self.settings.config.workers();
            let redirects = self.settings.config.redirect_output || self.settings.config.is_shared;
            self.redirect =
                redirects.then(|| self.redirect.take().unwrap_or_else(|| Redirect::new(self.folder.path())));
            self.tell(Event::Configured { total, pool });
            let unserved = self.scheduler.serves_nobody();
            self.segment.header().unserved.store(unserved.into(), Ordering::Release);
        }
    }

    /// Answers a question off the fast path.
    pub(super) fn answer(&mut self, asker: SessionId, question: Question) -> Fallible<Answer> {
        match question {
            Question::Init(options) => self.init(asker, &options).map(Answer::Address),
            Question::Errors => {
                let is_shown = |cell: u64| asker == SessionId::OWNER || SessionId::of(cell) == asker;
                let shown = self.failures.iter().filter(|origin| is_shown(origin.cell()));
                Ok(Answer::Errors(shown.map(|origin| origin.listed()).collect()))
            }
            Question::ClusterResources => Ok(Answer::Resources(self.scheduler.total().list())),
            Question::AvailableResources => Ok(Answer::Resources(self.free_resources().list())),
            Question::PlacementGroup { bundles, strategy, cell } => {
                self.make_group(&bundles, strategy, cell).map(Answer::PlacementGroup)
            }
            Question::RemovePlacementGroup { group } => Ok(Answer::Flag(self.remove_group(group))),
            Question::Status => Ok(Answer::Status(self.status())),
            Question::Cancel { id } => Ok(Answer::Flag(self.cancel(ObjectId(id)))),
            Question::Shutdown => Ok(Answer::Done),
            Question::Actor { name } => Ok(Answer::Actor(self.named_actor(asker, &name))),
            Question::Kill { id } => self.kill_actor(ObjectId(id)).map(Answer::Flag),
            Question::ActorState { id } => Ok(Answer::ActorState(self.actor_state(ObjectId(id)))),
            Question::Actors => Ok(Answer::Actors(self.actor_entries(asker))),
            Question::Publish { id, name, schema } => {
                self.publish(asker, ObjectId(id), name, schema).map(|()| Answer::Done)
            }
            Question::Unpublish { name } => Ok(Answer::Flag(self.unpublish(asker, &name))),
            Question::Lookup { name } => Ok(Answer::Published(self.lookup(&name))),
            // A client sees these in shared memory by itself.
            Question::State { id } => Err(Fault::Unknown { id }.into()),
            Question::IsCancelled => Ok(Answer::Flag(false)),
            Question::Dashboard => self.dashboard().map(Answer::Dashboard),
            Question::DiskMoves { after } => Ok(Answer::DiskMoves(self.disk_moves(after))),
            Question::Comm { .. } | Question::Join(_) | Question::Leave => {
                refuse("bug: this is for the session to answer".into())
            }
            Question::Tasks | Question::Objects => refuse("bug: a process reads this by itself".into()),
        }
    }

    /// What no task and no actor has.
    fn free_resources(&self) -> Resources {
        let mut free = self.scheduler.free_of_shapes();
        (0..self.running()).for_each(|_| free.take(&Resources::one_cpu()));
        free
    }

    fn status(&mut self) -> RuntimeStatus {
        let (total, free) = (self.scheduler.total().clone(), self.free_resources());
        let in_use = |name: &str, total: f64| total - free.amount(name);
        let resources = total.list().into_iter();
        let resources =
            resources.map(|(name, total)| ResourceStatus { in_use: in_use(&name, total), name, total }).collect();
        let mut demands: Vec<Demand> = Vec::new();
        let plain = self.segment.entries();
        if plain > 0 {
            let needs = Resources::one_cpu();
            demands.push(Demand { is_possible: total.fit(&needs), needs: needs.to_string(), tasks: plain });
        }
        let queued = self.scheduler.queued();
        for (shape, tasks) in queued {
            let needs = self.scheduler.shapes().needs(shape);
            let (needs, is_possible) = (needs.to_string(), total.fit(needs));
            // Shapes may differ in their environment alone.
            match demands.iter_mut().find(|demand| demand.needs == needs) {
                Some(demand) => demand.tasks += tasks as u64,
                None => demands.push(Demand { needs, tasks: tasks as u64, is_possible }),
            }
        }
        for needs in self.scheduler.queued_groups() {
            let is_possible = self.scheduler.machine().fit(&needs);
            demands.push(Demand { needs: format!("placement group of {needs}"), tasks: 1, is_possible });
        }
        let pids = self.pool.pids();
        RuntimeStatus { resources, workers: pids.len() as u32, pids, demands, sessions: self.session_entries() }
    }

    fn dashboard(&self) -> Fallible<Dashboard> {
        match self.observer.dashboard(&self.settings.config.dashboard) {
            Ok(Some(dashboard)) => Ok(dashboard),
            Ok(None) => {
                refuse("this process has no web page: cells have one, and so has a runtime of `mobula start`".into())
            }
            Err(message) => refuse(message),
        }
    }

    fn init(&mut self, asker: SessionId, options: &InitOptions) -> Fallible<Address> {
        if asker != SessionId::OWNER || self.settings.config.is_shared {
            return self.init_shared(asker, options);
        }
        if let Some(address) = &options.address {
            return refuse(format!("this session has a runtime of its own and cannot join the one at `{address}`"));
        }
        if self.settings.is_explicit {
            if options.ignore_reinit {
                let url = self.page_url();
                return Ok(self.address(url));
            }
            return refuse("the runtime is running already; set ignore_reinit to keep it as it is".into());
        }
        let config = self.settings.config.clone().overridden_by(Config::from(options));
        if let Err(error) = config.amounts() {
            return refuse(error.to_string());
        }
        let memory = |config: &Config| (config.object_store_memory, config.store_directory.clone(), config.huge_pages);
        if memory(&config) != memory(&self.settings.config) {
            self.replace_store(&config)?;
        }
        self.set_spill_folder(&config)?;
        (self.settings.config, self.settings.is_explicit) = (config, true);
        self.configure();
        let url = self.page_url();
        Ok(self.address(url))
    }

    /// The address of the web page, which is started unless that is not wanted. A runtime works without one.
    fn page_url(&mut self) -> Option<String> {
        let wish = &self.settings.config.dashboard;
        if wish.include == Some(false) {
            return None;
        }
        match self.observer.dashboard(wish) {
            Ok(dashboard) => dashboard.map(|dashboard| dashboard.url),
            Err(message) => {
                self.notice(message);
                None
            }
        }
    }

    /// `init` of a session that has joined: the first one is told where it is.
    fn init_shared(&mut self, asker: SessionId, options: &InitOptions) -> Fallible<Address> {
        let wishes = Config { is_silent: false, is_shared: false, ..Config::from(options) };
        if wishes != Config::from(&InitOptions::default()) {
            return refuse(
                "the runtime that this session has joined has its own resources and settings: leave those options out, or call `shutdown()` to leave it first"
                    .into(),
            );
        }
        if self.is_first_init(asker) || options.ignore_reinit {
            let url = self.page_url();
            return Ok(self.address(url));
        }
        refuse("this session has joined a runtime already; set ignore_reinit to keep it as it is, or call `shutdown()` to leave it".into())
    }

    /// Ends all workers and fails unfinished tasks. Answers the client when the workers are gone.
    pub(super) fn shut_down(&mut self, from: ClientId, req: Request) {
        if self.settings.config.is_shared {
            let message = "this runtime is shared, and `mobula stop` ends it".into();
            return self.send(from, &ToClient::Answer { req, answer: Err(Fault::Refused { message }) });
        }
        self.farewells.push(Farewell { from, req, workers: self.pool.all() });
        self.rest();
        self.bid_farewell();
    }

    /// Ends all workers and fails unfinished tasks. The next one that is submitted starts workers again.
    pub(super) fn rest(&mut self) {
        (self.settings.config, self.settings.is_explicit) = (self.settings.start.clone(), false);
        self.spill.set_folder(spill_folder(&self.settings.config, &self.folder));
        self.configure();
        self.end_all_folds();
        self.tell(Event::ShutDown);
        // A process that submits a task from here on tells the head.
        self.segment.header().unserved.store(1, Ordering::Release);
        self.end_actors("the runtime was shut down");
        self.fail_unfinished("the runtime was shut down");
    }

    /// Answers the clients that wait for workers to be gone.
    pub(super) fn bid_farewell(&mut self) {
        let pool = &self.pool;
        self.farewells.iter_mut().for_each(|farewell| farewell.workers.retain(|worker| pool.has(*worker)));
        let done: Vec<Farewell> = self.farewells.extract_if(.., |farewell| farewell.workers.is_empty()).collect();
        for Farewell { from, req, .. } in done {
            self.send(from, &ToClient::Answer { req, answer: Ok(Answer::Done) });
        }
    }

    fn replace_store(&mut self, config: &Config) -> Fallible<()> {
        let objects = self.objects();
        if objects > 0 {
            return refuse(format!(
                "the store holds {objects} objects, so its memory cannot be changed: call init before anything is put or submitted"
            ));
        }
        let folder = config.store_directory.as_deref();
        let (region, notice) = match Region::create(config.object_store_memory, folder, config.huge_pages) {
            Ok(made) => made,
            Err(error) => return refuse(sentence(&error)),
        };
        let arena = match map(&region, config) {
            Ok(arena) => arena,
            Err(error) => return refuse(format!("the store's {} bytes cannot be mapped: {error}", region.len())),
        };
        self.leases.forget_lease();
        lay_out(&self.segment, &region);
        self.segment.set_arena(Arc::clone(&arena));
        (self.region, self.arena) = (region, arena);
        self.try_huge_pages(config);
        // Clients map the new arena when they next want room.
        self.segment.header().arena.fetch_add(1, Ordering::AcqRel);
        notice.into_iter().for_each(|text| self.notice(text));
        Ok(())
    }

    /// Shows a notice when huge pages were asked for and are not to be had.
    pub(super) fn try_huge_pages(&mut self, config: &Config) {
        if config.huge_pages != Some(true) || self.region.place().contains("huge") {
            return;
        }
        // The first unit shows whether it works.
        let works = match self.segment.lease(self.leases.seat, 1) {
            Some(run) => {
                let unlocked = self.segment.unlock(&self.arena, run);
                self.segment.close(self.leases.seat, run.first);
                unlocked.is_ok() && self.arena.is_huge()
            }
            None => false,
        };
        if !works {
            self.notice(
                "huge pages are not available: none are set aside (vm.nr_hugepages), and the kernel does not make any of shared memory \
                 (MADV_COLLAPSE, Linux 6.1); the store uses ordinary pages"
                    .into(),
            );
        }
    }

    /// Objects, unfinished tasks and drafts.
    fn objects(&self) -> usize {
        let words = (1..self.segment.slots_used()).map(|index| self.segment.slot(index).word());
        words.filter(|word| word.state() != State::Free || word.flags() != Flags::empty()).count()
    }

    fn address(&self, dashboard_url: Option<String>) -> Address {
        Address {
            session_dir: self.folder.path().display().to_string(),
            socket: self.folder.socket().display().to_string(),
            store: self.region.place().to_owned(),
            object_store_memory: self.region.len(),
            num_cpus: self.scheduler.total().amount("CPU"),
            workers: self.pool.pids(),
            dashboard_url,
        }
    }
}

/// Maps an arena for the process of the head.
pub(super) fn map(region: &Region, config: &Config) -> std::io::Result<Arc<Arena>> {
    let (file, huge) = (region.file().try_clone_to_owned()?, config.huge_pages != Some(false));
    Arena::open(file, region.reader()?, region.len(), region.unit_bytes(), huge).map(Arc::new)
}

/// Sets up the units of the region in the tables, all empty.
pub(super) fn lay_out(segment: &Segment, region: &Region) {
    let header = segment.header();
    for index in 0..segment.units().max(region.units().min(segment.limits().units)) {
        segment.unit(index).clear();
    }
    header.units_hint.store(0, Ordering::Relaxed);
    header.unit_bytes.store(region.unit_bytes() as u32, Ordering::Relaxed);
    header.units.store(region.units().min(segment.limits().units), Ordering::Release);
}

/// An error with its causes, on one line.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        sentence = format!("{sentence}: {source}");
        cause = source.source();
    }
    sentence
}
