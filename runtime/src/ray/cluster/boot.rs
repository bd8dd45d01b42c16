//! Functions of `boot.py` and libraries of cells: a session puts them on the cluster before their first task.

use super::libraries::linked;
use super::values::items;
use super::{Shared, State};
use crate::ray::transport::{Kind, RayError, Ref, Schedule, Session, Value};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const BOOT: &str = include_str!("../boot.py");
const WORKER: &str = include_str!("../worker.py");

/// Tells workers of one version from those of another one.
static VERSION: LazyLock<String> = LazyLock::new(|| hex::encode(&Sha256::digest(WORKER)[..8]));

/// So many bytes must be free where the libraries of cells go.
const FREE_MIN: i64 = 100 << 20;

/// How long a session that leaves waits until its libraries are gone.
const PARTING_MAX: Duration = Duration::from_secs(2);

/// The functions on the cluster, and what is known of it.
pub(super) struct Boot {
    /// Does one of the operations of `worker.py`.
    pub operate: Ref,
    /// Whether libraries of other sessions are there, some of which may have been killed.
    pub has_strays: bool,
    /// Whether Python there has numpy, whose arrays can be read through Ray Client.
    pub has_numpy: bool,
    /// The version of the C library there; empty if it is another one.
    glibc: Vec<u32>,
}

impl Boot {
    /// Puts them there, and asks what the cluster is.
    ///
    /// # Errors
    /// A sentence: the cluster cannot run the cells.
    pub fn new(session: &Session) -> Result<Boot, String> {
        let operate = session.put(evaluated("operate", Value::None));
        let described = at_once(session, "describe", Vec::new());
        let description = value_of(session, &described).map_err(|error| match error {
            RayError::SessionEnded(reason) => format!("the session with the cluster has ended: {reason}"),
            other => format!("the cluster cannot run what Mobula needs there: {other}"),
        })?;
        let text = |name: &str| description.entry(name).and_then(Value::as_str).unwrap_or_default();
        let (there, here) = (text("machine"), std::env::consts::ARCH);
        if there != here {
            return Err(format!(
                "the cluster's nodes are {there}, and cells are compiled here for {here}: start the session on a machine of that kind"
            ));
        }
        let free = description.entry("free").and_then(Value::as_int).unwrap_or(i64::MAX);
        if free < FREE_MIN {
            return Err(format!(
                "a node of the cluster has {} MiB left in {}, where the cells' libraries go, and {} are needed: make room there",
                free >> 20,
                text("folder"),
                FREE_MIN >> 20
            ));
        }
        let says = |name: &str| description.entry(name) == Some(&Value::Bool(true));
        let (has_numpy, has_strays) = (says("has_numpy"), says("has_strays"));
        let glibc = text("glibc").split('.').filter_map(|number| number.parse().ok()).collect();
        Ok(Boot { operate, has_strays, has_numpy, glibc })
    }
}

/// An expression of what `boot.py` defines and of the value `it`.
fn evaluated(expression: &str, it: Value) -> Value {
    let globals = [("boot", BOOT), ("source", WORKER), ("version", &VERSION), ("__name__", "__main__")];
    let mut globals = globals.map(|(name, text)| (Value::text(name), Value::text(text))).to_vec();
    globals.push((Value::text("it"), it));
    let expression = format!("(exec(boot, globals()), {expression}, globals().pop('it', None))[1]");
    Value::call(Value::global("builtins", "eval"), [Value::Str(expression), Value::Dict(globals)])
}

/// Has the process that serves the session do one of the operations of `worker.py`, in its turn: what is put is made there, and no worker has to be
/// started.
fn at_once(session: &Session, op: &str, what: Vec<(&str, Value)>) -> Ref {
    session.put(evaluated("operate(it)", request(op, what)))
}

/// The function of a library that `meta` describes, on the cluster.
pub(super) fn function(session: &Session, meta: Value) -> Ref {
    session.put(evaluated("function(it)", meta))
}

/// The value of an object, which is waited for.
fn value_of(session: &Session, of: &Ref) -> Result<Value, RayError> {
    let (done, result) = channel();
    session.get(of, Box::new(move |result| _ = done.send(result)));
    result.recv().unwrap_or_else(|_| Err(RayError::SessionEnded("it does not answer".into())))
}

/// The class of actors of this type.
pub(super) fn class(session: &Session, state: &mut State, type_name: &str) -> Ref {
    let make = || session.put(evaluated("actor_class(it)", Value::text(type_name)));
    state.classes.entry(type_name.to_owned()).or_insert_with(make).clone()
}

