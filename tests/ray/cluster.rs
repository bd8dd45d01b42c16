//! A Ray cluster on this machine, with everything that it writes in one folder.

use mobula_runtime::ray::transport::{ConnectOptions, Session, Token};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The ports of the head that most tests share, and of those that a test starts for itself, of which there is one at a time. In a namespace of its own,
/// nobody else has them.
const SHARED: Ports = Ports { gcs: 6399, client: 10001 };
const OWN: Ports = Ports { gcs: 6499, client: 9901 };

#[derive(Clone, Copy)]
struct Ports {
    gcs: u16,
    client: u16,
}

/// The CPUs of a head. Each of the tests that run at once may have a task that runs until it is ended, and another one beside it; those of a session
/// that was given up stay for a while.
pub const CPUS: u32 = 4;

/// A head that takes longer than this does not start.
const PATIENCE: Duration = Duration::from_secs(120);

/// A head, and how its sessions reach it. It ends with its folder when the last clone is dropped.
#[derive(Clone)]
pub struct Cluster {
    head: Arc<Head>,
    way: Way,
}

struct Head {
    folder: TempDir,
    ports: Ports,
    /// Whether it has a dashboard, and with it Ray's state API.
    has_dashboard: bool,
    /// What its processes have in their environment, besides what all have.
    environment: Vec<(String, String)>,
}

/// A second node, which ends when it is dropped.
pub struct Node {
    /// Its processes have it in their environment.
    mark: String,
}

impl Node {
    /// Kills its processes.
    pub fn kill(&self) {
        end_processes(&self.mark);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A transport.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// The client port.
    Client,
    /// A bridge on this machine.
    Bridge,
}

impl Way {
    /// A test's name, with the way where it is not the usual one.
    pub fn name(self, test: &str) -> String {
        match self {
            Way::Client => test.to_owned(),
            Way::Bridge => format!("{test} (over a bridge)"),
        }
    }
}

impl Cluster {
    /// Starts the head that most tests share.
    pub fn start() -> Cluster {
        let cluster = Cluster::prepared(SHARED, false, &[]);
        cluster.start_head();
        cluster
    }

    /// Starts another head, with this environment.
    pub fn start_own(environment: &[(&str, &str)]) -> Cluster {
        let cluster = Cluster::prepared(OWN, false, environment);
        cluster.start_head();
        cluster
    }

    /// Starts another head, with a dashboard, which takes a dozen processes.
    pub fn start_with_dashboard() -> Cluster {
        let cluster = Cluster::prepared(OWN, true, &[]);
        cluster.start_head();
        cluster
    }

    fn prepared(ports: Ports, has_dashboard: bool, environment: &[(&str, &str)]) -> Cluster {
        // Ray's sockets lie in it, and their paths may have 107 bytes.
        let folder = tempfile::Builder::new().prefix("mobula-ray-").tempdir_in("/tmp").expect("a folder can be made");
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Cluster { head: Arc::new(Head { folder, ports, has_dashboard, environment }), way: Way::Client }
    }

    /// Starts its head and waits until it takes sessions.
    pub fn start_head(&self) {
        let Ports { gcs, client } = self.head.ports;
        let mut head = self.ray("ray");
        head.args(["start", "--head", "--node-ip-address=127.0.0.1"])
            .arg(format!("--num-cpus={CPUS}"))
            .arg(format!("--include-dashboard={}", self.head.has_dashboard))
            .args(["--disable-usage-stats", "--object-store-memory=500000000", "--dashboard-agent-listen-port=0"])
            .arg(format!("--port={gcs}"))
            .arg(format!("--ray-client-server-port={client}"))
            .arg(format!("--temp-dir={}", self.path("ray").display()));
        self.finish(head, "the head did not start");
        // It is said to have started before its client port takes connections.
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", client)).is_err() {
            assert!(began.elapsed() < PATIENCE, "nothing listens at the client port");
            std::thread::yield_now();
        }
    }

    /// Kills all of its processes.
    pub fn kill(&self) {
        self.head.end();
    }

    /// Starts a second node with a CPU and one of a resource of this name.
    pub fn start_node(&self, resource: &str) -> Node {
        let mark = format!("{}/node-with-{resource}", self.head.folder.path().display());
        let mut node = self.ray("ray");
        node.args(["start", "--node-ip-address=127.0.0.1", "--num-cpus=1", "--disable-usage-stats"])
            .args(["--object-store-memory=100000000", "--dashboard-agent-listen-port=0"])
            .arg(format!("--address=127.0.0.1:{}", self.head.ports.gcs))
            .arg(format!("--resources={{\"{resource}\": 1}}"))
            .env("MOBULA_TEST_NODE", &mark);
        self.finish(node, "the node did not start");
        Node { mark }
    }

