//! Deaths: of workers, of the zygote, of the front process, of a cell host; and clients that talk nonsense.

use crate::Scenario;
use crate::cell::{self, Arg, Ref, ask, get, put, submit, wait};
use crate::front::{Front, children, is_alive, kill, sigkill, until};
use crate::task;
use crate::tasks::{add, for_ever, number, running_pid};
use mobula::abi::{Answer, Fault, InitOptions, Question};
use mobula::client;
use mobula::local::Config;
use mobula::store::{SEATS, Seat};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::Ordering;

pub const ALL: &[Scenario] = &[
    ("a_clean_end_leaves_nothing", a_clean_end_leaves_nothing),
    ("a_killed_front_process_leaves_nothing", a_killed_front_process_leaves_nothing),
    (
        "a_front_process_killed_with_its_zygote_is_swept_up_by_the_next",
        a_front_process_killed_with_its_zygote_is_swept_up_by_the_next,
    ),
    ("a_killed_zygote_is_replaced", a_killed_zygote_is_replaced),
    ("an_idle_worker_that_is_killed_is_replaced", an_idle_worker_that_is_killed_is_replaced),
    ("a_client_that_talks_nonsense_hurts_only_itself", a_client_that_talks_nonsense_hurts_only_itself),
    (
        "a_seat_that_shared_memory_calls_free_is_not_given_twice",
        a_seat_that_shared_memory_calls_free_is_not_given_twice,
    ),
    ("a_client_that_dies_gives_its_drafts_back", a_client_that_dies_gives_its_drafts_back),
    ("a_twin_keeps_what_it_was_forked_with", a_twin_keeps_what_it_was_forked_with),
    ("a_new_cell_host_inherits_nothing", a_new_cell_host_inherits_nothing),
    ("an_interrupt_ends_a_blocking_call_of_its_turn", an_interrupt_ends_a_blocking_call_of_its_turn),
    ("whatever_dies_every_task_ends_and_nothing_is_lost", whatever_dies_every_task_ends_and_nothing_is_lost),
    // Played by processes that other scenarios start.
    ("(front process)", front_process),
];

const MIB: usize = 1 << 20;

/// A process that runs `--scenario "(front process)"` and says where it is.
struct Other {
    child: Child,
    workers: Vec<u32>,
    zygote: u32,
    folder: String,
}

fn front_process() {
    // Run by itself it is over at once.
    if std::env::var_os("MOBULA_TEST_FRONT").is_none() {
        return;
    }
    let front = Front::with_cpus(2);
    until("two workers run", || worker_pids().len() == 2);
    println!("{}", front.local.session_dir().display());
    std::io::stdout().flush().unwrap();
    loop {
        std::thread::park();
    }
}

impl Other {
    fn start() -> Other {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--scenario", "(front process)"])
            .env("MOBULA_TEST_FRONT", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut folder = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut folder).unwrap();
        let zygotes = children(child.id());
        let zygote = zygotes.iter().find(|(_, name)| name == "mobula-zygote").expect("it has a zygote").0;
        let workers: Vec<u32> = children(zygote).into_iter().map(|(pid, _)| pid).collect();
        assert_eq!(workers.len(), 2);
        Other { child, workers, zygote, folder: folder.trim_end().to_owned() }
    }

    fn are_processes_gone(&self) -> bool {
        !is_alive(self.zygote) && self.workers.iter().all(|pid| !is_alive(*pid))
    }
}

pub fn worker_pids() -> Vec<u32> {
    let keep = InitOptions { ignore_reinit: true, ..InitOptions::default() };
    match ask(&Question::Init(keep)) {
        Ok(Answer::Address(address)) => address.workers,
        other => panic!("{other:?}"),
    }
}

fn a_clean_end_leaves_nothing() {
    let front = Front::with_cpus(2);
    let folder = front.local.session_dir().to_owned();
    until("two workers run", || worker_pids().len() == 2);
    let (workers, zygote) = (worker_pids(), zygote_pid());
    front.local.shutdown();
    assert!(!folder.exists());
    assert!(workers.iter().chain([&zygote]).all(|pid| !is_alive(*pid)));
    assert!(matches!(get(&put(b"x").unwrap()).and_then(|_| ask(&Question::Errors)), Err(Fault::Disconnected { .. })));
}

