"""The `let` statements of a cell: names, types, values and the comments behind them.

This reads as much of Rust as is needed to find where a statement ends. What it cannot read it leaves out, and such a parameter gets its type from the
value that it is given.
"""

import re
from dataclasses import dataclass

_LET = re.compile(r"let\s+(mut\s+)?(?:r#)?([^\W\d]\w*)\s*(?::\s*([^=;]*(?:;[^=;\]]*\][^=;]*)*))?=(?!=)")
_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/"""  # comments
    r"""|b?r(\#*)".*?"\1|b?"(?:\\.|[^"\\])*\""""  # texts
    r"""|b?'(?:\\(?:x..|u\{[^}]*\}|.)|[^'\\])'"""  # characters
    r"""|[\[\](){};]|[^\W\d]\w*|\d[\w.]*|\s+|.""",
    re.DOTALL,
)
_INTEGERS = "i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize".split()


@dataclass
class Declaration:
    """One `let` with a value."""

    name: str
    is_mut: bool
    type: "str | None"
    value: str
    comment: str


def declarations(code):
    """The `let`s at the top of `code`, in order; of a name that is there twice, the last one."""
    # Commands such as `:dep` are no Rust.
    code = re.sub(r"(?m)^\s*:[^\n]*$", "", code)
    found = {}
    at, depth = 0, 0
    is_start = True
    while at < len(code):
        let = _LET.match(code, at) if is_start and depth == 0 else None
        if let:
            end = _end(code, let.end())
            if end is None:
                break
            value = code[let.end() : end].strip()
            name, written = let[2], let[3]
            declared = " ".join(written.split()) if written else _type_of(value)
            behind = re.compile(r"[ \t]*//[ \t]*([^\n]*)").match(code, end + 1)
            found.pop(name, None)
            found[name] = Declaration(name, bool(let[1]), declared, value, behind[1].strip() if behind else "")
            at = end + 1
            continue
        token = _TOKEN.match(code, at)[0]
        depth += (token in "([{") - (token in ")]}")
        if token in ";}":
            is_start = True
        elif not token.isspace() and not token.startswith(("//", "/*")):
            is_start = False
        at += len(token)
    return list(found.values())


def _end(code, at):
    """Where the `;` of the statement is whose value begins at `at`."""
    depth = 0
    while at < len(code):
        token = _TOKEN.match(code, at)[0]
        if token == ";" and depth == 0:
            return at
        depth += (token in "([{") - (token in ")]}")
        at += len(token)
    return None


def _type_of(value):
    """The type of a literal, or None."""
    if re.fullmatch(r"true|false", value):
        return "bool"
    if re.fullmatch(r"'(\\.+|[^\\])'", value):
        return "char"
    if re.fullmatch(r'"(\\.|[^"\\])*"', value, re.DOTALL) or re.fullmatch(r'r(#*)".*"\1', value, re.DOTALL):
        return "&str"
    if re.fullmatch(r'String::from\(\s*".*"\s*\)|".*"\.(to_string|to_owned)\(\)|String::new\(\)', value, re.DOTALL):
        return "String"
    suffix = re.fullmatch(r"-?\s*\d[\w.]*?_?(%s|f32|f64)" % "|".join(_INTEGERS), value)
    if suffix and not value.startswith("0x"):
        return suffix[1]
    if re.fullmatch(r"-?\s*\d[\d_]*(\.[\d_]*)?([eE][+-]?[\d_]+)?", value):
        return "i32" if re.fullmatch(r"-?\s*[\d_]+", value) else "f64"
    return None
