"""Widgets, comms and the panel of variables, as a front end sees them: what is opened, what a person's change does, what a page that is loaded again gets.

Every wait has a deadline, and none is a guess at how long something takes.
"""

import base64
import os
import signal
import subprocess
import tempfile
import unittest

import nbformat
from ipykernel.compiler import murmur2_x86
from jupyter_client.kernelspec import KernelSpecManager
from kernel_case import DEADLINE_S, KernelCase
from nbclient import NotebookClient


class Widgets(KernelCase):
    def idle(self, request):
        self.until(lambda m: m["msg_type"] == "status" and parent(m) == request and m["content"]["execution_state"] == "idle")

    def start(self, code):
        return self.client.execute(code, allow_stdin=False)

    def cell(self, code):
        """Runs a cell: its request, and the messages about it up to its end."""
        request = self.start(code)
        self.idle(request)
        return request, [m for m in self.seen if parent(m) == request]

    def value(self, code):
        """The text of a cell's value."""
        _, messages = self.cell(code)
        for message in messages:
            if message["msg_type"] in ("error", "execute_result"):
                return message["content"].get("evalue") or message["content"]["data"]["text/plain"]
        return None

    def widget(self, code):
        """Runs a cell whose value is a widget: the request, and the widget's comm."""
        request, messages = self.cell(code)
        view = next(m for m in messages if m["msg_type"] == "execute_result")["content"]["data"]
        comm = view["application/vnd.jupyter.widget-view+json"]["model_id"]
        kinds = [m["msg_type"] for m in messages]
        self.assertLess(kinds.index("comm_open"), kinds.index("execute_result"), "a front end needs the model first")
        return request, comm

    def say(self, kind, content, buffers=()):
        message = self.client.session.msg(kind, content)
        self.client.session.send(self.client.shell_channel.socket, message, buffers=list(buffers))
        return message["header"]["msg_id"]

    def change(self, comm, **state):
        """A person's change of a widget."""
        data = {"method": "update", "state": state, "buffer_paths": []}
        return self.say("comm_msg", {"comm_id": comm, "data": data})

    def click(self, comm):
        return self.say("comm_msg", {"comm_id": comm, "data": {"method": "custom", "content": {"event": "click"}}})

    def printed(self, request, text):
        """Waits until the cell of `request` has printed `text`."""
        said = lambda m: m["msg_type"] == "stream" and parent(m) == request and text in m["content"]["text"]
        return self.until(said)

    def test_a_change_reaches_the_cells_and_its_callback_prints_below_its_own_cell(self):
        request, comm = self.widget(
            'use mobula::widgets::*;\nlet n = IntSlider::new(3).max(10).description("n");\n'
            'n.on_change(|n| println!("slid to {n}"));\nn'
        )
        opened = self.until(lambda m: m["msg_type"] == "comm_open" and m["content"]["comm_id"] == comm)
        state = opened["content"]["data"]["state"]
        self.assertEqual((state["_model_name"], state["value"], state["max"], state["description"]), ("IntSliderModel", 3, 10, "n"))
        self.assertEqual((opened["content"]["target_name"], opened["metadata"]["version"]), ("jupyter.widget", "2.1.0"))
        self.cell("let later = 1;")
        changed = self.change(comm, value=7)
        self.printed(request, "slid to 7")
        self.idle(changed)
        echo = self.until(lambda m: m["msg_type"] == "comm_msg" and parent(m) == changed)
        self.assertEqual(echo["content"]["data"]["method"], "echo_update")
        self.assertEqual(self.value("n.value()"), "7")
        self.cell("n.set_value(4);")
        told = lambda m: m["msg_type"] == "comm_msg" and m["content"]["data"].get("state") == {"value": 4}
        self.until(told)

    def test_what_a_front_end_sees_last_is_what_the_value_is(self):
        _, comm = self.widget("use mobula::widgets::*;\nlet racing = IntSlider::new(0);\nracing")
        racing = self.start('println!("it races");\nfor n in 0..20_000 { racing.set_value(n % 50); }')
        self.printed(racing, "it races")
        changes = [self.change(comm, value=value) for value in range(51, 91)]
        for changed in [*changes, racing]:
            self.idle(changed)
        of_it = lambda m: m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == comm and "value" in m["content"]["data"]["state"]
        self.cell("1")
        last = [m for m in self.seen if of_it(m)][-1]
        self.assertEqual(self.value("racing.value()"), str(last["content"]["data"]["state"]["value"]))

    def test_a_value_stays_within_its_bounds(self):
        _, comm = self.widget("use mobula::widgets::*;\nlet bound = IntSlider::new(3).max(10);\nbound")
        self.cell("bound.set_value(99);")
        self.until(lambda m: m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == comm and m["content"]["data"]["state"] == {"value": 10})
        self.cell("fn narrow(bar: IntSlider) { bar.set_max(4); }\nget(narrow.remote(bound.clone()))?;")
        self.until(lambda m: m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == comm and m["content"]["data"]["state"] == {"max": 4, "value": 4})
        self.assertEqual(self.value("bound.value()"), "4")

    def test_a_running_cell_reads_what_a_person_changes_meanwhile_and_eager_callbacks_run(self):
        _, comm = self.widget(
            "use std::sync::atomic::{AtomicI64, Ordering};\nstatic HEARD: AtomicI64 = AtomicI64::new(0);\n"
            "use mobula::widgets::*;\nlet live = IntSlider::new(0);\n"
            "live.on_change(|n| HEARD.store(n, Ordering::SeqCst)).eager();\nlive"
        )
        waiting = self.start(
            'println!("it waits");\n'
            "while live.value() != 9 || HEARD.load(Ordering::SeqCst) != 9 { std::thread::sleep(Duration::from_millis(1)); }\n"
            "live.value()"
        )
        self.printed(waiting, "it waits")
        self.idle(self.change(comm, value=9))
        self.idle(waiting)

    def test_a_callback_that_panics_or_dies_is_told_below_its_cell_and_loses_nothing(self):
        request, comm = self.widget(
            'use mobula::widgets::*;\nlet precious = 42;\nlet mut clicks = 0;\nlet go = Button::new("Go");\n'
            "go.on_click(move || { clicks += 1; match clicks { 1 => panic!(\"the first click\"), 2 => std::process::abort(), _ => println!(\"click {clicks}\") } });\n"
            "go"
        )
        self.idle(self.click(comm))
        self.printed(request, "the first click")
        self.idle(self.click(comm))
        self.printed(request, "SIGABRT")
        self.assertEqual(self.value("precious"), "42")
        # The copy that took over is from before the second click.
        self.idle(self.click(comm))
        self.assertEqual(self.value("precious + 1"), "43")

    def test_callbacks_live_on_in_the_copy_that_takes_over(self):
        request, comm = self.widget(
            'use mobula::widgets::*;\nlet kept = Checkbox::new(false);\nkept.on_change(|on| println!("ticked: {on}"));\nkept'
        )
        eager_request, eager = self.widget(
            'let at_once = Checkbox::new(false);\nat_once.on_change(|on| println!("at once: {on}")).eager();\nat_once'
        )
        pid = int(self.value("std::process::id()"))
        os.kill(pid, signal.SIGKILL)
        while self.value("std::process::id()") == str(pid):
            pass
        self.idle(self.change(comm, value=True))
        self.printed(request, "ticked: true")
        self.change(eager, value=True)
        self.until(lambda m: m["msg_type"] == "stream" and "at once: true" in m["content"]["text"])
        self.assertEqual(self.value("(kept.value(), at_once.value())"), "(true, true)")

    def test_clicks_that_come_while_a_callback_runs_are_heard_too(self):
        request, comm = self.widget(
            'use mobula::widgets::*;\nlet slow = Button::new("slow");\nlet mut heard = 0;\n'
            'slow.on_click(move || { heard += 1; println!("begins {heard}"); std::thread::sleep(Duration::from_millis(200)); println!("heard {heard}"); });\nslow'
        )
        first = self.click(comm)
        self.printed(request, "begins 1")
        others = [self.click(comm), self.click(comm)]
        self.printed(request, "heard 3")
        for clicked in [first, *others]:
            self.idle(clicked)

    def test_a_variable_whose_debug_never_ends_holds_nobody_up(self):
        self.cell(
            "struct Endless;\nimpl std::fmt::Debug for Endless { fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { loop { std::hint::black_box(0); } } }\n"
            "let endless = Endless;\nlet beside = 41;"
        )
        self.assertTrue(self.debug("inspectVariables")["success"])
        self.assertEqual(self.value("beside + 1"), "42")
        self.cell("drop(endless);")

    def test_a_callback_that_never_ends_is_interrupted(self):
        _, comm = self.widget(
            'use mobula::widgets::*;\nlet spin = Button::new("spin");\n'
            'spin.on_click(|| { println!("it spins"); loop { std::hint::black_box(0); } });\nspin'
        )
        clicked = self.click(comm)
        self.until(lambda m: m["msg_type"] == "stream" and "it spins" in m["content"]["text"])
        self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))
        self.idle(clicked)
        self.assertEqual(self.value("1 + 1"), "2")

    def test_a_page_that_is_loaded_again_gets_every_widget_with_its_bytes(self):
        _, comm = self.widget('use mobula::widgets::*;\nlet picture = Image::new(b"\\x89PNG");\npicture')
        self.say("comm_open", {"comm_id": "control", "target_name": "jupyter.widget.control", "data": {}})
        asked = self.say("comm_msg", {"comm_id": "control", "data": {"method": "request_states"}})
        states = self.until(lambda m: m["msg_type"] == "comm_msg" and parent(m) == asked)
        data = states["content"]["data"]
        self.assertEqual(data["states"][comm]["model_name"], "ImageModel")
        place = data["buffer_paths"].index([comm, "state", "value"])
        self.assertEqual(bytes(states["buffers"][place]), b"\x89PNG")
        info = self.say("comm_info_request", {"target_name": "jupyter.widget"})
        while True:
            reply = self.client.get_shell_msg(timeout=DEADLINE_S)
            if parent(reply) == info:
                break
        self.assertEqual(reply["content"]["comms"][comm], {"target_name": "jupyter.widget"})

    def test_a_task_moves_a_bar_and_a_loop_is_few_messages(self):
        _, comm = self.widget(
            "use mobula::widgets::*;\nlet bar = IntProgress::new(0);\n"
            "fn work(bar: IntProgress) -> i64 { for n in 1..=1000 { bar.set_value(n % 101); } bar.value() }\nbar"
        )
        self.assertEqual(self.value("get(work.remote(bar.clone()))?"), str(1000 % 101))
        last = lambda m: m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == comm and m["content"]["data"]["state"].get("value") == 1000 % 101
        self.until(last)
        updates = [m for m in self.seen if m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == comm]
        self.assertLess(len(updates), 500)

    def test_an_output_takes_what_is_printed_inside_and_nothing_else(self):
        request, messages = self.cell(
            'use mobula::widgets::*;\nlet log = Output::new();\nprintln!("before");\nlog.capture(|| println!("inside"));\nprintln!("after");'
        )
        story = []
        for m in messages:
            if m["msg_type"] == "stream":
                story.append(m["content"]["text"].strip())
            elif m["msg_type"] == "comm_msg":
                story.append(m["content"]["data"]["state"]["msg_id"] == request)
        self.assertEqual(story, ["before", True, "inside", False, "after"])

    def test_a_front_end_opens_a_comm_for_a_target_of_a_cell(self):
        request, _ = self.cell(
            "use mobula::comm::Comm;\n"
            'Comm::on_open("echo", |comm, hello| { println!("opened with {}", hello.data::<i64>().unwrap()); '
            "comm.on_message(|message| println!(\"{:?} and {} bytes\", message.data::<Vec<i64>>().unwrap(), message.buffers()[0].len())).unwrap(); "
            'comm.send(&std::collections::BTreeMap::from([("said", "welcome")])).unwrap(); })?;'
        )
        self.idle(self.say("comm_open", {"comm_id": "mine", "target_name": "echo", "data": 5}))
        self.printed(request, "opened with 5")
        said = self.until(lambda m: m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == "mine")
        self.assertEqual(said["content"]["data"], {"said": "welcome"})
        self.idle(self.say("comm_msg", {"comm_id": "mine", "data": [1, 2]}, [b"abc"]))
        self.until(lambda m: m["msg_type"] == "stream" and "[1, 2] and 3 bytes" in m["content"]["text"])


    def debug(self, command, **arguments):
        """A request of the debugger, and the body of its reply."""
        content = {"type": "request", "seq": 1, "command": command, "arguments": arguments}
        message = self.client.session.msg("debug_request", content)
        self.client.control_channel.send(message)
        while True:
            reply = self.client.get_control_msg(timeout=DEADLINE_S)
            if parent(reply) == message["header"]["msg_id"]:
                return reply["content"]

    def test_a_panel_of_variables_has_their_types_sizes_values_and_parts(self):
        self.assertTrue(self.debug("initialize")["success"])
        self.cell(
            "#[derive(Debug)] struct Point { x: f64, tags: Vec<&'static str> }\nstruct Opaque;\n"
            'let point = Point { x: 0.5, tags: vec!["a", "b"] };\nlet mut list: Vec<u64> = (0..100_000).collect();\n'
            "let opaque = Opaque;\nlet gone = String::new();"
        )
        self.cell("drop(gone);")
        _, messages = self.cell("1")
        before = number_of(messages)
        found = {v["evaluateName"]: v for v in self.debug("inspectVariables")["body"]["variables"]}
        self.assertEqual(found["point"]["value"], 'Point { x: 0.5, tags: ["a", "b"] }')
        self.assertEqual((found["list"]["name"], found["list"]["type"]), ("mut list", "Vec<u64> (800024 B)"))
        self.assertLess(len(found["list"]["value"]), 300)
        self.assertEqual(found["opaque"]["value"], "")
        self.assertIn("moved in cell", found["gone"]["value"])
        fields = self.debug("variables", variablesReference=found["point"]["variablesReference"])["body"]["variables"]
        self.assertEqual([(f["name"], f["value"]) for f in fields], [("x", "0.5"), ("tags", '["a", "b"]')])
        page = self.debug("variables", variablesReference=found["list"]["variablesReference"], start=1000, count=2)
        self.assertEqual([(e["name"], e["value"]) for e in page["body"]["variables"]], [("1000", "1000"), ("1001", "1001")])
        rich = self.debug("richInspectVariables", variableName="list")["body"]["data"]
        self.assertTrue(rich["text/plain"].startswith("[0, 1, 2"))
        self.assertFalse(self.debug("stepIn")["success"])
        info, code = self.debug("debugInfo")["body"], "let here = 1;"
        name = f"{info['tmpFilePrefix']}{murmur2_x86(code, info['hashSeed'])}{info['tmpFileSuffix']}"
        self.assertEqual((info["hashMethod"], self.debug("dumpCell", code=code)["body"]["sourcePath"]), ("Murmur2", name))
        self.assertEqual(self.debug("source", source={"path": name})["body"]["content"], code)
        # What was looked at is neither shown nor counted.
        _, messages = self.cell("2")
        self.assertEqual(number_of(messages), before + 1)
        self.assertEqual(self.value("point.x"), "0.5")


