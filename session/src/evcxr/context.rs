//! Starting evcxr.

use crate::base::{CELL_DEPS, Template};
use evcxr::{CommandContext, Error, EvalContext};
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
    context.execute(&setup).map_err(|error| describe(&error))?;
    // Each `:dep` was tried alone, and left the lock file with its own crates only.
    template.restore_lock(dir).map_err(|error| error.to_string())
}

/// The error's text.
pub fn describe(error: &Error) -> String {
    match error {
        Error::CompilationErrors(errors) => errors.iter().map(|error| error.message()).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

fn only_folder(dir: &Path) -> Option<PathBuf> {
    std::fs::read_dir(dir).ok()?.filter_map(Result::ok).map(|entry| entry.path()).find(|path| path.is_dir())
}
