"""The web page of a runtime in Chromium, with a real run behind it: each view, and its numbers against `tasks()`.

    python test_dashboard.py [FOLDER]

Pictures of what a person sees are left in FOLDER. Where no Chromium is installed, one word says so, and nothing is tested; in continuous
integration (`CI` is set) that is a failure.
"""

import json
import os
import re
import shutil
import sys
import tempfile
import time
import unittest
import urllib.request

from kernel_case import DEADLINE_S, KernelCase, about

PICTURES = sys.argv.pop() if len(sys.argv) > 1 and os.path.isdir(sys.argv[-1]) else None
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

DEFINITIONS = """
use std::time::Duration as D;
fn load(n: u64) -> Vec<u64> { std::thread::sleep(D::from_millis(40 + n % 4 * 30)); (0..20_000 + n).collect() }
fn sum(v: Vec<u64>) -> u64 { std::thread::sleep(D::from_millis(50)); println!("summing {} numbers", v.len()); v.iter().sum() }
fn total(a: u64, b: u64) -> u64 { std::thread::sleep(D::from_millis(300)); a + b }
fn fragile(n: u64) -> u64 { assert!(n % 3 != 0, "{n} is divisible by three"); n }
fn quick(n: u64) -> u64 { n * 2 }
fn gate(path: String) -> u64 { while !std::path::Path::new(&path).exists() { std::thread::sleep(D::from_millis(20)); } 7 }
#[derive(Serialize, Deserialize)] struct Counter { n: u64 }
impl Counter { fn new() -> Self { Counter { n: 0 } } fn add(&mut self, by: u64) -> u64 { std::thread::sleep(D::from_millis(15)); self.n += by; self.n } }
"""

RUN = """
let parts: Vec<_> = (0..6u64).map(|n| load.remote(n)).collect();
let sums: Vec<_> = parts.iter().map(|part| sum.remote(part)).collect();
let all = total.remote(&sums[0], &sums[1]);
get(&all)?; get(&sums)?;
"""

SPINNING = """
#[inline(never)] fn inner(path: &str) -> u64 {
    let mut turns = 0u64;
    while turns % 1_000_000 != 0 || !std::path::Path::new(path).exists() {
        turns = std::hint::black_box(turns + 1); // here it spins
    }
    turns / turns
}
#[inline(never)] fn spinning(path: String) -> u64 { std::hint::black_box(inner(&path)) + 41 }
struct Slow; impl Slow { fn new() -> Self { Slow } fn nap(&self, path: String) -> u64 { gate(path) } }
"""

FAILING = "let bad: Vec<_> = (0..6u64).map(|n| fragile.remote(n)).collect();\nbad.iter().filter(|x| get(*x).is_err()).count()"
ACTING = "let counter = Counter::new.spawn();\nfor by in 0..5u64 { let _ = Counter::add.call(&counter, by); }\nget(&Counter::add.call(&counter, 1))?"
MANY = "let many: Vec<_> = (0..1000u64).map(|n| quick.remote(n)).collect();\nget(&many)?.len()"
COUNTS = """
let mut seen = std::collections::BTreeMap::new();
for run in tasks().iter() { *seen.entry(format!("{}|{}", run.name, run.state)).or_insert(0) += 1; }
for (what, number) in &seen { println!("{what}|{number}"); }
"""


def amount(text):
    return int(re.sub(r"\D", "", text))


