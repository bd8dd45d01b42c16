"""A person at JupyterLab in Chromium: runs cells, drags a slider, clicks, types, loads the page again, and looks at variables.

    python test_browser.py [FOLDER]

Pictures of what the person sees are left in FOLDER, in light and dark. Where no Chromium is installed, a line says so, and nothing is tested; `.ci/run` installs
it.
"""

import os
import shutil
import sys
import tempfile
import unittest

from lab import DEADLINE_S, Lab

PICTURES = sys.argv.pop() if len(sys.argv) > 1 else None
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# What a person runs, by name.
CELLS = {
    "slider": """use mobula::widgets::*;
let n = IntSlider::new(3).max(10).description("n");
let bar = IntProgress::new(0).max(10);
link(&n, &bar);
n.on_change(|n| println!("slid to {n}"));
VBox::new([n.widget(), bar.widget()])""",
    "button": """let go = Button::new("Go");
let mut clicks = 0;
go.on_click(move || { clicks += 1; println!("click {clicks}"); });
go""",
    "interact": """fn twice(width: i64) -> i64 { 2 * width }
interact(twice, (0..=20,));
interact(|loud: bool, words: String| if loud { words.to_uppercase() } else { words }, (true, ("say", "hello")));""",
    "module": """use mobula::serde::{Deserialize, Serialize};
#[derive(Debug, Serialize, Deserialize)]
struct Clicks { count: u32 }
let esm = "export default { render({ model, el }) {
    const button = document.createElement('button');
    button.className = 'mine';
    const write = () => (button.textContent = `mine ${model.get('count')}`);
    button.onclick = () => { model.set('count', model.get('count') + 1); model.save_changes(); };
    model.on('change:count', write);
    write();
    el.append(button);
} };";
let mine = AnyWidget::new(esm, &Clicks { count: 5 })?;
mine""",
    "state": "(n.value(), mine.state()?.count)",
    "progress": "for _ in progress(0..1000) { std::hint::black_box(0); }",
    "plot": """let xs: Vec<f64> = (0..60).map(|x| x as f64 / 6.0).collect();
let ys: Vec<f64> = xs.iter().map(|x| x.sin()).collect();
show::plot(&ys)""",
    "plots": """show::Plot::new().bars("ok", &["Mon", "Tue"], &[3, 5]).title("Tasks").y_label("number").show();
show::Plot::new().heat_map(&[[1, 2, 3], [4, 5, 6]]).x_label("column").show();
show::Plot::new().line("sine", &xs, &ys).points("noisy", &xs, &ys.iter().map(|y| y * 1.1).collect::<Vec<_>>())""",
    "table": """#[derive(Clone, Debug)] struct Row { name: &'static str, size: f64, sold: Option<u32> }
let rows: Vec<Row> = (0..150).map(|n| Row { name: ["ash", "oak", "elm"][n % 3], size: (n as f64 * 37.0) % 11.0, sold: (n % 4 != 0).then_some(n as u32) }).collect();
rows""",
    "describe": "show::describe(&rows)",
    "task": """#[remote] fn third(n: u32) -> u32 { assert!(n % 3 == 0, "not by three: {n}"); n / 3 }
let lost = third.remote(4);
let _ = wait(&[lost.clone()]);""",
    "panic": """fn half(n: u32) -> u32 { assert!(n % 2 == 0, "odd: {n}"); n / 2 }
half(7)""",
    "unknown": "let total = missing + 1;",
}


