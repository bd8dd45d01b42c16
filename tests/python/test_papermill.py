"""Papermill with the package in `python/`: parameters of a Rust notebook, each with the type that the notebook declares."""

import os
import subprocess
import sys
import tempfile
import unittest

import nbformat
import papermill
from mobula_papermill.declarations import declarations
from mobula_papermill.translator import RustTranslator
from papermill.exceptions import PapermillException, PapermillExecutionError

START_DEADLINE_S = 900

DECLARED = """\
// What the sweep is about; let no = 1;
:keep off
let n: u32 = 1; // how many
let mut sizes: Vec<u64> = vec![]; /* let gone = 2; */ let name = "a;"; // who
let label = String::from("b");
let rate = 0.5;
let fine = 1f32;
let on = false;
let limit: Option<f64> = Some(1.0);
let weights: std::collections::BTreeMap<String, [u8; 2]> = Default::default();
let pair: (char, i8) = ('a', -1);
let place: Place = Place::At(1);
"""
USES = """\
fn twice(n: u32) -> u32 { n * 2 }
sizes.push(9);
println!("{name} {label} {rate} {fine} {on} {sizes:?} {limit:?} {weights:?} {pair:?} {fresh}");
get(&twice.remote(n))?"""


def notebook(*cells):
    """A notebook for the kernel; the first cell has the tag `parameters`."""
    made = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "mobula", "display_name": "Mobula (Rust)", "language": "rust"}})
    made.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    made.cells[0].metadata["tags"] = ["parameters"]
    return made


def injected(code, **parameters):
    """The cell that papermill makes for these parameters."""
    RustTranslator.inspect(nbformat.v4.new_code_cell(code))
    return RustTranslator.codify(parameters)


class Papermill(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def test_the_command_line_sets_parameters_of_every_kind(self):
        nbformat.write(notebook(DECLARED.replace("let place: Place = Place::At(1);\n", ""), USES), self.path("in.ipynb"))
        given = [
            "-p", "n", "5", "-p", "name", 'x "y" \\', "-p", "label", "7", "-p", "rate", "2", "-p", "fine", "0.25", "-p", "on", "True",
            "-p", "fresh", "new", "-y", "{sizes: [4, 5], limit: null, weights: {a: [1, 2]}, pair: [é, -3]}",
        ]  # fmt: skip
        command = [sys.executable, "-m", "papermill", self.path("in.ipynb"), self.path("out.ipynb"), "-k", "mobula"]
        ran = subprocess.run(command + given + ["--start-timeout", str(START_DEADLINE_S)], capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("Passed unknown parameter: fresh", ran.stderr)
        cells = nbformat.read(self.path("out.ipynb"), as_version=4).cells
        self.assertEqual([cell.metadata.get("tags") for cell in cells], [["parameters"], ["injected-parameters"], []])
        printed, value = cells[2].outputs
        expected = """x "y" \\ 7 2 0.25 true [4, 5, 9] None {"a": [1, 2]} ('é', -3) new\n"""
        self.assertEqual((printed.text, value.data["text/plain"]), (expected, "10"))

    def test_a_value_that_does_not_fit_is_refused_before_anything_runs(self):
        nbformat.write(notebook(DECLARED, 'panic!("run");'), self.path("in.ipynb"))
        for name, value, reason in [
            ("n", "hello", "the parameter `n` is declared `u32` and cannot be 'hello'"),
            ("n", -1, "`n` is declared `u32` and cannot be -1; it takes 0 to 4294967295"),
            ("n", True, "`n` is declared `u32` and cannot be True"),
            ("sizes", [1, None], "`sizes` is declared `Vec<u64>` and cannot be None"),
            ("weights", {"a": [1]}, "takes 2 values, not 1"),
            ("pair", ["ab", 1], "takes one character, not 'ab'"),
            ("rate", "fast", "`rate` is declared `f64` and cannot be 'fast'"),
            ("fresh", None, "declare it as an `Option<…>` in the cell tagged `parameters`"),
            ("fresh", [1, "a"], "a list of several kinds (String, i64), and Rust needs one"),
            ("fresh", {}, "a dictionary of nothing whose type could be seen"),
            ("a-b", 1, "the parameter `a-b` cannot be a Rust variable"),
            ("self", 1, "the parameter `self` cannot be a Rust variable"),
        ]:
            with self.subTest(name=name, value=value), self.assertRaises(PapermillException) as refused:
                papermill.execute_notebook(self.path("in.ipynb"), self.path("out.ipynb"), {name: value}, progress_bar=False)
            self.assertIn(reason, str(refused.exception))
        self.assertFalse(os.path.exists(self.path("out.ipynb")))

    def test_what_only_the_compiler_knows_the_compiler_judges(self):
        nbformat.write(notebook("#[derive(Debug)] enum Place { At(u8) }\nlet place: Place = Place::At(1);"), self.path("in.ipynb"))
        with self.assertRaises(PapermillExecutionError) as failed:
            papermill.execute_notebook(
                self.path("in.ipynb"), self.path("out.ipynb"), {"place": 3}, progress_bar=False, start_timeout=START_DEADLINE_S
            )
        self.assertEqual(failed.exception.ename, "E0308")
        self.assertIn("let place: Place = 3;", str(failed.exception))

    def test_undeclared_values_have_the_type_that_suits_them(self):
        written = injected(
            "", a=1, b=2**63, c=0.1, d=True, e="é\n\u202e{}\x07", f=[1, None], g=[[1, 2.5], []][:1], h={"k": [True]}, i=float("-inf"), r=1e30
        )
        self.assertEqual(
            written.splitlines(),
            [
                "// Parameters",
                "let a: i64 = 1;",
                "let b: i128 = 9223372036854775808;",
                "let c: f64 = 0.1;",
                "let d: bool = true;",
                r'let e: String = String::from("é\n\u{202e}{}\u{7}");',
                "let f: Vec<Option<i64>> = vec![Some(1), None];",
                "let g: Vec<Vec<f64>> = vec![vec![1.0, 2.5]];",
                'let h: std::collections::BTreeMap<String, Vec<bool>> = std::collections::BTreeMap::from([(String::from("k"), vec![true])]);',
                "let i: f64 = f64::NEG_INFINITY;",
                "let r: f64 = 1e+30;",
            ],
        )
        self.assertEqual(injected("let r#type: u8 = 1;", type=2).splitlines()[1], "let r#type: u8 = 2;")

    def test_declarations_are_found_where_rust_has_them(self):
        found = {declaration.name: declaration for declaration in declarations(DECLARED)}
        self.assertEqual(list(found), "n sizes name label rate fine on limit weights pair place".split())
        self.assertEqual((found["n"].type, found["n"].value, found["n"].comment), ("u32", "1", "how many"))
        self.assertEqual((found["name"].type, found["name"].comment, found["sizes"].is_mut), ("&str", "who", True))
        self.assertEqual([found[name].type for name in ["label", "rate", "fine", "on"]], ["String", "f64", "f32", "bool"])
        self.assertEqual(declarations("fn f() { let a = 1; }\nlet (b, c) = (1, 2); let d = { let e = 3; e };")[0].name, "d")

    def test_what_one_notebook_declares_is_not_taken_for_the_next(self):
        self.assertIn("let n: u8 = 1;", injected("let n: u8 = 0;", n=1))
        self.assertIn("let n: i64 = 300;", RustTranslator.codify({"n": 300}))


if __name__ == "__main__":
    unittest.main(verbosity=2)
