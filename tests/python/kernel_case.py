"""Test cases in front of a kernel, and the waits that they share: each has a deadline, and none is a guess at how long something takes."""

import queue
import time
import unittest

from jupyter_client.manager import KernelManager

# Ends a test that hangs; a loaded machine does not reach it.
DEADLINE_S = 600


class KernelCase(unittest.TestCase):
    """A test case with a kernel that Jupyter's own client has started."""

    @classmethod
    def setUpClass(cls):
        cls.manager = KernelManager(kernel_name="mobula")
        cls.manager.start_kernel()
        cls.client = cls.manager.client()
        cls.client.start_channels()
        cls.client.wait_for_ready(timeout=DEADLINE_S)
        cls.seen = []

    @classmethod
    def tearDownClass(cls):
        cls.client.stop_channels()
        cls.manager.shutdown_kernel()

    def until(self, accepts):
        """The first message on iopub, old or new, that `accepts`."""
        deadline = time.monotonic() + DEADLINE_S
        looked_at = 0
        while time.monotonic() < deadline:
            for message in self.seen[looked_at:]:
                if accepts(message):
                    return message
            looked_at = len(self.seen)
            try:
                self.seen.append(self.client.get_iopub_msg(timeout=1))
            except queue.Empty:
                pass
        self.fail(f"waited in vain; so far: {[(m['msg_type'], m['content']) for m in self.seen[-20:]]}")


def about(get, request):
    """The messages about `request` among those that `get` gives, until the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            message = get(timeout=1)
        except queue.Empty:
            continue
        if message["parent_header"].get("msg_id") == request:
            yield message
