"""What a notebook shows of a cell's tasks and of bars, as a front end sees it: which displays are made, by which cell, and what they say in the end.

Every wait has a deadline. Tasks wait for files, so that nothing depends on how fast the machine is.
"""

import os
import signal
import tempfile
import unittest

from kernel_case import KernelCase

FUNCTIONS = """
fn gate(file: String, n: u64) -> u64 {
    while !std::path::Path::new(&file).exists() { std::thread::sleep(Duration::from_millis(5)); }
    assert!(n != 2, "two is refused");
    n
}
"""


class Progress(KernelCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.TemporaryDirectory()
        cls.files = cls.cells = 0

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()

    def start(self, code, is_notebook=True):
        """Starts a cell, as a notebook does, or as a console does."""
        Progress.cells += 1
        metadata = {"cellId": f"cell {Progress.cells}"} if is_notebook else {}
        content = {
            "code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True,
        }
        request = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(request)
        return request["header"]["msg_id"]

    def idle(self, request):
        self.until(lambda m: m["msg_type"] == "status" and parent(m) == request and m["content"]["execution_state"] == "idle")

    def run_cell(self, code, is_notebook=True):
        request = self.start(code, is_notebook)
        self.idle(request)
        return request

    def file(self):
        """A path at which there is no file yet."""
        Progress.files += 1
        return os.path.join(self.folder.name, str(Progress.files))

    def shows(self, request, *words):
        """Waits until a display of `request`, or an update of one, has these words in its text."""
        accepts = lambda m: parent(m) == request and m["msg_type"] in DISPLAYS and all(word in text(m) for word in words)
        return self.until(accepts)

    def displays(self, request):
        return [m for m in self.seen if parent(m) == request and m["msg_type"] in DISPLAYS]

    def test_tasks_that_go_on_are_a_line_of_the_cell_that_started_them_also_after_it(self):
        self.run_cell(FUNCTIONS)
        file = self.file()
        request = self.run_cell(f'let tasks: Vec<_> = (0..4).map(|n| gate.options().max_retries(0).remote("{file}".to_owned(), n)).collect();')
        first = self.shows(request, "gate", "0/4", "running")
        self.assertEqual(first["msg_type"], "display_data")
        self.assertIn("<progress", first["content"]["data"]["text/html"])
        other = self.run_cell("1 + 1")
        open(file, "w").close()
        last = self.shows(request, "4 tasks in", ": gate; failed: gate 1")
        self.assertEqual(last["msg_type"], "update_display_data")
        ids = {m["content"]["transient"]["display_id"] for m in self.displays(request)}
        self.assertEqual(len(ids), 1, "it is one display")
        self.assertEqual(self.displays(other), [], "another cell has nothing to do with it")

    def test_a_cell_that_waits_for_its_tasks_has_the_folded_line_before_it_is_idle(self):
        self.run_cell(FUNCTIONS)
        file = self.file()
        request = self.start(f'let tasks: Vec<_> = (3..5).map(|n| gate.remote("{file}".to_owned(), n)).collect(); get(&tasks)?;')
        self.shows(request, "0/2")
        open(file, "w").close()
        self.idle(request)
        self.assertIn("2 tasks in", text(self.displays(request)[-1]))

    def test_a_console_a_program_and_a_person_who_wants_none_get_no_line(self):
        self.run_cell(FUNCTIONS)
        for is_notebook, word in [(False, ":progress on"), (True, ":progress off")]:
            self.run_cell(word)
            file, seen = self.file(), self.file()
            code = f'let tasks: Vec<_> = (3..5).map(|n| gate.remote("{file}".to_owned(), n)).collect();'
            unwatched = self.run_cell(code, is_notebook)
            # A cell that is watched, begun later, has its line before the tasks of both may end.
            self.run_cell(":progress on")
            watched = self.run_cell(code.replace(file, seen))
            self.shows(watched, "0/2")
            for path in (file, seen):
                open(path, "w").close()
            self.shows(watched, "2 tasks in")
            self.assertEqual(self.displays(unwatched), [])

    def test_bars_of_one_name_from_many_tasks_and_an_actor_are_one_bar(self):
        self.run_cell(
            "fn work(n: u64) -> u64 { for _ in progress(0..5u64).name(\"steps\") {} n }\n"
            "struct A; impl A { fn new() -> A { A } fn go(&mut self) { let bar = Progress::new(10).name(\"steps\"); bar.message(\"in an actor\"); bar.inc(10); } }"
        )
        request = self.run_cell(
            "let tasks: Vec<_> = (0..8).map(|n| work.remote(n)).collect(); get(&tasks)?;\n"
            "let a = A::new.spawn(); get(&A::go.call(&a))?;"
        )
        bar = self.shows(request, "steps 100%", "50/50", "] in an actor")
        made = [m for m in self.displays(request) if m["msg_type"] == "display_data" and "steps" in text(m)]
        self.assertEqual(len(made), 1)
        self.assertEqual(made[0]["content"]["transient"], bar["content"]["transient"])

    def test_a_bar_stays_where_an_interrupt_found_it(self):
        request = self.start(
            "fn forever() { loop { std::thread::park() } }\nlet never = forever.remote();\n"
            "for n in progress(0..10u64).name(\"halfway\") { if n == 4 { get(&never)?; } }"
        )
        self.shows(request, "halfway")
        self.manager.interrupt_kernel()
        self.idle(request)
        self.assertIn("halfway 40% ", text([m for m in self.displays(request) if "halfway" in text(m)][-1]))

    def test_a_worker_that_dies_takes_its_steps_back(self):
        mark = self.file()
        self.run_cell(
            f'fn dies() -> u64 {{ let bar = Progress::new(10).name("again"); bar.inc(4);\n'
            f'    if !std::path::Path::new("{mark}").exists() {{ std::fs::write("{mark}", "").unwrap(); std::process::abort(); }}\n'
            f'    bar.inc(6); 1 }}'
        )
        request = self.run_cell("get(&dies.remote())?")
        self.shows(request, "again 100%", "10/10")

    def test_what_a_killed_process_leaves_of_a_bar_stays_and_the_next_cell_draws_anew(self):
        request = self.start(
            'println!("pid {}", std::process::id()); for n in progress(0..10u64).name("killed") { if n == 3 { loop {} } }'
        )
        said = self.until(lambda m: m["msg_type"] == "stream" and parent(m) == request and "pid " in m["content"]["text"])
        self.shows(request, "killed")
        os.kill(int(said["content"]["text"].split()[1]), signal.SIGKILL)
        self.idle(request)
        again = self.run_cell('for n in progress(0..3u64).name("killed") {}')
        self.shows(again, "killed 100%", "3/3")

    def test_a_terminal_of_another_crates_bars_is_one_display(self):
        request = self.run_cell(
            'let term = mobula::Term::open().unwrap();\n'
            'for n in 0..=3 { term.clear_line(); term.write(&format!("step {n} of 3")); term.flush(); }'
        )
        last = self.shows(request, "step 3 of 3")
        made = [m for m in self.displays(request) if m["msg_type"] == "display_data"]
        self.assertEqual([text(m) for m in made], ["step 0 of 3"])
        self.assertEqual(made[0]["content"]["transient"], last["content"]["transient"])


DISPLAYS = ("display_data", "update_display_data")


def parent(message):
    return message["parent_header"].get("msg_id")


def text(message):
    return message["content"]["data"]["text/plain"]


if __name__ == "__main__":
    unittest.main()
