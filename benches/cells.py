"""Times cells on installed Jupyter kernels: from `execute_request` to `idle`, as a front end sees it.

    python benches/cells.py KERNEL [PEER …] --repeats 3

Prints one line of JSON a row: {"row", "unit", "median", "min", "max"}; rows of a peer are called `row@PEER`. The kernels take turns,
so that they meet the same machine. `ready` and `first` are counted from the start of the kernel's process; the other rows are one
cell each, in this order, in a fresh kernel per repeat. `cargo xtask bench` runs it.
"""

import argparse
import json
import pathlib
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
REMOTE = "let r = f.remote(1);"  # only where there is such a thing
SLEEPS = "std::thread::sleep(std::time::Duration::from_millis(1500));"
COMPLETED = "v.is_em"
KNOWN_LATE = "1u8.count_on"
STEADY_CELLS = 5
ITEM_CELLS = 100
DEPENDENTS = 10
REDEFINITIONS = 5
COMPLETIONS = 5
DEADLINE_S = 120
WARM_S = 30  # how long a kernel may take until its completion is fast


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


def phases_of(client, code):
    """Runs one cell and returns where its time went, as far as its kernel says."""
    request = client.execute(code)
    reply = client.get_shell_msg(timeout=DEADLINE_S)
    while reply["parent_header"].get("msg_id") != request:
        reply = client.get_shell_msg(timeout=DEADLINE_S)
    return reply["metadata"].get("phases", {})


def complete(client):
    """Asks for a completion and returns the milliseconds until it is there, and what it was."""
    begin = time.perf_counter()
    reply = client.complete(COMPLETED, len(COMPLETED), reply=True, timeout=DEADLINE_S)
    return milliseconds_since(begin), reply["content"]["matches"]


def completions(client, record):
    """Completion when the kernel has nothing to do, and while a cell runs."""
    deadline = time.monotonic() + WARM_S
    record("complete_first", complete(client)[0])
    # Of a literal nothing is known before all is.
    client.complete(KNOWN_LATE, len(KNOWN_LATE), reply=True, timeout=DEADLINE_S)
    while not any(match.startswith("is_empty") for match in complete(client)[1]):
        if time.monotonic() > deadline:
            return
        time.sleep(0.1)
    for _ in range(COMPLETIONS):
        record("complete_idle", complete(client)[0])
    request = client.execute(SLEEPS)
    begun = False
    while not begun:
        message = client.get_iopub_msg(timeout=DEADLINE_S)
        begun = message["msg_type"] == "execute_input" and message["parent_header"].get("msg_id") == request
    time.sleep(0.5)  # until the cell is compiled: what is measured is a cell that runs
    record("complete_busy", complete(client)[0])
    while message["msg_type"] != "status" or message["content"]["execution_state"] != "idle":
        message = client.get_iopub_msg(timeout=DEADLINE_S)


def redefinitions(client, record):
    """A new function beside one that is defined anew, with others in cells of their own that call it."""
    time_cell(client, "fn root(a: i64) -> i64 { a }")
    for i in range(DEPENDENTS):
        time_cell(client, f"fn leaf{i}(a: i64) -> i64 {{ root(a) + {i} }}")
    for i in range(REDEFINITIONS):
        record("fn_new", time_cell(client, f"fn alone{i}(a: i64) -> i64 {{ a + {i} }}"))
        record(f"fn_redefined_with_{DEPENDENTS}_dependents", time_cell(client, f"fn root(a: i64) -> i64 {{ a + 1{i} }}"))
    time_cell(client, f"assert_eq!(leaf{DEPENDENTS - 1}(1), 1 + 1{REDEFINITIONS - 1} + {DEPENDENTS - 1});")


def mebibytes(pid):
    """The memory that a process alone is the reason for: its own, and its share of what it shares."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024


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
        for phase, value in phases_of(client, STEADY).items():
            record(f"steady_phase_{phase}", value)
        if name.startswith("mobula"):
            for _ in range(STEADY_CELLS):
                record("remote_call", time_cell(client, REMOTE))
            redefinitions(client, record)
        completions(client, record)
        record("memory_front", mebibytes(manager.provisioner.pid))
        for i in range(ITEM_CELLS):
            time_cell(client, item_cell(i))
        for _ in range(STEADY_CELLS):
            record(f"steady_after_{ITEM_CELLS}_items", time_cell(client, STEADY))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernels", nargs="+", metavar="KERNEL")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    samples = {name: {} for name in arguments.kernels}
    for _ in range(arguments.repeats):
        for name in arguments.kernels:
            one_kernel(name, samples[name])
    for name, rows in samples.items():
        for row, values in rows.items():
            title = row if name == arguments.kernels[0] else f"{row}@{name}"
            unit = "MiB" if row.startswith("memory") else "ms"
            median = statistics.median(values)
            print(json.dumps({"row": title, "unit": unit, "median": median, "min": min(values), "max": max(values)}), flush=True)


if __name__ == "__main__":
    main()
