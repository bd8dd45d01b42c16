//! The rustc wrapper: this executable, when Cargo runs it in place of rustc.
//!
//! For the crates of the base library, it has generic functions shared: what that library has compiled for a type, no cell compiles again.
//! rustc does so by itself only in code that is not optimised. `RUSTFLAGS` is not used for it, because evcxr's Cargo would then not reuse
//! anything that was compiled.
//!
//! For the crate of a cell that evcxr evaluates, it changes one generated line. evcxr makes a `?` that meets an `Err` print the error on
//! standard error, where it cannot be told from what the cell printed itself. The changed line calls a function that reports the error as
//! such. Line numbers stay what they are. All other compilations are passed on untouched.

use super::own_program::own_program;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that makes this executable act as rustc.
pub const WRAPPER_ENV: &str = "MOBULA_RUSTC";
/// Its value when generic functions are to be shared.
const SHARE: &str = "share";

/// Has Cargo call this executable as rustc, so that generic functions are shared.
pub fn share_generics(cargo: &mut Command) {
    cargo.env("RUSTC_WRAPPER", own_program()).env(WRAPPER_ENV, SHARE);
}

/// The lines that evcxr generates, and their replacement. Neither is code that a person would type.
const PRINTED: &str =
    "eprintln!(\"{}\", error);\n                    println!(\"{}\", evcxr_internal_runtime::USER_ERROR_OCCURRED);";
const REPORTED: &str = "::mobula::__private::cell_error(&error);\n                    println!(\"{}\", evcxr_internal_runtime::USER_ERROR_OCCURRED);";

const SOURCE: &str = "src/lib.rs";
/// The folder of the changed source. Its name is mapped back, so that messages and panics name `src/lib.rs`.
const CHANGED_DIR: &str = "mobula-src";

/// Runs as rustc if this process was started as the wrapper; returns otherwise. Must be called before any thread exists.
pub fn run_if_asked() {
    let Some(role) = std::env::var_os(WRAPPER_ENV) else { return };
    let mut args = std::env::args_os().skip(1);
    let Some(rustc) = args.next() else { return };
    let args: Vec<_> = args.collect();
    let mut command = Command::new(rustc);
    command.env_remove(WRAPPER_ENV);
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    if role == SHARE {
        if is_library(&words) {
            // An unstable option; no unstable language feature is used.
            command.arg("-Zshare-generics=y").env("RUSTC_BOOTSTRAP", "1");
        }
        become_rustc(command.args(&args));
    }
    match changed_source(&words) {
        Some(changed) => {
            let args = args.iter().map(|arg| if arg == SOURCE { changed.as_os_str() } else { arg });
            command.args(args).arg(format!("--remap-path-prefix={CHANGED_DIR}=src"));
            let status = command.status();
            // Also after an error: if Cargo learnt of the changed file, it would no longer see changes to the real one.
            restore_dep_info(&words);
            std::process::exit(status.ok().and_then(|status| status.code()).unwrap_or(101));
        }
        None => become_rustc(command.args(&args)),
    }
}

fn become_rustc(command: &mut Command) -> ! {
    let error = command.exec();
    eprintln!("mobula: rustc could not be run: {error}");
    std::process::exit(101);
}

/// Whether rustc compiles a library that is linked: not a query of Cargo's, not a test of a build script, not a library that runs in the
/// compiler.
fn is_library(args: &[&str]) -> bool {
    let is_cargos = std::env::var_os("CARGO_CRATE_NAME").is_some() && args.contains(&"--crate-name");
    let follows = |flag: &str, kinds: &[&str]| args.windows(2).any(|two| two[0] == flag && kinds.contains(&two[1]));
    is_cargos && follows("--crate-type", &["lib", "rlib", "dylib"])
}

/// Writes the changed source, if this is a cell's crate that has the generated line.
fn changed_source(args: &[&str]) -> Option<PathBuf> {
    if !args.contains(&SOURCE) || !args.iter().any(|arg| arg.starts_with("mobula=")) {
        return None;
    }
    let source = std::fs::read_to_string(SOURCE).ok()?;
    let changed = rewrite(&source)?;
    std::fs::create_dir_all(CHANGED_DIR).ok()?;
    let path = Path::new(CHANGED_DIR).join("lib.rs");
    std::fs::write(&path, changed).ok()?;
    Some(path)
}

fn rewrite(source: &str) -> Option<String> {
    source.contains(PRINTED).then(|| source.replacen(PRINTED, REPORTED, 1))
}

fn restore_dep_info(args: &[&str]) {
    let value = |flag: &str| args.iter().position(|arg| *arg == flag).and_then(|at| args.get(at + 1)).copied();
    let (Some(dir), Some(name)) = (value("--out-dir"), value("--crate-name")) else { return };
    let extra = args.iter().find_map(|arg| arg.strip_prefix("extra-filename=")).unwrap_or_default();
    let path = Path::new(dir).join(format!("{name}{extra}.d"));
    if let Ok(text) = std::fs::read_to_string(&path) {
        let _ = std::fs::write(&path, text.replace(&format!("{CHANGED_DIR}/lib.rs"), SOURCE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_generated_line_is_changed_and_lines_stay_where_they_are() {
        let source = format!(
            "fn f() {{ eprintln!(\"{{}}\", error); }}\nfn from(error: T) -> Self {{\n                    {PRINTED}\n}}\n"
        );
        let changed = rewrite(&source).unwrap();
        assert!(changed.contains("fn f() { eprintln!(\"{}\", error); }"));
        assert!(changed.contains("cell_error"));
        assert_eq!(changed.lines().count(), source.lines().count());
    }

    #[test]
    fn a_source_without_it_is_left_alone() {
        assert_eq!(rewrite("fn f() { eprintln!(\"{}\", error); }"), None);
    }
}
