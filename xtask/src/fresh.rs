//! `cargo xtask fresh`: does what a newcomer does, on this machine as if nothing had ever been built or downloaded on it.
//!
//! ```text
//! tracked files ─copy─▶ FOLDER/checkout     the README's two commands, as written, in an environment of FOLDER:
//!                       FOLDER/home         HOME, XDG_*, and CARGO_HOME below it
//!                       FOLDER/tmp, run     TMPDIR, XDG_RUNTIME_DIR
//! ```
//!
//! Kept from the machine: rustup's toolchains, and how its registries are reached (cargo's and pip's configuration).
//! Afterwards nothing may be left: no process, no temporary file, nothing in `/dev/shm`. What is left is told, ended and removed.

use crate::traces::{self, shared_memory};
use crate::tree::Tree;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The variable that marks the processes that the commands start.
const MARK: &str = "MOBULA_FRESH";

/// The README's section with the commands, and how many there are.
const SECTION: &str = "## Two commands";
const COMMANDS: usize = 2;

/// Variables of the person or of cargo that a newcomer's shell does not have.
const FOREIGN: [&str; 8] =
    ["CARGO", "CARGO_", "LD_LIBRARY_PATH", "RUSTUP_TOOLCHAIN", "RUST_", "MOBULA_", "EVCXR_", "JUPYTER_"];
/// Of these, what says how registries are reached.
const REGISTRIES: [&str; 4] = ["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_"];
/// Files below the home that say the same.
const CONFIGURATION: [&str; 4] = [".cargo/config.toml", ".cargo/config", ".config/pip/pip.conf", ".pip/pip.conf"];

/// How long what has been told to end may take, before it counts as left: a session's processes end one after the other.
const ENDS_WITHIN: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How to run it.
#[derive(clap::Args)]
pub struct Options {
    /// So many processes that burn a CPU each run beside it.
    #[arg(long, default_value_t = 0)]
    busy: usize,
    /// Where the folder is made; a short path, because sockets lie below it.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    below: PathBuf,
    /// Other commands than the README's, to try this chore itself.
    #[arg(long)]
    command: Vec<String>,
}

/// Does it all, and fails if a command failed or anything is left.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    let commands = match options.command.as_slice() {
        [] => commands(&fs::read_to_string(tree.root.join("README.md")).context("cannot read README.md")?)?,
        given => given.to_vec(),
    };
    let place = Place::new(&options.below)?;
    place.copy(tree)?;
    let _burners = (0..options.busy).map(|_| Burner::start()).collect::<Result<Vec<_>>>()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    eprintln!("{cores} cores, {} busy processes beside; {}", options.busy, place.folder.display());

    let begin = Instant::now();
    let mut told = Vec::new();
    let mut is_good = true;
    for line in &commands {
        let begin = Instant::now();
        eprintln!("\n$ {line}");
        let status = place.command("sh").args(["-c", line]).status().context("cannot start `sh`")?;
        told.push(format!("{:>9}  {:<10}  {line}", minutes(begin.elapsed()), ending(status)));
        is_good &= status.success();
        if !status.success() {
            break;
        }
    }
    let whole = begin.elapsed();
    let left = place.left();
    println!();
    for line in told {
        println!("{line}");
    }
    println!("{:>9}  in all", minutes(whole));
    for line in &left {
        println!("left: {line}");
    }
    drop(place);
    if !is_good {
        bail!("a command of the README failed");
    }
    if !left.is_empty() {
        bail!("{} things are left", left.len());
    }
    println!("nothing is left");
    Ok(())
}

/// The commands of the README, as written.
fn commands(readme: &str) -> Result<Vec<String>> {
    let section = readme.split_once(SECTION).with_context(|| format!("the README has no `{SECTION}`"))?.1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut lines = Vec::new();
    let mut is_code = false;
    for line in section.lines() {
        if line.starts_with("```") {
            is_code = line == "```sh";
        } else if is_code && !line.trim().is_empty() {
            lines.push(line.to_owned());
        }
    }
    if lines.len() != COMMANDS {
        bail!("`{SECTION}` of the README has {} commands: {lines:?}", lines.len());
    }
    Ok(lines)
}

fn ending(status: ExitStatus) -> String {
    if status.success() { "passed".into() } else { format!("FAILED ({status})") }
}

