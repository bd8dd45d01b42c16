//! A plain program: the typed API on worker processes that are this program again.

use crate::Scenario;
use mobula::local::{Config, Program};
use mobula::prelude::*;

pub const ALL: &[Scenario] = &[
    ("a_plain_program_runs_its_functions_remotely", a_plain_program_runs_its_functions_remotely),
    (
        "redirected_output_is_in_files_before_the_result_is_there",
        redirected_output_is_in_files_before_the_result_is_there,
    ),
    (
        "a_process_that_a_task_has_left_behind_ends_with_the_runtime",
        a_process_that_a_task_has_left_behind_ends_with_the_runtime,
    ),
    ("every_option_alone_and_in_pairs_keeps_the_contract", every_option_alone_and_in_pairs_keeps_the_contract),
];

fn half(n: u32) -> u32 {
    n / 2
}

fn pid() -> u32 {
    std::process::id()
}

fn total(numbers: Vec<u64>) -> u64 {
    numbers.iter().sum()
}

fn fails(text: String) -> u32 {
    panic!("no {text}")
}

fn nested(n: u32) -> ObjectRef<u32> {
    half.remote(n)
}

fn a_plain_program_runs_its_functions_remotely() {
    let _runtime = Program::start(Config { num_cpus: Some(2.0), ..Config::default() }).unwrap();
    let four = half.remote(8);
    assert_eq!(get(&half.remote(&four)).unwrap(), 2);
    assert_ne!(get(&pid.remote()).unwrap(), std::process::id());

    let large: Vec<u64> = (0..1_000_000).collect();
    let stored = put(&large).unwrap();
    assert_eq!(get(&total.remote(&stored)).unwrap(), large.iter().sum::<u64>());

    assert_eq!(get(&get(&nested.remote(10)).unwrap()).unwrap(), 5);

    let error = get(&fails.remote("way".to_owned())).unwrap_err();
    let text = format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string));
    assert!(text.contains("no way"), "{text}");
}

fn redirected_output_is_in_files_before_the_result_is_there() {
    fn says(text: String) -> u32 {
        println!("{text}");
        eprintln!("not {text}");
        std::process::id()
    }
    let _runtime = Program::start(Config { num_cpus: Some(2.0), ..Config::default() }).unwrap();
    let session = init_with(mobula::Config::new().redirect_output()).unwrap().session_dir;
    for number in 0..20 {
        let pid = get(says.remote(format!("number {number}"))).unwrap();
        let logged = |ending: &str| std::fs::read_to_string(format!("{session}/logs/worker-{pid}.{ending}")).unwrap();
        assert!(logged("out").ends_with(&format!(" pid={pid}) number {number}\n")), "{}", logged("out"));
        assert!(logged("err").ends_with(&format!(" pid={pid}) not number {number}\n")), "{}", logged("err"));
    }
}

/// One thing that `init_with` is told.
type Told = fn(mobula::Config) -> mobula::Config;

/// What `init_with` can be told.
const OPTIONS: &[(&str, Told)] = &[
    ("num_cpus", |config| config.num_cpus(3.0)),
    ("num_gpus", |config| config.num_gpus(1.0)),
    ("memory", |config| config.memory(mobula::gib(1))),
    ("redirect_output", |config| config.redirect_output()),
    ("fold_output", |config| config.fold_output(false)),
    ("limit_output", |config| config.limit_output(false)),
    ("resource", |config| config.resource("tpu", 2.0)),
    ("num_workers", |config| config.num_workers(3)),
    ("object_store_memory", |config| config.object_store_memory(96 << 20)),
    ("store_directory", |config| config.store_directory(std::env::temp_dir().display().to_string())),
    ("spill_directory", |config| config.spill_directory(std::env::temp_dir().display().to_string())),
    ("huge_pages", |config| config.huge_pages(true)),
    ("small_pages", |config| config.huge_pages(false)),
    ("store_wait", |config| config.store_wait(std::time::Duration::from_secs(60))),
    ("ignore_reinit", |config| config.ignore_reinit()),
];

