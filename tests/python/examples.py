"""Runs examples as cells in one session and writes what each cell did, one JSON line an example, as soon as it has ended.

    python examples.py MOBULA < EXAMPLES > RESULTS

A line of EXAMPLES is `{"name": …, "cells": [code, …]}`. Between two examples stands `:reset`. The cells of an example end with the first that fails.
A cell that never ends is interrupted, so that one example does not take the others with it.
"""

import json
import os
import sys
from queue import Empty

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

START_DEADLINE_S = 600
# Only what never ends reaches it.
CELL_DEADLINE_S = 120


class Session:
    def __init__(self, program):
        self.manager = KernelManager()
        argv = [os.path.abspath(program), "kernel", "run", "-f", "{connection_file}"]
        self.manager._kernel_spec = KernelSpec(argv=argv, display_name="Mobula", language="rust")
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=START_DEADLINE_S)

    def run(self, code):
        """What the cell printed on its standard output, and its error, or None."""
        sent = self.client.execute(code, allow_stdin=False, stop_on_error=False)
        text, error, is_late = "", None, False
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=CELL_DEADLINE_S)
            except Empty:
                if is_late:
                    raise SystemExit(f"the session answers no more:\n{code}")
                is_late = True
                self.manager.interrupt_kernel()
                continue
            if message["parent_header"].get("msg_id") != sent:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream" and content["name"] == "stdout":
                text += content["text"]
            elif kind == "error":
                error = {"name": content["ename"], "says": content["evalue"]}
            elif kind == "status" and content["execution_state"] == "idle":
                break
        if is_late:
            error = {"name": "NeverEnds", "says": f"no end within {CELL_DEADLINE_S} s"}
        return {"stdout": text, "error": error}

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=False)


session = Session(sys.argv[1])
try:
    for line in sys.stdin:
        example = json.loads(line)
        done = []
        for code in example["cells"]:
            done.append(session.run(code))
            if done[-1]["error"]:
                break
        print(json.dumps({"name": example["name"], "cells": done}), flush=True)
        session.run(":reset")
finally:
    session.close()