fn minutes(time: Duration) -> String {
    format!("{} min {:02} s", time.as_secs() / 60, time.as_secs() % 60)
}

/// The folder of everything.
struct Place {
    folder: PathBuf,
    shm_before: BTreeSet<OsString>,
}

impl Place {
    fn new(below: &Path) -> Result<Place> {
        let folder = below.join(format!("fresh-{}", std::process::id()));
        for name in ["checkout", "home", "tmp", "run"] {
            fs::create_dir_all(folder.join(name)).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        // What lies in a runtime folder is nobody else's business.
        fs::set_permissions(folder.join("run"), fs::Permissions::from_mode(0o700))?;
        Ok(Place { folder, shm_before: shared_memory() })
    }

    /// Copies the tracked files, into a repository as a clone would be, and how registries are reached.
    fn copy(&self, tree: &Tree) -> Result<()> {
        let checkout = self.folder.join("checkout");
        for file in tree.files()? {
            copy(&tree.root.join(&file), &checkout.join(&file))?;
        }
        for words in [&["init", "--quiet"][..], &["add", "--all"]] {
            let status = self.command("git").args(words).status().context("cannot run `git`")?;
            if !status.success() {
                bail!("`git {}` failed in the copy", words.join(" "));
            }
        }
        let home = PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?);
        for file in CONFIGURATION.map(Path::new) {
            if home.join(file).is_file() {
                copy(&home.join(file), &self.folder.join("home").join(file))?;
            }
        }
        Ok(())
    }

    /// A program in a newcomer's environment.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let home = self.folder.join("home");
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let is_foreign = FOREIGN.iter().any(|foreign| match foreign.strip_suffix('_') {
                Some(_) => text.starts_with(foreign),
                None => text == *foreign,
            });
            if is_foreign && !REGISTRIES.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        let rustup = std::env::var_os("RUSTUP_HOME").map(PathBuf::from).or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(Path::new(&home).join(".rustup"))
        });
        command.envs(rustup.map(|folder| ("RUSTUP_HOME", folder)));
        command.env("HOME", &home).env("CARGO_HOME", home.join(".cargo"));
        for (name, folder) in [
            ("XDG_CACHE_HOME", ".cache"),
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_STATE_HOME", ".local/state"),
        ] {
            command.env(name, home.join(folder));
        }
        command.env("TMPDIR", self.folder.join("tmp")).env("XDG_RUNTIME_DIR", self.folder.join("run"));
        command.env(MARK, &self.folder).current_dir(self.folder.join("checkout"));
        command
    }

    /// The processes that the commands have started and that are alive.
    fn processes(&self) -> Vec<(u32, String)> {
        traces::processes(MARK, &self.folder)
    }

    /// What is there that should not be, once everything has ended.
    fn left(&self) -> Vec<String> {
        let begin = Instant::now();
        loop {
            let mut left: Vec<String> =
                self.processes().into_iter().map(|(pid, line)| format!("process {pid}: {line}")).collect();
            for folder in ["tmp", "run"] {
                left.extend(files(&self.folder.join(folder)).into_iter().map(|file| file.display().to_string()));
            }
            left.extend(
                shared_memory().difference(&self.shm_before).map(|name| format!("/dev/shm/{}", name.display())),
            );
            if left.is_empty() || begin.elapsed() > ENDS_WITHIN {
                return left;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            // One that has ended meanwhile is as good.
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("{} cannot be removed: {error}", self.folder.display());
        }
    }
}

/// Files below `folder`. Empty folders that sessions share may stay.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            _ => found.push(entry.path()),
        }
    }
    found
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// A process that burns a CPU until it is dropped.
struct Burner(Child);

impl Burner {
    fn start() -> Result<Burner> {
        // It ends by itself when this process has ended in a way that leaves no time for it.
        let burn = "while kill -0 $PPID 2>/dev/null; do i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; done";
        Ok(Burner(Command::new("sh").args(["-c", burn]).stdin(Stdio::null()).spawn().context("cannot start `sh`")?))
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_those_of_the_readme() {
        let readme = include_str!("../../README.md");
        let commands = commands(readme).unwrap();
        assert!(commands[0].starts_with("cargo run --release"), "{commands:?}");
        assert_eq!(commands[1], "cargo xtask test");
        assert!(super::commands("# No commands\n").is_err());
    }
}
