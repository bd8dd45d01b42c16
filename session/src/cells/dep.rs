//! The argument of `:dep`: one crate or several, as in Cargo.toml or shorter.
//!
//! ```text
//! rand = "0.9"                  rand          rand@0.9          itoa = "1"; ryu = "1"       # comments, also // of Rust's
//! .                             the dependencies of the Cargo.toml in the session's folder; `./` is the crate there
//! mine = { path = "../mine" }   { path = "../mine" }            ../mine                     serde --features derive
//! ```
//!
//! The result is what Cargo understands in a manifest of edition 2024, on one line, with whole paths.

use super::manifest_deps::{self, ManifestDeps};
use crate::base::toolchain::Toolchain;
use crate::home::path_from;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The keys of a dependency (<https://doc.rust-lang.org/cargo/reference/specifying-dependencies.html>).
const KEYS: [&str; 13] = [
    "version",
    "path",
    "git",
    "branch",
    "tag",
    "rev",
    "features",
    "default-features",
    "package",
    "registry",
    "registry-index",
    "optional",
    "public",
];

/// One crate that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dep {
    /// Its name.
    pub name: String,
    /// Cargo's requirement; `None` if only the name was given.
    pub requirement: Option<String>,
}

/// What an argument asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The crates.
    pub deps: Vec<Dep>,
    /// What a person is told when they are there.
    pub told: String,
}

/// Reads the argument. Paths in it are relative to `folder`.
///
/// # Errors
/// A sentence that says what is wrong with the argument.
pub fn read(argument: &str, folder: &Path) -> Result<Asked, String> {
    let text = uncommented(argument);
    let mut asked = Asked::default();
    let mut pieces = pieces(&text).map(str::trim).filter(|piece| !piece.is_empty()).peekable();
    pieces.peek().ok_or_else(usage)?;
    for piece in pieces {
        if piece != "." {
            asked.deps.extend(one(piece, folder)?);
            continue;
        }
        let ManifestDeps { taken, told } = manifest_deps::read(folder, &Toolchain::find()?.cargo)?;
        asked.deps.extend(taken.into_iter().map(|(name, wanted)| Dep { name, requirement: Some(wanted) }));
        asked.told.push_str(&told);
    }
    Ok(asked)
}

fn usage() -> String {
    "write `:dep NAME = REQUIREMENT`, such as `:dep rand = \"0.9\"`".into()
}

/// The folder in a requirement for a crate on this machine.
pub fn path_of(requirement: &str) -> Option<PathBuf> {
    let table: Table = toml::from_str(&format!("a = {requirement}")).ok()?;
    table["a"].get("path")?.as_str().map(PathBuf::from)
}

/// Whether a bracket, and no text, is open at the end of a line, so that the next line belongs to it.
pub fn goes_on(text: &str) -> bool {
    let mut open = 0i32;
    let mut is_in_text = false;
    scan(text, |c, quoted| {
        is_in_text = quoted;
        match c {
            '{' | '[' if !quoted => open += 1,
            '}' | ']' if !quoted => open -= 1,
            _ => {}
        }
    });
    open > 0 && !is_in_text
}

/// Calls `each` with each character and whether it is inside a text; leaves comments out.
fn scan(text: &str, mut each: impl FnMut(char, bool)) {
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            Some('"') if c == '\\' => {
                each(c, true);
                if let Some(escaped) = chars.next() {
                    each(escaped, true);
                }
                continue;
            }
            Some(open) => {
                each(c, c != open);
                if c == open {
                    quote = None;
                }
                continue;
            }
            None => {}
        }
        let is_comment = c == '#' || c == '/' && chars.peek() == Some(&'/');
        if is_comment {
            while chars.next_if(|c| *c != '\n').is_some() {}
            continue;
        }
        if c == '"' || c == '\'' {
            quote = Some(c);
        }
        each(c, false);
    }
}

fn uncommented(text: &str) -> String {
    // A path or an address without quotes may contain what looks like a comment.
    if text.trim_start().starts_with(['.', '/', '~']) {
        return text.split(" //").next().unwrap_or(text).to_owned();
    }
    let mut out = String::new();
    scan(text, |c, _| out.push(c));
    out
}

/// Splits at each `;` that stands outside texts and brackets.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut ends = Vec::new();
    let (mut at, mut open) = (0, 0i32);
    scan(text, |c, quoted| {
        match c {
            '{' | '[' if !quoted => open += 1,
            '}' | ']' if !quoted => open -= 1,
            ';' if !quoted && open <= 0 => ends.push(at),
            _ => {}
        }
        at += c.len_utf8();
    });
    ends.push(text.len());
    let mut from = 0;
    ends.into_iter().map(move |end| {
        let piece = &text[from..end];
        from = (end + 1).min(text.len());
        piece
    })
}

