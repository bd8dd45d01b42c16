//! The operations under which a client is killed, each as the victim runs it and as the witness prepares it.
//!
//! ```text
//!   witness                                 victim: this program again
//!   gives objects ── their ids ───────────▶ refers to them, prepares
//!   lets go of what it only gave ◀─ ready ─ waits
//!   seizes it ────── go ──────────────────▶ mark, the operation, mark
//! ```

use crate::cell::{self, Arg, Ref, Seen, put, put_with, submit};
use crate::trace::{Stop, Tracee, mark};
use crate::witness::{ARENA_BYTES, Client, Witness, got, seated, segment};
use crate::{task, witness};
use mobula::client;
use mobula::protocol::ObjectId;
use mobula::store::Body;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

/// Bytes of objects that have a lease of several units of their own. Nobody writes so many: that would be a loop without end.
const LARGE: usize = 300 << 10;

/// What a victim does between its marks. What it makes or opens is its own until it dies.
type Act = Box<dyn FnOnce()>;

/// An operation.
pub struct Operation {
    pub name: &'static str,
    /// What it does to what is in the store.
    pub effect: Effect,
    /// Whether it is short and important enough to be interrupted at each of its instructions.
    pub each: bool,
    /// What the witness makes for it.
    pub given: fn() -> Given,
    /// The victim's part.
    pub act: fn(Vec<Ref>) -> Act,
}

/// What an operation does, seen from outside: by this it is known how far it had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// There is an object or a task more: "gone" before, "sealed" after.
    Makes,
    /// There is an object less: "sealed" before, "gone" after.
    Frees,
    /// Room is leased: "gone" before, "held" after.
    Leases,
    /// Room is given back: the other way around.
    Returns,
    /// Bytes are read: "sealed" before and after, "held" between.
    Reads,
}

/// What the witness makes for a victim.
#[derive(Default)]
pub struct Given {
    /// The victim refers to these.
    pub objects: Vec<Ref>,
    /// The witness goes on referring to these, and they must be intact afterwards.
    pub kept: Vec<(Ref, Vec<u8>)>,
    /// Tasks wait until this is dropped.
    pub gate: Option<Gate>,
}

/// Tasks that wait for it go on when it is dropped.
pub struct Gate(tempfile::TempDir);

impl Gate {
    pub fn closed() -> Gate {
        Gate(tempfile::tempdir().unwrap())
    }

    /// A task that gives 40 nines when the gate is open.
    pub fn task(&self) -> Ref {
        submit("gated", gated, &[Arg::Value(self.0.path().to_str().unwrap().as_bytes())]).unwrap()
    }
}

task!(
    /// Ends when the folder that its argument names is gone.
    gated = |args| {
        let path = String::from_utf8(args[0].to_vec()).unwrap();
        witness::within_patience("the gate is open", || !Path::new(&path).exists());
        Ok((vec![9; 40], vec![]))
    }
);

task!(
    /// Its arguments, one behind the other; copied as a whole, because each byte would be a handful of instructions.
    echo = |args| Ok((args.iter().map(|arg| &**arg).collect::<Vec<_>>().concat(), vec![]))
);

fn nothing() -> Given {
    Given::default()
}

fn give(objects: Vec<Ref>) -> Given {
    Given { objects, ..Given::default() }
}

fn small() -> Ref {
    put(&[7; 40]).unwrap()
}

fn in_arena() -> Ref {
    put(&[8; ARENA_BYTES]).unwrap()
}

/// An object that alone keeps `count` others, some of which are in the arena.
fn container(count: usize) -> Ref {
    let inner: Vec<Ref> = (0..count).map(|index| if index % 3 == 2 { in_arena() } else { small() }).collect();
    let ids: Vec<u64> = inner.iter().map(|object| object.0).collect();
    put_with(&[6; ARENA_BYTES], &ids).unwrap()
}

/// An object whose bytes are the id of another one, which only it keeps.
fn envelope() -> (Ref, Vec<u8>) {
    let inner = in_arena();
    let bytes = inner.0.to_le_bytes().to_vec();
    (put_with(&bytes, &[inner.0]).unwrap(), bytes)
}

/// Leases slots and a unit, so that what follows finds both.
fn settle() {
    drop((small(), in_arena()));
}

