//! Embeds the sources of the bare crate, against which cells are compiled, into the binary.
//!
//! Their manifest is made from this package's own, so that versions are written down once.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Sources that a cell does not need: the runtime and the command line.
const LEFT_OUT: [&str; 3] = ["main.rs", "cli", "program.rs"];

fn main() {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=abi/src");
    println!("cargo::rerun-if-changed=macros/src");
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-changed=Cargo.lock");
    if env::var_os("CARGO_FEATURE_CLI").is_none() {
        return;
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut files = Vec::new();
    collect(&root.join("src"), "src", &mut files);
    collect(&root.join("abi/src"), "abi/src", &mut files);
    collect(&root.join("macros/src"), "macros/src", &mut files);
    files.sort();
    let mut list = String::from("&[\n");
    for name in &files {
        // By the folder of the crate that is compiled: Cargo does not run this again for a checkout that was moved.
        let content = format!("include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{name}\"))");
        let _ = writeln!(list, "    EmbeddedFile {{ path: {name:?}, content: {content} }},");
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("this package has a manifest");
    let member = |name: &str| fs::read_to_string(root.join(name).join("Cargo.toml")).expect("it has a manifest");
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    for (name, content) in [
        ("Cargo.toml", bare_manifest(&manifest)),
        ("abi/Cargo.toml", member_manifest(&manifest, "mobula-abi", &member("abi"))),
        ("macros/Cargo.toml", member_manifest(&manifest, "mobula-macros", &member("macros"))),
        ("Cargo.lock", lock),
    ] {
        let _ = writeln!(list, "    EmbeddedFile {{ path: {name:?}, content: {content:?} }},");
    }
    list.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("embedded.rs"), list).expect("the output folder can be written");
}

fn collect(dir: &Path, name: &str, files: &mut Vec<String>) {
    for entry in fs::read_dir(dir).expect("the sources can be read").flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let name = format!("{name}/{file}");
        if LEFT_OUT.iter().any(|left_out| name == format!("src/{left_out}")) {
            continue;
        }
        if entry.path().is_dir() {
            collect(&entry.path(), &name, files);
        } else if file.ends_with(".rs") {
            files.push(name);
        }
    }
}

fn bare_manifest(manifest: &str) -> String {
    format!(
        "[workspace]\nmembers = [\"abi\", \"macros\"]\n\n[package]\nname = \"mobula\"\nversion = {version:?}\nedition = \"2024\"\n\n\
         [features]\ndefault = []\ncli = []\ninline = []\nruntime = []\n{arrow}\n\n\
         [dependencies]\nmobula-abi = {{ path = \"abi\" }}\nmobula-macros = {{ path = \"macros\" }}\n{deps}",
        version = env!("CARGO_PKG_VERSION"),
        arrow = section(manifest, "features").lines().find(|line| line.starts_with("arrow =")).unwrap_or_default(),
        deps = deps(manifest, section(manifest, "dependencies")),
    )
}

fn member_manifest(manifest: &str, name: &str, own: &str) -> String {
    format!(
        "[package]\nname = {name:?}\nversion = {version:?}\nedition = \"2024\"\n\n[lib]\n{lib}\n[dependencies]\n{deps}",
        version = env!("CARGO_PKG_VERSION"),
        lib = section(own, "lib"),
        deps = deps(manifest, section(own, "dependencies")),
    )
}

/// The workspace's requirements for dependencies on other crates: those that are not optional, and Arrow's.
fn deps(manifest: &str, wanted: &str) -> String {
    let mut deps = String::new();
    let known = section(manifest, "workspace.dependencies");
    let requirement = |name: &str| {
        let of_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(" ="));
        known.lines().find(of_it).expect("a dependency is declared in the workspace")
    };
    for line in wanted.lines() {
        if let Some((name, _)) = line.split_once(".workspace = true").filter(|(name, _)| !name.starts_with("mobula")) {
            let _ = writeln!(deps, "{}", requirement(name));
        } else if let Some((name, _)) = line.split_once(" =").filter(|(name, _)| name.starts_with("arrow-")) {
            let optional = requirement(name).replacen('{', "{ optional = true,", 1);
            let _ = writeln!(deps, "{optional}");
        }
    }
    deps
}

/// The lines between a section's head and the next one's; empty if there is no such section.
fn section<'a>(manifest: &'a str, name: &str) -> &'a str {
    let head = format!("[{name}]\n");
    let Some(start) = manifest.find(&head).map(|at| at + head.len()) else { return "" };
    let rest = &manifest[start..];
    &rest[..rest.find("\n[").unwrap_or(rest.len())]
}
