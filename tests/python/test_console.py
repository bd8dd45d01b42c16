"""jupyter-console in front of the kernel, at a pseudo-terminal: values, a cell of several lines, errors, an interrupt, completion, input."""

import os
import re
import sys
import time
import unittest

import pexpect

# Ends a test that hangs; a loaded machine does not reach it.
DEADLINE_S = 600
# An answer to Tab comes sooner, and is empty as long as the standard library is being read.
COMPLETION_S = 6
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]")


class NotSeen(AssertionError):
    """Nothing like it was shown in time."""


class Console:
    """A console and what it has shown, without colours and movements."""

    def __init__(self):
        command = ["-m", "jupyter_console", "--kernel", "mobula"]
        # This terminal does not tell where its cursor is.
        environment = os.environ | {"PROMPT_TOOLKIT_NO_CPR": "1"}
        self.child = pexpect.spawn(sys.executable, command, encoding="utf-8", dimensions=(40, 120), env=environment)
        self.shown = ""
        self.at = 0

    def sees(self, pattern, within=DEADLINE_S):
        """Waits until `pattern` is shown behind what was seen before."""
        deadline = time.monotonic() + within
        while True:
            plain = CONTROL.sub("", self.shown)
            found = re.compile(pattern).search(plain, self.at)
            if found:
                self.at = found.end()
                return
            if time.monotonic() > deadline:
                raise NotSeen(f"waited in vain for {pattern!r} in {plain[self.at:]!r}")
            try:
                self.shown += self.child.read_nonblocking(65536, timeout=1)
            except pexpect.TIMEOUT:
                pass
            except pexpect.EOF:
                raise AssertionError(f"the console ended before {pattern!r}: {plain[self.at:]!r}") from None

    def completes(self, expected):
        """Presses Tab until `expected` is shown."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            self.child.send("\t")
            try:
                return self.sees(expected, within=COMPLETION_S)
            except NotSeen:
                if time.monotonic() > deadline:
                    raise

    def is_asked_for(self, number):
        self.sees(rf"In \[{number}\]: ")

    def enters(self, code):
        self.child.send(code + "\r")


class JupyterConsole(unittest.TestCase):
    def test_a_person_at_the_console_gets_what_other_front_ends_give(self):
        console = Console()
        self.addCleanup(console.child.close, force=True)
        console.sees("Mobula .*: remote functions in a notebook")
        console.is_asked_for(1)
        console.enters("1 + 1")
        console.sees(r"Out\[1\]: 2")

        console.is_asked_for(2)
        console.enters("fn twice(n: i64) -> i64 {")
        console.sees(r"\.\.\.: ")
        console.enters("n * 2 }")
        console.is_asked_for(3)
        console.enters("get(&twice.remote(21))?")
        console.sees(r"Out\[3\]: 42")

        console.is_asked_for(4)
        console.enters('let wrong: i64 = "text";')
        console.sees("E0308")
        console.is_asked_for(5)
        console.enters('println!("spin"); println!("ning"); loop {}')
        console.sees(r"spin\s+ning")
        console.child.sendintr()
        console.sees("interrupted: ")

        console.is_asked_for(6)
        console.child.send("std::mem::sw")
        console.completes("std::mem::swap")
        console.child.send("\x15")
        console.enters('println!("who"); println!("asks?"); let mut line = String::new(); std::io::stdin().read_line(&mut line)?; line.trim().len()')
        # What is typed before would be taken for the next cell.
        console.sees(r"who\s+asks\?")
        console.enters("Grace")
        console.sees(r"Out\[6\]: 5")

        console.is_asked_for(7)
        console.child.send("\x04")
        console.sees("exit")
        console.enters("y")
        console.child.expect(pexpect.EOF, timeout=DEADLINE_S)


if __name__ == "__main__":
    unittest.main(verbosity=2)
