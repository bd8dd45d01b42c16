//! A plain program: the typed API on worker processes that are this program again.

use crate::Scenario;
use mobula::local::{Config, Program};
use mobula::prelude::*;

pub const ALL: &[Scenario] =
    &[("a_plain_program_runs_its_functions_remotely", a_plain_program_runs_its_functions_remotely)];

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
    assert_eq!(get(&total.remote(&stored)).unwrap(), large.iter().sum());

    assert_eq!(get(&get(&nested.remote(10)).unwrap()).unwrap(), 5);

    let error = get(&fails.remote("way".to_owned())).unwrap_err();
    let text = format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string));
    assert!(text.contains("no way"), "{text}");
}
