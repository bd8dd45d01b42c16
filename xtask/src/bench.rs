//! `cargo xtask bench`: one table of times, each beside the floor of the machine that it stands on.
//!
//! ```text
//! benches/floors.rs   what the machine can do ─┐
//! benches/start.rs    starting, and being idle ─┤
//! benches/tasks.rs    tasks and objects, a cell ├─▶ rows ─▶ table with ratios, target/bench/mobula.json
//! benches/watched.rs  what the web page costs   │
//! benches/cells.py    cells, through Jupyter    │
//! benches/terminal.py cells, at a terminal      │
//! benches/growth.rs   ten times as much        ─┘
//! ```
//!
//! All of them print the same lines of JSON. The rows have the names that the peers' scripts give to the same work, so that
//! `benches/compare` can divide one by the other.

use crate::tree::Tree;
use crate::{setup, shell};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Measure only this (may be given several times). The floors are always measured.
    #[arg(long, value_enum)]
    only: Vec<Subject>,
    /// Measure this installed Jupyter kernel too, in turn with ours (may be given several times).
    #[arg(long, value_name = "KERNEL")]
    peer: Vec<String>,
    /// Samples of each row.
    #[arg(long, default_value_t = 5)]
    repeats: u32,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Subject {
    /// Tasks and objects.
    Tasks,
    /// The time from sending a cell to the end of its outputs.
    Cells,
    /// How many times as long ten times as much takes.
    Growth,
}

/// One measured row.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    name: String,
    unit: String,
    median: f64,
    min: f64,
    max: f64,
}

/// A row of ours, what it stands on, and how often the floor's work is in one unit of the row.
const FLOORS: &[(&str, &[&str], f64)] = &[
    ("task_round_trip", &["spin_ping_pong", "futex_ping_pong"], 1.0),
    ("task_round_trip_busy", &["futex_ping_pong_busy"], 1.0),
    ("task_throughput", &["spin_ping_pong"], 1.0),
    ("fan_out_10k", &["spin_ping_pong"], 10_000.0),
    ("shape_round_trip", &["futex_ping_pong"], 1.0),
    ("shape_fan_out_10k", &["spin_ping_pong"], 10_000.0),
    ("wait_stream_10k", &["spin_ping_pong"], 10_000.0),
    ("stream_item", &["spin_ping_pong"], 1.0),
    ("await_round_trip", &["futex_ping_pong"], 1.0),
    ("actor_round_trip", &["spin_ping_pong", "futex_ping_pong"], 1.0),
    ("actor_calls_10k", &["spin_ping_pong"], 10_000.0),
    ("chain_100", &["spin_ping_pong"], 1.0),
    ("put_1KiB", &["memcpy_1KiB"], 1.0),
    ("put_1MiB", &["memcpy_1MiB"], 1.0),
    ("put_100MiB_cold", &["memcpy_100MiB_cold", "memcpy_100MiB"], 1.0),
    ("put_100MiB", &["memcpy_100MiB"], 1.0),
    ("get_1MiB", &["memcpy_1MiB"], 1.0),
    ("get_100MiB", &["memcpy_100MiB"], 1.0),
    ("task_with_100MiB_ref", &["spin_ping_pong"], 1.0),
    ("let", &["rustc_empty_cdylib"], 1.0),
    ("call", &["rustc_empty_cdylib"], 1.0),
    ("steady", &["rustc_empty_cdylib"], 1.0),
    ("steady_after_100_items", &["rustc_empty_cdylib"], 1.0),
    ("remote_call", &["rustc_empty_cdylib"], 1.0),
    ("repl_steady", &["rustc_empty_cdylib"], 1.0),
    ("repl_remote_call", &["rustc_empty_cdylib"], 1.0),
];

/// Measures, prints the table and writes it to `target/bench/mobula.json`.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    let wants = |subject| options.only.is_empty() || options.only.contains(&subject);
    let repeats = options.repeats.max(1).to_string();
    let folder = tree.target.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let command = |program: &std::path::Path, words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words).current_dir(&tree.root).env("MOBULA_BENCH_REPEATS", &repeats);
        command
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let cargo = std::path::Path::new(&cargo);

    shell::run(&mut command(cargo, &["build", "--release", "--workspace", "--locked"]))?;
    let measure = |command: &mut Command| {
        eprintln!("\n== {}", shell::line(command));
        rows(&shell::capture(command)?)
    };
    let floors = measure(&mut command(cargo, &["bench", "--quiet", "--locked", "--bench", "floors"]))?;
    let mut ours = Vec::new();
    if wants(Subject::Tasks) {
        ours.extend(measure(&mut command(cargo, &["bench", "--quiet", "--locked", "--bench", "start"]))?);
        ours.extend(measure(&mut command(&tree.mobula(), &["run", "benches/tasks.rs"]))?);
        // The same beside other sessions: the rows are `NAME@joined`.
        shell::run(&mut command(&tree.mobula(), &["start", "--num-cpus", "2"]))?;
        let joined = measure(command(&tree.mobula(), &["run", "benches/tasks.rs"]).env("MOBULA_ADDRESS", "auto"));
        shell::run(&mut command(&tree.mobula(), &["stop"]))?;
        ours.extend(joined?.into_iter().map(|row| Row { name: format!("{}@joined", row.name), ..row }));
        ours.extend(measure(&mut command(&tree.mobula(), &["run", "benches/watched.rs"]))?);
    }
    if wants(Subject::Cells) {
        let python = setup::run(tree)?.jupyter;
        let prefix = folder.join("jupyter");
        shell::run(command(&tree.mobula(), &["kernel", "install", "--prefix"]).arg(&prefix))?;
        let mut cells = command(&python, &["benches/cells.py", "--repeats", &repeats, "mobula"]);
        // Where Jupyter finds peers, it finds them still.
        let found = std::env::var_os("JUPYTER_PATH").unwrap_or_default();
        let paths = [prefix.join("share/jupyter")].into_iter().chain(std::env::split_paths(&found));
        let path = std::env::join_paths(paths).context("a path of Jupyter's has a colon")?;
        ours.extend(measure(cells.args(&options.peer).env("JUPYTER_PATH", path))?);
        let mut terminal = command(&python, &["benches/terminal.py", "--repeats", &repeats]);
        ours.extend(measure(terminal.arg(tree.mobula()))?);
    }
    if wants(Subject::Growth) {
        ours.extend(measure(&mut command(cargo, &["bench", "--quiet", "--locked", "--bench", "growth"]))?);
    }
    print!("{}", table(&floors, &ours));
    let file = folder.join("mobula.json");
    fs::write(&file, format!("{:#}\n", document(&floors, &ours)))
        .with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("\nwritten to {}; `benches/compare` sets a peer's figures beside them", file.display());
    Ok(())
}

