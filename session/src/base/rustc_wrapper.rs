//! The rustc wrapper: this executable, when Cargo runs it in the place of rustc.
//!
//! For what cells are linked with, it has generic functions shared: what that library has compiled for a type, no cell compiles again.
//! rustc does so by itself only in code that is not optimised. It is not asked through `RUSTFLAGS`, because then nothing that is compiled
//! would be what a session finds that evcxr evaluates.
//!
//! For the crate of a cell that evcxr evaluates: evcxr makes a `?` that meets an `Err` print the error on standard error, where nobody can tell it from what the cell
//! printed itself. Here that one generated line is changed, before rustc sees it, into a call that reports the error as
//! such. Line numbers stay what they are. All other compilations are passed on untouched.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set for this executable when it is to act as rustc.
pub const WRAPPER_ENV: &str = "MOBULA_RUSTC";
/// What it is set to when generic functions are to be shared.
const SHARE: &str = "share";

/// Has Cargo call this executable for rustc, to have generic functions shared.
pub fn share_generics(cargo: &mut Command) {
    if let Ok(program) = std::env::current_exe() {
        cargo.env("RUSTC_WRAPPER", program).env(WRAPPER_ENV, SHARE);
    }
}

/// What evcxr generates, and what stands there instead. Neither is code that a person would type.
const PRINTED: &str =
    "eprintln!(\"{}\", error);\n                    println!(\"{}\", evcxr_internal_runtime::USER_ERROR_OCCURRED);";
const REPORTED: &str = "::mobula::__private::cell_error(&error);\n                    println!(\"{}\", evcxr_internal_runtime::USER_ERROR_OCCURRED);";

const SOURCE: &str = "src/lib.rs";
/// The folder of the changed source. Its name is mapped back, so that messages and panics speak of `src/lib.rs`.
const CHANGED_DIR: &str = "mobula-src";

/// Runs as rustc if this process was started to be it; returns otherwise. To be called before any thread exists.
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
            // One option that is not stable; no feature of the language is used.
            command.arg("-Zshare-generics=y").env("RUSTC_BOOTSTRAP", "1");
        }
        become_rustc(command.args(&args));
    }
    match changed_source(&words) {
        Some(changed) => {
            let args = args.iter().map(|arg| if arg == SOURCE { changed.as_os_str() } else { arg });
            command.args(args).arg(format!("--remap-path-prefix={CHANGED_DIR}=src"));
            let status = command.status();
            // Whatever rustc said: if cargo learnt of the other file, it would no longer see changes to the real one.
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

/// Whether it compiles a library that is linked: not a question of Cargo's, not what a build script tries out, nothing that runs in the
/// compiler.
fn is_library(args: &[&str]) -> bool {
    let is_cargos = std::env::var_os("CARGO_CRATE_NAME").is_some() && args.contains(&"--crate-name");
    let follows = |flag: &str, kinds: &[&str]| args.windows(2).any(|two| two[0] == flag && kinds.contains(&two[1]));
    is_cargos && follows("--crate-type", &["lib", "rlib", "dylib"])
}

/// Writes the changed source, if this is a cell's crate with something to change.
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
