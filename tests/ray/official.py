"""The rows of `figures.rs`, of Ray's own Python client: one line of JSON.

    python official.py ADDRESS CALLS BYTES
"""

import json
import sys
import time

import ray


def each(count, work):
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


address, calls, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rows = {"start": seconds(lambda: ray.init(address, log_to_driver=False))}


@ray.remote
def nothing():
    return 1


@ray.remote
class Nothing:
    def call(self):
        return 1


ray.get([nothing.remote() for _ in range(20)])
rows["tasks, one by one"] = each(calls // 10, lambda: [ray.get(nothing.remote()) for _ in range(calls // 10)])
rows["tasks, all at once"] = each(calls, lambda: ray.get([nothing.remote() for _ in range(calls)]))
actor = Nothing.remote()
ray.get(actor.call.remote())
rows["actor calls, one by one"] = each(calls // 10, lambda: [ray.get(actor.call.remote()) for _ in range(calls // 10)])
rows["actor calls, all at once"] = each(calls, lambda: ray.get([actor.call.remote() for _ in range(calls)]))
large = bytes(size)
made = []
rows["put"] = seconds(lambda: made.append(ray.put(large)))
rows["get"] = seconds(lambda: ray.get(made[0]))
print(json.dumps(rows))
ray.shutdown()
