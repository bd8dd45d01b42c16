//! `mobula doctor`: checks what a session needs, one line for each thing, with the command that mends it.

use mobula_session::toolchain::Toolchain;
use std::process::{Command, ExitCode};

/// The result of one check.
enum Finding {
    Fine(String),
    /// A session works without it.
    Missing(String),
    Broken(String),
}

/// Prints every check. The exit code is 3 when a session cannot run.
pub fn main() -> ExitCode {
    let findings = [
        ("toolchain", toolchain()),
        ("completion", completion()),
        ("linker", linker()),
        ("cache", cache()),
        ("shared memory", shared_memory()),
        ("jupyter", jupyter()),
    ];
    let mut broken = false;
    for (name, finding) in findings {
        let (mark, text) = match finding {
            Finding::Fine(text) => ("ok", text),
            Finding::Missing(text) => ("--", text),
            Finding::Broken(text) => {
                broken = true;
                ("!!", text)
            }
        };
        println!("{mark}  {name:<14} {text}");
    }
    if broken { ExitCode::from(super::BROKEN) } else { ExitCode::SUCCESS }
}

fn toolchain() -> Finding {
    match Toolchain::find() {
        Ok(found) => Finding::Fine(found.version.lines().next().unwrap_or("rustc").to_owned()),
        Err(message) => Finding::Broken(message),
    }
}

fn completion() -> Finding {
    match Toolchain::find().and_then(|toolchain| toolchain.has_source()) {
        Ok(()) => Finding::Fine("the standard library's source is there".into()),
        Err(message) => Finding::Missing(message),
    }
}

fn linker() -> Finding {
    match Command::new("cc").arg("--version").output() {
        Ok(output) if output.status.success() => {
            Finding::Fine(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("cc").to_owned())
        }
        _ => Finding::Broken("no C compiler to link with; install one: `apt install gcc` or `dnf install gcc`".into()),
    }
}

fn cache() -> Finding {
    match mobula_session::cache_dir() {
        Ok(folder) => Finding::Fine(folder.display().to_string()),
        Err(message) => Finding::Broken(message),
    }
}

fn shared_memory() -> Finding {
    match rustix::fs::statvfs("/dev/shm") {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize;
            let text = format!("{} MiB free in /dev/shm", free >> 20);
            if free < 256 << 20 {
                Finding::Missing(format!(
                    "{text}; the store will use anonymous memory (in a container: `--shm-size=2g`)"
                ))
            } else {
                Finding::Fine(text)
            }
        }
        Err(error) => {
            Finding::Missing(format!("/dev/shm cannot be used ({error}); the store will use anonymous memory"))
        }
    }
}

fn jupyter() -> Finding {
    match Command::new("jupyter").arg("--version").output() {
        Ok(output) if output.status.success() => Finding::Fine("run `mobula kernel install` to add this kernel".into()),
        _ => Finding::Missing(
            "not found; notebooks run with `mobula run`, or install it: `pip install jupyterlab`".into(),
        ),
    }
}