/// An object of the witness's that was moved to disk, because something else wanted the room.
fn spilled() -> (Ref, Vec<u8>) {
    let bytes = vec![4; 3 << 20];
    let object = put(&bytes).unwrap();
    let rest = u64::from(segment().units()) * segment().unit_bytes() - (1 << 20);
    drop(put(&vec![0; rest as usize]).unwrap());
    let body = segment().body(ObjectId(object.0)).unwrap();
    assert!(matches!(body, Body::Spilled { .. }), "it is not on disk: {body:?}");
    (object, bytes)
}

/// Lets the runtime know the function, so that what follows needs not ask it.
fn interned() {
    drop(got(&submit("echo", echo, &[]).unwrap()).unwrap());
}

fn keep<T>(value: T) {
    std::mem::forget(value);
}

fn opened(object: &Ref) -> Seen {
    cell::open(object).unwrap().expect("it is sealed")
}

/// Puts objects until every slot that somebody has given back is taken again, so that the next lease is of fresh ones.
fn no_loose_slots() -> Given {
    let mut kept = Vec::new();
    while segment().header().slots_loose.load(Ordering::Acquire) > 0 {
        kept.push((put(&[1]).unwrap(), vec![1]));
    }
    Given { kept, ..Given::default() }
}

pub const ALL: &[Operation] = &[
    Operation {
        name: "put inline",
        effect: Effect::Makes,
        each: true,
        given: nothing,
        act: |_| {
            settle();
            Box::new(|| keep(put(&[1; 40]).unwrap()))
        },
    },
    Operation {
        name: "put into the arena",
        effect: Effect::Makes,
        each: false,
        given: nothing,
        act: |_| {
            settle();
            Box::new(|| keep(put(&[1; ARENA_BYTES]).unwrap()))
        },
    },
    Operation {
        name: "put with refs",
        effect: Effect::Makes,
        each: false,
        given: || give(vec![small(), in_arena()]),
        act: |given| {
            settle();
            let own = small();
            let ids = [given[0].0, own.0, given[1].0];
            keep((given, own));
            Box::new(move || keep(put_with(&[1; 40], &ids).unwrap()))
        },
    },
    Operation {
        name: "put with a long list of refs",
        effect: Effect::Makes,
        each: false,
        given: || give((0..5).map(|_| small()).collect()),
        act: |mut given| {
            settle();
            given.extend((0..6).map(|_| in_arena()));
            let ids: Vec<u64> = given.iter().map(|object| object.0).collect();
            keep(given);
            Box::new(move || keep(put_with(&[1; ARENA_BYTES], &ids).unwrap()))
        },
    },
    Operation {
        name: "first put, of slots that were used",
        effect: Effect::Makes,
        each: false,
        given: nothing,
        act: |_| Box::new(|| keep(put(&[1; 40]).unwrap())),
    },
    Operation {
        name: "first put, of slots that are fresh",
        effect: Effect::Makes,
        each: false,
        given: no_loose_slots,
        act: |_| Box::new(|| keep(put(&[1; 40]).unwrap())),
    },
    Operation {
        name: "first put into the arena",
        effect: Effect::Makes,
        each: false,
        given: nothing,
        act: |_| Box::new(|| keep(put(&[1; ARENA_BYTES]).unwrap())),
    },
    Operation {
        name: "lease of several units",
        effect: Effect::Leases,
        each: false,
        given: nothing,
        act: |_| {
            settle();
            Box::new(|| keep(cell::draft(LARGE).unwrap()))
        },
    },
    Operation {
        name: "return of several units",
        effect: Effect::Returns,
        each: false,
        given: nothing,
        act: |_| {
            settle();
            let draft = cell::draft(LARGE).unwrap();
            Box::new(move || cell::discard(draft))
        },
    },
    Operation {
        name: "get and unpin, inline",
        effect: Effect::Reads,
        each: false,
        given: || Given { kept: vec![(small(), vec![7; 40])], ..Given::default() },
        act: |given| Box::new(move || drop((opened(&given[0]), keep(given)))),
    },
    Operation {
        name: "get and unpin, in the arena",
        effect: Effect::Reads,
        each: false,
        given: || Given { kept: vec![(in_arena(), vec![8; ARENA_BYTES])], ..Given::default() },
        act: |given| Box::new(move || drop((opened(&given[0]), keep(given)))),
    },
    Operation {
        name: "taking a reference out of an object",
        effect: Effect::Reads,
        each: false,
        given: || Given { kept: vec![envelope()], ..Given::default() },
        act: |given| {
            Box::new(move || {
                let id = u64::from_le_bytes((*opened(&given[0])).try_into().unwrap());
                let inner = Ref::to(id);
                assert!(*opened(&inner) == [8; ARENA_BYTES]);
                keep(given);
            })
        },
    },
    Operation {
        name: "release of one's own, inline",
        effect: Effect::Frees,
        each: true,
        given: nothing,
        act: |_| {
            let own = small();
            Box::new(move || drop(own))
        },
    },
    Operation {
        name: "release of one's own, in the arena",
        effect: Effect::Frees,
        each: true,
        given: nothing,
        act: |_| {
            let own = in_arena();
            Box::new(move || drop(own))
        },
    },
    Operation {
        name: "release of one's own container",
        effect: Effect::Frees,
        each: false,
        given: nothing,
        act: |_| {
            let own = container(4);
            Box::new(move || drop(own))
        },
    },
    Operation {
        name: "release of one's own long container",
        effect: Effect::Frees,
        each: false,
        given: nothing,
        act: |_| {
            let own = container(11);
            Box::new(move || drop(own))
        },
    },
    Operation {
        name: "release of a foreign one, inline",
        effect: Effect::Frees,
        each: true,
        given: || give(vec![small()]),
        act: |given| Box::new(move || drop(given)),
    },
    Operation {
        name: "release of a foreign one, in the arena",
        effect: Effect::Frees,
        each: true,
        given: || give(vec![in_arena()]),
        act: |given| Box::new(move || drop(given)),
    },
    Operation {
        name: "release of a foreign container",
        effect: Effect::Frees,
        each: false,
        given: || give(vec![container(4)]),
        act: |given| Box::new(move || drop(given)),
    },
    Operation {
        name: "release of a foreign long container",
        effect: Effect::Frees,
        each: false,
        given: || give(vec![container(11)]),
        act: |given| Box::new(move || drop(given)),
    },
    Operation {
        name: "release of a foreign one with a lease of its own",
        effect: Effect::Frees,
        each: false,
        given: || give(vec![put(&vec![2; LARGE]).unwrap()]),
        act: |given| Box::new(move || drop(given)),
    },
    Operation {
        name: "release of one on disk",
        effect: Effect::Frees,
        each: false,
        given: || give(vec![spilled().0]),
        act: |given| Box::new(move || drop(given)),
    },
    Operation {
        name: "opening one on disk",
        effect: Effect::Reads,
        each: false,
        given: || Given { kept: vec![spilled()], ..Given::default() },
        act: |given| Box::new(move || drop((opened(&given[0]), keep(given)))),
    },
    Operation {
        name: "submit with values",
        effect: Effect::Makes,
        each: false,
        given: nothing,
        act: |_| {
            settle();
            interned();
            Box::new(|| keep(submit("echo", echo, &[Arg::Value(&[1; 40]), Arg::Value(&[2; 8])]).unwrap()))
        },
    },
    Operation {
        name: "submit with a large value",
        effect: Effect::Makes,
        each: false,
        given: nothing,
        act: |_| {
            settle();
            interned();
            Box::new(|| keep(submit("echo", echo, &[Arg::Value(&[1; ARENA_BYTES])]).unwrap()))
        },
    },
    Operation {
        name: "submit with refs",
        effect: Effect::Makes,
        each: false,
        given: || Given { kept: vec![(in_arena(), vec![8; ARENA_BYTES])], ..give(vec![small()]) },
        act: |given| {
            settle();
            let own = in_arena();
            interned();
            Box::new(move || {
                keep(submit("echo", echo, &[Arg::Of(&given[0]), Arg::Of(&own), Arg::Of(&given[1])]).unwrap());
                keep((given, own));
            })
        },
    },
    Operation {
        name: "spawn",
        effect: Effect::Makes,
        each: false,
        given: nothing,
        act: |_| {
            settle();
            interned();
            drop(got(&cell::spawn("echo", echo, &[]).unwrap()));
            Box::new(|| keep(cell::spawn("echo", echo, &[Arg::Value(&[1; 40])]).unwrap()))
        },
    },
    Operation {
        name: "call of an actor",
        effect: Effect::Makes,
        each: true,
        given: || Given { kept: vec![(cell::spawn("echo", echo, &[]).unwrap(), vec![])], ..Given::default() },
        act: |given| {
            settle();
            interned();
            Box::new(move || {
                keep(cell::call("echo", echo, &[Arg::Of(&given[0]), Arg::Value(&[1; 40])]).unwrap());
                keep(given);
            })
        },
    },
    Operation {
        name: "call with an argument that is not ready",
        effect: Effect::Makes,
        each: false,
        given: || {
            let gate = Gate::closed();
            let actor = cell::spawn("echo", echo, &[]).unwrap();
            let kept = vec![(gate.task(), vec![9; 40]), (actor, vec![])];
            Given { kept, gate: Some(gate), ..Given::default() }
        },
        act: |given| {
            settle();
            Box::new(move || {
                keep(cell::call("echo", echo, &[Arg::Of(&given[1]), Arg::Of(&given[0])]).unwrap());
                keep(given);
            })
        },
    },
    Operation {
        name: "submit with an argument that is not ready",
        effect: Effect::Makes,
        each: false,
        given: || {
            let gate = Gate::closed();
            Given { kept: vec![(gate.task(), vec![9; 40])], gate: Some(gate), ..give(vec![small()]) }
        },
        act: |given| {
            settle();
            Box::new(move || {
                keep(submit("echo", echo, &[Arg::Of(&given[0]), Arg::Of(&given[1])]).unwrap());
                keep(given);
            })
        },
    },
    Operation {
        name: "first submit, which asks for the function's number",
        effect: Effect::Makes,
        each: false,
        given: nothing,
        act: |_| Box::new(|| keep(submit("echo", echo, &[Arg::Value(&[1; 40])]).unwrap())),
    },
];