/// The rows among the lines that a benchmark printed.
fn rows(output: &str) -> Result<Vec<Row>> {
    let lines = output.lines().filter(|line| line.starts_with(r#"{"row""#));
    let rows = lines.map(row).collect::<Result<Vec<_>>>()?;
    if rows.is_empty() {
        bail!("the benchmark printed no row:\n{output}");
    }
    Ok(rows)
}

fn row(line: &str) -> Result<Row> {
    let value: Value = serde_json::from_str(line).with_context(|| format!("not a row: {line}"))?;
    let text = |key: &str| value[key].as_str().map(str::to_owned).with_context(|| format!("no `{key}` in {line}"));
    let number = |key: &str| value[key].as_f64().with_context(|| format!("no `{key}` in {line}"));
    Ok(Row {
        name: text("row")?,
        unit: text("unit")?,
        median: number("median")?,
        min: number("min")?,
        max: number("max")?,
    })
}

/// Microseconds per unit of a row; `us/task` counts as `us`.
fn microseconds(row: &Row) -> f64 {
    let per = match row.unit.split('/').next() {
        Some("ms") => 1e3,
        Some("s") => 1e6,
        _ => 1.0,
    };
    row.median * per
}

/// The rows under each other: name, median, unit, spread, and the floors with the ratio to each.
fn table(floors: &[Row], ours: &[Row]) -> String {
    let mut text = format!("\n{:<26}{:>14} {:<9}{:>28}   floors (ratio)\n", "row", "median", "unit", "min .. max");
    for row in floors.iter().chain(ours) {
        let peers =
            ours.iter().filter(|other| other.name.strip_prefix(&row.name).is_some_and(|rest| rest.starts_with('@')));
        let below = FLOORS.iter().filter(|(name, ..)| *name == row.name).flat_map(|(_, names, each)| {
            let of = |name: &&str| floors.iter().find(|floor| floor.name == **name).map(|floor| (floor, *each));
            names.iter().filter_map(of).collect::<Vec<_>>()
        });
        let ratio = |(floor, each): (&Row, f64)| {
            format!("{} ({:.3}x)", floor.name, microseconds(row) / each / microseconds(floor))
        };
        let beside = |peer: &Row| format!("{} / ours {:.1}x", &peer.name[row.name.len()..], peer.median / row.median);
        let ratios = below.map(ratio).chain(peers.map(beside)).collect::<Vec<_>>().join(", ");
        let spread = format!("{:.2} .. {:.2}", row.min, row.max);
        text += format!("{:<26}{:>14.2} {:<9}{spread:>28}   {ratios}", row.name, row.median, row.unit).trim_end();
        text.push('\n');
    }
    text
}

/// What `benches/compare` reads.
fn document(floors: &[Row], ours: &[Row]) -> Value {
    let rows = |rows: &[Row]| {
        let entry = |row: &Row| {
            (row.name.clone(), json!({ "median": row.median, "min": row.min, "max": row.max, "unit": row.unit }))
        };
        Value::Object(rows.iter().map(entry).collect())
    };
    json!({ "peer": concat!("mobula ", env!("CARGO_PKG_VERSION")), "rows": rows(ours), "floors": rows(floors) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "talk\n{\"row\":\"a\",\"unit\":\"us\",\"median\":2.0,\"min\":1.0,\"max\":3.0}\n";

    #[test]
    fn rows_are_found_between_other_lines() {
        let expected = Row { name: "a".into(), unit: "us".into(), median: 2.0, min: 1.0, max: 3.0 };
        assert_eq!(rows(OUTPUT).unwrap(), [expected]);
    }

    #[test]
    fn a_benchmark_that_prints_no_row_is_an_error() {
        assert!(rows("nothing").unwrap_err().to_string().contains("nothing"));
    }

    #[test]
    fn a_ratio_is_per_task_and_in_the_same_unit() {
        let row = |name: &str, unit: &str, median| Row {
            name: name.into(),
            unit: unit.into(),
            median,
            min: median,
            max: median,
        };
        let text = table(&[row("spin_ping_pong", "us", 10.0)], &[row("fan_out_10k", "ms", 200.0)]);
        assert!(text.contains("spin_ping_pong (2.000x)"), "{text}");
    }
}