impl Shared {
    /// The description of a library and of what it is linked with, all of which the cluster has then: each file goes there once, by its hash.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn library(&self, path: &str) -> Result<Arc<str>, String> {
        if let Some(known) = self.state().libraries.get(path) {
            return Ok(Arc::clone(known));
        }
        if path.is_empty() {
            return Err("a plain program's functions are in the program itself, which a Ray cluster cannot run: submit them from cells".into());
        }
        let linked = linked(Path::new(path))?;
        let words = |version: &[u32]| version.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
        if !self.boot.glibc.is_empty() && linked.glibc > self.boot.glibc {
            return Err(format!(
                "the cluster's nodes have glibc {}, and this cell needs {}: start the session on a system as old as theirs",
                words(&self.boot.glibc),
                words(&linked.glibc)
            ));
        }
        let (mut files, mut contents) = (Vec::new(), Vec::new());
        for file in &linked.files {
            let content = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let digest = hex::encode(Sha256::digest(&content));
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Those before it, but for units of the session, are of every session of this version.
            contents.push((digest.clone(), content, name.starts_with("libcells")));
            files.push((name, digest));
        }
        let own: Vec<String> =
            contents.iter().filter(|(_, _, is_own)| *is_own).map(|(digest, ..)| digest.clone()).collect();
        self.store(contents).map_err(|error| format!("the library cannot be brought to the cluster: {error}"))?;
        let description = serde_json::json!({
            "machine": std::env::consts::ARCH, "glibc": words(&linked.glibc), "files": files,
        });
        let mut state = self.state();
        state.own.extend(own);
        let description: Arc<str> = description.to_string().into();
        Ok(Arc::clone(state.libraries.entry(path.to_owned()).or_insert(description)))
    }

    /// Brings those of these files to the cluster that it does not have.
    fn store(&self, mut files: Vec<(String, Vec<u8>, bool)>) -> Result<(), RayError> {
        {
            let state = self.state();
            files.retain(|(digest, ..)| !state.stored.contains(digest));
        }
        let digests = files.iter().map(|(digest, ..)| Value::text(digest)).collect();
        let missing = self.operate("missing", vec![("digests", Value::List(digests))])?;
        let is_missing =
            |digest: &str| items(&missing).is_some_and(|all| all.iter().any(|one| one.as_str() == Some(digest)));
        for (digest, content, is_own) in files {
            if is_missing(&digest) {
                let what = vec![
                    ("digest", Value::text(&digest)),
                    ("content", Value::Bytes(content.into())),
                    ("is_own", Value::Bool(is_own)),
                ];
                self.operate("store", what)?;
            }
            self.state().stored.insert(digest);
        }
        Ok(())
    }

    /// Has the cluster keep the libraries of this description when the session has ended, because an actor that lives on is made of them.
    pub(super) fn keep_libraries(&self, description: &str) {
        let kept: Vec<String> = {
            let mut state = self.state();
            state.own.extract_if(.., |digest| description.contains(digest.as_str())).collect()
        };
        if !kept.is_empty() {
            // A worker might not get to it before the session ends. Nothing is done about a failure, which shows at the actor.
            drop(at_once(&self.session, "keep_libraries", vec![("digests", texts(&kept))]));
        }
    }

    /// Has the cluster forget libraries of sessions that were killed, if there are such.
    pub(super) fn sweep_libraries(&self) {
        if self.boot.has_strays {
            drop(self.begin("sweep", Vec::new()));
        }
    }

    /// Has the cluster forget libraries that no other session has. Waits a little.
    pub(super) fn remove_libraries(&self, digests: &[String]) {
        if digests.is_empty() {
            return;
        }
        let task = self.begin("remove", vec![("digests", texts(digests))]);
        let (done, result) = channel();
        self.session.get(&task, Box::new(move |_| _ = done.send(())));
        let _ = result.recv_timeout(PARTING_MAX);
    }

    /// Has a worker do one of the operations of `worker.py`, and waits.
    ///
    /// # Errors
    /// The cluster's.
    pub(super) fn operate(&self, op: &str, what: Vec<(&str, Value)>) -> Result<Value, RayError> {
        value_of(&self.session, &self.begin(op, what))
    }

    /// Has a worker do one of the operations of `worker.py`.
    pub(super) fn begin(&self, op: &str, what: Vec<(&str, Value)>) -> Ref {
        let options = vec![("num_cpus".to_owned(), Value::Float(0.0)), ("name".to_owned(), Value::text("mobula"))];
        let schedule = Schedule {
            kind: Kind::Task,
            target: &self.boot.operate,
            name: "mobula",
            args: vec![request(op, what)],
            options,
            baseline: Vec::new(),
            returns: 1,
        };
        self.session.schedule(schedule).swap_remove(0)
    }
}

fn texts(of: &[String]) -> Value {
    Value::List(of.iter().map(|text| Value::text(text)).collect())
}

fn request(op: &str, what: Vec<(&str, Value)>) -> Value {
    let what = what.into_iter().chain([("op", Value::text(op))]);
    Value::Dict(what.map(|(name, value)| (Value::text(name), value)).collect())
}