/// Does what `--victim` says, and does not return.
pub fn act(operation: &str, socket: &Path) {
    client::connect_program(socket).expect("the runtime is there");
    let operation = ALL.iter().find(|known| known.name == operation).expect("there is such an operation");
    let mut lines = std::io::stdin().lines();
    let mut next = || lines.next().and_then(Result::ok).expect("the witness lives");
    let given = next().split_whitespace().map(|id| Ref::to(id.parse().unwrap())).collect();
    let act = (operation.act)(given);
    println!("ready");
    next();
    mark();
    act();
    mark();
    // Nobody traces this process: then it was only to be seen whether it works.
    std::process::exit(0);
}

/// A process that does an operation, seized at its first mark.
pub struct Victim {
    tracee: Tracee,
    pub client: Client,
    /// What the witness goes on referring to.
    pub kept: Vec<(Ref, Vec<u8>)>,
    gate: Option<Gate>,
    /// Its pipes; reading them ends when it does.
    _child: Child,
}

impl Victim {
    /// Starts one and stops it right before its operation.
    pub fn start(witness: &Witness, operation: &Operation) -> Victim {
        let Given { objects, kept, gate } = (operation.given)();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--victim", operation.name])
            .arg(witness.socket())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut say, mut hear) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let ids = objects.iter().chain(kept.iter().map(|(object, _)| object)).map(|object| object.0.to_string());
        writeln!(say, "{}", ids.collect::<Vec<_>>().join(" ")).unwrap();
        let mut ready = String::new();
        hear.read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n", "the victim does not get as far as its operation");
        drop(objects);
        let client = seated(child.id());
        let mut tracee = Tracee::seize(child.id());
        writeln!(say, "go").unwrap();
        assert_eq!(tracee.wait(), Stop::Marked);
        Victim { tracee, client, kept, gate, _child: child }
    }

    /// Lets it do one instruction of its operation. False when that has ended.
    pub fn step(&mut self) -> bool {
        self.tracee.step();
        match self.tracee.wait() {
            Stop::Stepped => true,
            Stop::Marked => false,
            other => panic!("the victim has stopped for another reason: {other:?}"),
        }
    }

    /// Kills it. Gives what the witness goes on referring to; whatever waits at the gate waits no longer.
    pub fn kill(self) -> Vec<(Ref, Vec<u8>)> {
        self.tracee.kill();
        drop(self.gate);
        self.kept
    }
}
