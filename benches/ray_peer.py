#!/usr/bin/env python3
"""The rows of `tasks.rs` that Ray can be asked for, too, under the same names.

    python3 -m venv V && V/bin/pip install ray
    benches/compare --run 'V/bin/python benches/ray_peer.py'

Needs nothing but Ray. Each row is the median of a few samples, fewer where one takes seconds.
"""

import argparse
import asyncio
import json
import statistics
import time

import ray

parser = argparse.ArgumentParser()
parser.add_argument("--json", help="where to write the rows")
args = parser.parse_args()
rows = {}


def row(name, unit, work, each=1, samples=5, after=lambda: None):
    """Times `work`, which does `each` repetitions; `after` tidies up while the clock stands."""
    scale = {"us": 1e6, "ms": 1e3}[unit.split("/")[0]]
    taken = []
    for _ in range(samples):
        begin = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begin) * scale / each)
        after()
    rows[name] = {"median": statistics.median(taken), "min": min(taken), "max": max(taken), "unit": unit}
    print(f"{name:<24}{rows[name]['median']:>14.2f} {unit}", flush=True)


@ray.remote
def nop():
    return 1


@ray.remote
def spin():
    while True:
        pass


@ray.remote
def counted(n):
    for i in range(n):
        yield i


@ray.remote(num_cpus=0)
class Counter:
    def __init__(self, n=0):
        self.n = n

    def add(self, by):
        self.n += by
        return self.n


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
half = nop.options(num_cpus=0.5)
ray.get([nop.remote() for _ in range(100)])
ray.get([half.remote() for _ in range(100)])


def one_by_one(function, count):
    for _ in range(count):
        ray.get(function.remote())


async def awaited(count):
    for _ in range(count):
        await nop.remote()


def actors(count):
    counters = [Counter.remote(n) for n in range(count)]
    assert ray.get([counter.add.remote(1) for counter in counters]) == list(range(1, count + 1))


def streamed(count):
    for item in counted.remote(count):
        ray.get(item)


row("task_round_trip", "us", lambda: one_by_one(nop, 200), each=200)
row("fan_out_10k", "ms", lambda: ray.get([nop.remote() for _ in range(10_000)]), samples=3)
row("shape_round_trip", "us", lambda: one_by_one(half, 200), each=200)
row("shape_fan_out_10k", "ms", lambda: ray.get([half.remote() for _ in range(10_000)]), samples=3)
row("await_round_trip", "us", lambda: asyncio.run(awaited(200)), each=200)
counter = Counter.remote()
ray.get(counter.add.remote(1))
row("actor_round_trip", "us", lambda: [ray.get(counter.add.remote(1)) for _ in range(200)], each=200)
row("actor_calls_10k", "ms", lambda: ray.get([counter.add.remote(1) for _ in range(10_000)]), samples=3)
row("actor_first_call", "ms", lambda: actors(1), samples=3)
row("actors_100", "ms", lambda: actors(100), samples=1)
row("stream_item", "us", lambda: streamed(1000), each=1000, samples=3)
done = [nop.remote() for _ in range(1000)]
ray.wait(done, num_returns=1000)
row("wait_1000_done", "us", lambda: ray.wait(done, num_returns=1000))
small = ray.put(1)
row("get_small", "us", lambda: [ray.get(small) for _ in range(1000)], each=1000)
row("put_small", "us", lambda: [ray.put(1) for _ in range(300)], each=300)


def cancelled():
    ref = spin.remote()
    time.sleep(0.5)
    begin = time.perf_counter()
    ray.cancel(ref)
    try:
        ray.get(ref)
    except ray.exceptions.TaskCancelledError:
        pass
    taken = (time.perf_counter() - begin) * 1e3
    rows["cancel_spinning"] = {"median": taken, "min": taken, "max": taken, "unit": "ms"}


cancelled()
ray.shutdown()
if args.json:
    with open(args.json, "w", encoding="utf-8") as file:
        json.dump({"peer": f"ray {ray.__version__}", "rows": rows}, file, indent=1)