fn one(text: &str, folder: &Path) -> Result<Vec<Dep>, String> {
    if text.starts_with(['.', '/', '~']) {
        let path = Value::String(text.to_owned());
        return Ok(vec![named_in_its_manifest(Table::from_iter([("path".to_owned(), path)]), folder)?]);
    }
    if text.starts_with('{') {
        let table: Table = toml::from_str(&format!("a = {text}")).map_err(|error| wrong(text, &error))?;
        let Some(Value::Table(table)) = table.get("a").cloned() else { return Err(usage()) };
        return Ok(vec![named_in_its_manifest(table, folder)?]);
    }
    if !text.contains('=') {
        return short(text, folder).map(|dep| vec![dep]);
    }
    let table: Table = match toml::from_str(text) {
        Ok(table) => table,
        // `itoa = 1.0.4` without quotes.
        Err(error) => match text.split_once('=').map(|(name, version)| (name.trim(), version.trim())) {
            Some((name, version)) if is_version(version) => {
                Table::from_iter([(name.to_owned(), Value::String(version.to_owned()))])
            }
            _ => return Err(wrong(text, &error)),
        },
    };
    let raw = text.split_once('=').map_or("", |(_, raw)| raw.trim());
    let dep = |(name, value): (String, Value)| {
        let value = match value {
            // `0.10` is a version here, not a number.
            Value::Integer(_) | Value::Float(_) => Value::String(raw.to_owned()),
            Value::Table(table) => Value::Table(settled(&name, table, folder)?),
            value => value,
        };
        match value {
            Value::String(_) | Value::Table(_) => {
                Ok(Dep { name: checked(&name)?, requirement: Some(value.to_string().replace('\n', " ")) })
            }
            _ => Err(usage()),
        }
    };
    table.into_iter().map(dep).collect()
}

fn is_version(text: &str) -> bool {
    let text = text.trim_start_matches(['^', '~', '=', '>', '<', ' ']);
    text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_alphanumeric() || ".+-*".contains(c))
}

fn wrong(text: &str, error: &toml::de::Error) -> String {
    let first = text.lines().next().unwrap_or_default();
    format!("`{first}` is not as in Cargo.toml: {}; {}", error.message(), usage())
}

/// Reads `rand`, `rand@0.9`, and arguments of `cargo add`.
fn short(text: &str, folder: &Path) -> Result<Dep, String> {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let (name, version) = match first.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (first, None),
    };
    let name = checked(name)?;
    let mut table = Table::new();
    let text = |value: &str| Value::String(value.to_owned());
    table.extend(version.map(|version| ("version".to_owned(), text(version))));
    while let Some(word) = words.next() {
        let (option, joined) = word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
        if option == "--no-default-features" {
            table.insert("default-features".into(), Value::Boolean(false));
            continue;
        }
        let Some(value) = joined.or_else(|| words.next()) else { return Err(usage()) };
        match option {
            "--features" | "-F" => {
                let more = value.split(',').filter(|feature| !feature.is_empty()).map(text);
                let features = table.entry("features").or_insert(Value::Array(Vec::new()));
                features.as_array_mut().into_iter().for_each(|features| features.extend(more.clone()));
            }
            "--path" | "--git" | "--branch" | "--tag" | "--rev" => {
                table.insert(option[2..].to_owned(), text(value));
            }
            _ => return Err(usage()),
        }
    }
    if table.is_empty() {
        return Ok(Dep { name, requirement: None });
    }
    let requirement = match (table.len(), version) {
        (1, Some(version)) => text(version),
        _ => Value::Table(settled(&name, table, folder)?),
    };
    Ok(Dep { name, requirement: Some(requirement.to_string()) })
}

fn checked(name: &str) -> Result<String, String> {
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        && name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    match is_name {
        true => Ok(name.to_owned()),
        false if name.is_empty() => Err(usage()),
        false => Err(format!("`{name}` is not a crate name; {}", usage())),
    }
}

/// Checks a requirement's keys and makes its path whole.
fn settled(name: &str, table: Table, folder: &Path) -> Result<Table, String> {
    let mut settled = Table::new();
    for (key, value) in table {
        let key = key.replace('_', "-");
        if !KEYS.contains(&key.as_str()) {
            let near = super::command_names::nearest(&key, KEYS.iter().copied());
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("`{key}` is not a key of the dependency `{name}`{hint}"));
        }
        let value = match (key.as_str(), value) {
            ("path", Value::String(path)) => Value::String(crate_folder(&path, folder)?.to_string_lossy().into_owned()),
            (_, value) => value,
        };
        settled.insert(key, value);
    }
    if !["version", "path", "git"].iter().any(|key| settled.contains_key(*key)) {
        settled.insert("version".into(), Value::String("*".into()));
    }
    Ok(settled)
}

