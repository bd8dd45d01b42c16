//! Sessions on a real Ray cluster, which this program starts and ends.
//!
//! ```text
//!   this program, as the test ──unshare──▶ itself, in namespaces of its own ──▶ a head, a node, sessions
//! ```
//!
//! The namespaces are those of the network, with nothing but the loopback, of processes, so that whatever is left is killed with the first one, and of mounts. Where
//! they cannot be made, the cluster runs on this machine's loopback without a token, and the first line says so.
//!
//! Most of the time a test waits for the cluster, so several run at once. Nobody else's session may matter to them: what they name has a name of its
//! own, and they count nothing of which others have some, too. Those that cannot do without run at the end, one after the other.

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
mod state_api;
mod tasks;

use cluster::{Cluster, Way};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// A test's name and body. It fails by panicking.
type Test = (&'static str, fn(&Cluster));

/// The ways over which each file's tests run. The longest ones are the first, so that no lane is left with one at the end.
const AT_ONCE: &[(&[Way], &[Test])] = &[
    (&[Way::Client], state_api::ALL),
    (&[Way::Client, Way::Bridge], cells::contract::ALL),
    (&[Way::Client], starts::ALL),
    (&[Way::Client], refusals::ALL),
    (&[Way::Client], cells::ALL),
    (&[Way::Client], cuts::ALL),
    (&[Way::Client, Way::Bridge], tasks::ALL),
    (&[Way::Client, Way::Bridge], actors::ALL),
    (&[Way::Client, Way::Bridge], objects::ALL),
    (&[Way::Bridge], bridges::ALL),
];

/// Those that count processes, start heads at the same ports, or measure.
const ALONE: &[(&[Way], &[Test])] =
    &[(&[Way::Bridge], bridges::counted::ALL), (&[Way::Client], heads::ALL), (&[Way::Client], figures::ALL)];

/// So many tests more run at once than is asked for: where two run, half of the time of two processors is left, because the cluster is waited for.
const LANES_MORE: usize = 1;

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

/// A test over a way, with its name.
struct Wanted {
    name: String,
    way: Way,
    body: fn(&Cluster),
}

fn run(args: &[String]) -> ExitCode {
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |of: &[(&[Way], &[Test])]| -> Vec<Wanted> {
        let each =
            of.iter().flat_map(|(ways, tests)| ways.iter().flat_map(|way| tests.iter().map(|test| (*way, *test))));
        let all = each.map(|(way, (name, body))| Wanted { name: way.name(name), way, body });
        all.filter(|test| filters.is_empty() || filters.iter().any(|filter| test.name.contains(*filter))).collect()
    };
    let (at_once, alone) = (wanted(AT_ONCE), wanted(ALONE));
    if at_once.is_empty() && alone.is_empty() {
        println!("no test is called so");
        return ExitCode::SUCCESS;
    }
    let cluster = Cluster::start();
    let failed = run_all(&at_once, lanes(), &cluster) + run_all(&alone, 1, &cluster);
    if failed > 0 {
        println!("\n{}", cluster.said());
    }
    drop(cluster);
    println!("\n{failed} tests failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many tests run at once.
fn lanes() -> usize {
    let told = std::env::var("RUST_TEST_THREADS").ok().map(|told| told.parse().expect("a number of tests"));
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    told.unwrap_or_else(processors) + LANES_MORE
}

/// Runs these tests, at most so many at once. Returns how many failed.
fn run_all(tests: &[Wanted], lanes: usize, cluster: &Cluster) -> usize {
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    failed.fetch_add(usize::from(!is_ok(test, cluster)), Ordering::Relaxed);
                }
            });
        }
    });
    failed.into_inner()
}

/// Runs a test, in a thread of its name, and tells how it ended.
fn is_ok(Wanted { name, way, body }: &Wanted, cluster: &Cluster) -> bool {
    let (began, cluster) = (Instant::now(), cluster.over(*way));
    let test = thread::Builder::new().name(name.clone()).spawn({
        let body = *body;
        move || body(&cluster)
    });
    let is_ok = test.expect("a thread can be started").join().is_ok();
    println!("test {name} ... {} ({:.1} s)", if is_ok { "ok" } else { "FAILED" }, began.elapsed().as_secs_f64());
    is_ok
}
