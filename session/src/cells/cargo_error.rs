//! Cargo's errors, without the session's own folder and crate, and with advice.

use crate::base::CRATE;
use std::path::Path;

/// Whether the network could help: the crate or the version is not on this machine yet.
pub fn may_be_mended_by_the_network(error: &str) -> bool {
    // It does not help with a crate that does not compile, or with a path on this machine that has no crate.
    !error.contains("could not compile") && !error.contains("failed to load manifest")
}

/// The error for a person. `dir`: the session's folder of crates.
pub fn readable(error: &str, dir: &Path) -> String {
    let project = dir.join("project");
    let project = project.to_string_lossy();
    let mut lines: Vec<String> = Vec::new();
    for line in error.lines() {
        let is_about_session = line.contains(CRATE) && (line.contains("required by") || line.contains("depend"));
        let is_left_out = line.trim_start().starts_with("required by package") && line.contains(CRATE)
            || line.contains("--offline")
            || line.contains("RUST_BACKTRACE");
        if is_left_out {
            continue;
        }
        let line = line.replace(&format!("{project}/Cargo.toml"), "the session's crates");
        let line = line
            .replace(&format!("({project})"), "")
            .replace(&*project, "the session")
            .replace(&*dir.to_string_lossy(), "the session");
        let line = if is_about_session || line.contains(CRATE) { without_own_crate(&line) } else { line };
        if !(line.trim().is_empty() && lines.last().is_none_or(String::is_empty)) {
            lines.push(line.trim_end().to_owned());
        }
    }
    let mut text = lines.join("\n").trim_end().to_owned();
    if let Some(hint) = hint(error) {
        text.push_str(&format!("\n\n{hint}"));
    }
    text
}

/// Writes `the session` for its crate, such as `mobula_base_3 v1.0.0`.
fn without_own_crate(line: &str) -> String {
    let Some(start) = line.find(CRATE) else { return line.to_owned() };
    let name = line[start..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(line.len(), |len| start + len);
    let rest = line[name..].strip_prefix(" v1.0.0").unwrap_or(&line[name..]);
    let rest = rest.strip_prefix(' ').filter(|rest| rest.is_empty() || rest.starts_with('`')).unwrap_or(rest);
    format!("{}the session{}", &line[..start], without_own_crate(rest))
}

fn hint(error: &str) -> Option<&'static str> {
    let hints = [
        ("no matching package named", "The name may be misspelled: search https://crates.io for it."),
        ("no matching package found", "The name may be misspelled: search https://crates.io for it."),
        (
            "candidate versions found which didn't match",
            "Ask for one of the versions that there are; `:dep NAME` takes the newest.",
        ),
        ("does not have that feature", "https://docs.rs tells the features of each crate."),
        ("does not have these features", "https://docs.rs tells the features of each crate."),
        (
            "failed to select a version",
            "Crates of the session ask for versions that exclude each other; `:show_deps` lists what was asked for.",
        ),
        (
            "multiple times with different names",
            "Cargo takes each crate once; `use NAME as OTHER;` gives it a second name.",
        ),
        ("linking with `", "A library that the crate links is not installed on this machine."),
        (
            "failed to run custom build command",
            "What the crate's build script says above mostly names a program or library that has to be installed.",
        ),
    ];
    hints.into_iter().find(|(word, _)| error.contains(word)).map(|(_, hint)| hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sessions_own_folder_and_crate_are_not_named() {
        let error = "error: no matching package named `nonsense` found\nlocation searched: crates.io index\n\
            required by package `mobula_base_1 v1.0.0 (/tmp/s/deps/project)`\nAs a reminder, you're using offline mode (--offline)";
        let text = readable(error, Path::new("/tmp/s/deps"));
        assert_eq!(
            text,
            "error: no matching package named `nonsense` found\nlocation searched: crates.io index\n\n\
             The name may be misspelled: search https://crates.io for it."
        );
        let other = readable(
            "error: package `mobula_base_2 v1.0.0 (/tmp/s/deps/project)` depends on `itoa`",
            Path::new("/tmp/s/deps"),
        );
        assert_eq!(other, "error: package `the session` depends on `itoa`");
    }

    #[test]
    fn the_network_is_asked_for_what_is_not_here_and_for_nothing_else() {
        assert!(may_be_mended_by_the_network("error: no matching package named `x` found"));
        assert!(!may_be_mended_by_the_network("error: could not compile `x`"));
    }
}
