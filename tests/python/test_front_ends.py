"""Programs that other people wrote, on the tour: nbval, nbconvert, jupytext and Voilà.

    python test_front_ends.py TOUR.ipynb
"""

import html
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import nbformat

TOUR = sys.argv.pop()
# They end what hangs; a loaded machine does not reach them.
DEADLINE_S = 900
CELL_DEADLINE_S = 900


def module(*arguments, cwd):
    """Runs `python -m …` and returns the finished process."""
    return subprocess.run([sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def is_compared(cell):
    return "skip-output" not in cell.metadata.get("tags", [])


def texts(cell):
    """What a person reads of a cell's outputs. Numbers of processes differ from run to run."""
    shown = [output.get("text") or output.get("data", {}).get("text/plain") or output.get("evalue", "") for output in cell.outputs]
    return re.sub(r"pid( │)? ?=?\d+", "pid", "\n".join(shown))


class FrontEnd(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        shutil.copy(TOUR, self.path("tour.ipynb"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_nbval_runs_every_cell_and_finds_an_output_that_differs(self):
        options = ["pytest", "--nbval-lax", f"--nbval-cell-timeout={CELL_DEADLINE_S}", "-p", "no:cacheprovider", "-q"]
        ran = module(*options, "tour.ipynb", cwd=self.folder)
        self.assertEqual(ran.returncode, 0, ran.stdout)
        self.assertIn(f"{len(code_cells(TOUR))} passed", ran.stdout)
        # Compared is only what has the tag, and it is compared indeed.
        changed = nbformat.read(TOUR, as_version=4)
        first, second = [nbformat.v4.new_code_cell("1 + 1", metadata={"tags": ["nbval-check-output"]}) for _ in range(2)]
        for cell, text in [(first, "2"), (second, "3")]:
            cell.execution_count = 1
            cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": text}, execution_count=1)]
        changed.cells = [first, second]
        nbformat.write(changed, self.path("changed.ipynb"))
        ran = module(*options, "changed.ipynb", cwd=self.folder)
        self.assertIn("1 failed, 1 passed", ran.stdout)

    def test_nbconvert_executes_it_into_a_page(self):
        ran = module("nbconvert", "--to", "html", "--execute", "--ExecutePreprocessor.startup_timeout=900", "tour.ipynb", cwd=self.folder)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        with open(self.path("tour.html"), encoding="utf-8") as file:
            self.shows_the_tour(text_of(file.read()))

    def test_jupytext_makes_a_rust_file_of_it_and_executes_that(self):
        ran = module("jupytext", "--to", "rs:percent", "tour.ipynb", "--output", "tour.rs", cwd=self.folder)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        ran = module("jupytext", "--to", "ipynb", "--execute", "tour.rs", "--output", "again.ipynb", cwd=self.folder)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        before, now = code_cells(TOUR), code_cells(self.path("again.ipynb"))
        self.assertEqual([cell.source for cell in now], [cell.source for cell in before])
        compared = [(texts(a), texts(b)) for a, b in zip(now, before) if is_compared(b)]
        self.assertGreater(len([1 for _, stored in compared if stored]), 10)
        for shown, stored in compared:
            self.assertEqual(shown, stored)

    def test_voila_serves_the_page(self):
        # Between the two lines another program may take the port; then Voilà says so and the test fails.
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = ["voila", "tour.ipynb", "--no-browser", f"--port={port}", f"--VoilaExecutor.timeout={CELL_DEADLINE_S}"]
        command.append("--show_tracebacks=True")
        with open(self.path("voila.log"), "w+", encoding="utf-8") as log:
            server = subprocess.Popen([sys.executable, "-m", *command], cwd=self.folder, stdout=log, stderr=log)
            try:
                page = self.fetch(f"http://127.0.0.1:{port}/", server)
            finally:
                server.terminate()
                server.wait(timeout=DEADLINE_S)
                log.seek(0)
                said = log.read()
        self.assertIn("voila_process", page, said)
        drawn = "\n".join(output["data"]["text/plain"] for output in values_of(page) if "text/plain" in output["data"])
        self.shows_the_tour(drawn + text_of(page))

    def fetch(self, address, server):
        """The page, once the server answers."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                with urllib.request.urlopen(address, timeout=DEADLINE_S) as answer:
                    return answer.read().decode()
            except (ConnectionError, urllib.error.URLError) as refused:
                if server.poll() is not None or time.monotonic() > deadline:
                    with open(self.path("voila.log"), encoding="utf-8") as log:
                        self.fail(f"{refused}\n{log.read()}")
                time.sleep(0.1)

    def shows_the_tour(self, shown):
        """Asserts that `shown` has the value of every compared cell that shows one as plain text."""
        shown = "".join(shown.split())
        looked_for = 0
        for cell in filter(is_compared, code_cells(TOUR)):
            for output in cell.outputs:
                if output.output_type == "execute_result" and "text/html" not in output.data:
                    looked_for += 1
                    value = output.data["text/plain"]
                    self.assertTrue("".join(value.split()) in shown, f"the page lacks {value}")
        self.assertGreater(looked_for, 5)
        self.assertTrue("Thistaskfailed!!" in shown, "the page lacks the error")


def text_of(page):
    """What a browser shows of a page."""
    return html.unescape(re.sub(r"<[^>]*>", "", page))


def values_of(page):
    """The outputs that a page of Voilà gives its scripts, which draw them."""
    decoder = json.JSONDecoder()
    return [decoder.raw_decode(page, found.start())[0] for found in re.finditer(r'\{"data":', page)]


if __name__ == "__main__":
    unittest.main(verbosity=2)
