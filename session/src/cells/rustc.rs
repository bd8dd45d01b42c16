//! One run of the compiler for a cell or a unit: its arguments and its output.

use super::diagnosis::{Message, read};
use crate::base::Base;
use crate::base::compiler_process::Running;
use crate::event::CellId;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The kind of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A cell's statements: one function for the cell host to call.
    Cell,
    /// Items that later cells link.
    Unit,
}

/// One compilation.
#[derive(Debug)]
pub struct Job<'a> {
    /// The folder of the source; messages name files in it.
    pub dir: &'a Path,
    /// The source's name there.
    pub source: &'a str,
    /// The crate's name.
    pub krate: &'a str,
    pub kind: Kind,
    /// The library to make.
    pub library: &'a Path,
    /// Names and libraries of the units that the source may name.
    pub units: &'a [(String, PathBuf)],
    /// The folder of those, and of the units that they use.
    pub units_dir: &'a Path,
    pub opt_level: &'a str,
    /// Whether warnings are wanted.
    pub warns: bool,
    /// Whether messages shorten the names of types. The types of variables are needed in full.
    pub brief: bool,
}

/// The result of a compilation.
#[derive(Debug)]
pub struct Compiled {
    /// Whether there is a library.
    pub is_well: bool,
    /// All messages of the compiler.
    pub messages: Vec<Message>,
    /// Output that was no message: a crash of the compiler, the linker's words.
    pub rest: String,
}

/// Compiles a source.
///
/// # Errors
/// The compiler could not be run.
pub fn compile(base: &Base, job: &Job<'_>, running: &Running) -> std::io::Result<Compiled> {
    let mut command = command(base, job);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let Some(mut child) = running.spawn(&mut command)? else {
        return Ok(Compiled { is_well: false, messages: Vec::new(), rest: String::new() });
    };
    let mut messages = Vec::new();
    let mut rest = String::new();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr);
        let mut line = Vec::new();
        while lines.by_ref().read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
            let text = String::from_utf8_lossy(&line);
            match read(&text) {
                Some(message) => messages.push(message),
                None => rest.push_str(&text),
            }
            line.clear();
        }
    }
    Ok(Compiled { is_well: running.wait(&mut child), messages, rest })
}

/// Expands the macros of a source, into a text in place of the library. Returns whether that succeeded.
///
/// # Errors
/// The compiler could not be run.
pub fn expand(base: &Base, job: &Job<'_>, running: &Running) -> std::io::Result<bool> {
    let mut command = command(base, job);
    command.arg("-Zunpretty=expanded").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Some(mut child) = running.spawn(&mut command)? else { return Ok(false) };
    Ok(running.wait(&mut child))
}

/// Lints that would only be about what the session does to a cell, not about the cell.
const QUIET: &[&str] = &[
    "-Aunused_imports",
    "-Anon_snake_case",
    "-Adead_code",
    "-Ainternal_features",
    "-Aunreachable_code",
    "-Aunused_parens",
    "-Aprivate_interfaces",
    "-Aredundant_semicolons",
    "-Aunused_braces",
];

fn command(base: &Base, job: &Job<'_>) -> Command {
    let mut command = Command::new(&base.rustc);
    command.current_dir(job.dir).arg(job.source).arg("-o").arg(job.library);
    command.args(["--edition=2024", "--error-format=json", "-Cprefer-dynamic", "-Cdebug-assertions=on"]);
    command.args(["-Coverflow-checks=on", "-Cdebuginfo=line-tables-only"]);
    // Both are needed: a cell's `#![deny(warnings)]` overrides the second alone.
    command.args(QUIET).args((!job.warns).then_some("-Awarnings"));
    command.arg(format!("--crate-name={}", job.krate)).arg(format!("-Copt-level={}", job.opt_level));
    command.arg(match job.kind {
        Kind::Cell => "--crate-type=cdylib",
        Kind::Unit => "--crate-type=dylib",
    });
    if job.opt_level == "0" {
        // For a few functions, more than one thread costs more than it saves.
        command.arg("-Ccodegen-units=1");
    }
    if job.kind == Kind::Cell {
        // This makes the compiler tell the types of variables; see `diagnosis`.
        command.arg("--force-warn=trivial_casts");
    }
    // The unstable options below change what messages look like, and which linker is called; no language feature is used.
    command.env("RUSTC_BOOTSTRAP", "1").arg("-Zwrite-long-types-to-disk=no");
    if !job.brief {
        command.arg("-Ztrim-diagnostic-paths=no").arg("--diagnostic-width=1000000");
    }
    command.args(&base.flags);
    for (name, library) in job.units {
        let mut word = std::ffi::OsString::from(format!("--extern={name}="));
        word.push(library);
        command.arg(word);
    }
    let mut word = std::ffi::OsString::from("dependency=");
    word.push(job.units_dir);
    command.arg("-L").arg(word).args(base.rpath(job.units_dir));
    command
}

/// The name of a cell's function that the cell host calls.
pub fn entry(cell: CellId) -> String {
    format!("mobula_cell_{cell}")
}
