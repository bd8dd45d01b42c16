//! The reference outcome of an example: what plain rustc and its program do, kept by content.

use super::example::Example;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// As cells are compiled, where it shows in what a program does.
const FLAGS: [&str; 7] = [
    "--edition=2024",
    "-Cdebug-assertions=on",
    "-Coverflow-checks=on",
    "-Cdebuginfo=0",
    "-Awarnings",
    "--error-format=json",
    "-Cpanic=unwind",
];
/// Where a program runs: a folder, and whether it sees the environment of whoever compares. What shows which of them it is cannot be compared.
const PLACES: [(&str, bool); 2] = [("place", true), ("away", false)];
/// How long a program may run before it counts as one that never ends.
const NEVER_ENDS_AFTER: Duration = Duration::from_secs(20);
/// Between two looks at it.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What became of an example, here or as cells.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It ran, and printed this.
    Ran(String),
    /// It panicked, or returned an error, after it had printed this.
    Failed(String),
    /// It was not compiled: the code of the first error, or an empty text where that has none.
    Refused(String),
}

/// The compiler, and what it has said before.
pub struct Reference {
    folder: PathBuf,
    compiler: String,
    runs: AtomicUsize,
}

/// A hash that stays the same from run to run.
pub fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Reference {
    /// Keeps what it learns in `folder`.
    pub fn new(folder: &Path) -> Result<Reference> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let compiler = crate::shell::capture(Command::new("rustc").arg("-vV"))?;
        Ok(Reference { folder: folder.into(), compiler, runs: AtomicUsize::new(0) })
    }

    /// The outcome, or why it cannot be compared.
    pub fn outcome(&self, example: &Example) -> Result<Result<Outcome, String>> {
        let program = example.program();
        let kept = self.folder.join(format!("{:016x}.json", hash(&(&self.compiler, FLAGS, PLACES, &program))));
        if let Some(outcome) = fs::read(&kept).ok().and_then(|bytes| from_json(&serde_json::from_slice(&bytes).ok()?)) {
            return Ok(outcome);
        }
        // Two examples may be equal, and run at the same time.
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let outcome = self.run(&program, &self.folder.join(format!("run-{}-{number}", std::process::id())))?;
        fs::write(&kept, to_json(&outcome).to_string()).with_context(|| format!("cannot write {}", kept.display()))?;
        Ok(outcome)
    }

    fn run(&self, program: &str, folder: &Path) -> Result<Result<Outcome, String>> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("main.rs"), program)?;
        let compiled = Command::new("rustc").args(FLAGS).arg("main.rs").current_dir(folder).output()?;
        let outcome = if compiled.status.success() {
            self.twice(folder)
        } else {
            Ok(refused(&String::from_utf8_lossy(&compiled.stderr)))
        };
        fs::remove_dir_all(folder)?;
        outcome
    }

    /// Runs it twice, in two places: what prints something else each time, or of its environment, cannot be compared.
    fn twice(&self, folder: &Path) -> Result<Result<Outcome, String>> {
        let [here, elsewhere] = PLACES;
        let first = once(folder, here)?;
        if first.is_err() {
            return Ok(first);
        }
        Ok(if once(folder, elsewhere)? == first {
            first
        } else {
            Err("prints something else each time, or depends on the environment".into())
        })
    }
}

/// The first error's code. A feature that is not stable, or a crate that is not there, says nothing of cells.
fn refused(messages: &str) -> Result<Outcome, String> {
    let errors = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let codes: Vec<String> = errors
        .filter(|message| message["level"] == "error")
        .map(|message| message["code"]["code"].as_str().unwrap_or_default().to_owned())
        .collect();
    if codes.iter().any(|code| code == "E0658" || code == "E0554") {
        return Err("needs the nightly compiler".into());
    }
    Ok(Outcome::Refused(codes.into_iter().next().unwrap_or_default()))
}

fn once(folder: &Path, (name, sees_environment): (&str, bool)) -> Result<Result<Outcome, String>> {
    let place = folder.join(name);
    fs::create_dir_all(&place)?;
    let printed = folder.join("stdout");
    let mut command = Command::new(folder.join("main"));
    if !sees_environment {
        // With a home of its own, which would be looked up where no variable names it.
        command.env_clear().env("HOME", &place);
    }
    command.current_dir(&place).stdin(Stdio::null()).stdout(fs::File::create(&printed)?).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begin.elapsed() > NEVER_ENDS_AFTER {
            child.kill()?;
            child.wait()?;
            return Ok(Err("never ends".into()));
        }
        std::thread::sleep(LOOK_AGAIN);
    };
    let printed = String::from_utf8_lossy(&fs::read(&printed)?).into_owned();
    Ok(match status.code() {
        Some(0) => Ok(Outcome::Ran(printed)),
        Some(1 | 101) => Ok(Outcome::Failed(printed)),
        _ => Err("ends the process".into()),
    })
}

fn to_json(outcome: &Result<Outcome, String>) -> Value {
    match outcome {
        Ok(Outcome::Ran(text)) => json!(["ran", text]),
        Ok(Outcome::Failed(text)) => json!(["failed", text]),
        Ok(Outcome::Refused(text)) => json!(["refused", text]),
        Err(text) => json!(["left out", text]),
    }
}

fn from_json(value: &Value) -> Option<Result<Outcome, String>> {
    let text = value[1].as_str()?.to_owned();
    Some(match value[0].as_str()? {
        "ran" => Ok(Outcome::Ran(text)),
        "failed" => Ok(Outcome::Failed(text)),
        "refused" => Ok(Outcome::Refused(text)),
        _ => Err(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        for outcome in [Ok(Outcome::Ran("a".into())), Ok(Outcome::Refused("E0382".into())), Err("why".into())] {
            assert_eq!(from_json(&to_json(&outcome)), Some(outcome));
        }
    }

    #[test]
    fn what_prints_of_its_environment_is_left_out_and_the_rest_is_not() {
        let folder = std::env::temp_dir().join(format!("mobula-reference-{}", std::process::id()));
        let reference = Reference::new(&folder).expect("a folder");
        let run = |name: &str, body: &str| {
            let program = format!("fn main() {{ {body} }}");
            reference.run(&program, &folder.join(name)).expect("rustc runs")
        };
        assert!(run("home", r#"println!("{:?}", std::env::home_dir());"#).is_err());
        assert!(run("path", r#"println!("{:?}", std::env::var_os("PATH"));"#).is_err());
        assert!(run("folder", r#"println!("{:?}", std::env::current_dir());"#).is_err());
        assert_eq!(run("same", r#"println!("7");"#), Ok(Outcome::Ran("7\n".into())));
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn the_first_error_counts() {
        let said = r#"{"level":"warning","code":{"code":"unused"}}
{"level":"error","code":{"code":"E0382"}}
{"level":"error","code":{"code":"E0425"}}"#;
        assert_eq!(refused(said), Ok(Outcome::Refused("E0382".into())));
        assert!(refused(r#"{"level":"error","code":{"code":"E0658"}}"#).is_err());
    }
}
