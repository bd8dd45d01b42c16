"""The suite that the Jupyter project offers to kernels, run against Mobula's."""

import time
import unittest

import jupyter_kernel_test

FIRST_CELL_DEADLINE_S = 900
# The suite waits 15 s for an answer, which a loaded machine may take.
REPLY_DEADLINE_S = 600


class MobulaKernel(jupyter_kernel_test.KernelTests):
    kernel_name = "mobula"
    language_name = "rust"
    file_extension = ".rs"
    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("oops");'
    code_generate_error = 'panic!("as asked");'
    code_execute_result = [
        {"code": "1 + 2", "result": "3"},
        {"code": "let four = 4i64; four", "result": "4"},
        {"code": 'String::from("text")', "result": '"text"'},
    ]
    complete_code_samples = ["1 + 1", "let x = 1;", "fn f() -> u8 {\n    7\n}"]
    incomplete_code_samples = ["fn f() {", "let x = (1,", "let s = \"text"]
    invalid_code_samples = ["f())", "let x = = 2;"]
    code_page_something = ":doc Vec"
    code_inspect_sample = "std::mem::swap"
    completion_samples = [
        {"text": "std::mem::sw", "matches": {"swap"}},
        {"text": "Vec::<u8>::with_cap", "matches": {"with_capacity"}},
    ]
    code_clear_output = "clear_output(false)"
    code_display_data = [{"code": 'display_as("text/html", "<b>shown</b>");', "mime": "text/html"}]
    code_history_pattern = "1*2"
    supported_history_operations = ("tail", "range", "search")

    def execute_helper(self, code, timeout=REPLY_DEADLINE_S, **options):
        return super().execute_helper(code, timeout=timeout, **options)

    def get_non_kernel_info_reply(self, timeout=None):
        return super().get_non_kernel_info_reply(timeout=max(timeout or 0, REPLY_DEADLINE_S))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The first cell waits until the evaluator is ready, and the very first session prepares the crate of all cells.
        reply = cls.kc.execute_interactive("1 + 1", timeout=FIRST_CELL_DEADLINE_S, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok", reply
        # Until the standard library is read, completions may be empty.
        deadline = time.monotonic() + FIRST_CELL_DEADLINE_S
        while "swap" not in cls.kc.complete("std::mem::sw", reply=True, timeout=REPLY_DEADLINE_S)["content"]["matches"]:
            assert time.monotonic() < deadline, "nothing is completed"


if __name__ == "__main__":
    unittest.main(verbosity=2)
