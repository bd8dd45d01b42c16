//! `cargo xtask conformance`: documentation examples under plain rustc and as cells, which must do the same.
//!
//! ```text
//! .rs, .md ─▶ blocks ─▶ example ─┬─▶ reference: rustc, and the program that it makes ─┐
//!             (fenced)  (filter) └─▶ split ─▶ cells: items, then the body, a session ─┴─▶ compare ─▶ report, minus the exceptions
//! ```
//!
//! The examples are those of the installed component `rust-src`; nothing of it is copied into this tree. What rustc makes of an example is kept
//! below the target folder, by its content, so that a second run only runs the cells.

mod blocks;
mod cells;
mod compare;
mod example;
mod exceptions;
mod reference;
mod split;

use crate::shell;
use crate::tree::Tree;
use crate::{setup, tree};
use anyhow::{Context, Result, bail};
use compare::Difference;
use example::Example;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The crates of the component `rust-src` whose documentation has examples.
const CRATES: [&str; 3] = ["core", "alloc", "std"];
/// How many examples the short form takes.
const SAMPLE: usize = 200;
/// How many compilers, or sessions, work at once.
const AT_ONCE: usize = 2;

/// What to compare.
#[derive(clap::Args)]
pub struct Options {
    /// Files and folders with `.rs` and Markdown files; without any, the standard library's source.
    paths: Vec<PathBuf>,
    /// All examples, not a sample.
    #[arg(long)]
    all: bool,
    /// How many examples the sample has.
    #[arg(long, default_value_t = SAMPLE)]
    sample: usize,
    /// Which sample.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only examples whose name (`std/src/path.rs:120`) contains this.
    #[arg(long)]
    only: Option<String>,
    /// Also prints both outcomes and the cells of what differs.
    #[arg(long)]
    verbose: bool,
    /// Another program than the one that was built last.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// Compares, and fails if something differs that is no exception.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    let python = setup::run(tree)?.jupyter;
    if options.program.is_none() {
        shell::run(Command::new(tree::cargo()).current_dir(&tree.root).args([
            "build",
            "--release",
            "--workspace",
            "--locked",
        ]))?;
    }
    compare(tree, options, &python)
}

/// The short form, for `cargo xtask test`, which has built everything.
pub fn sample(tree: &Tree, python: &Path) -> Result<()> {
    let options =
        Options { paths: vec![], all: false, sample: SAMPLE, seed: 1, only: None, verbose: true, program: None };
    compare(tree, &options, python)
}

fn compare(tree: &Tree, options: &Options, python: &Path) -> Result<()> {
    let exceptions = exceptions::read(&tree.root.join("tests/conformance/exceptions.txt"))?;
    let (examples, mut left_out) = chosen(options)?;
    eprintln!("\n{} examples; under rustc:", examples.len());
    let reference = reference::Reference::new(&tree.target.join("conformance"))?;
    let expected = each(&examples, |example| reference.outcome(example))?;
    let mut pairs = Vec::new();
    for (example, expected) in examples.iter().zip(expected) {
        match expected? {
            Ok(expected) => pairs.push((example, expected)),
            Err(why) => *left_out.entry(why).or_default() += 1,
        }
    }
    eprintln!("left out:");
    for (why, count) in &left_out {
        eprintln!("  {count:6} {why}");
    }

    eprintln!("{} as cells:", pairs.len());
    let program = options.program.clone().unwrap_or_else(|| tree.mobula());
    let chosen: Vec<&Example> = pairs.iter().map(|(example, _)| *example).collect();
    let outcomes = cells::run(tree, python, &program, &chosen, AT_ONCE)?;
    let mut differences: Vec<Difference> = Vec::new();
    for ((example, expected), outcome) in pairs.iter().zip(outcomes) {
        differences.extend(compare::difference(example, expected, &outcome));
    }
    let (excepted, differences): (Vec<_>, Vec<_>) =
        differences.into_iter().partition(|difference| exceptions.iter().any(|e| e.covers(&difference.name)));
    compare::print(&differences, options.verbose);
    let same = pairs.len() - excepted.len() - differences.len();
    println!("{same} of {} the same, {} exceptions, {} differ", pairs.len(), excepted.len(), differences.len());
    if !differences.is_empty() {
        bail!("{} of {} examples differ between rustc and cells", differences.len(), pairs.len());
    }
    Ok(())
}

/// The examples to compare, and how many were left out for which reason.
fn chosen(options: &Options) -> Result<(Vec<Example>, BTreeMap<String, usize>)> {
    let paths = if options.paths.is_empty() { library()? } else { options.paths.clone() };
    let mut left_out = BTreeMap::new();
    let mut examples = Vec::new();
    for path in &paths {
        // The crate's name, where it is a crate's `src`.
        let base = path.ancestors().nth(if path.ends_with("src") { 2 } else { 1 }).unwrap_or(path);
        for file in files(path)? {
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let named = file.strip_prefix(base).unwrap_or(&file).display().to_string();
            for block in blocks::of_file(&named, &text) {
                if options.only.as_ref().is_some_and(|only| !block.name.contains(only)) {
                    continue;
                }
                match Example::new(block) {
                    Ok(example) => examples.push(example),
                    Err(why) => *left_out.entry(why).or_default() += 1,
                }
            }
        }
    }
    // A macro's documentation is there once for each of its uses.
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    if !options.all && options.only.is_none() && options.paths.is_empty() {
        examples.sort_by_key(|example| reference::hash(&(options.seed, &example.name, &example.code)));
        examples.truncate(options.sample);
    }
    Ok((examples, left_out))
}

/// Where the standard library's crates lie.
fn library() -> Result<Vec<PathBuf>> {
    let sysroot = shell::capture(Command::new("rustc").args(["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
    if !library.exists() {
        bail!("{} is not there; `rustup component add rust-src` adds it", library.display());
    }
    Ok(CRATES.iter().map(|name| library.join(name).join("src")).collect())
}

/// The `.rs` and `.md` files below `path`, in order.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|end| end == "rs" || end == "md") {
            found.push(path);
        }
    }
    Ok(found)
}

/// What `work` makes of each of `items`, in their order, [`AT_ONCE`] at a time.
fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = work(item);
                    results.lock().expect("no worker panics").push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no worker panics");
    results.sort_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
