//! A runtime that outlives sessions: `mobula start`, `stop`, `status`, `errors`, `memory`, `timeline` and `logs`.
//!
//! ```text
//!   mobula start ──runs──▶ mobula start --block   the process that owns the runtime, in a session of its own
//!        ◀── one line: its folder, or why not ──┘
//! ```

use super::web_page::{Opened, WebPage};
use super::{BROKEN, FAILED, WRONG, fail};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use mobula::abi::{CellPlace, CellRecord, Dashboard, DashboardOptions, Place};
use mobula::attached::{FindError, Found, Record, find, shared};
use mobula::local::{self, Local, Observer, RuntimeEvent, Zygote};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, setsid};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, Seek, SeekFrom, Write};
use std::net::ToSocketAddrs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a runtime may take to end.
const STOP_MAX: Duration = Duration::from_secs(15);
/// How often `--watch` and `--follow` look.
const LOOK: Duration = Duration::from_millis(500);

/// The options of `mobula start`, as those of `init_with`.
#[derive(Args, Clone, Debug)]
pub struct Start {
    /// CPUs that tasks can share [default: the machine's].
    #[arg(long, value_name = "N", value_parser = amount)]
    num_cpus: Option<f64>,
    /// GPUs that tasks can share [default: those that are found].
    #[arg(long, value_name = "N", value_parser = amount)]
    num_gpus: Option<f64>,
    /// Memory that tasks can reserve, such as 8GiB [default: what the store leaves of the machine's].
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,
    /// A custom resource and how much of it there is; can be given several times.
    #[arg(long = "resource", value_name = "NAME=N", value_parser = resource)]
    resources: Vec<(String, f64)>,
    /// Worker processes that stand ready [default: one for each CPU].
    #[arg(long, value_name = "N")]
    num_workers: Option<u32>,
    /// The store's limit, such as 2GiB [default: 30 % of the machine's memory].
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    object_store_memory: Option<u64>,
    /// The folder that the store's memory comes from [default: /dev/shm].
    #[arg(long, value_name = "FOLDER")]
    store_directory: Option<PathBuf>,
    /// The folder for objects that do not fit in memory.
    #[arg(long, value_name = "FOLDER")]
    spill_directory: Option<PathBuf>,
    /// Start no web page before somebody asks for it.
    #[arg(long)]
    no_dashboard: bool,
    /// The name or address that the web page listens on [default: 127.0.0.1].
    #[arg(long, value_name = "HOST")]
    dashboard_host: Option<String>,
    /// The port of the web page [default: one that is free].
    #[arg(long, value_name = "PORT")]
    dashboard_port: Option<u16>,
    /// Stay in the foreground until Ctrl-C or `mobula stop`.
    #[arg(long)]
    block: bool,
}

impl Start {
    fn config(&self) -> local::Config {
        local::Config {
            num_cpus: self.num_cpus,
            num_gpus: self.num_gpus,
            memory: self.memory,
            resources: self.resources.clone(),
            num_workers: self.num_workers,
            object_store_memory: self.object_store_memory,
            store_directory: self.store_directory.clone(),
            spill_directory: self.spill_directory.clone(),
            is_shared: true,
            dashboard: DashboardOptions {
                include: self.no_dashboard.then_some(false),
                host: self.dashboard_host.clone(),
                port: self.dashboard_port,
            },
            ..local::Config::default()
        }
    }

    /// The words of the command line for the same options.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut add = |name: &str, value: Option<String>| words.extend(value.map(|value| format!("--{name}={value}")));
        add("num-cpus", self.num_cpus.map(|n| n.to_string()));
        add("num-gpus", self.num_gpus.map(|n| n.to_string()));
        add("memory", self.memory.map(|n| n.to_string()));
        add("num-workers", self.num_workers.map(|n| n.to_string()));
        add("object-store-memory", self.object_store_memory.map(|n| n.to_string()));
        add("store-directory", self.store_directory.as_ref().map(|path| path.display().to_string()));
        add("spill-directory", self.spill_directory.as_ref().map(|path| path.display().to_string()));
        add("dashboard-host", self.dashboard_host.clone());
        add("dashboard-port", self.dashboard_port.map(|port| port.to_string()));
        self.resources.iter().for_each(|(name, amount)| add("resource", Some(format!("{name}={amount}"))));
        words.extend(self.no_dashboard.then(|| "--no-dashboard".to_owned()));
        words
    }
}