/// The contract is looked at in a process for each, because a runtime is one a process.
fn a_process_that_a_task_has_left_behind_ends_with_the_runtime() {
    /// Starts two processes, of which one is the other's child, and ends its worker.
    #[allow(clippy::zombie_processes, reason = "they are to be left behind")]
    fn leaves(folder: String) -> u32 {
        let started =
            format!("sleep 1000 & echo $! > {folder}/second.new; mv {folder}/second.new {folder}/second; wait");
        let first = std::process::Command::new("sh").args(["-c", &started]).spawn().unwrap();
        first.id()
    }
    let folder = tempfile::tempdir().unwrap();
    let shown = folder.path().to_str().unwrap().to_owned();
    let runtime = Program::start(Config { num_cpus: Some(1.0), ..Config::default() }).unwrap();
    let first = get(leaves.options().max_calls(1).remote(shown.clone())).unwrap();
    let second = loop {
        if let Ok(pid) = std::fs::read_to_string(format!("{shown}/second")) {
            break pid.trim().parse::<u32>().unwrap();
        }
        std::thread::yield_now();
    };
    let is_there = |pid: u32| std::path::Path::new(&format!("/proc/{pid}")).exists();
    get(half.remote(2)).unwrap();
    assert!(is_there(first) && is_there(second), "they go on when their worker has ended");
    drop(runtime);
    assert!(!is_there(first) && !is_there(second), "they end with the runtime");
}

fn every_option_alone_and_in_pairs_keeps_the_contract() {
    let program = std::env::current_exe().unwrap();
    for (at, (first, _)) in OPTIONS.iter().enumerate() {
        for (second, _) in &OPTIONS[at..] {
            let output = std::process::Command::new(&program).args(["--options", first, second]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{first} and {second}: {}\n{said}", output.status);
        }
    }
}

/// The bytes of an object too large for its slot, and of a few that together are too large for the store.
const LARGE: usize = 4 << 20;

fn first(bytes: Buffer<u8>) -> u8 {
    bytes[0]
}

fn filled(byte: u8) -> Buffer<u8> {
    Buffer::from(vec![byte; LARGE])
}

fn dies() -> u32 {
    std::process::abort()
}

/// Workers stand ready, then the runtime is told these options; what tasks and objects promise holds after it.
pub fn keeps_the_contract(options: &[&str]) {
    const STORE: u64 = 48 << 20;
    let start = Config { num_cpus: Some(2.0), object_store_memory: Some(STORE), ..Config::default() };
    let _runtime = Program::start(start).unwrap();
    assert_eq!(get(&half.remote(8)).unwrap(), 4);
    let told = OPTIONS.iter().filter(|(name, _)| options.contains(name));
    init_with(told.fold(mobula::Config::new(), |config, (_, option)| option(config))).unwrap();

    assert_eq!(get(&half.remote(8)).unwrap(), 4);
    assert_eq!(get(&first.remote(put(&filled(7)).unwrap())).unwrap(), 7);
    assert_eq!(get(&filled.remote(9)).unwrap()[LARGE - 1], 9);
    assert_eq!(get(&first.remote(filled.remote(5))).unwrap(), 5);
    let numbers: Vec<u64> = (0..1_000_000).collect();
    assert_eq!(get(&total.remote(put(&numbers).unwrap())).unwrap(), numbers.iter().sum::<u64>());
    assert_eq!(get(&get(&nested.remote(10)).unwrap()).unwrap(), 5);
    assert!(get(&dies.remote()).is_err());

    let many: Vec<ObjectRef<Buffer<u8>>> = (0..40).map(|byte| put(&filled(byte)).unwrap()).collect();
    for (byte, stored) in many.iter().enumerate() {
        assert_eq!(get(stored).unwrap()[LARGE - 1], byte as u8, "it comes back from disk");
    }
    assert_eq!(get(&first.remote(&many[3])).unwrap(), 3);
}
