//! Building the library that cells are linked against: a Cargo project with what it is to contain.

use super::{Built, template};
use crate::running::Running;
use crate::toolchain::Toolchain;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often a long build says what it is doing.
const NOTICE_EVERY: Duration = Duration::from_secs(5);

/// Runs the future of a cell, on one runtime for all cells. A process that has taken over from a dead one starts anew: threads are not
/// copied with a process.
const BLOCK_ON: &str = "
type Runtime = (u32, &'static tokio::runtime::Runtime);

static RUNTIME: std::sync::Mutex<Option<Runtime>> = std::sync::Mutex::new(None);

pub fn block_on<F: std::future::Future>(future: F) -> F::Output {
    let runtime = {
        let mut runtime = RUNTIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match *runtime {
            Some((pid, runtime)) if pid == std::process::id() => runtime,
            _ => {
                let made = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect(\"a runtime for async cells\");
                let made: &'static tokio::runtime::Runtime = Box::leak(Box::new(made));
                *runtime = Some((std::process::id(), made));
                made
            }
        }
    };
    runtime.block_on(future)
}
";

/// The project.
#[derive(Clone, Debug)]
pub struct Project {
    /// Where it lies.
    pub dir: PathBuf,
    /// Where Cargo builds.
    pub target_dir: PathBuf,
    /// The name of the library.
    pub krate: String,
    /// What it contains: names, and what Cargo is to be asked for.
    pub deps: Vec<(String, String)>,
    /// Versions that are to stay.
    pub lock: Option<PathBuf>,
    /// Cells can `.await` on a runtime of Tokio's.
    pub is_async: bool,
}

/// One line of what Cargo tells programs.
#[derive(Deserialize)]
struct Line {
    reason: String,
    #[serde(default)]
    target: Option<Target>,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    #[serde(default)]
    message: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Project {
    /// Builds it.
    ///
    /// # Errors
    /// What Cargo or the compiler said.
    pub fn build(
        &self,
        toolchain: &Toolchain,
        offline: bool,
        running: &Running,
        notice: &dyn Fn(String),
    ) -> Result<Built, String> {
        self.write().map_err(|error| format!("{} cannot be written: {error}", self.dir.display()))?;
        let mut command = Command::new(&toolchain.cargo);
        command.args(["build", "--message-format=json", "--target", toolchain.target()]);
        if offline {
            command.arg("--offline");
        }
        command
            .current_dir(&self.dir)
            .env("CARGO_TARGET_DIR", &self.target_dir)
            .env("CARGO_BUILD_BUILD_DIR", &self.target_dir)
            .env("RUSTC", &toolchain.rustc)
            .env("RUSTFLAGS", "-Cprefer-dynamic")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = running.spawn(&mut command).map_err(|error| format!("cargo could not be run: {error}"))?;
        let mut child = started.ok_or("interrupted")?;
        let lines = child.stdout.take().map(|stdout| std::thread::spawn(move || read_lines(stdout)));
        let mut said = String::new();
        let (mut crates, mut told) = (0, Instant::now());
        for line in
            child.stderr.take().into_iter().flat_map(|stderr| BufReader::new(stderr).lines().map_while(Result::ok))
        {
            let line = line.trim();
            if let Some(name) = line.strip_prefix("Compiling ") {
                crates += 1;
                if told.elapsed() >= NOTICE_EVERY {
                    told = Instant::now();
                    notice(format!(
                        "compiling: {crates} crates so far, now {}",
                        name.split(" (").next().unwrap_or(name)
                    ));
                }
            }
            said.push_str(line);
            said.push('\n');
        }
        let lines = lines.and_then(|reader| reader.join().ok()).unwrap_or_default();
        let is_well = running.wait(&mut child);
        if !is_well {
            let rendered =
                lines.iter().filter_map(|line| line.message.as_ref()?["rendered"].as_str()).collect::<String>();
            return Err(format!("{}{}", said_without_progress(&said), rendered).trim().to_owned());
        }
        self.collect(&lines, toolchain)
    }

    fn collect(&self, lines: &[Line], toolchain: &Toolchain) -> Result<Built, String> {
        let built = lines.iter().filter(|line| line.reason == "compiler-artifact");
        let mut artifacts: BTreeMap<String, PathBuf> = BTreeMap::new();
        let mut library = None;
        for line in built {
            let Some(target) = &line.target else { continue };
            let is_proc_macro = target.kind.iter().any(|kind| kind == "proc-macro");
            let wanted = if is_proc_macro { "so" } else { "rlib" };
            if target.name == self.krate {
                library = line.filenames.iter().find(|file| file.extension().is_some_and(|end| end == "so")).cloned();
            } else if let Some(file) =
                line.filenames.iter().find(|file| file.extension().is_some_and(|end| end == wanted))
            {
                let package = package_name(&line.package_id).replace('-', "_");
                artifacts.entry(package).or_insert_with(|| file.clone());
                artifacts.entry(target.name.replace('-', "_")).or_insert_with(|| file.clone());
            }
        }
        let library = library.ok_or("cargo built no library for the cells")?;
        let mut externs = BTreeMap::new();
        for (name, requirement) in &self.deps {
            let package = renamed_package(requirement).unwrap_or(name).replace('-', "_");
            if let Some(file) = artifacts.get(&package) {
                externs.insert(name.replace('-', "_"), file.clone());
            }
        }
        let of = |profile: PathBuf| self.target_dir.join(profile).join("deps");
        let dirs = vec![of(PathBuf::from(toolchain.target()).join("debug")), of("debug".into())];
        Ok(Built { library, externs, dirs })
    }

    fn write(&self) -> std::io::Result<()> {
        fs::create_dir_all(self.dir.join("src"))?;
        // All of it goes into the library, used here or not.
        let names = self.deps.iter().map(|(name, _)| name.replace('-', "_"));
        let mut source: String = names.map(|name| format!("pub extern crate {name};\n")).collect();
        if self.is_async {
            source.push_str(BLOCK_ON);
        }
        fs::write(self.dir.join("src/lib.rs"), source)?;
        let deps: String = self.deps.iter().map(|(name, requirement)| format!("{name} = {requirement}\n")).collect();
        fs::write(
            self.dir.join("Cargo.toml"),
            format!(
                "[workspace]\n\n[package]\nname = {:?}\nversion = \"1.0.0\"\nedition = \"2024\"\n\n\
                 [lib]\ncrate-type = [\"dylib\"]\npath = \"src/lib.rs\"\n\n\
                 [profile.dev]\nopt-level = {}\ndebug = false\nstrip = \"debuginfo\"\nrpath = true\nlto = false\n\
                 debug-assertions = true\ncodegen-units = 16\npanic = 'unwind'\nincremental = true\noverflow-checks = true\n\n\
                 [dependencies]\n{deps}",
                self.krate,
                template::OPT_LEVEL,
            ),
        )?;
        match &self.lock {
            Some(lock) => fs::copy(lock, self.dir.join("Cargo.lock")).map(drop),
            None => Ok(()),
        }
    }
}

fn read_lines(from: impl std::io::Read) -> Vec<Line> {
    BufReader::new(from).lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()).collect()
}

/// `path+file:///x/crate#mobula@0.1.0`, `registry+…#serde@1.0.0`, `path+file:///x/name#1.0.0`.
fn package_name(id: &str) -> &str {
    let (path, name) = id.rsplit_once('#').unwrap_or(("", id));
    match name.split_once('@') {
        Some((name, _)) => name,
        None => path.rsplit('/').next().unwrap_or(path),
    }
}

/// The `package = "…"` of a requirement.
fn renamed_package(requirement: &str) -> Option<&str> {
    let (_, rest) = requirement.split_once("package")?;
    rest.split('"').nth(1)
}

fn said_without_progress(said: &str) -> String {
    const PROGRESS: [&str; 9] =
        ["Compiling", "Downloading", "Downloaded", "Updating", "Locking", "Adding", "Finished", "Blocking", "Fresh"];
    let kept = said.lines().filter(|line| !PROGRESS.iter().any(|word| line.starts_with(word)));
    kept.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_in_its_id() {
        assert_eq!(package_name("path+file:///a/crate#mobula@0.1.0"), "mobula");
        assert_eq!(package_name("path+file:///a/thing#1.0.0"), "thing");
    }

    #[test]
    fn a_dependency_may_have_another_name_than_its_package() {
        assert_eq!(renamed_package("{ package = \"serde_json\", version = \"1\" }"), Some("serde_json"));
        assert_eq!(renamed_package("\"1\""), None);
    }
}
