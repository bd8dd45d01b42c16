"""What programs with a Jupyter of their own send, replayed: VS Code's Jupyter extension, Zed's REPL, and Quarto.

VS Code (microsoft/vscode-jupyter, `src/kernels/raw/`, with JupyterLab's `@jupyterlab/services` on top): it starts `argv` of the kernelspec itself, over
its own sockets. With `interrupt_mode: "message"` it sends `interrupt_request` on the *shell* socket. Zed (zed-industries/zed, `crates/repl/src/`, with
the crates `jupyter-protocol` and `runtimelib`): it starts `argv` as well, sends debug, interrupt and shutdown requests on control and all else on shell,
and reads every message with the types of `jupyter-protocol`, which require their fields. Quarto (quarto-dev/quarto-cli,
`src/resources/jupyter/notebook.py`; its package fetches a program that a test cannot): a client of nbclient that opens a comm with its options, runs an
empty cell before all others, and asks for the expressions in texts by an execution without code.
"""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest
import uuid

import nbformat
from jupyter_client import BlockingKernelClient
from jupyter_client.connect import write_connection_file
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from kernel_case import DEADLINE_S, about
from nbclient import NotebookClient


class Editor(unittest.TestCase):
    """A kernel that the editor has started by its kernelspec, without Jupyter."""

    @classmethod
    def setUpClass(cls):
        folder = KernelSpecManager().get_kernel_spec("mobula").resource_dir
        cls.spec = json.loads((pathlib.Path(folder) / "kernel.json").read_text())
        cls.folder = tempfile.TemporaryDirectory()
        path = os.path.join(cls.folder.name, "connection.json")
        write_connection_file(path, key=str(uuid.uuid4()).encode(), kernel_name="mobula")
        argv = [word.replace("{connection_file}", path) for word in cls.spec["argv"]]
        cls.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        cls.client = BlockingKernelClient(connection_file=path)
        cls.client.load_connection_file()
        cls.client.start_channels()
        cls.client.wait_for_ready(timeout=DEADLINE_S)

    @classmethod
    def tearDownClass(cls):
        cls.client.stop_channels()
        # Zed ends its kernels so.
        cls.process.kill()
        for stream in [cls.process.stdin, cls.process.stdout, cls.process.stderr]:
            stream.close()
        cls.process.wait()
        cls.folder.cleanup()

    def send(self, channel, msg_type, content, **metadata):
        """Sends a request and returns its id."""
        message = self.client.session.msg(msg_type, content, metadata=metadata)
        getattr(self.client, f"{channel}_channel").send(message)
        return message["header"]["msg_id"]

    def reply(self, channel, request):
        """The reply to a request."""
        for message in about(getattr(self.client, f"get_{channel}_msg"), request):
            return message
        self.fail(f"no reply on {channel}")

    def published(self, request, until=lambda message: message["content"].get("execution_state") == "idle"):
        messages = []
        for message in about(self.client.get_iopub_msg, request):
            messages.append(message)
            if until(message):
                return messages
        self.fail("not idle")

    def kinds(self, request):
        return [m["content"].get("execution_state", m["msg_type"]) for m in self.published(request)]

    def test_the_kernelspec_says_what_editors_look_for(self):
        self.assertEqual(self.spec["language"], "rust")
        self.assertEqual(self.spec["interrupt_mode"], "message")
        # Zed wants two words at least, one of which is the file, alone.
        self.assertGreaterEqual(len(self.spec["argv"]), 2)
        self.assertIn("{connection_file}", self.spec["argv"])
        self.assertTrue(os.path.isabs(self.spec["argv"][0]))
        self.assertIsInstance(self.spec.get("env", {}), dict)

    def test_kernel_info_has_every_field_on_both_sockets(self):
        for channel in ["shell", "control"]:
            request = self.send(channel, "kernel_info_request", {})
            info = self.reply(channel, request)["content"]
            for field in ["status", "protocol_version", "implementation", "implementation_version", "banner", "help_links", "debugger"]:
                self.assertIn(field, info)
            for field in ["name", "version", "mimetype", "file_extension", "pygments_lexer", "codemirror_mode", "nbconvert_exporter"]:
                self.assertIn(field, info["language_info"])
            self.assertEqual(self.kinds(request), ["busy", "idle"])

    def test_vs_code_prepares_runs_and_watches_a_cell(self):
        # Set-up code of an editor, which must leave no trace.
        hidden = {"code": "let hidden_by_editor = 1;", "silent": True, "store_history": False, "stop_on_error": False, "allow_stdin": False, "user_expressions": {}}
        request = self.send("shell", "execute_request", hidden)
        self.assertEqual(self.reply("shell", request)["content"]["status"], "ok")
        self.assertEqual(self.kinds(request), ["busy", "idle"])
        unstored = hidden | {"silent": False, "code": "40 + 2"}
        request = self.send("shell", "execute_request", unstored)
        before = self.reply("shell", request)["content"]["execution_count"]
        self.assertIn("execute_result", self.kinds(request))
        # The cell, with the id of its document's cell, and an expression beside it.
        cell = {
            "code": "let seen = vec![1, 2, 3]; println!(\"text\"); seen.len()", "silent": False, "store_history": True, "stop_on_error": False,
            "allow_stdin": True, "user_expressions": {"first": "seen[0]", "wrong": "nothing_like_it"},
        }  # fmt: skip
        request = self.send("shell", "execute_request", cell, cellId="vscode-notebook-cell:/a.ipynb#W0sZmlsZQ==")
        reply = self.reply("shell", request)
        self.assertEqual(reply["content"]["execution_count"], before + 1)
        first, wrong = [reply["content"]["user_expressions"][name] for name in ["first", "wrong"]]
        self.assertEqual((first["status"], first["data"]["text/plain"]), ("ok", "1"))
        self.assertEqual((wrong["status"], wrong["ename"]), ("error", "E0425"))
        self.assertIn("started", reply["metadata"])
        self.assertEqual(self.kinds(request), ["busy", "execute_input", "stream", "execute_result", "idle"])
        # What it asks for beside cells.
        request = self.send("shell", "comm_info_request", {"target_name": "jupyter.widget"})
        self.assertEqual(self.reply("shell", request)["content"]["comms"], {})
        request = self.send("shell", "is_complete_request", {"code": "fn f() {"})
        self.assertEqual(self.reply("shell", request)["content"]["status"], "incomplete")
        self.assertIn("len", self.completed("seen.le"))
        request = self.send("control", "debug_request", {"seq": 1, "type": "request", "command": "debugInfo"})
        self.assertEqual(self.reply("control", request)["msg_type"], "debug_reply")

    def completed(self, code):
        """The completions, once there are some."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            request = self.send("shell", "complete_request", {"code": code, "cursor_pos": len(code)})
            reply = self.reply("shell", request)["content"]
            self.assertEqual(reply["status"], "ok")
            if reply["matches"]:
                return reply["matches"]
        self.fail("nothing is completed")

    def test_an_interrupt_is_taken_on_either_socket_and_as_a_signal(self):
        def by_signal():
            self.process.send_signal(2)

        def by_message(channel):
            request = self.send(channel, "interrupt_request", {})
            self.assertEqual(self.reply(channel, request)["content"]["status"], "ok")

        for interrupt in [lambda: by_message("shell"), lambda: by_message("control"), by_signal]:
            code = {"code": 'println!("begun"); loop { std::thread::park() }', "allow_stdin": True, "silent": False, "store_history": True, "user_expressions": None}
            cell = self.send("shell", "execute_request", code)
            self.published(cell, until=lambda message: message["msg_type"] == "stream")
            # The reply to the cell may come before that to the interrupt, on the same socket.
            interrupt()
            error = self.published(cell)
            self.assertIn("Interrupted", [message["content"].get("ename") for message in error])

    def test_zed_asks_and_answers_on_stdin(self):
        code = {"code": "let mut line = String::new(); std::io::stdin().read_line(&mut line)?; line.trim().len()", "allow_stdin": True, "silent": False, "store_history": True, "stop_on_error": True, "user_expressions": None}
        cell = self.send("shell", "execute_request", code)
        question = self.client.get_stdin_msg(timeout=DEADLINE_S)
        self.assertEqual(set(question["content"]), {"prompt", "password"})
        answer = self.client.session.msg("input_reply", {"value": "four", "status": "ok"}, parent=question)
        self.client.stdin_channel.send(answer)
        self.assertEqual(self.reply("shell", cell)["content"]["status"], "ok")
        values = [message["content"]["data"]["text/plain"] for message in self.published(cell) if message["msg_type"] == "execute_result"]
        self.assertEqual(values, ["4"])


class Publisher(unittest.TestCase):
    """A client as Quarto makes it, which may keep the kernel for the next rendering."""

    def setUp(self):
        sources = ["#| label: first\n#| echo: false\nlet n = 20u32; fn half(n: u32) -> u32 { n / 2 }", "get(half.remote(n))?"]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in ["", *sources]])
        notebook.metadata.kernelspec = {"name": "mobula", "display_name": "Rust (Mobula)", "language": "rust"}
        self.client = NotebookClient(notebook, timeout=DEADLINE_S, startup_timeout=DEADLINE_S, record_timing=False)
        self.client.create_kernel_manager()
        self.client.start_new_kernel()
        self.client.start_new_kernel_client()
        self.addCleanup(self.client._cleanup_kernel)

    def run_all(self):
        """Every cell's outputs, after the empty one's."""
        opened = self.client.kc.session.msg("comm_open", {"comm_id": "quarto_comm", "target_name": "quarto_kernel_setup", "data": {"options": {"eval": True}}})
        self.client.kc.shell_channel.send(opened)
        for index, cell in enumerate(self.client.nb.cells):
            cell.outputs = []
            self.client.execute_cell(cell, index, execution_count=index + 1, store_history=index > 0)
        self.client.set_widgets_metadata()
        return [cell.outputs for cell in self.client.nb.cells]

    def test_quarto_renders_a_notebook_twice_in_one_kernel(self):
        for _ in range(2):
            setup, first, second = self.run_all()
            self.assertEqual((setup, first), ([], []))
            self.assertEqual([output["data"]["text/plain"] for output in second], ["10"])

    def test_quarto_gets_the_values_that_stand_in_texts(self):
        self.run_all()
        request = self.client.kc.execute("", user_expressions={"0": "n + 1", "1": "nothing_like_it"})
        reply = self.client.wait_for_reply(request)["content"]
        self.assertEqual(reply["status"], "ok")
        first, second = reply["user_expressions"]["0"], reply["user_expressions"]["1"]
        self.assertEqual((first["status"], first["data"]["text/plain"]), ("ok", "21"))
        self.assertEqual((second["status"], second["ename"]), ("error", "E0425"))


class OverFiles(unittest.TestCase):
    def test_the_ipc_transport_works_and_leaves_no_socket(self):
        manager = KernelManager(kernel_name="mobula", transport="ipc")
        manager.start_kernel()
        self.assertEqual(manager.get_connection_info()["transport"], "ipc")
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=DEADLINE_S)
            reply = client.execute("1 + 1", reply=True, timeout=DEADLINE_S)
            self.assertEqual(reply["content"]["status"], "ok")
            usage = client.session.msg("usage_request", {})
            client.control_channel.send(usage)
            content = client.get_control_msg(timeout=DEADLINE_S)["content"]
            # The process that runs cells counts, and it alone has more than this.
            self.assertGreater(content["kernel_memory"], 1 << 20)
            self.assertEqual(content["pid"], manager.provisioner.pid)
        finally:
            client.stop_channels()
            manager.shutdown_kernel()
        left = [f"{manager.ip}-{port}" for port in manager.ports if os.path.exists(f"{manager.ip}-{port}")]
        self.assertEqual(left, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