/// `mobula start`.
pub fn start(options: &Start) -> ExitCode {
    if let Some(running) = shared().into_iter().next() {
        let Found { folder, record, .. } = running;
        let message = format!(
            "a runtime runs already: pid {}, {}; `mobula stop` ends it, and `init_with(Config::connect(\"auto\"))` in a cell joins it",
            record.pid,
            folder.display()
        );
        return fail(&anyhow!(message), WRONG);
    }
    if options.block {
        return serve(options);
    }
    match start_apart(options) {
        Ok(folder) => {
            println!("started a runtime in {folder}");
            println!("  cells join it with   init_with(Config::connect(\"auto\"))?");
            println!("  whole sessions with  mobula --address auto, or MOBULA_ADDRESS=auto");
            println!("  look at it with      mobula status");
            if let Some(url) = find(&folder).ok().and_then(|found| found.record.dashboard) {
                println!("  or on its web page   {url}");
            }
            if options.dashboard_host.as_deref().is_some_and(|host| !is_loopback(host)) {
                eprintln!("warning: other machines reach the web page, and what it sends is not encrypted");
            }
            println!("  end it with          mobula stop");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, BROKEN),
    }
}

/// Whether a name or address is this machine's alone.
fn is_loopback(host: &str) -> bool {
    (host, 0).to_socket_addrs().is_ok_and(|mut found| found.all(|address| address.ip().is_loopback()))
}

/// Starts the process that owns the runtime. Returns the runtime's folder.
fn start_apart(options: &Start) -> Result<String> {
    let program = std::env::current_exe().context("this program's own file is not known")?;
    let mut command = Command::new(program);
    command.args(["start", "--block"]).args(options.words());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("the process that owns the runtime cannot be started")?;
    let (mut line, mut complaint) = (String::new(), String::new());
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if let Some(folder) = line.trim().strip_prefix(READY) {
        return Ok(folder.to_owned());
    }
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut complaint)?;
    }
    let _ = child.wait();
    bail!("{}", complaint.trim().trim_start_matches("error: "))
}

/// How the line begins by which the owner of a runtime says that it is ready.
const READY: &str = "ready ";

/// Owns the runtime until somebody ends it.
fn serve(options: &Start) -> ExitCode {
    let is_apart = !std::io::stdout().is_terminal();
    if is_apart {
        // Of its own: what closes the terminal is not for it.
        let _ = setsid();
    }
    let zygote = match Zygote::fork() {
        Ok(zygote) => zygote,
        Err(error) => return fail(&error.into(), BROKEN),
    };
    match serve_with(zygote, options, is_apart) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, BROKEN),
    }
}

fn serve_with(zygote: Zygote, options: &Start, is_apart: bool) -> Result<()> {
    let (mut ended, end) = UnixStream::pair()?;
    for signal in [Signal::TERM, Signal::INT] {
        signal_hook::low_level::pipe::register(signal.as_raw(), end.try_clone()?)?;
    }
    let log = Arc::new(Log { file: Mutex::default(), page: WebPage::new() });
    let local = Local::start(zygote, options.config(), log.clone())?;
    let folder = local.session_dir().to_owned();
    log.open(&folder)?;
    log.page.set_socket(local.socket().to_owned());
    let page = match &options.config().dashboard {
        wish if wish.include == Some(false) => None,
        wish => log.dashboard(wish).map_err(anyhow::Error::msg)?,
    };
    Record::here(page.map(|page| page.url)).write(&folder).context("the runtime cannot be announced")?;
    println!("{READY}{}", folder.display());
    if is_apart {
        // Whoever reads this process's output sees its end.
        let null = File::options().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
    }
    ended.read_exact(&mut [0])?;
    log.page.end();
    drop(local);
    Ok(())
}

/// Writes what concerns no session to the runtime's log, and has the runtime's web page.
struct Log {
    file: Mutex<Option<File>>,
    page: WebPage,
}

