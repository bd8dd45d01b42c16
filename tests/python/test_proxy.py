"""The web page through a Jupyter server that has jupyter-server-proxy, at the address that a cell in a notebook of that server gives."""

import json
import re
import unittest
import urllib.error
import urllib.request

import jupyter_client
from kernel_case import about
from lab import DEADLINE_S, Lab

CELL = """fn half(n: u64) -> u64 { n / 2 }
get((0..10u64).map(|n| half.remote(n)).collect::<Vec<_>>())?;
println!("{:?}", dashboard()?.proxied);"""


class Proxy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("empty.ipynb", [], base="/user/a/")
        cls.addClassCleanup(cls.lab.close)
        asked = urllib.request.Request(cls.lab.address("api/kernels"), data=json.dumps({"name": "mobula"}).encode(), method="POST")
        with urllib.request.urlopen(asked, timeout=DEADLINE_S) as answer:
            kernel = json.load(answer)["id"]
        cls.client = jupyter_client.BlockingKernelClient(connection_file=jupyter_client.find_connection_file(f"kernel-{kernel}.json"))
        cls.client.load_connection_file()
        cls.client.start_channels()
        cls.addClassCleanup(cls.client.stop_channels)
        cls.client.wait_for_ready(timeout=DEADLINE_S)
        cls.path = re.search(r'Some\("([^"]*)"\)', cls.ran(CELL))[1]

    @classmethod
    def ran(cls, code):
        """What a cell has printed."""
        request, printed = cls.client.execute(code, allow_stdin=False), []
        for message in about(cls.client.get_iopub_msg, request):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])
            if message["msg_type"] == "error":
                raise AssertionError("\n".join(message["content"]["traceback"]))
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return "".join(printed)
        raise AssertionError("the cell has not ended in time")

    def fetch(self, path, method="GET"):
        """The status and the text of an answer at a path of the Jupyter server."""
        address = f"http://127.0.0.1:{self.lab.port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=DEADLINE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def test_a_cell_gives_the_address_below_that_of_the_server(self):
        self.assertRegex(self.path, r"^/user/a/proxy/\d+/\?token=[0-9a-f]+$")

    def test_the_page_and_its_data_come_through_the_server(self):
        status, page = self.fetch(self.path)
        self.assertEqual(status, 200)
        self.assertIn("<title>", page)
        status, tasks = self.fetch(self.path.replace("/?", "/api/tasks?"))
        self.assertEqual(status, 200)
        self.assertEqual([task["name"] for task in json.loads(tasks)["tasks"]], ["half"] * 10)

    def test_its_events_come_one_by_one_and_not_at_their_end(self):
        address = f"http://127.0.0.1:{self.lab.port}{self.path.replace('/?', '/events?')}"
        # As a browser asks; the proxy gathers other answers.
        asked = urllib.request.Request(address, headers={"Accept": "text/event-stream"})
        with urllib.request.urlopen(asked, timeout=DEADLINE_S) as events:
            line = next(line for line in events if line.startswith(b"data: "))
        self.assertTrue(json.loads(line[len(b"data: "):])["first"])

    def test_the_stack_of_a_worker_is_asked_for_through_the_server(self):
        pids = json.loads(self.fetch(self.path.replace("/?", "/api/status?"))[1])["pids"]
        own = f"http://127.0.0.1:{self.lab.port}"
        for origin, status in [(own, 200), ("http://evil.example", 403)]:
            headers = {"Origin": origin, "Content-Type": "application/json"}
            address = own + self.path.replace("/?", "/api/stack?")
            asked = urllib.request.Request(address, data=json.dumps({"pid": pids[0]}).encode(), headers=headers, method="POST")
            try:
                with urllib.request.urlopen(asked, timeout=DEADLINE_S) as answer:
                    self.assertEqual((answer.status, json.load(answer)["pid"]), (status, pids[0]))
            except urllib.error.HTTPError as error:
                self.assertEqual(error.code, status, error.read())

    def test_nobody_is_let_in_without_the_token(self):
        self.assertEqual(self.fetch(self.path.split("?")[0])[0], 401)
        self.assertEqual(self.fetch(self.path[:-1] + ("0" if self.path[-1] != "0" else "1"))[0], 401)
        self.assertEqual(self.fetch(self.path, "DELETE")[0], 405)


if __name__ == "__main__":
    unittest.main()
