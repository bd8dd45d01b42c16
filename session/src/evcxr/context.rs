//! Starting evcxr.

use crate::base::{CELL_DEPS, Template};
use evcxr::{CommandContext, Error, EvalContext};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Starts evcxr with a child of ours, in a new folder below `base` that gets the compiled dependencies.
///
/// # Errors
/// evcxr's error, or the folder cannot be written.
pub fn open(child: Command, base: &Path, template: &Template) -> Result<(CommandContext, PathBuf), String> {
    // evcxr makes its folder where temporary folders are made.
    let _ = tempfile::env::override_temp_dir(base);
    let (context, outputs) = EvalContext::with_subprocess_command(child).map_err(|error| describe(&error))?;
    // evcxr waits until these are drained; all output worth reading goes through the link.
    for receiver in [outputs.stdout, outputs.stderr] {
        std::thread::spawn(move || receiver.iter().for_each(drop));
    }
    let dir = only_folder(base).ok_or("evcxr made no folder")?;
    template.link_into(&dir).map_err(|error| format!("the prepared crate cannot be linked: {error}"))?;
    Ok((CommandContext::with_eval_context(context), dir))
}

/// Adds the crates that every cell can use, after the commands of `setup`. A `CommandContext` gives no other access to its state.
///
/// # Errors
/// evcxr's error.
pub fn set_up(context: &mut CommandContext, mut setup: String, dir: &Path, template: &Template) -> Result<(), String> {
    setup.push_str(&format!(":dep mobula = {}\n", template.mobula_dep(&["inline"])));
    for (name, requirement) in CELL_DEPS {
        setup.push_str(&format!(":dep {name} = {requirement}\n"));
    }
    add_crates(context, &setup, dir)
}

/// The commands by which evcxr gets the crates that `code` asks for: its `:dep` lines, and Tokio for an `await`.
pub fn asked_crates(code: &str) -> String {
    let mut commands: String =
        code.lines().filter(|line| line.trim_start().starts_with(":dep")).map(|line| format!("{line}\n")).collect();
    if code.contains(".await") {
        // evcxr would add it by itself, once the cell has not compiled.
        commands.push_str(":dep tokio = { version = \"1.34.0\", features = [\"rt\", \"rt-multi-thread\"] }\n");
    }
    commands
}

/// Runs commands that add crates, and keeps the versions of those that are there. evcxr tries each crate alone, which leaves the lock file
/// with that crate's own; Cargo would then choose anew for all others, and a cell's variables do not outlive their crate.
///
/// # Errors
/// evcxr's error, or the lock file cannot be copied.
pub fn add_crates(context: &mut CommandContext, commands: &str, dir: &Path) -> Result<(), String> {
    if commands.is_empty() {
        return Ok(());
    }
    let (lock, kept) = (dir.join("Cargo.lock"), dir.join("kept.lock"));
    fs::copy(&lock, &kept).map_err(|error| error.to_string())?;
    // evcxr compiles right after the commands; a line of the shell is what it takes in between.
    let quoted = |path: &Path| format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"));
    let put_back = format!("!cp -- {} {}\n", quoted(&kept), quoted(&lock));
    context.execute(&format!("{commands}{put_back}")).map(drop).map_err(|error| {
        // A command that fails is the last one that evcxr runs.
        let _ = fs::copy(&kept, &lock);
        describe(&error)
    })
}

/// The error's text.
pub fn describe(error: &Error) -> String {
    match error {
        Error::CompilationErrors(errors) => errors.iter().map(|error| error.message()).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

fn only_folder(dir: &Path) -> Option<PathBuf> {
    fs::read_dir(dir).ok()?.filter_map(Result::ok).map(|entry| entry.path()).find(|path| path.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_asked_for_by_dep_and_by_await() {
        assert_eq!(asked_crates("1 + 1"), "");
        assert_eq!(asked_crates(":dep rand\nlet x = 1;\n :dep toml = \"0.8\"\n"), ":dep rand\n :dep toml = \"0.8\"\n");
        assert!(asked_crates("later.await?").starts_with(":dep tokio = "));
    }
}