impl Log {
    fn open(&self, folder: &Path) -> std::io::Result<()> {
        let folder = folder.join("logs");
        std::fs::create_dir_all(&folder)?;
        let file = File::options().append(true).create(true).open(folder.join("runtime.log"))?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }
}

fn name_of(stream: local::Stream) -> &'static str {
    if stream == local::Stream::Stdout { "stdout" } else { "stderr" }
}

impl Observer for Log {
    fn event(&self, event: RuntimeEvent) {
        let text = match event {
            RuntimeEvent::TaskOutput { cell, task, pid, stream, text } => {
                self.page.tasks_output().add(cell, &task, pid, name_of(stream), &text);
                text
            }
            RuntimeEvent::TaskFailed(failure) => mobula::error::report(&failure) + "\n",
            RuntimeEvent::Notice(text) => text + "\n",
        };
        if let Some(file) = &mut *self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            // A full disk ends no runtime.
            let _ = file.write_all(text.as_bytes());
        }
    }

    fn overhears(&self, cell: u64, event: &RuntimeEvent) {
        if let RuntimeEvent::TaskOutput { task, pid, stream, text, .. } = event {
            self.page.tasks_output().add(cell, task, *pid, name_of(*stream), text);
        }
    }

    fn cell_of_session(&self, record: CellRecord) {
        self.page.cells().put(record);
    }

    fn dashboard(&self, options: &DashboardOptions) -> Result<Option<Dashboard>, String> {
        let Opened { dashboard, warning } = self.page.open(options)?;
        warning.into_iter().for_each(|text| self.event(RuntimeEvent::Notice(text)));
        Ok(Some(dashboard))
    }

    fn locate(&self, _place: &Place) -> Option<CellPlace> {
        None
    }
}

/// The runtime that a command is about; also one of another version if the command does not talk to it.
fn found(address: Option<&str>) -> Result<Found, FindError> {
    find(address.unwrap_or("auto"))
}

/// `mobula stop`.
pub fn stop(address: Option<&str>) -> ExitCode {
    let found = match found(address) {
        // What has another version can be ended all the same.
        Err(FindError::OtherVersion { path, .. }) => shared().into_iter().find(|found| found.folder == path),
        Err(error) => return fail(&error.into(), WRONG),
        Ok(found) => Some(found),
    };
    let Some(Found { record, folder, .. }) = found else { return fail(&FindError::None.into(), WRONG) };
    match end(record.pid) {
        Ok(()) => {
            println!("ended the runtime in {}", folder.display());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, FAILED),
    }
}

fn end(pid: u32) -> Result<()> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw).context("the runtime's record is damaged")?;
    let watched = pidfd_open(process, PidfdFlags::empty()).context("the runtime's process is gone")?;
    kill_process(process, Signal::TERM).context("the runtime's process cannot be told to end")?;
    let left = Timespec { tv_sec: STOP_MAX.as_secs() as i64, tv_nsec: 0 };
    let mut ready = [PollFd::new(&watched, PollFlags::IN)];
    if poll(&mut ready, Some(&left))? == 0 {
        bail!("process {pid} has not ended within {} seconds: `kill -9 {pid}` ends it", STOP_MAX.as_secs());
    }
    Ok(())
}

/// Connects this process to the runtime and does `work`, which asks about it.
fn with_runtime(address: Option<&str>, work: impl FnOnce(&Found) -> Result<()>) -> ExitCode {
    let connected = found(address).map_err(anyhow::Error::from).and_then(|found| {
        local::look_at(&found.socket)?;
        Ok(found)
    });
    match connected {
        Err(error) => fail(&error, WRONG),
        Ok(found) => match work(&found) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, FAILED),
        },
    }
}

/// `mobula status`.
pub fn status(address: Option<&str>, watch: bool) -> ExitCode {
    with_runtime(address, |found| {
        loop {
            let text = described(found);
            if watch && std::io::stdout().is_terminal() {
                print!("\x1b[2J\x1b[H");
            }
            println!("{text}");
            if !watch {
                return Ok(());
            }
            std::io::stdout().flush()?;
            std::thread::sleep(2 * LOOK);
        }
    })
}