class Saved(unittest.TestCase):
    def test_a_notebook_is_saved_with_the_state_of_its_widgets(self):
        code = "use mobula::widgets::*;\nlet n = IntSlider::new(3);\nn.set_value(8);\nn"
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
        NotebookClient(notebook, kernel_name="mobula", timeout=DEADLINE_S, startup_timeout=DEADLINE_S).execute()
        data = notebook.cells[0].outputs[-1]["data"]
        comm = data["application/vnd.jupyter.widget-view+json"]["model_id"]
        states = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
        self.assertEqual((states[comm]["model_name"], states[comm]["state"]["value"]), ("IntSliderModel", 8))
        self.assertTrue(data["text/plain"].startswith("IntSlider(value=8"))

    def test_mobula_run_saves_the_states_that_nbclient_saves(self):
        code = (
            "use mobula::widgets::*;\nlet n = IntSlider::new(3).max(10);\nn.set_value(80);\nlet log = Output::new();\n"
            'log.capture(|| println!("inside"));\nprintln!("outside");\nVBox::new([n.widget(), log.widget()])'
        )
        cells = [nbformat.v4.new_code_cell(code), nbformat.v4.new_code_cell('Image::new(b"\\x89PNG")')]
        program = KernelSpecManager().get_kernel_spec("mobula").argv[0]
        with tempfile.TemporaryDirectory() as folder:
            path, copy = os.path.join(folder, "widgets.ipynb"), os.path.join(folder, "out.ipynb")
            nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
            subprocess.run([program, "run", f"--save={copy}", path], check=True, timeout=DEADLINE_S)
            ours, theirs = nbformat.read(copy, as_version=4), nbformat.read(path, as_version=4)
        nbformat.validate(ours)
        NotebookClient(theirs, kernel_name="mobula", timeout=DEADLINE_S, startup_timeout=DEADLINE_S).execute()
        self.assertEqual(told(ours), told(theirs))
        slider, log, picture = told(ours)["IntSliderModel"], told(ours)["OutputModel"], told(ours)["ImageModel"]
        self.assertEqual((slider[0], log[1], picture[2]), (10, ["inside\n"], [base64.b64encode(b"\x89PNG").decode()]))
        view = ours.cells[0].outputs[-1]["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
        self.assertEqual(states_of(ours)[view]["model_name"], "VBoxModel")
        self.assertEqual([output["text"] for output in ours.cells[0].outputs if output["output_type"] == "stream"], ["outside\n"])


def states_of(notebook):
    return notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]


def told(notebook):
    """By each widget's model: its value, the texts in it, and its bytes. The ids are other ones in each session."""

    def of(widget):
        texts = ["".join(output["text"]) for output in widget["state"].get("outputs", [])]
        return widget["state"].get("value"), texts, [buffer["data"].strip() for buffer in widget.get("buffers", [])]

    return {widget["model_name"]: of(widget) for widget in states_of(notebook).values()}


def parent(message):
    return message["parent_header"].get("msg_id")


def number_of(messages):
    """The execution count of a cell with a value."""
    return next(m["content"]["execution_count"] for m in messages if m["msg_type"] == "execute_result")


if __name__ == "__main__":
    unittest.main()
