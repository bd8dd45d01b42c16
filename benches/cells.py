"""Times cells on an installed Jupyter kernel: from `execute_request` to `idle`, as a front end sees it.

    python benches/cells.py KERNEL --repeats 3

Prints one line of JSON a row: {"row", "unit", "median", "min", "max"}. `ready` and `first` are counted from the start of the
kernel's process; the other rows are one cell each, in this order, in a fresh kernel per repeat. `cargo xtask bench` runs it.
"""

import argparse
import json
import statistics
import time

from jupyter_client.manager import KernelManager

STEADY = "s + x"
ONE_EACH = {
    "let": "let x = 1i64;",
    "expr": "x + 1",
    "fn": "fn f(a: i64) -> i64 { a + 1 }",
    "call": "f(2)",
    "print": 'println!("{}", f(3));',
    "collect": "let v: Vec<i64> = (0..10).collect();",
    "infer": "let s = v.iter().map(|a| a * 2).sum::<i64>();",
    "sum": STEADY,
}
STEADY_CELLS = 5
ITEM_CELLS = 30
DEADLINE_S = 120


def item_cell(i):
    """A cell of a few items, as notebooks have them: a struct, a method, a function."""
    return (
        f"#[derive(Debug, Clone)] pub struct Shape{i} {{ pub sides: Vec<f64>, pub name: String }}\n"
        f"impl Shape{i} {{ pub fn girth(&self, by: f64) -> f64 {{ self.sides.iter().map(|side| side * by).sum() }} }}\n"
        f"pub fn shapes{i}(n: usize) -> Vec<Shape{i}> {{\n"
        f"    (0..n).map(|j| Shape{i} {{ sides: vec![j as f64; 8], name: j.to_string() }}).collect()\n"
        f"}}"
    )


def milliseconds_since(begin):
    return (time.perf_counter() - begin) * 1e3


def time_cell(client, code):
    """Runs one cell and returns the milliseconds until the kernel is idle again."""
    begin = time.perf_counter()
    request = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=DEADLINE_S)
        if message["parent_header"].get("msg_id") != request:
            continue
        content = message["content"]
        if message["msg_type"] == "error":
            raise SystemExit(f"cell {code!r} failed: {content['ename']}: {content['evalue']}")
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            return milliseconds_since(begin)


def one_kernel(name, samples):
    """Starts a kernel, runs every row in it once and ends it."""

    def record(row, value):
        samples.setdefault(row, []).append(value)

    manager = KernelManager(kernel_name=name)
    begin = time.perf_counter()
    manager.start_kernel()
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=DEADLINE_S)
        record("ready", milliseconds_since(begin))
        time_cell(client, "1 + 1")
        record("first", milliseconds_since(begin))
        for row, code in ONE_EACH.items():
            record(row, time_cell(client, code))
        for _ in range(STEADY_CELLS):
            record("steady", time_cell(client, STEADY))
        for i in range(ITEM_CELLS):
            time_cell(client, item_cell(i))
        for _ in range(STEADY_CELLS):
            record(f"steady_after_{ITEM_CELLS}_items", time_cell(client, STEADY))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernel")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    samples = {}
    for _ in range(arguments.repeats):
        one_kernel(arguments.kernel, samples)
    for row, values in samples.items():
        line = {"row": row, "unit": "ms", "median": statistics.median(values), "min": min(values), "max": max(values)}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
