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
mod cells;
mod cluster;
mod cuts;
mod objects;
mod python;
mod refusals;
mod starts;
mod tasks;

use cluster::Cluster;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// A test's name and body. It fails by panicking.
type Test = (&'static str, fn(&Cluster));

const TESTS: &[&[Test]] = &[objects::ALL, tasks::ALL, actors::ALL, cells::ALL, cuts::ALL, refusals::ALL, starts::ALL];

/// Set in the program that runs in namespaces of its own.
const INSIDE: &str = "MOBULA_TEST_RAY_INSIDE";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if std::env::var_os(INSIDE).is_none() {
        if let Some(mut inside) = namespaces() {
            let script = "ip link set lo up && exec \"$0\" \"$@\"";
            let program = std::env::current_exe().expect("this program has a path");
            inside.args(["sh", "-c", script]).arg(program).args(args).env(INSIDE, "1");
            let status = inside.status().expect("it ran before");
            return if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        println!("no namespaces can be made here; the cluster runs on this machine's loopback, without a token");
    }
    run(&args)
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
    let wanted: Vec<Test> = TESTS.iter().copied().flatten().copied().filter(|(name, _)| is_wanted(name)).collect();
    if wanted.is_empty() {
        println!("no test is called so");
        return ExitCode::SUCCESS;
    }
    let cluster = Cluster::start();
    let mut failed = 0;
    for (name, body) in wanted {
        let began = Instant::now();
        let is_ok = catch_unwind(AssertUnwindSafe(|| body(&cluster))).is_ok();
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