@unittest.skipUnless(CHROMIUM, "no Chromium is installed")
class Dashboard(KernelCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        from playwright.sync_api import sync_playwright

        cls.gate = os.path.abspath(f"gate-{os.getpid()}")
        for code in [DEFINITIONS, RUN, FAILING, ACTING, MANY]:
            cls.cell(code)
        cls.url = cls.cell('println!("{}", dashboard()?.url)').strip()
        cls.playwright = sync_playwright().start()
        # What the browser leaves behind is no trace of ours.
        cls.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        own = {name: cls.folder.name for name in ["HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"]}
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        cls.browser = cls.playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, env={**os.environ, **own})

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.playwright.stop()
        cls.folder.cleanup()
        super().tearDownClass()

    @classmethod
    def cell(cls, code):
        """Runs a cell, and gives what it has shown."""
        request, shown = cls.client.execute(code, allow_stdin=False), []
        for message in about(cls.client.get_iopub_msg, request):
            content = message["content"]
            match message["msg_type"]:
                case "stream" if content["name"] == "stdout":
                    shown.append(content["text"])
                case "execute_result" | "display_data":
                    shown.append(content["data"]["text/plain"])
                case "error":
                    raise AssertionError("\n".join(content["traceback"]))
                case "status" if content["execution_state"] == "idle":
                    return "".join(shown)
        raise AssertionError("the cell has not ended in time")

    def runs(self):
        """The runs of tasks, by function and state, as a cell counts them."""
        lines = [line.split("|") for line in self.cell(COUNTS).splitlines()]
        counts = {}
        for name, state, number in lines:
            counts.setdefault(name, {})[state] = int(number)
        return counts

    def page(self, tab="tasks", width=1280, scheme="light", url=None):
        context = self.browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.set_default_timeout(DEADLINE_S * 1000)
        self.addCleanup(context.close)
        page, self.troubles = context.new_page(), []
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.troubles.append(message.text))
        page.goto(url or self.url)
        page.click(f'nav a[href="#{tab}"]')
        self.until(page, "mobula.model.version > 0")
        return page

    def until(self, page, condition):
        """Waits for a condition in the page, without a script that its policy would refuse."""
        deadline = time.monotonic() + DEADLINE_S
        while not page.evaluate(condition):
            self.assertLess(time.monotonic(), deadline, f"waited in vain for {condition}")
            page.wait_for_timeout(50)

    def tearDown(self):
        self.assertEqual(getattr(self, "troubles", []), [], "the page had nothing to complain of")

    def picture(self, page, name):
        if PICTURES:
            page.screenshot(path=os.path.join(PICTURES, f"{name}.png"))

    def row(self, page, table, first):
        """The texts of the row that begins with `first`."""
        row = page.locator(f"{table} tbody tr").filter(has=page.locator("td:first-child", has_text=re.compile(f"^{re.escape(first)}$"))).first
        row.wait_for()
        return row.locator("td").all_inner_texts()

    def test_progress_has_the_numbers_of_tasks(self):
        counts = self.runs()
        page = self.page()
        for name, states in counts.items():
            with self.subTest(name):
                bar = page.locator(f'.progress[data-function="{name}"]')
                bar.wait_for()
                words = bar.locator(".head span").last.inner_text()
                done, all_runs = [amount(number) for number in words.split(",")[0].split(" of ")]
                self.assertEqual((done, all_runs), (states.get("finished", 0), sum(states.values())))
                failed = re.search(r"([\d\s\u202f]+) failed", words)
                self.assertEqual(amount(failed[1]) if failed else 0, states.get("failed", 0))
        self.assertEqual(page.locator(".progress").count(), len(counts))
        self.picture(page, "tasks-light-1280")

    def test_the_stream_has_a_block_for_each_run_and_a_click_shows_what_is_next_to_it(self):
        counts = self.runs()
        page = self.page()
        page.get_by_role("button", name="All").click()
        drawn = page.evaluate("""() => {
            const drawn = {};
            for (const run of mobula.stream.view.lanes.visible) drawn[mobula.model.name(run.name)] = (drawn[mobula.model.name(run.name)] || 0) + run.runs;
            return drawn;
        }""")
        ran = {name: sum(number for state, number in states.items() if state != "argument failed") for name, states in counts.items()}
        self.assertEqual(drawn, ran)
        self.click_on(page, "total")
        detail = page.locator(".detail")
        detail.get_by_text("Came from").wait_for()
        self.assertEqual(detail.locator("ul.facts li", has_text=re.compile(r"^sum ")).count(), 2)
        self.assertIn("let parts: Vec<_>", detail.locator("pre.source").inner_text())
        self.assertEqual(page.evaluate("mobula.stream.linked.size"), 2)
        self.picture(page, "task-light-1280")
        self.click_on(page, "load")
        detail.get_by_text("Wait for it, or used it").wait_for()
        self.click_on(page, "fragile", "run.state === 4")
        detail.get_by_text("is divisible by three").first.wait_for()
        self.click_on(page, "sum")
        detail.get_by_text(re.compile(r"summing \d+ numbers")).first.wait_for()

    def click_on(self, page, name, condition="true"):
        place = page.evaluate(f"""() => {{
            const {{ stream, model }} = mobula, {{ view }} = stream;
            const run = view.lanes.visible.find((run) => model.name(run.name) === "{name}" && ({condition}));
            return [(stream.x(run.began) + Math.max(stream.x(run.ended), stream.x(run.began) + 1)) / 2, view.lanes.placed(run) * 20 + 10];
        }}""")
        canvas = page.locator("canvas").first
        canvas.hover(position={"x": place[0], "y": place[1]})
        self.assertIn(name, page.locator(".tip").inner_text())
        canvas.click(position={"x": place[0], "y": place[1]})

    def test_what_runs_and_waits_is_seen_while_it_does(self):
        page = self.page()
        self.cell(f'let gates: Vec<_> = (0..8).map(|_| gate.remote("{self.gate}".to_string())).collect();')
        bar = page.locator('.progress[data-function="gate"] .head span').last
        self.until(page, """() => [...mobula.model.functions].some(([name, counts]) =>
            mobula.model.name(name) === "gate" && counts.running > 0 && counts.running + counts.waiting === 8)""")
        counts = self.runs()["gate"]
        words = bar.inner_text()
        self.assertIn(f"{counts['running']} running", words)
        self.assertIn(f"{counts['queued']} waiting", words)
        page.click('nav a[href="#workers"]')
        page.locator("tbody tr", has_text="gate").first.wait_for()
        self.picture(page, "workers-light-1280")
        page.click('nav a[href="#resources"]')
        page.locator("tbody tr", has_text="1 CPU").wait_for()
        waiting = self.row(page, "section", "1 CPU")
        self.assertEqual(amount(waiting[1]), counts["queued"])
        self.assertRegex(page.locator('[data-resource="CPU"] .head span').last.inner_text(), r"^\d+ used, 0 free of")
        self.until(page, "document.querySelectorAll('.uplot canvas').length === 4 && mobula.model.samples.length > 2")
        self.picture(page, "resources-light-1280")
        open(self.gate, "w", encoding="utf-8").close()
        self.cell("get(&gates)?;")
        os.remove(self.gate)
        self.until(page, """() => [...mobula.model.functions].some(([name, counts]) =>
            mobula.model.name(name) === "gate" && counts.done >= 8 && counts.running + counts.waiting === 0)""")

    def test_a_press_shows_the_stack_of_a_worker_and_its_task_goes_on(self):
        self.cell(SPINNING)
        page = self.page("workers")
        self.cell(f'let spun = spinning.remote("{self.gate}".to_string());\nlet slow = Slow::new.spawn(); let nap = Slow::nap.call(&slow, "{self.gate}".to_string());')
        stack = page.locator("section.stack")
        self.assertEqual(stack.is_visible(), False)
        page.locator("tbody tr", has_text="spinning").get_by_role("button", name="Stack").click()
        # Most of its time is in the loop; a press finds it elsewhere at times, and asks again as a person would.
        calls = stack.locator(".thread").first.locator("> ol > li:not(.own)")
        deadline = time.monotonic() + DEADLINE_S
        while True:
            calls.filter(has_text="spinning").first.wait_for()
            words = calls.all_inner_texts()
            if "here it spins" in words[0] or "while turns" in words[0]:
                break
            self.assertLess(time.monotonic(), deadline, f"never in the loop: {words}")
            stack.get_by_role("button", name="Ask again").click()
        inner, outer = [next(index for index, text in enumerate(words) if text.startswith(name)) for name in ["inner", "spinning"]]
        self.assertLess(inner, outer, "the newest call is first")
        self.assertRegex(words[inner], r"cell \d+, line [45]\b")
        self.assertRegex(words[outer], r"cell \d+, line 9\b")
        self.assertIn("std::hint::black_box(inner(&path)) + 41", words[outer])
        self.assertGreater(stack.locator("li.own summary", has_text="of the runtime").count(), 0)
        self.picture(page, "stack-light-1280")
        page.locator("tbody tr", has_text="nap").get_by_role("button", name="Stack").click()
        stack.locator("li:not(.own)", has_text="gate").first.wait_for()
        stack.locator("li:not(.own)", has_text="sleep").first.wait_for()
        self.picture(page, "stack-actor-light-1280")
        open(self.gate, "w", encoding="utf-8").close()
        self.assertEqual(self.cell("(get(&spun)?, get(&nap)?)").strip(), "(42, 7)")
        os.remove(self.gate)
        stack.get_by_role("button", name="Ask again").click()
        self.until(page, "document.querySelector('.stack .thread') && !document.querySelector('.stack pre.source')")
        self.picture(page, "stack-idle-light-1280")
        stack.get_by_role("button", name="Close").click()
        self.assertEqual(stack.is_visible(), False)

    def test_cells_are_listed_with_their_tasks_and_a_click_shows_source_and_error(self):
        counts = self.runs()
        page = self.page("cells")
        row = self.row(page, "section", "2")
        self.assertEqual(row[1], "ok")
        self.assertEqual(amount(row[3].split(",")[0]), sum(sum(counts[name].values()) for name in ["load", "sum", "total"]))
        failing = self.row(page, "section", "3")
        self.assertIn("2 failed", failing[3])
        self.assertTrue(all(failing[column] for column in [4, 5, 7, 8]), failing)
        page.locator("tbody tr.pick", has_text="let bad").click()
        self.assertIn("fragile.remote(n)", page.locator("pre.source").inner_text())
        self.picture(page, "cells-light-1280")
        with self.assertRaises(AssertionError):
            self.cell("nothing_of_this_name")
        page.locator("tbody tr.pick", has_text="nothing_of_this_name").click()
        page.locator("pre.error", has_text="nothing_of_this_name").wait_for()

    def test_actors_objects_errors_and_logs_are_those_of_the_session(self):
        page = self.page("workers")
        actor = self.row(page, "section", "Counter")
        self.assertEqual((actor[1], actor[3], actor[5]), ("alive", "4", "0"))
        page.click('nav a[href="#objects"]')
        made = self.row(page, "section", "load")
        self.assertEqual(amount(made[1]), 6)
        bytes_in_cell = int(self.cell("objects().iter().filter_map(|object| object.bytes()).sum::<u64>()"))
        summed = page.evaluate("""async () => { const asked = await (await fetch('api/objects')).json();
            return asked.makers.reduce((sum, maker) => sum + maker.bytes, 0); }""")
        self.assertEqual(summed, bytes_in_cell)
        self.picture(page, "objects-light-1280")
        page.click('nav a[href="#errors"]')
        page.locator("article").first.wait_for()
        failures = int(self.cell('errors().iter().filter(|error| error.task == "fragile").count()'))
        self.assertEqual(page.locator("article", has_text="fragile").count(), failures)
        page.get_by_label("filter errors").fill("3 is divisible")
        self.until(page, "document.querySelectorAll('article').length === 1")
        self.picture(page, "errors-light-1280")
        page.click('nav a[href="#logs"]')
        page.locator("pre.log", has_text="summing").wait_for()
        self.assertEqual(page.locator("pre.log span", has_text="summing").count(), 6)
        page.get_by_label("filter logs").fill("20003")
        self.until(page, "document.querySelectorAll('pre.log span').length === 1")

    def test_a_phone_and_the_dark_show_all_views_without_scrolling_to_the_side(self):
        for scheme, width in [("dark", 390), ("dark", 1280), ("light", 390)]:
            page = self.page(width=width, scheme=scheme)
            for tab in ["tasks", "cells", "workers", "objects", "resources", "errors", "logs"]:
                with self.subTest(f"{tab} {scheme} {width}"):
                    page.click(f'nav a[href="#{tab}"]')
                    page.locator(f'nav a[href="#{tab}"][aria-current="page"]').wait_for()
                    self.until(page, "document.querySelector('main').innerText.length > 10")
                    self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), width)
                    self.picture(page, f"{tab}-{scheme}-{width}")

    def test_the_token_leaves_the_address_and_the_cookie_stays(self):
        page = self.page()
        self.until(page, "!location.search")
        page.reload()
        self.until(page, "mobula.model.version > 0")
        other = self.browser.new_context()
        self.addCleanup(other.close)
        self.assertEqual(other.new_page().goto(self.url.split("?")[0]).status, 401)

    def test_a_report_shows_the_same_without_a_server(self):
        page = self.page()
        self.until(page, "!location.search")
        with page.expect_download() as download:
            page.get_by_role("link", name="Save report").click()
        file = os.path.abspath(f"report-{os.getpid()}.html")
        download.value.save_as(file)
        self.addCleanup(os.remove, file)
        counts = self.runs()
        report = self.page(url=f"file://{file}")
        bar = report.locator('.progress[data-function="quick"] .head span').last.inner_text()
        self.assertEqual(amount(bar.split(" of ")[0]), counts["quick"]["finished"])
        for tab, words in [("cells", "let parts"), ("workers", "Counter"), ("objects", "load"), ("resources", "CPU"), ("errors", "divisible"), ("logs", "summing")]:
            report.click(f'nav a[href="#{tab}"]')
            report.locator("main", has_text=words).wait_for()
            self.assertEqual(report.get_by_role("button", name="Stack").count(), 0, "a report has no process to ask")
        self.picture(report, "report-light-1280")

    def test_ten_thousand_runs_stay_smooth(self):
        page = self.page()
        number = 10_000
        self.cell(f"let flood: Vec<_> = (0..{number}u64).map(|n| quick.remote(n)).collect();\nget(&flood)?.len()")
        self.until(page, f"""() => [...mobula.model.functions].some(([name, counts]) =>
            mobula.model.name(name) === "quick" && counts.done >= {number})""")
        # Blocks of short runs are joined, so the page has few of them, and their runs are all.
        blocks, runs = page.evaluate("""() => {
            const quick = mobula.model.blocks.filter((run) => mobula.model.name(run.name) === "quick");
            return [quick.length, quick.reduce((sum, run) => sum + run.runs, 0)];
        }""")
        counted = page.evaluate("""() => [...mobula.model.functions].find(([name]) => mobula.model.name(name) === "quick")[1].done""")
        self.assertEqual(runs + page.evaluate("mobula.model.undrawn"), counted)
        self.assertLess(blocks, number / 4)

    def test_prometheus_and_the_api_say_what_tasks_says(self):
        counts = self.runs()
        token = self.url.split("token=")[1]
        ask = lambda path: urllib.request.urlopen(f"{self.url.split('?')[0]}{path}?token={token}", timeout=DEADLINE_S).read().decode()
        metrics = ask("metrics")
        for name in ["load", "sum", "quick"]:
            self.assertIn(f'mobula_task_runs_total{{function="{name}",outcome="finished"}} {counts[name]["finished"]}', metrics)
        rows = json.loads(ask("api/tasks"))
        self.assertEqual(rows["number"], sum(sum(states.values()) for states in counts.values()))


if __name__ == "__main__":
    if not CHROMIUM and os.environ.get("CI"):
        sys.exit("no Chromium is installed: `apt-get install chromium`")
    unittest.main()
