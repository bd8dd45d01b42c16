//! A Ray cluster on this machine, with everything that it writes in one folder.

use mobula_runtime::ray::transport::{ConnectOptions, Session, Token};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The ports of a head. In a namespace of its own, nobody else has them.
const GCS: u16 = 6399;
const CLIENT: u16 = 10001;

/// A head that takes longer than this does not start.
const PATIENCE: Duration = Duration::from_secs(120);

/// A head. It ends with its folder when it is dropped.
pub struct Cluster {
    folder: TempDir,
}

impl Cluster {
    /// Starts a head with two CPUs and waits until it takes sessions.
    pub fn start() -> Cluster {
        // Ray's sockets lie in it, and their paths may have 107 bytes.
        let folder = tempfile::Builder::new().prefix("mobula-ray-").tempdir_in("/tmp").expect("a folder can be made");
        let cluster = Cluster { folder };
        let mut head = cluster.ray("ray");
        head.args(["start", "--head", "--node-ip-address=127.0.0.1", "--num-cpus=2", "--include-dashboard=false"])
            .args(["--disable-usage-stats", "--object-store-memory=500000000"])
            .arg(format!("--port={GCS}"))
            .arg(format!("--ray-client-server-port={CLIENT}"))
            .arg(format!("--temp-dir={}", cluster.path("ray").display()));
        cluster.finish(head, "the head did not start");
        // It is said to have started before its client port takes connections.
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", CLIENT)).is_err() {
            assert!(began.elapsed() < PATIENCE, "nothing listens at the client port");
            std::thread::yield_now();
        }
        cluster
    }

    /// The address of its client port.
    pub fn address(&self) -> String {
        format!("ray://127.0.0.1:{CLIENT}")
    }

    /// Its client port.
    pub fn client_port(&self) -> SocketAddr {
        ([127, 0, 0, 1], CLIENT).into()
    }

    /// The address of its other port, at which no session starts.
    pub fn gcs(&self) -> String {
        format!("ray://127.0.0.1:{GCS}")
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
        self.folder.path().join(name)
    }

    /// A program of Ray's environment, which writes only into the folder.
    fn ray(&self, name: &str) -> Command {
        let programs = programs();
        let mut command = Command::new(programs.join(name));
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HOME", self.folder.path())
            .env("TMPDIR", self.folder.path())
            .env("RAY_AUTH_MODE", "disabled")
            .env("RAY_USAGE_STATS_ENABLED", "0")
            .env_remove("RAY_ADDRESS")
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

impl Drop for Cluster {
    fn drop(&mut self) {
        // By the folder, which nobody else's Ray knows. `ray stop` would end those of others, too.
        end_processes(self.folder.path());
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

/// Kills every process that has `folder` in its command line or its environment, until there is none.
fn end_processes(folder: &Path) {
    let name = folder.to_str().expect("made by us").as_bytes();
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