fn a_killed_front_process_leaves_nothing() {
    let mut other = Other::start();
    other.child.kill().unwrap();
    other.child.wait().unwrap();
    until("its processes are gone", || other.are_processes_gone());
    until("its folder is gone", || !Path::new(&other.folder).exists());
}

fn a_front_process_killed_with_its_zygote_is_swept_up_by_the_next() {
    let mut other = Other::start();
    // Stopped first, so that neither can clean up after the other.
    let zygote = rustix::process::Pid::from_raw(other.zygote as i32).unwrap();
    rustix::process::kill_process(zygote, rustix::process::Signal::STOP).unwrap();
    other.child.kill().unwrap();
    other.child.wait().unwrap();
    kill(other.zygote);
    until("its processes are gone", || other.are_processes_gone());
    assert!(Path::new(&other.folder).exists());
    let _front = Front::with_cpus(1);
    assert!(!Path::new(&other.folder).exists());
}

fn a_killed_zygote_is_replaced() {
    let front = Front::with_cpus(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid").to_str().unwrap().to_owned();
    let task = submit("for_ever", for_ever, &[Arg::Value(path.as_bytes())]).unwrap();
    let worker = running_pid(&path);
    kill(zygote_pid());
    let Err(Fault::Task(failure)) = get(&task).map(|_| ()) else { panic!("it did not fail") };
    assert_eq!((failure.pid, failure.cause), (worker, sigkill()));
    assert!(!is_alive(worker), "its task fails once it can write no more");
    let next = submit("add", add, &[Arg::Value(&1u64.to_le_bytes())]).unwrap();
    assert_eq!(number(&get(&next).unwrap()), 1);
    let session = front.local.session_dir().to_owned();
    front.local.shutdown();
    assert!(!session.exists());
    assert_eq!(children(std::process::id()), []);
}

fn an_idle_worker_that_is_killed_is_replaced() {
    let _front = Front::with_cpus(1);
    until("a worker runs", || worker_pids().len() == 1);
    let first = worker_pids()[0];
    kill(first);
    until("another one runs", || worker_pids().first().is_some_and(|pid| *pid != first));
    let next = submit("add", add, &[Arg::Value(&1u64.to_le_bytes())]).unwrap();
    assert_eq!(number(&get(&next).unwrap()), 1);
}

fn a_client_that_talks_nonsense_hurts_only_itself() {
    let front = Front::with_cpus(1);
    let hello_of_nobody = [vec![9, 0, 0, 0], vec![0xff; 9]].concat();
    let half_a_frame = vec![200, 0, 0, 0, 1, 2, 3];
    let endless = vec![0xff; 4096];
    let early = vec![2, 0, 0, 0, 1, 1];
    for bytes in [hello_of_nobody, half_a_frame, endless, early] {
        let mut stream = UnixStream::connect(front.local.socket()).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // The head hangs up once it has read it; with what it has not read, that is an error.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let task = submit("add", add, &[Arg::Value(&1u64.to_le_bytes())]).unwrap();
    assert_eq!(number(&get(&task).unwrap()), 1);
}

fn whatever_dies_every_task_ends_and_nothing_is_lost() {
    const TASKS: usize = 1500;
    let _front =
        Front::start(Config { num_cpus: Some(3.0), object_store_memory: Some(64 * MIB as u64), ..Config::default() });
    let (mut fine, mut lost) = (0, 0);
    let large = put(&vec![1; MIB / 16]).unwrap();
    let mut tasks: Vec<Ref> = Vec::new();
    for index in 0..TASKS {
        let task = match index % 3 {
            0 => submit("add", add, &[Arg::Value(&1u64.to_le_bytes())]),
            1 => submit("copy", copy, &[Arg::Of(&large)]),
            _ => submit("add", add, &[Arg::Of(&tasks[index - 2])]),
        };
        tasks.push(task.unwrap());
        // Now and then somebody dies, whatever it is that it is just doing.
        if index % 50 == 49 {
            match worker_pids().get(index % 3) {
                Some(worker) if index % 500 != 499 => kill(*worker),
                _ => kill(zygote_pid()),
            }
        }
    }
    for task in &tasks {
        match get(task) {
            Ok(_) => fine += 1,
            Err(Fault::Task(failure)) if failure.cause == sigkill() => lost += 1,
            Err(fault) => panic!("{fault:?}"),
        }
    }
    assert_eq!(fine + lost, TASKS);
    assert!(fine > 0);
    println!("{fine} tasks came back, {lost} were lost");
    drop((tasks, large));
    // Everything that the dead had has been given back.
    until("all CPUs are free", || {
        ask(&Question::AvailableResources).unwrap() == ask(&Question::ClusterResources).unwrap()
    });
    until("all memory is free", || put(&vec![0; 64 * MIB]).is_ok());
    // What is left could have made room by going to disk.
    let client = client::current().unwrap();
    until("nothing is left of any object", || client.segment().leaks().is_empty());
}

fn zygote_pid() -> u32 {
    let is_zygote = |(_, name): &&(u32, String)| name == "mobula-zygote";
    // While one takes the other's place there may be none.
    children(std::process::id()).iter().find(is_zygote).map_or(0, |(pid, _)| *pid)
}

task!(
    /// Its argument.
    copy = |args| Ok((args[0].to_vec(), vec![]))
);

/// A cell host in a process of its own, which does what it is told, a word a line.
struct Host {
    child: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Host {
    fn start(front: &Front) -> Host {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--cell-host")
            .arg(front.local.socket())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (say, hear) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        front.local.cell_host_changed(child.id(), false);
        Host { child, say, hear }
    }

    fn ask(&mut self, words: &str) -> String {
        writeln!(self.say, "{words}").unwrap();
        self.hear()
    }

    fn hear(&mut self) -> String {
        let mut answer = String::new();
        self.hear.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a [`Host`] does.
pub fn cell_host(socket: &Path) {
    if client::connect_driver(socket).is_err() {
        return;
    }
    let mut kept: Vec<Ref> = Vec::new();
    // Not buffered ahead: a twin reads on where the dead one stopped.
    let next = || {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while rustix::io::read(rustix::stdio::stdin(), &mut byte).unwrap_or(0) == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    };
    loop {
        let line = next();
        let words: Vec<&str> = line.split(' ').collect();
        let said = match words.as_slice() {
            ["put", bytes] => {
                let object = put(&vec![1; bytes.parse().unwrap()]).unwrap();
                kept.push(object);
                kept.last().unwrap().0.to_string()
            }
            ["drop"] => {
                kept.clear();
                "dropped".into()
            }
            ["read"] => kept.iter().map(|object| get(object).unwrap().len().to_string()).collect::<Vec<_>>().join(" "),
            ["draft", bytes] => cell::draft(bytes.parse().unwrap()).map_or("full".into(), |_| "drafted".into()),
            ["begin", number] => {
                let number = number.parse().unwrap();
                client::begin_cell(number, number);
                if fork_twin() {
                    // Nobody is left to take over for when the scenario is over.
                    let Ok(()) = client::take_over(true) else { return };
                    format!("twin {}", std::process::id())
                } else {
                    "begun".into()
                }
            }
            ["callbacks", turn] => {
                client::begin_cell(5, turn.parse().unwrap());
                "begun".into()
            }
            ["end"] => {
                client::end_cell();
                client::cell_is_final();
                "ended".into()
            }
            ["block", path] => {
                // Either call ends, whichever is the first after the interrupt.
                let waited = submit("for_ever", for_ever, &[Arg::Value(path.as_bytes())])
                    .and_then(|task| wait(&[&task], 1, None));
                match waited {
                    Err(Fault::Interrupted) => "interrupted".into(),
                    other => format!("{other:?}"),
                }
            }
            ["die"] => rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
                .map_or_else(|error| error.to_string(), |()| unreachable!()),
            _ => return,
        };
        if writeln!(std::io::stdout(), "{said}").is_err() {
            return;
        }
    }
}

/// Forks; the twin returns true when the other one is dead.
fn fork_twin() -> bool {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    if fork() {
        drop(write);
        let _ = rustix::io::read(&read, &mut [0; 1]);
        return true;
    }
    // Open for as long as this process lives.
    std::mem::forget(write);
    false
}

#[allow(unsafe_code)]
fn fork() -> bool {
    // SAFETY: this process has one thread.
    unsafe { libc::fork() == 0 }
}

fn is_gone(id: &str) -> bool {
    matches!(ask(&Question::State { id: id.parse().unwrap() }), Err(Fault::Unknown { .. }))
}

fn a_seat_that_shared_memory_calls_free_is_not_given_twice() {
    let front = Front::with_cpus(1);
    let client = client::current().unwrap();
    client.segment().header().taken.remove(client.seat());
    let mut host = Host::start(&front);
    assert_eq!(host.ask("end"), "ended");
    let pid = client.segment().desk(client.seat()).pid.load(Ordering::Acquire);
    assert_eq!(pid, std::process::id(), "somebody else sits here");
}

fn a_client_that_dies_gives_its_drafts_back() {
    let front =
        Front::start(Config { num_cpus: Some(1.0), object_store_memory: Some(8 * MIB as u64), ..Config::default() });
    let mut host = Host::start(&front);
    assert_eq!(host.ask(&format!("draft {}", 6 * MIB)), "drafted");
    assert!(put(&vec![0; 6 * MIB]).is_err());
    host.ask("die");
    until("there is room again", || put(&vec![0; 6 * MIB]).is_ok());
}

fn a_twin_keeps_what_it_was_forked_with() {
    let front = Front::with_cpus(1);
    let mut host = Host::start(&front);
    let large = host.ask(&format!("put {MIB}"));
    let small = host.ask("put 10");
    assert_eq!(host.ask("begin 1"), "begun");
    let of_the_cell = host.ask("put 20");
    assert_eq!(host.ask("drop"), "dropped");
    // What the cell itself made is gone, what is older is kept back.
    until("what the cell made is gone", || is_gone(&of_the_cell));
    let twin = host.ask("die");
    let pid: u32 = twin.strip_prefix("twin ").unwrap().parse().unwrap();
    front.local.cell_host_changed(pid, true);
    assert_eq!(host.ask("read"), format!("{MIB} 10"));
    // It goes on as the cell host: new objects, another cell, another twin.
    let third = host.ask("put 30");
    assert_ne!(third, of_the_cell, "names are not used again");
    assert_eq!(host.ask("begin 2"), "begun");
    assert_eq!(host.ask("drop"), "dropped");
    assert!(!is_gone(&large), "until the cell has ended");
    assert_eq!(host.ask("end"), "ended");
    for id in [large, small, third] {
        until("what was dropped is gone", || is_gone(&id));
    }
    kill(pid);
}

fn a_new_cell_host_inherits_nothing() {
    let front =
        Front::start(Config { num_cpus: Some(1.0), object_store_memory: Some(8 * MIB as u64), ..Config::default() });
    let mut first = Host::start(&front);
    let object = first.ask("put 10");
    assert_eq!(first.ask(&format!("draft {}", 6 * MIB)), "drafted");
    first.ask("end");
    first.ask("die");
    until("the head knows of its death", || put(&vec![0; 6 * MIB]).is_ok());
    assert!(!is_gone(&object), "a twin might still come");
    let _second = Host::start(&front);
    until("the object is gone", || is_gone(&object));
}

fn an_interrupt_ends_a_blocking_call_of_its_turn() {
    let front = Front::with_cpus(2);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut host = Host::start(&front);
    host.ask("begin 5");
    writeln!(host.say, "block {}", path("first")).unwrap();
    running_pid(&path("first"));
    let segment = client::current().unwrap().segment();
    let desks = || (1..SEATS as u16).map(|seat| segment.desk(Seat(seat)));
    until("the cell host sleeps in its call", || {
        let of_host = desks().find(|desk| desk.pid.load(Ordering::Acquire) == host.child.id());
        of_host.is_some_and(|desk| desk.asleep.load(Ordering::Acquire) > 0)
    });
    front.local.interrupt(4);
    front.local.interrupt(5);
    assert_eq!(host.hear(), "interrupted");
    assert!(front.local.is_interrupt_heeded(5), "a call has met it");
    host.ask("end");
    host.ask("callbacks 6");
    // One that comes before the turn blocks is not lost, and one for an earlier turn does nothing, though it was of the same cell.
    front.local.interrupt(5);
    front.local.interrupt(6);
    writeln!(host.say, "block {}", path("second")).unwrap();
    assert_eq!(host.hear(), "interrupted");
    host.ask("end");
    host.ask("begin 7");
    front.local.interrupt(7);
    until("it is known that the cell is in no call of ours", || !front.local.is_interrupt_heeded(7));
    host.ask("end");
}
