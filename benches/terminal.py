"""The time from Enter to the result at a terminal: `mobula repl` on a pseudo-terminal, as a person sees it.

    python terminal.py PROGRAM [--repeats N]
"""

import argparse
import json
import os
import pty
import select
import signal
import statistics
import struct
import termios
import time
from fcntl import ioctl

DEADLINE_S = 120
ECHO_S = 0.1  # what is typed is on the screen long before
STEADY_CELLS = 5


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, program):
        self.begin = time.perf_counter()
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            os.execv(program, [program, "repl"])
        ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))

    def read_until(self, text):
        """Reads until `text` has been drawn, and returns the milliseconds since the terminal was opened."""
        seen = b""
        deadline = time.monotonic() + DEADLINE_S
        while text not in seen:
            if not select.select([self.end], [], [], max(0, deadline - time.monotonic()))[0]:
                raise SystemExit(f"{text!r} never came; so far: {seen!r}")
            seen += os.read(self.end, 1 << 16)
        return (time.perf_counter() - self.begin) * 1e3

    def cell(self, code, shows):
        """Types a cell, and returns the milliseconds from Enter until `shows` has been drawn."""
        os.write(self.end, code.encode())
        time.sleep(ECHO_S)
        begin = (time.perf_counter() - self.begin) * 1e3
        os.write(self.end, b"\r")
        return self.read_until(shows.encode()) - begin

    def close(self):
        os.kill(self.pid, signal.SIGHUP)
        os.waitpid(self.pid, 0)


def one_session(program, record):
    terminal = Terminal(program)
    record("repl_prompt", terminal.read_until(b"[1]:"))
    record("repl_first", terminal.cell("40 + 1", "41"))
    terminal.cell('let x = 1i64; println!("{}", "so".repeat(2));', "soso")
    terminal.cell('fn f(a: i64) -> i64 { a + 1 }', "[4]:")
    for i in range(STEADY_CELLS):
        record("repl_steady", terminal.cell(f"x + {1000 + i}", f"{1001 + i}"))
    for i in range(STEADY_CELLS):
        record("repl_remote_call", terminal.cell(f"let r = f.remote({i});", f"[{10 + i}]:"))
    terminal.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    samples = {}
    for _ in range(arguments.repeats):
        one_session(arguments.program, lambda row, value: samples.setdefault(row, []).append(value))
    for row, values in samples.items():
        median = statistics.median(values)
        print(json.dumps({"row": row, "unit": "ms", "median": median, "min": min(values), "max": max(values)}), flush=True)


if __name__ == "__main__":
    main()
