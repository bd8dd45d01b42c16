//! The manifest of an exported project.

use mobula_session::export::Exported;
use std::path::Path;

/// The crates that a cell can use without `:dep`, in the versions that Mobula's own types are made with.
const OF_CELLS: [(&str, &str); 2] =
    [("serde", "{ version = \"1\", features = [\"derive\"] }"), ("ndarray", "\"0.17\"")];

/// Names that Cargo or the compiler refuses for a package.
const TAKEN: [&str; 8] = ["test", "core", "std", "alloc", "proc-macro", "proc_macro", "build", "mobula"];

/// The manifest. Mobula's sources lie in the project.
pub(super) fn manifest(file: &Path, program: &Exported) -> String {
    let mut deps = vec![("mobula".to_owned(), MOBULA.to_owned())];
    deps.extend(OF_CELLS.iter().map(|(name, requirement)| ((*name).to_owned(), (*requirement).to_owned())));
    for (name, requirement) in &program.deps {
        deps.retain(|(known, _)| known != name);
        deps.push((name.clone(), requirement.clone()));
    }
    // A session runs cells on a runtime of all threads, whatever the `:dep` asks for.
    let features = |name: &str, requirement: &str| match (name, requirement.trim_start().starts_with('"')) {
        ("tokio", true) => format!("{{ version = {requirement}, features = [\"rt-multi-thread\"] }}"),
        _ => requirement.to_owned(),
    };
    let deps: String =
        deps.iter().map(|(name, requirement)| format!("{name} = {}\n", features(name, requirement))).collect();
    format!(
        "[package]\nname = \"{}\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n[dependencies]\n{deps}\n\
         # As cells are compiled in a session: with what they call optimised.\n[profile.dev]\nopt-level = 2\n\n\
         # A workspace of its own, whatever stands in the folders above.\n[workspace]\n",
        name(file)
    )
}

const MOBULA: &str = "{ path = \"mobula\", features = [\"runtime\"] }";

/// A package name, from the name of the file.
fn name(file: &Path) -> String {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    let name = name.trim_matches(['-', '_']);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !TAKEN.contains(&name)
        && !mobula_session::KEYWORDS.contains(&name);
    match (is_name, name) {
        (true, name) => name.to_owned(),
        (false, "") => "notebook".to_owned(),
        (false, name) => format!("notebook-{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_any_name_gives_a_package_name() {
        for (file, expected) in [
            ("tour.ipynb", "tour"),
            ("a/02_Resources and options.ipynb", "notebook-02_resources-and-options"),
            ("test.rs", "notebook-test"),
            ("loop.rs", "notebook-loop"),
            ("ü.rs", "notebook"),
        ] {
            assert_eq!(name(Path::new(file)), expected);
        }
    }

    #[test]
    fn a_dep_of_the_cells_takes_the_place_of_a_usual_one() {
        let dep = |name: &str, requirement: &str| (name.to_owned(), requirement.to_owned());
        let deps = vec![dep("serde", "\"1.0\""), dep("tokio", "\"1\""), dep("itoa", "{ path = \"/x\" }")];
        let written = manifest(Path::new("a.rs"), &Exported { deps, ..Exported::default() });
        let read: toml::Table = toml::from_str(&written).unwrap();
        assert_eq!(read["dependencies"]["serde"].as_str(), Some("1.0"));
        assert_eq!(read["dependencies"]["tokio"]["features"][0].as_str(), Some("rt-multi-thread"));
        assert_eq!(read["dependencies"]["mobula"]["path"].as_str(), Some("mobula"));
        assert!(read["dependencies"]["ndarray"].is_str() && read.contains_key("workspace"));
    }
}