fn crate_folder(path: &str, folder: &Path) -> Result<PathBuf, String> {
    let whole = path_from(folder, path);
    // Cargo runs in another folder, and `..` may go through a symbolic link.
    let found = whole.canonicalize().ok().filter(|found| found.join("Cargo.toml").is_file());
    found.ok_or_else(|| {
        let whole = whole.canonicalize().unwrap_or(whole);
        match whole.is_dir() {
            true => format!("there is no crate at {}: it has no `Cargo.toml`", whole.display()),
            false => format!("there is no crate at {}: there is no such folder", whole.display()),
        }
    })
}

/// Reads a crate on this machine that was given without a name.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn named_in_its_manifest(table: Table, folder: &Path) -> Result<Dep, String> {
    let nameless = || "a crate without a name has to have a path, such as `:dep { path = \"./mine\" }`".to_owned();
    let table = settled("the crate", table, folder)?;
    let path = table.get("path").and_then(Value::as_str).ok_or_else(nameless)?;
    let manifest = Path::new(path).join("Cargo.toml");
    let read = std::fs::read_to_string(&manifest).map_err(|error| format!("{}: {error}", manifest.display()))?;
    let read: Table = toml::from_str(&read).map_err(|error| format!("{}: {}", manifest.display(), error.message()))?;
    let name = read.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
    let name = name.ok_or_else(|| format!("{} names no package", manifest.display()))?;
    Ok(Dep { name: checked(name)?, requirement: Some(Value::Table(table).to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deps(argument: &str) -> Result<Vec<String>, String> {
        let deps = read(argument, Path::new("/nowhere"))?.deps;
        Ok(deps
            .into_iter()
            .map(|dep| format!("{} = {}", dep.name, dep.requirement.unwrap_or("\"*\"".into())))
            .collect())
    }

    #[track_caller]
    fn is(argument: &str, dep: &str) {
        assert_eq!(deps(argument).unwrap(), [dep], "{argument}");
    }

    #[test]
    fn a_dependency_is_written_as_in_cargos_manifest_or_shorter() {
        is("rand = \"0.9\"", "rand = \"0.9\"");
        is("either = '1'", "either = \"1\"");
        is("rand", "rand = \"*\"");
        is("rand@0.9", "rand = \"0.9\"");
        is("rand = 0.10", "rand = \"0.10\"");
        is("rand = 0.9.2", "rand = \"0.9.2\"");
        is("serde --features derive,rc", "serde = { features = [\"derive\", \"rc\"], version = \"*\" }");
        is("f = { package = \"fnv\", version = \"1\" }", "f = { package = \"fnv\", version = \"1\" }");
    }

    #[test]
    fn older_spellings_and_tables_over_several_lines_are_understood() {
        is("a = { version = \"1\", default_features = false }", "a = { default-features = false, version = \"1\" }");
        is("a = { version = \"1\", features = [\n  \"x\",\n],\n}", "a = { features = [\"x\"], version = \"1\" }");
        is("a = { features = [\"x\"] }", "a = { features = [\"x\"], version = \"*\" }");
    }

    #[test]
    fn several_are_parted_by_semicolons_and_comments_are_left_out() {
        let two = ["itoa = \"1\"", "ryu = \"1\""];
        assert_eq!(deps("itoa=\"1\"; ryu=\"1\"").unwrap(), two);
        assert_eq!(deps("itoa = \"1\"; ryu@1; // both").unwrap(), two);
        is("a = \"1\" # a number", "a = \"1\"");
        is("a = { git = \"https://a.b/c#d\" }", "a = { git = \"https://a.b/c#d\" }");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (argument, says) in [
            ("", "write `:dep"),
            ("1abc = \"1\"", "`1abc` is not a crate name"),
            ("a = { verion = \"1\" }", "did you mean `version`?"),
            ("a = { path = \"./a\" }", "there is no crate at /nowhere/./a"),
            ("{ version = \"1\" }", "has to have a path"),
            ("a = [", "is not as in Cargo.toml"),
            ("a --nonsense b", "write `:dep"),
        ] {
            let error = deps(argument).unwrap_err();
            assert!(error.contains(says), "{argument}: {error}");
        }
    }

    #[test]
    fn a_crate_on_this_machine_has_its_name_from_its_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let mine = dir.path().canonicalize().unwrap().join("mine");
        std::fs::create_dir_all(&mine).unwrap();
        std::fs::write(mine.join("Cargo.toml"), "[package]\nname = \"my-own\"\n").unwrap();
        for argument in ["./mine", "{ path = \"mine\" }", "my-own = { path = \"./mine\" }", "my-own --path ./mine"] {
            let found = read(argument, dir.path()).unwrap().deps.remove(0);
            let requirement = found.requirement.unwrap();
            assert_eq!((found.name.as_str(), path_of(&requirement)), ("my-own", Some(mine.clone())), "{argument}");
        }
    }

    #[test]
    fn an_open_bracket_goes_on_and_one_in_a_text_or_a_comment_does_not() {
        assert!(goes_on("a = { features = [") && goes_on("a = {"));
        assert!(!goes_on("a = \"{\"") && !goes_on("a = \"1\" # {") && !goes_on("a = { version = \"1\" }"));
    }
}
