//! What the runtime was told to be, and questions about the whole of it.
//!
//! A runtime runs from the start with what the command line said. The first `init` of a session may still change it;
//! later ones may not.

use super::Config;
use super::client::Fallible;
use super::head::{Head, Store};
use crate::abi::{AddressInfo, Answer, Fault, InitOptions, ObjectState, Question};
use crate::protocol::{Body, ObjectId, RegionInfo, ToClient};
use crate::scheduler::Event;
use crate::store::{Region, State};

/// What the runtime was told.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub config: Config,
    /// Whether somebody has called `init`.
    pub is_explicit: bool,
}

impl Head {
    /// Tells the scheduler what there is.
    pub(super) fn configure(&mut self) {
        // Checked before it was taken over.
        if let Ok(total) = self.settings.config.amounts() {
            self.tell(Event::Configured { total, pool: self.settings.config.workers() });
        }
    }

    /// Answers a question off the fast path.
    pub(super) fn answer(&mut self, question: Question) -> Fallible<Answer> {
        match question {
            Question::Init(options) => self.init(&options).map(Answer::Address),
            Question::Errors => Ok(Answer::Errors(self.failures.iter().cloned().collect())),
            Question::ClusterResources => Ok(Answer::Resources(self.scheduler.total().list())),
            Question::AvailableResources => Ok(Answer::Resources(self.scheduler.free().list())),
            Question::State { id } => match self.store.objects.state(ObjectId(id)) {
                Some(State::Pending) => Ok(Answer::State(ObjectState::Pending)),
                Some(State::Failed(_)) => Ok(Answer::State(ObjectState::Failed)),
                Some(State::Ready(body)) => {
                    let bytes = match body {
                        Body::Inline(payload) => payload.len(),
                        Body::Shared(extent) => extent.len,
                    };
                    Ok(Answer::State(ObjectState::Ready { bytes }))
                }
                None => Err(Fault::Unknown { id }.into()),
            },
        }
    }

    fn init(&mut self, options: &InitOptions) -> Fallible<AddressInfo> {
        if let Some(address) = &options.address {
            return refuse(format!("this session has a runtime of its own and cannot join the one at `{address}`"));
        }
        if self.settings.is_explicit {
            if options.ignore_reinit {
                return Ok(self.address());
            }
            return refuse("the runtime is running already; set ignore_reinit to keep it as it is".into());
        }
        let config = self.settings.config.clone().overridden_by(Config::from(options));
        if let Err(error) = config.amounts() {
            return refuse(error.to_string());
        }
        let memory = |config: &Config| (config.object_store_memory, config.store_directory.clone());
        if memory(&config) != memory(&self.settings.config) {
            self.replace_store(&config)?;
        }
        self.settings = Settings { config, is_explicit: true };
        self.configure();
        Ok(self.address())
    }

    fn replace_store(&mut self, config: &Config) -> Fallible<()> {
        let in_use = !self.store.objects.is_empty() || !self.tasks.is_empty() || self.drafts().next().is_some();
        if in_use {
            return refuse(format!(
                "the store holds {} objects, so its memory cannot be changed: call init before anything is put or \
                 submitted",
                self.store.objects.len()
            ));
        }
        match Region::create(config.object_store_memory, config.store_directory.as_deref()) {
            Ok((region, notice)) => {
                self.store = Store::new(region, self.store.generation + 1);
                notice.into_iter().for_each(|text| self.notice(text));
            }
            Err(error) => return refuse(sentence(&error)),
        }
        let info = RegionInfo { generation: self.store.generation, len: self.store.region.len() };
        let welcome = self.clients.iter().filter(|(_, client)| client.role.is_some()).map(|(id, _)| *id);
        for id in welcome.collect::<Vec<_>>() {
            match self.store.region.file().try_clone_to_owned() {
                Ok(file) => self.send_beside(id, &ToClient::Region(info.clone()), Some(file)),
                Err(_) => self.disconnect(id),
            }
        }
        Ok(())
    }

    fn address(&self) -> AddressInfo {
        AddressInfo {
            session_dir: self.folder.path().display().to_string(),
            socket: self.folder.socket().display().to_string(),
            store: self.store.region.place().to_owned(),
            object_store_memory: self.store.region.len(),
            num_cpus: self.scheduler.total().amount("CPU"),
            workers: self.pool.pids(),
        }
    }
}

fn refuse<T>(message: String) -> Fallible<T> {
    Err(Fault::Refused { message }.into())
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