    /// This cluster, reached in another way.
    pub fn over(&self, way: Way) -> Cluster {
        Cluster { way, ..self.clone() }
    }

    /// The name of its way.
    pub fn way_name(&self) -> String {
        format!("{:?}", self.way)
    }

    /// Where sessions connect.
    pub fn address(&self) -> String {
        let Ports { gcs, client } = self.head.ports;
        match self.way {
            Way::Client => format!("ray://127.0.0.1:{client}"),
            Way::Bridge => {
                format!("ray+bridge:{}?address=127.0.0.1:{gcs}", programs().join("python").display())
            }
        }
    }

    /// Its client port.
    pub fn client_port(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.head.ports.client).into()
    }

    /// The address of its other port, at which no session starts.
    pub fn gcs(&self) -> String {
        format!("ray://127.0.0.1:{}", self.head.ports.gcs)
    }

    /// A new session.
    pub fn session(&self) -> Session {
        Session::connect(&self.address(), options()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The tracebacks in its log, for a test that failed.
    pub fn said(&self) -> String {
        let logs = self.path("ray/session_latest/logs");
        let mut said = String::new();
        for entry in fs::read_dir(&logs).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            if let Some(at) = text.find("Traceback").filter(|_| name.starts_with("ray_client_server")) {
                said += &format!("--- {name}\n{}\n", &text[at..]);
            }
        }
        said
    }

    fn path(&self, name: &str) -> PathBuf {
        self.head.folder.path().join(name)
    }

    /// A program of Ray's environment, which writes only into the folder.
    fn ray(&self, name: &str) -> Command {
        let programs = programs();
        let mut command = Command::new(programs.join(name));
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HOME", self.head.folder.path())
            .env("TMPDIR", self.head.folder.path())
            .env("RAY_AUTH_MODE", "disabled")
            .env("RAY_USAGE_STATS_ENABLED", "0")
            .env_remove("RAY_ADDRESS")
            .envs(self.head.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    fn finish(&self, mut command: Command, what: &str) {
        // Into a file: Ray's processes keep their streams, so a pipe would not end.
        let said = self.path("said");
        let file = fs::File::create(&said).expect("the folder can be written");
        let both = file.try_clone().expect("a file has a second handle");
        let status = command.stdout(file).stderr(both).status().expect("Ray is installed");
        assert!(status.success(), "{what}: {status}\n{}", fs::read_to_string(&said).unwrap_or_default());
    }
}

impl Head {
    fn end(&self) {
        // By the folder, which nobody else's Ray knows. `ray stop` would end those of others, too.
        end_processes(self.folder.path().to_str().expect("made by us"));
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.end();
    }
}

/// How tests connect: without a token of this machine's.
pub fn options() -> ConnectOptions {
    ConnectOptions { token: Token::None, ..ConnectOptions::default() }
}

/// The programs of the environment with Ray. `cargo xtask test` names it; else it is looked for where `cargo xtask setup` puts it.
pub fn programs() -> PathBuf {
    let beside_target = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("../ray/bin");
    let programs = std::env::var_os("MOBULA_TEST_RAY").map_or_else(beside_target, PathBuf::from);
    assert!(programs.join("ray").exists(), "{} has no Ray; `cargo xtask setup` installs it", programs.display());
    programs
}

/// Kills every process that has `mark` in its command line or its environment, until there is none.
fn end_processes(mark: &str) {
    let name = mark.as_bytes();
    let names_it =
        |path: PathBuf| fs::read(path).is_ok_and(|bytes| bytes.windows(name.len()).any(|window| window == name));
    loop {
        let processes = fs::read_dir("/proc").expect("there are processes").flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let ours: Vec<u32> = pids
            .filter(|pid| *pid != std::process::id())
            .filter(|pid| !is_dead(*pid))
            .filter(|pid| ["cmdline", "environ"].iter().any(|file| names_it(format!("/proc/{pid}/{file}").into())))
            .collect();
        if ours.is_empty() {
            return;
        }
        for pid in ours {
            let pid = rustix::process::Pid::from_raw(pid as i32).expect("it is above 0");
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        std::thread::yield_now();
    }
}

/// Whether a process has ended and only waits for its parent to ask.
fn is_dead(pid: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
}
