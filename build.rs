//! Embedding of sources into the binary: the bare crate, against which cells are compiled, and the runtime for
//! projects of `mobula export`.
//!
//! Their manifests are made from this workspace's own, so that versions are written down once.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Sources that a cell does not need: the runtime and the command line.
const LEFT_OUT: [&str; 3] = ["main.rs", "cli", "program.rs"];

/// Only `cargo xtask loom` sets the first one; the second one is the program's alone.
const KNOWN_CFGS: &str = "\n[lints.rust]\nunexpected_cfgs = { level = \"warn\", check-cfg = ['cfg(loom)', 'cfg(feature, values(\"ray\"))'] }\n";

fn main() {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=abi/src");
    println!("cargo::rerun-if-changed=macros/src");
    println!("cargo::rerun-if-changed=runtime/src");
    println!("cargo::rerun-if-changed=runtime/Cargo.toml");
    println!("cargo::rerun-if-changed=fds/src");
    println!("cargo::rerun-if-changed=fds/Cargo.toml");
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
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("this package has a manifest");
    let member = |name: &str| fs::read_to_string(root.join(name).join("Cargo.toml")).expect("it has a manifest");
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let made = [
        ("Cargo.toml", bare_manifest(&manifest)),
        ("abi/Cargo.toml", member_manifest(&manifest, "mobula-abi", &member("abi"))),
        ("macros/Cargo.toml", member_manifest(&manifest, "mobula-macros", &member("macros"))),
        ("Cargo.lock", lock),
    ];
    write_list("embedded.rs", files, &made);

    let mut files = vec!["src/program.rs".to_owned()];
    collect(&root.join("runtime/src"), "runtime/src", &mut files);
    // A project of its own joins no cluster; what a cell host needs for that is part of the runtime.
    let is_of_cluster =
        |name: &String| ["cluster", "transport"].iter().any(|part| name.contains(&format!("/ray/{part}")));
    files.retain(|name| !is_of_cluster(name));
    collect(&root.join("fds/src"), "fds/src", &mut files);
    let made = [
        ("Cargo.toml", runtime_manifest(&manifest)),
        ("abi/Cargo.toml", member_manifest(&manifest, "mobula-abi", &member("abi")) + KNOWN_CFGS),
        ("runtime/Cargo.toml", member_manifest(&manifest, "mobula-runtime", &member("runtime")) + KNOWN_CFGS),
        ("fds/Cargo.toml", member_manifest(&manifest, "mobula-fds", &member("fds"))),
    ];
    write_list("embedded_runtime.rs", files, &made);
}

/// Writes a list of embedded files: those of the workspace, and those that are made here.
fn write_list(name: &str, mut files: Vec<String>, made: &[(&str, String)]) {
    files.sort();
    let mut list = String::from("&[\n");
    for name in &files {
        // By the folder of the crate that is compiled: Cargo does not run this again for a checkout that was moved.
        let content = format!("include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{name}\"))");
        let _ = writeln!(list, "    EmbeddedFile {{ path: {name:?}, content: {content} }},");
    }
    for (name, content) in made {
        let _ = writeln!(list, "    EmbeddedFile {{ path: {name:?}, content: {content:?} }},");
    }
    list.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join(name), list).expect("the output folder can be written");
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

/// The manifest of the crate with its runtime. It is a member of the workspace of the program beside which it lies.
fn runtime_manifest(manifest: &str) -> String {
    let bare = bare_manifest(manifest);
    let (_, package) = bare.split_once("\n\n").expect("the workspace stands first");
    let runtime = "mobula-runtime = { path = \"runtime\", optional = true }\n";
    package.replacen("runtime = []", "runtime = [\"inline\", \"dep:mobula-runtime\"]", 1) + runtime
}

fn member_manifest(manifest: &str, name: &str, own: &str) -> String {
    format!(
        "[package]\nname = {name:?}\nversion = {version:?}\nedition = \"2024\"\n\n[lib]\n{lib}\n[dependencies]\n{own}{deps}",
        version = env!("CARGO_PKG_VERSION"),
        own = own_deps(section(own, "dependencies")),
        lib = section(own, "lib"),
        deps = deps(manifest, section(own, "dependencies")),
    )
}

/// A member's dependencies on other members, which lie beside it.
fn own_deps(wanted: &str) -> String {
    let names = wanted.lines().filter_map(|line| line.strip_prefix("mobula-")?.split_once(".workspace"));
    names.map(|(name, _)| format!("mobula-{name} = {{ path = \"../{name}\" }}\n")).collect()
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
