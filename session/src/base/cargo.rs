//! Calls of Cargo: a manifest that exists for its dependencies, and a build that reports its progress.

use crate::base::compiler_process::Running;
use crate::base::rustc_wrapper;
use crate::base::toolchain::Toolchain;
use serde::Deserialize;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The optimisation level of cells and their dependencies, unless `:opt` sets it; evcxr's default.
pub const OPT_LEVEL: &str = "2";

/// How often a long build reports its progress.
const NOTICE_EVERY: Duration = Duration::from_secs(5);

/// One line of Cargo's JSON output.
#[derive(Deserialize)]
pub struct Line {
    /// The kind of the line.
    pub reason: String,
    /// The target that was compiled.
    #[serde(default)]
    pub target: Option<Target>,
    /// Its package.
    #[serde(default)]
    pub package_id: String,
    /// The manifest of that package.
    #[serde(default)]
    pub manifest_path: PathBuf,
    /// The folder that a build script writes into.
    #[serde(default)]
    pub out_dir: PathBuf,
    /// The files that were made.
    #[serde(default)]
    pub filenames: Vec<PathBuf>,
    /// The folders of what a build script links, as in `native=/usr/local/lib`.
    #[serde(default)]
    pub linked_paths: Vec<String>,
    /// The libraries that a build script links, as in `dylib=z`.
    #[serde(default)]
    pub linked_libs: Vec<String>,
    /// The compiler's message.
    #[serde(default)]
    pub message: Option<serde_json::Value>,
}

impl Line {
    /// Whether it is about a crate in a folder of this machine.
    pub fn is_local(&self) -> bool {
        self.package_id.starts_with("path+")
    }
}

/// A target of Cargo's.
#[derive(Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// `lib`, `proc-macro`, and so on.
    pub kind: Vec<String>,
}

impl Target {
    /// Whether it is a build script.
    pub fn is_build_script(&self) -> bool {
        self.kind.iter().any(|kind| kind == "custom-build")
    }
}

/// The manifest of a library with these dependencies. The profile is the one that evcxr writes: with another, evcxr's evaluator could not
/// use what is compiled.
pub fn manifest(name: &str, crate_type: &str, deps: &[(String, String)]) -> String {
    let deps: String = deps.iter().map(|(name, requirement)| format!("{name} = {requirement}\n")).collect();
    format!(
        "[workspace]\n\n[package]\nname = {name:?}\nversion = \"1.0.0\"\nedition = \"2024\"\n\n\
         [lib]\ncrate-type = [{crate_type:?}]\npath = \"src/lib.rs\"\n\n\
         [profile.dev]\nopt-level = {OPT_LEVEL}\ndebug = false\nstrip = \"debuginfo\"\nrpath = true\nlto = false\n\
         debug-assertions = true\ncodegen-units = 16\npanic = 'unwind'\nincremental = true\noverflow-checks = true\n\n\
         [dependencies]\n{deps}"
    )
}

/// Builds the crate in `dir`. When it is opened, it finds libraries in the folders of `rpath`.
///
/// # Errors
/// What Cargo or the compiler said.
pub fn build(
    dir: &Path,
    target_dir: &Path,
    toolchain: &Toolchain,
    offline: bool,
    rpath: &[PathBuf],
    running: &Running,
    notice: &dyn Fn(String),
) -> Result<Vec<Line>, String> {
    let mut command = Command::new(&toolchain.cargo);
    // These options go to this crate alone; otherwise all its dependencies would be compiled again.
    command.args(if rpath.is_empty() { ["build"].as_slice() } else { &["rustc", "--lib"] });
    command.args(["--message-format=json", "--target", toolchain.target()]);
    if offline {
        command.arg("--offline");
    }
    if !rpath.is_empty() {
        command.arg("--").args(rpath.iter().map(|dir| format!("-Clink-arg=-Wl,-rpath,{}", dir.display())));
    }
    command
        .current_dir(dir)
        .env("CARGO_TARGET_DIR", target_dir)
        .env("CARGO_BUILD_BUILD_DIR", target_dir)
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTFLAGS", "-Cprefer-dynamic")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    rustc_wrapper::share_generics(&mut command);
    let started = running.spawn(&mut command).map_err(|error| format!("cargo could not be run: {error}"))?;
    let mut child = started.ok_or("interrupted")?;
    let lines = child.stdout.take().map(|stdout| std::thread::spawn(move || read_lines(stdout)));
    let mut said = String::new();
    let (mut crates, mut told) = (0, Instant::now());
    for line in child.stderr.take().into_iter().flat_map(|stderr| BufReader::new(stderr).lines().map_while(Result::ok))
    {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("Compiling ") {
            crates += 1;
            if told.elapsed() >= NOTICE_EVERY {
                told = Instant::now();
                notice(format!("compiling: {crates} crates so far, now {}", name.split(" (").next().unwrap_or(name)));
            }
        }
        said.push_str(line);
        said.push('\n');
    }
    let lines = lines.and_then(|reader| reader.join().ok()).unwrap_or_default();
    if running.wait(&mut child) {
        return Ok(lines);
    }
    // Warnings are told again at each build, also those about crates that compile.
    let errors = lines.iter().filter_map(|line| line.message.as_ref().filter(|message| message["level"] == "error"));
    let rendered = errors.filter_map(|message| message["rendered"].as_str()).collect::<String>();
    Err(format!("{}{}", said_without_progress(&said), rendered).trim().to_owned())
}

fn read_lines(from: impl std::io::Read) -> Vec<Line> {
    BufReader::new(from).lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()).collect()
}

fn said_without_progress(said: &str) -> String {
    const PROGRESS: [&str; 9] =
        ["Compiling", "Downloading", "Downloaded", "Updating", "Locking", "Adding", "Finished", "Blocking", "Fresh"];
    let kept = said.lines().filter(|line| !PROGRESS.iter().any(|word| line.starts_with(word)));
    kept.map(|line| format!("{line}\n")).collect()
}