class Person(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from playwright.sync_api import sync_playwright

        cls.lab = Lab("widgets.ipynb", CELLS.values())
        cls.addClassCleanup(cls.lab.close)
        cls.playwright = sync_playwright().start()
        cls.addClassCleanup(cls.playwright.stop)
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
        # What the browser leaves behind is no trace of ours.
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.addClassCleanup(folder.cleanup)
        own = {name: folder.name for name in ["HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"]}
        cls.browser = cls.playwright.chromium.launch(executable_path=CHROMIUM, args=options, env={**os.environ, **own})
        cls.addClassCleanup(cls.browser.close)
        cls.page = cls.browser.new_page(viewport={"width": 1200, "height": 2400})
        cls.page.set_default_timeout(DEADLINE_S * 1000)
        cls.load()
        cls.command("notebook:run-all-cells")
        cls.shows("panic", "odd: 7")
        # Those behind a cell that fails are not run with it.
        cls.run_cell("unknown")
        cls.shows("unknown", "cannot find value `missing`")

    @classmethod
    def load(cls):
        cls.page.goto(cls.lab.address("lab/tree/widgets.ipynb?reset"))
        cls.page.wait_for_function("() => window.jupyterapp && document.querySelectorAll('.jp-Notebook .jp-CodeCell').length > 0")
        cls.page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")

    @classmethod
    def command(cls, name):
        cls.page.evaluate("name => { window.jupyterapp.commands.execute(name); }", name)

    @classmethod
    def cell(cls, name):
        return cls.page.locator(".jp-Notebook .jp-CodeCell").nth(list(CELLS).index(name))

    @classmethod
    def run_cell(cls, name):
        cls.page.evaluate("at => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = at; }", list(CELLS).index(name))
        cls.command("notebook:run-cell")

    @classmethod
    def shows(cls, name, text):
        """Waits until a cell's output has a text."""
        cls.cell(name).locator(".jp-OutputArea", has_text=text).first.wait_for()

    def test_1_a_slider_that_is_dragged_calls_back_and_moves_what_is_linked_to_it(self):
        cell = self.cell("slider")
        handle = cell.locator(".noUi-handle")
        handle.scroll_into_view_if_needed()
        rail, at = cell.locator(".noUi-base").bounding_box(), handle.bounding_box()
        self.page.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
        self.page.mouse.down()
        self.page.mouse.move(rail["x"] + rail["width"] * 0.8, at["y"] + at["height"] / 2, steps=8)
        self.page.mouse.up()
        value = int(cell.locator(".widget-readout").inner_text())
        self.assertGreater(value, 5)
        self.shows("slider", f"slid to {value}")
        filled = cell.locator(".progress-bar").evaluate("bar => bar.style.width")
        self.assertEqual(filled, f"{10 * value}%")

    def test_2_clicks_are_counted_by_the_session(self):
        button = self.cell("button").get_by_role("button", name="Go")
        button.click()
        self.shows("button", "click 1")
        button.click()
        self.shows("button", "click 2")

    def test_3_the_value_of_interact_follows_its_slider(self):
        self.shows("interact", "20")
        # Of the parameters, and one that is given.
        self.assertEqual(self.cell("interact").locator(".widget-label:visible").all_inner_texts()[0], "width")
        self.assertIn("loud", self.cell("interact").inner_text())
        self.cell("interact").locator(".widget-label", has_text="say").wait_for()
        self.shows("interact", "HELLO")
        handle = self.cell("interact").locator(".noUi-handle")
        handle.focus()
        handle.press("ArrowRight")
        self.shows("interact", "22")
        self.assertEqual(self.cell("interact").locator("pre").all_inner_texts()[0].strip(), "22", "the newest value takes the place of the one before")

    def test_4_a_module_of_ones_own_shares_its_state_with_the_session(self):
        button = self.cell("module").locator("button.mine")
        self.assertEqual(button.inner_text(), "mine 5")
        button.click()
        self.cell("module").locator("button.mine", has_text="mine 6").wait_for()
        self.run_cell("state")
        self.shows("state", ", 6)")

    def test_5_tables_plots_errors_and_bars_are_drawn(self):
        table = self.cell("table").locator("table")
        self.assertIn("50 more", self.cell("table").inner_text())
        self.assertEqual(table.locator("th").all_inner_texts(), ["name\n&'static str", "size\nf64", "sold\nOption<u32>"])
        self.assertEqual(table.locator("tbody tr").nth(1).locator("td").all_inner_texts(), ["oak", "4.0", "1"])
        self.assertEqual(table.locator("tbody tr").first.locator("td").last.inner_text(), "—")
        size = table.locator("th", has_text="size")
        size.click()
        first = table.locator("tbody tr").first
        first.get_by_text("0.0", exact=True).wait_for()
        for name, plots in [("plot", 1), ("plots", 3)]:
            drawn = self.cell(name).locator("canvas, svg.marks")
            drawn.nth(plots - 1).wait_for()
            for at in range(plots):
                self.assertTrue(drawn.nth(at).evaluate(IS_CLEAR), "the page is seen behind a plot")
        self.shows("task", "not by three: 4")
        self.shows("progress", "1000/1000")

    def test_6_the_panel_of_variables_shows_names_types_and_values(self):
        self.command("debugger:show-panel")
        self.page.evaluate("() => window.jupyterapp.shell.activateById('jp-debugger-sidebar')")
        switch = self.page.locator(".jp-DebuggerBugButton, [data-jp-item-name='debugger-icon'] button, jp-button.jp-DebuggerBugButton").first
        switch.wait_for()
        switch.click()
        panel = self.page.locator(".jp-DebuggerVariables")
        panel.get_by_text("rows", exact=False).first.wait_for()
        panel.get_by_text("IntSlider", exact=False).first.wait_for()
        self.look("variables")
        switch.click()

    def test_7_a_page_that_is_loaded_again_shows_the_widgets_as_they_were(self):
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")
        before = self.cell("slider").locator(".widget-readout").inner_text()
        self.load()
        readout = self.cell("slider").locator(".widget-readout")
        readout.wait_for()
        self.assertEqual(readout.inner_text(), before)
        # The page does not know the request of the cell any more, so what a callback prints stands in JupyterLab's log, where it has what
        # callbacks of ipykernel's print.
        self.cell("slider").locator(".noUi-handle").press("ArrowRight")
        self.command("logconsole:open")
        self.page.locator(".jp-LogConsole").get_by_text(f"slid to {int(before) + 1}", exact=True).first.wait_for()
        # What is shown in a widget has its place there.
        self.cell("interact").locator(".noUi-handle").press("ArrowRight")
        self.shows("interact", "24")
        mine = self.cell("module").locator("button.mine")
        count = int(mine.inner_text().removeprefix("mine "))
        mine.click()
        self.cell("module").locator("button.mine", has_text=f"mine {count + 1}").wait_for()
        self.run_cell("state")
        self.shows("state", f"({int(before) + 1}, {count + 1})")

    def test_8_it_can_be_read_in_dark_and_light(self):
        for theme in ["JupyterLab Light", "JupyterLab Dark"]:
            self.page.evaluate("theme => { window.jupyterapp.commands.execute('apputils:change-theme', { theme }); }", theme)
            self.page.wait_for_function("light => document.body.dataset.jpThemeLight === String(light)", arg="Light" in theme)
            self.page.locator("#jupyterlab-splash").wait_for(state="detached")
            for name in CELLS:
                self.look(f"{theme.rsplit(' ', 1)[1].lower()}-{name}", self.cell(name))
            # A text and what is behind it differ enough, in every output (WCAG 2.1, 1.4.3).
            self.assertGreater(self.page.locator(".jp-OutputArea-output").count(), 10)
            faint = self.page.evaluate(FAINT)
            self.assertEqual(faint, [], theme)

    def look(self, name, part=None):
        """Leaves a picture for people."""
        if PICTURES:
            os.makedirs(PICTURES, exist_ok=True)
            (part or self.page).screenshot(path=os.path.join(PICTURES, f"{name}.png"))


# Whether a plot's corner is transparent.
IS_CLEAR = """plot => plot.tagName !== 'CANVAS'
    ? ![...plot.querySelectorAll('.background')].some(part => ![null, 'transparent', 'none'].includes(part.getAttribute('fill')) && part.getAttribute('class').includes('root'))
    : plot.getContext('2d').getImageData(0, 0, 1, 1).data[3] === 0"""

# The texts of outputs whose contrast is below 4.5. Frames are no texts.
FAINT = """() => {
    const colour = text => { const m = text.match(/[\\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1]; };
    const over = (front, back) => [0, 1, 2].map(i => front[i] * front[3] + back[i] * (1 - front[3]));
    const bright = ([r, g, b]) => { const f = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
    const behind = element => {
        if (!element) return [255, 255, 255];
        const c = colour(getComputedStyle(element).backgroundColor);
        return c[3] === 1 ? c.slice(0, 3) : over(c, behind(element.parentElement));
    };
    const found = [];
    for (const output of document.querySelectorAll(".jp-OutputArea-output")) {
        if (output.querySelector(".jupyter-widgets")) continue;
        const texts = document.createTreeWalker(output, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            const element = texts.currentNode.parentElement;
            if (!/[\\p{L}\\p{N}]/u.test(texts.currentNode.data) || element.closest("svg, style, script, .vega-embed") || !element.getClientRects().length) continue;
            const back = behind(element);
            const [a, b] = [bright(over(colour(getComputedStyle(element).color), back)), bright(back)].sort((x, y) => y - x);
            const contrast = (a + 0.05) / (b + 0.05);
            if (contrast < 4.5) found.push(`${texts.currentNode.data.trim().slice(0, 40)}: ${contrast.toFixed(1)}`);
        }
    }
    return [...new Set(found)];
}"""


if __name__ == "__main__":
    if CHROMIUM is None:
        print("left out: no Chromium is installed, so JupyterLab was not tested; `apt-get install chromium` brings it")
        sys.exit()
    unittest.main()