fn described(Found { folder, record, .. }: &Found) -> String {
    let age = record.began.elapsed().unwrap_or_default().as_secs();
    let age = match age {
        ..120 => format!("{age} s"),
        120..7200 => format!("{} min", age / 60),
        _ => format!("{} h", age / 3600),
    };
    let mut parts = vec![format!("mobula {}, pid {}, for {age}, in {}", record.version, record.pid, folder.display())];
    parts.extend(record.dashboard.iter().map(|url| format!("web page {url}")));
    parts.push(mobula::status().to_string());
    let (actors, summary) = (mobula::actors(), mobula::summary());
    if !actors.is_empty() {
        parts.push(actors.to_string());
    }
    parts.push(summary.to_string());
    parts.join("\n")
}

/// `mobula errors`.
pub fn errors(address: Option<&str>) -> ExitCode {
    with_runtime(address, |_| {
        println!("{}", mobula::errors());
        Ok(())
    })
}

/// `mobula memory`.
pub fn memory(address: Option<&str>) -> ExitCode {
    with_runtime(address, |_| {
        println!("{}", mobula::objects());
        Ok(())
    })
}

/// `mobula timeline`.
pub fn timeline(address: Option<&str>, file: &Path) -> ExitCode {
    with_runtime(address, |_| {
        mobula::timeline(file)?;
        println!("wrote {}; https://ui.perfetto.dev and chrome://tracing open it", file.display());
        Ok(())
    })
}

/// `mobula logs`.
pub fn logs(address: Option<&str>, follow: bool) -> ExitCode {
    match found(address) {
        Err(error) => fail(&error.into(), WRONG),
        Ok(found) => match print_logs(&found.folder.join("logs"), follow) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, FAILED),
        },
    }
}

/// Prints the files in a folder; with `follow`, also what is added to them until the folder is gone.
fn print_logs(folder: &Path, follow: bool) -> Result<()> {
    let mut printed: BTreeMap<PathBuf, u64> = BTreeMap::new();
    let mut out = std::io::stdout().lock();
    loop {
        let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for path in files {
            // A file that was put aside was printed under its name before.
            if follow && path.extension().is_some_and(|end| end == "1") {
                continue;
            }
            let Ok(mut file) = File::open(&path) else { continue };
            let len = file.metadata()?.len();
            let from = printed.entry(path).or_default();
            if len < *from {
                *from = 0;
            }
            file.seek(SeekFrom::Start(*from))?;
            *from += std::io::copy(&mut file.take(len - *from), &mut out)?;
        }
        if !follow {
            return Ok(());
        }
        out.flush()?;
        std::thread::sleep(LOOK);
    }
}

fn amount(text: &str) -> Result<f64, String> {
    let read = text.parse().ok().filter(|amount: &f64| amount.is_finite() && *amount >= 0.0);
    read.ok_or_else(|| "write a number of at least 0, such as 4 or 0.5".into())
}

fn resource(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=N, such as tpu=2")?;
    Ok((name.trim().to_owned(), amount(value.trim())?))
}

/// Reads a number of bytes with its unit.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err("write a number of bytes, such as 2GiB or 500MiB".into()),
    };
    let number: f64 =
        digits.trim().parse().map_err(|_| "write a number of bytes, such as 2GiB or 500MiB".to_owned())?;
    if !(number.is_finite() && number >= 0.0) {
        return Err("write a number of bytes, such as 2GiB or 500MiB".into());
    }
    Ok((number * unit as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory_have_units() {
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        assert_eq!(bytes("1.5k"), Ok(1536));
        assert_eq!(bytes("100"), Ok(100));
        assert_eq!(bytes("3MB"), Ok(3_000_000));
        assert!(bytes("2 apples").is_err() && bytes("-1").is_err() && bytes("").is_err());
    }

    #[test]
    fn the_words_of_the_command_line_mean_the_same_options() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            start: Start,
        }
        let line = ["mobula", "--num-cpus=2.5", "--resource=tpu=2", "--resource=a=0.5", "--object-store-memory=2GiB"];
        let first = <Line as clap::Parser>::parse_from(line).start;
        let again = <Line as clap::Parser>::parse_from(std::iter::once("mobula".to_owned()).chain(first.words())).start;
        assert_eq!(first.config(), again.config());
        assert_eq!(first.config().resources, [("tpu".to_owned(), 2.0), ("a".to_owned(), 0.5)]);
    }
}
