//! Growth of cost with input size: each row is the time for ten times the input divided by the time for the input.
//!
//! ```text
//!   nothing, n, 10 n ─▶ a script for `mobula`, from its start to its end ─▶ (t(10 n) − t(0)) / (t(n) − t(0))
//! ```
//!
//! 10 is right; what looks at everything again for each piece comes near 100. Prints one line of JSON a row: `{"row", "unit", "median", "min",
//! "max"}`. `cargo xtask bench` runs it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A row's name, its smaller input's size, and a script with an input of some size.
type Growth = (&'static str, usize, fn(usize) -> String);

const ALL: &[Growth] = &[
    ("growth_lines_of_a_cell", 30_000, lines_of_a_cell),
    ("growth_lines_with_commands", 30_000, lines_with_commands),
    ("growth_bytes_of_a_display", 4 << 20, bytes_of_a_display),
    ("growth_objects_on_disk", 10_000, objects_on_disk),
    ("growth_two_threads_wait", 20_000, two_threads_wait),
];

fn main() -> Result<()> {
    let repeats: usize = std::env::var("MOBULA_BENCH_REPEATS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let only = std::env::args().nth(1).filter(|arg| !arg.starts_with('-')).unwrap_or_default();
    for (name, size, script) in ALL.iter().filter(|(name, ..)| name.contains(&only)) {
        let [nothing, once, tenfold] = [0, *size, 10 * size].map(|size| {
            let script = script(size);
            let times: Result<Vec<f64>> = (0..repeats).map(|_| seconds(&script)).collect();
            times.map(|mut times| {
                times.sort_by(f64::total_cmp);
                times
            })
        });
        let (nothing, once, tenfold) = (nothing?, once?, tenfold?);
        let floor = nothing[0];
        let ratio = |above: f64, below: f64| (above - floor) / (below - floor).max(1e-3);
        let middle = repeats / 2;
        let median = ratio(tenfold[middle], once[middle]);
        let (min, max) = (ratio(tenfold[0], once[repeats - 1]), ratio(tenfold[repeats - 1], once[0]));
        println!(r#"{{"row":"{name}","unit":"x","median":{median},"min":{min},"max":{max}}}"#);
    }
    Ok(())
}

/// How long `mobula` takes for a script on its standard input.
fn seconds(script: &str) -> Result<f64> {
    let begin = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mobula")).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    child.stdin.take().ok_or("no pipe")?.write_all(script.as_bytes())?;
    if !child.wait()?.success() {
        return Err(format!("a script failed: {}", script.lines().next().unwrap_or_default()).into());
    }
    Ok(begin.elapsed().as_secs_f64())
}

/// A cell in which a bracket stays open.
fn lines_of_a_cell(lines: usize) -> String {
    format!("std::convert::identity(\n{}1)\n", "    // a line\n".repeat(lines))
}

/// A cell of which each line could be a command.
fn lines_with_commands(lines: usize) -> String {
    format!("// a line\n{}1 + 1\n", "// a line\n".repeat(lines))
}

/// A display that comes in many pieces.
fn bytes_of_a_display(bytes: usize) -> String {
    format!(r#"println!("EVCXR_BEGIN_CONTENT text/plain\n{{}}\nEVCXR_END_CONTENT", "x".repeat({bytes}));"#)
}

/// Objects of which most go to disk.
fn objects_on_disk(objects: usize) -> String {
    format!(
        "init_with(Config::new().object_store_memory(8 << 20))?;\n\
         let kept = (0..{objects}).map(|i| put(&vec![i as u8; 2048])).collect::<Result<Vec<_>, _>>()?;\n\
         assert_eq!(kept.len(), {objects});\n"
    )
}

/// Two threads of a process that wait for the same tasks.
fn two_threads_wait(tasks: usize) -> String {
    format!(
        "fn one() -> i64 {{\n    1\n}}\n\
         {{\n    let refs: Vec<_> = (0..{tasks}).map(|_| one.remote()).collect();\n    \
         std::thread::scope(|scope| {{\n        for _ in 0..2 {{\n            scope.spawn(|| get(&refs).unwrap());\n        }}\n    }});\n}}\n\n"
    )
}
