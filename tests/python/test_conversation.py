"""Conversations with the kernel that the protocol's own suite does not have: order, a stopped queue, interrupts.

Every wait has a deadline, and none is a guess at how long something takes.
"""

import json
import os
import pathlib
import signal
import tempfile
import time
import unittest

from kernel_case import DEADLINE_S, KernelCase, about


class Conversation(KernelCase):
    def run(self, result=None):
        """Runs one test. One that fails may leave a cell that never ends, and the next test must not wait behind it: it gets a new session."""
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            # Not restarted: what the new one asks could be lost while this client's sockets find it.
            self.tearDownClass()
            self.setUpClass()
        return result

    def matches(self, code, expected):
        """The completions of `code`, once they have `expected`; the first ones may come from what is known before the analysis is ready."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            found = self.reply(self.client.complete(code, len(code)))
            if expected in found["matches"]:
                return found
            self.assertLess(time.monotonic(), deadline, f"{code}: {found['matches']}")
            time.sleep(0.05)

    def published(self, request, until):
        """Messages about `request` on iopub, up to the first one that `until` accepts."""
        messages = []
        for message in about(self.client.get_iopub_msg, request):
            messages.append(message)
            if until(message):
                return messages
        self.fail(f"waited in vain; so far: {[kind(message) for message in messages]}")

    def reply(self, request):
        """The reply to `request` on the shell channel."""
        for message in about(self.client.get_shell_msg, request):
            return message["content"]
        self.fail("no reply")

    def run_cell(self, code):
        """Runs a cell and returns the reply and everything published about it."""
        request = self.client.execute(code)
        return self.reply(request), self.published(request, is_idle)

    def value_of(self, code):
        reply, messages = self.run_cell(code)
        self.assertEqual(reply["status"], "ok", reply)
        return next(m["content"]["data"]["text/plain"] for m in messages if kind(m) == "execute_result")

    def analysts(self):
        """The processes that complete for this kernel."""
        parent = self.manager.provisioner.pid
        children = pathlib.Path(f"/proc/{parent}/task").glob("*/children")
        pids = {int(pid) for file in children for pid in file.read_text().split()}
        found = [pid for pid in pids if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "mobula-analyst"]
        self.assertTrue(found)
        return found

    def test_a_cell_is_busy_then_input_then_outputs_then_idle(self):
        reply, messages = self.run_cell('println!("one"); println!("two"); 3')
        kinds = [kind(message) for message in messages]
        self.assertEqual(kinds[:2], ["busy", "execute_input"])
        self.assertEqual(kinds[-2:], ["execute_result", "idle"])
        self.assertEqual(set(kinds[2:-2]), {"stream"})
        self.assertEqual("".join(m["content"]["text"] for m in messages if kind(m) == "stream"), "one\ntwo\n")
        self.assertEqual(reply["status"], "ok")
        self.assertEqual(messages[1]["content"]["execution_count"], reply["execution_count"])

    def test_a_cell_that_reads_its_input_asks_the_person(self):
        code = 'let mut line = String::new(); println!("name?"); std::io::stdin().read_line(&mut line)?; line.trim().len()'
        request = self.client.execute(code, allow_stdin=True)
        question = self.client.get_stdin_msg(timeout=DEADLINE_S)
        self.assertEqual(question["msg_type"], "input_request")
        self.client.input("Ada")
        self.assertEqual(self.reply(request)["status"], "ok")
        messages = self.published(request, is_idle)
        value = next(m["content"]["data"]["text/plain"] for m in messages if kind(m) == "execute_result")
        self.assertEqual(value, "3")

    def test_where_nobody_can_be_asked_the_input_of_a_cell_is_at_its_end(self):
        request = self.client.execute("std::io::stdin().lines().count()", allow_stdin=False)
        self.assertEqual(self.reply(request)["status"], "ok")
        messages = self.published(request, is_idle)
        value = next(m["content"]["data"]["text/plain"] for m in messages if kind(m) == "execute_result")
        self.assertEqual(value, "0")

    def test_an_interrupt_ends_the_compiler_too(self):
        self.run_cell("let before = 6;")
        code = "#[allow(long_running_const_eval)] const LONG: u64 = { let mut i = 0u64; while i < u64::MAX / 2 { i += 1 } i };"
        request = self.client.execute(code)
        self.published(request, lambda m: kind(m) == "execute_input")
        self.manager.interrupt_kernel()
        reply = self.reply(request)
        self.assertEqual((reply["status"], reply["ename"]), ("error", "Interrupted"))
        self.published(request, is_idle)
        self.assertEqual(self.value_of("before + 1"), "7")

    def test_a_shown_thing_can_be_shown_anew(self):
        reply, messages = self.run_cell('let handle = DisplayHandle::show(&1); handle.update(&2); display_as("image/png", [1u8, 2]);')
        self.assertEqual(reply["status"], "ok", reply)
        first, second, image = [m["content"] for m in messages if "display" in m["msg_type"]]
        self.assertEqual(first["transient"]["display_id"], second["transient"]["display_id"])
        self.assertEqual((first["data"]["text/plain"], second["data"]["text/plain"]), ("1", "2"))
        self.assertEqual(image["data"]["image/png"], "AQI=")
        # Also from a later cell.
        _, messages = self.run_cell("handle.update(&3);")
        self.assertIn("update_display_data", [m["msg_type"] for m in messages])

    def test_a_reply_tells_where_the_time_went(self):
        request = self.client.execute("1 + 1")
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            message = self.client.get_shell_msg(timeout=DEADLINE_S)
            if message["parent_header"].get("msg_id") == request:
                break
        phases = message["metadata"]["phases"]
        for phase in ["parse", "compile", "load", "run", "checkpoint", "display", "total"]:
            self.assertIn(phase, phases)
        self.published(request, is_idle)

    def test_commands_tell_what_cells_cost_and_what_errors_mean(self):
        def printed(code):
            reply, messages = self.run_cell(code)
            self.assertEqual(reply["status"], "ok", reply)
            return "".join(m["content"]["text"] for m in messages if kind(m) == "stream")

        self.run_cell("1 + 1")
        self.assertRegex(printed(":checkpoint"), r"cell \d+.*\d")
        reply, _ = self.run_cell(":explain E0382")
        [explained] = [page["data"] for page in reply["payload"] if page["source"] == "page"]
        self.assertIn("moved elsewhere", explained["text/markdown"])
        printed(":timing")
        self.assertRegex(printed("2;"), r"compile.*ms")
        printed(":timing")
        self.assertEqual(printed("3;"), "")

    def test_output_arrives_while_the_cell_runs(self):
        request = self.client.execute('println!("so far"); loop { std::thread::park() }')
        self.published(request, lambda m: kind(m) == "stream" and "so far" in m["content"]["text"])
        self.manager.interrupt_kernel()
        self.assertEqual(self.reply(request)["status"], "error")
        self.published(request, is_idle)

    def test_what_a_thread_prints_when_no_cell_runs_stands_below_the_newest_cell(self):
        with tempfile.TemporaryDirectory() as folder:
            go = os.path.join(folder, "go")
            wait = f"while !std::path::Path::new({json.dumps(go)}).exists() {{ std::thread::sleep(std::time::Duration::from_millis(5)); }}"
            self.assertEqual(self.run_cell(f'std::thread::spawn(|| {{ {wait} println!("out of a thread"); }});')[0]["status"], "ok")
            newest = self.client.execute("let newest = 1;")
            self.assertEqual(self.reply(newest)["status"], "ok")
            self.published(newest, is_idle)
            pathlib.Path(go).touch()
            self.published(newest, lambda m: kind(m) == "stream" and "out of a thread" in m["content"]["text"])

    def test_what_was_made_can_be_completed_and_looked_up_while_a_cell_runs(self):
        made = "/// Makes one.\nfn make_point() -> Point { Point { across: 1, up: 2.0 } }\nlet point = make_point();"
        reply, _ = self.run_cell("struct Point { across: i64, up: f64 }\n" + made)
        self.assertEqual(reply["status"], "ok", reply)
        busy = self.client.execute("std::io::stdin().lines().count()", allow_stdin=True)
        self.client.get_stdin_msg(timeout=DEADLINE_S)
        cases = [
            ("point.", "across"),
            ("let other = make_point(); other.u", "up"),
            ("make_", "make_point"),
            ("vec![1i64].iter().ma", "map_while"),
            ("make_point.remote().spl", None),
            ("std::fs::read_t", "read_to_string"),
        ]
        for code, expected in cases:
            if expected is None:
                self.assertEqual(self.reply(self.client.complete(code, len(code)))["matches"], [])
            else:
                self.assertEqual(self.matches(code, expected)["cursor_end"], len(code))
        # Whoever ends the process that knows all this ends nothing else.
        for process in self.analysts():
            environment = pathlib.Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
            own = next(entry.removeprefix(b"TMPDIR=") for entry in environment if entry.startswith(b"TMPDIR="))
            # What it would have removed goes with the session.
            pathlib.Path(own.decode(), "half-read").touch()
            os.kill(process, signal.SIGKILL)
        self.matches("point.", "across")
        looked_up = self.reply(self.client.inspect("make_point()", 4))
        self.assertTrue(looked_up["found"])
        self.assertIn("fn make_point() -> Point", looked_up["data"]["text/plain"])
        self.assertIn("Makes one.", looked_up["data"]["text/html"])
        self.manager.interrupt_kernel()
        self.published(busy, is_idle)
        self.assertEqual(self.value_of("point.across"), "1")

    def test_names_out_of_scope_words_behind_a_value_and_commands_are_completed_and_a_variable_has_its_value(self):
        self.published(self.client.execute("let answer: u64 = 42;"), is_idle)
        self.assertEqual(self.matches("let m = HashM", "std::collections::HashMap")["cursor_start"], 8)
        found = self.matches("answer.dbg", "dbg!(answer)")
        self.assertEqual((found["cursor_start"], found["cursor_end"]), (0, 10))
        self.matches(":keep o", "off")
        self.matches('std::fs::read("/et', "etc/")
        looked_up = self.reply(self.client.inspect("answer", 3))["data"]["text/plain"]
        self.assertTrue(looked_up.startswith("let answer: u64 = 42\n8 bytes, made in cell "), looked_up)

    def test_an_error_has_its_parts_and_stops_what_waits_in_the_queue(self):
        slow = self.client.execute('println!("begun"); panic!("as asked");')
        waiting = self.client.execute('println!("never");')
        error = next(m for m in self.published(slow, is_idle) if kind(m) == "error")["content"]
        self.assertEqual((error["ename"], error["evalue"]), ("Panic", "as asked"))
        self.assertIn("as asked", "\n".join(error["traceback"]))
        self.assertEqual(self.reply(slow)["status"], "error")
        self.assertEqual(self.reply(waiting)["status"], "aborted")
        self.assertEqual(self.value_of("5 + 6"), "11")

    def test_a_compile_error_is_one_error_with_its_place(self):
        reply, messages = self.run_cell('let wrong: i64 = "text";')
        errors = [message["content"] for message in messages if kind(message) == "error"]
        self.assertEqual(len(errors), 1)
        self.assertIn("E0308", "\n".join(errors[0]["traceback"]) + errors[0]["ename"])
        self.assertIn("let wrong", "\n".join(errors[0]["traceback"]))
        self.assertEqual(reply["status"], "error")

    def interrupt_once_it_printed(self, code):
        """Runs a cell that prints and then never ends, interrupts it, and sees that it says so."""
        request = self.client.execute(code)
        self.published(request, lambda m: kind(m) == "stream")
        self.manager.interrupt_kernel()
        reply = self.reply(request)
        self.assertEqual((reply["status"], reply["ename"]), ("error", "Interrupted"))
        self.published(request, is_idle)

    def test_an_interrupt_stops_a_loop_that_calls_nothing_and_keeps_variables(self):
        self.run_cell("let kept = vec![1i64, 2, 3];")
        self.interrupt_once_it_printed('println!("spinning"); loop {}')
        self.assertEqual(self.value_of("kept.len()"), "3")

    def test_an_interrupt_stops_a_get_that_waits_for_ever_and_keeps_variables(self):
        self.run_cell("let before = 21i64; fn forever() -> i64 { loop { std::thread::park() } }")
        self.interrupt_once_it_printed('let never = forever.remote(); println!("waiting"); get(&never)?')
        self.assertEqual(self.value_of("before * 2"), "42")

    def test_an_interrupt_ends_a_loop_of_calls_that_never_wait(self):
        self.value_of("fn nothing() -> u8 { 1 } let ready = put(&1u8)?; 0")
        process = self.value_of("std::process::id()")
        for call in ["put(&1u8)?", "get(&ready)?", "nothing.remote()", "wait(&[ready.clone()]).timeout(std::time::Duration::ZERO).run()?"]:
            self.interrupt_once_it_printed(f'println!("begun"); loop {{ let _ = {call}; }}')
        self.assertEqual(self.value_of("get(&ready)?"), "1")
        self.assertEqual(self.value_of("std::process::id()"), process, "each call returned; nothing was ended by force")

    def test_an_interrupt_ends_a_deadlock_and_keeps_variables(self):
        self.run_cell("let both = std::sync::Mutex::new(8i64);")
        self.interrupt_once_it_printed('let held = both.lock()?; println!("held"); let never = both.lock()?; println!("{held} {never}");')
        self.assertEqual(self.value_of("*both.lock()?"), "8")

    def test_a_warning_is_shown_in_colours(self):
        self.run_cell(":warnings")
        _, messages = self.run_cell("let unused = { let mut never_changed = 3; never_changed };")
        self.run_cell(":warnings")
        [warning] = [m["content"]["data"] for m in messages if kind(m) == "display_data"]
        self.assertIn("warning[unused_mut]", warning["text/plain"])
        self.assertRegex(warning["text/html"], r"<pre style=.*<span style=.*warning\[unused_mut\]")

    def test_a_cell_that_the_front_end_runs_again_replaces_what_it_defined(self):
        def run(cell, code):
            content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
            request = self.client.session.msg("execute_request", content, metadata={"cellId": cell})
            self.client.shell_channel.send(request)
            return self.reply(request["header"]["msg_id"])

        self.assertEqual(run("first", "fn left() -> i32 { 1 } fn taken() -> i32 { 2 }")["status"], "ok")
        self.assertEqual(run("second", "fn taken_too() -> i32 { taken() }")["status"], "ok")
        self.assertEqual(run("first", "fn left() -> i32 { 3 }")["status"], "ok")
        self.assertEqual(self.value_of("left()"), "3")
        for name in ["taken", "taken_too"]:
            self.assertEqual(run("third", f"{name}()")["ename"], "E0425", name)
        self.run_cell(":keep on")
        run("first", "fn other() -> i32 { 4 }")
        self.run_cell(":keep off")
        self.assertEqual(self.value_of("left() + other()"), "7")

    def test_a_silent_cell_publishes_no_input_and_counts_nothing(self):
        before = self.run_cell("0;")[0]["execution_count"]
        request = self.client.execute("1 + 1", silent=True)
        self.assertEqual(self.reply(request)["status"], "ok")
        self.assertEqual([kind(message) for message in self.published(request, is_idle)], ["busy", "idle"])
        self.assertEqual(self.run_cell("0;")[0]["execution_count"], before + 1)


def kind(message):
    """The message's type; for a status, the state itself."""
    if message["msg_type"] == "status":
        return message["content"]["execution_state"]
    return message["msg_type"]


def is_idle(message):
    return kind(message) == "idle"


if __name__ == "__main__":
    unittest.main(verbosity=2)
