//! Sessions on a real Ray cluster, which this program starts and ends.
//!
//! ```text
//!   this program, as the test ──unshare──▶ itself, in namespaces of its own ──▶ a head, a node, sessions
//! ```
//!
//! The namespaces are those of the network, with nothing but the loopback, of processes, so that whatever is left is killed with the first one, and of mounts. Where
//! they cannot be made, the cluster runs on this machine's loopback without a token, and the first line says so.

/// A file's tests, by their names.
macro_rules! tests {
    ($($name:ident)*) => {
        pub const ALL: &[crate::Test] = &[$((stringify!($name), $name)),*];
    };
}

mod actors;
mod bridges;
mod cells;
mod cluster;
mod cuts;
mod figures;
mod heads;
mod objects;
mod python;
mod refusals;
mod starts;
mod tasks;

use cluster::{Cluster, Way};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// A test's name and body. It fails by panicking.
type Test = (&'static str, fn(&Cluster));

/// The ways over which each file's tests run.
const TESTS: &[(&[Way], &[Test])] = &[
    (&[Way::Client, Way::Bridge], objects::ALL),
    (&[Way::Client, Way::Bridge], tasks::ALL),
    (&[Way::Client, Way::Bridge], actors::ALL),
    (&[Way::Client, Way::Bridge], cells::contract::ALL),
    (&[Way::Client], cells::ALL),
    (&[Way::Client], cuts::ALL),
    (&[Way::Client], refusals::ALL),
    (&[Way::Bridge], bridges::ALL),
    (&[Way::Client], starts::ALL),
    (&[Way::Client], heads::ALL),
    (&[Way::Client], figures::ALL),
];

/// Set for the long form, with tests that start heads and nodes of their own.
const LONG: &str = "MOBULA_TEST_RAY_LONG";

/// Set in the program that runs in namespaces of its own.
const INSIDE: &str = "MOBULA_TEST_RAY_INSIDE";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if std::env::var_os(INSIDE).is_none() {
        if let Some(mut inside) = namespaces() {
            let script = "ip link set lo up && exec \"$0\" \"$@\"";
            let program = std::env::current_exe().expect("this program has a path");
            inside.args(["sh", "-c", script]).arg(program).args(args);
            return end(&mut inside);
        }
        println!("no namespaces can be made here; the cluster runs on this machine's loopback, without a token");
        let program = std::env::current_exe().expect("this program has a path");
        return end(Command::new(program).args(args));
    }
    run(&args)
}

/// Runs this program again, as the one inside, with what its bridges and scripts are to find in their environment.
fn end(inside: &mut Command) -> ExitCode {
    inside
        .env(INSIDE, "1")
        .env("RAY_AUTH_MODE", "disabled")
        .env("RAY_USAGE_STATS_ENABLED", "0")
        .env_remove("RAY_ADDRESS");
    let status = inside.status().expect("this program can be run");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The command that runs another one in namespaces of its own, if this machine allows it.
fn namespaces() -> Option<Command> {
    let command = |user: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(user).args(["--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]);
        command
    };
    [&[][..], &["--map-root-user"][..]].into_iter().find_map(|user| {
        let mut trial = command(user);
        trial.args(["ip", "link", "set", "lo", "up"]).stdout(Stdio::null()).stderr(Stdio::null());
        trial.status().is_ok_and(|status| status.success()).then(|| command(user))
    })
}

fn run(args: &[String]) -> ExitCode {
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let mut wanted: Vec<(String, Way, &Test)> = Vec::new();
    for (ways, tests) in TESTS {
        for (way, test) in ways.iter().flat_map(|way| tests.iter().map(move |test| (*way, test))) {
            let name = way.name(test.0);
            if is_wanted(&name) {
                wanted.push((name, way, test));
            }
        }
    }
    if wanted.is_empty() {
        println!("no test is called so");
        return ExitCode::SUCCESS;
    }
    let cluster = Cluster::start();
    let mut failed = 0;
    for (name, way, (_, body)) in wanted {
        let began = Instant::now();
        let is_ok = catch_unwind(AssertUnwindSafe(|| body(&cluster.over(way)))).is_ok();
        println!("test {name} ... {} ({:.1} s)", if is_ok { "ok" } else { "FAILED" }, began.elapsed().as_secs_f64());
        failed += usize::from(!is_ok);
    }
    if failed > 0 {
        println!("\n{}", cluster.said());
    }
    drop(cluster);
    println!("\n{failed} tests failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
