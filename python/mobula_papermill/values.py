"""Values of papermill as Rust expressions: of a declared type, or of the type that the value suggests."""

import math
import re

_SIGNED = {f"i{bits}": bits for bits in (8, 16, 32, 64, 128)} | {"isize": 64}
_UNSIGNED = {f"u{bits}": bits for bits in (8, 16, 32, 64, 128)} | {"usize": 64}
_NAMED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
# Types that are made from an array by `from`, by their last name.
_LISTS = {"VecDeque", "HashSet", "BTreeSet", "BinaryHeap", "LinkedList"}
_MAPS = {"HashMap", "BTreeMap"}


class Unfit(Exception):
    """A value that cannot be written so. The text goes on after "the parameter `n`"."""


def expression(value, declared):
    """`value` as an expression of the type `declared`."""
    name, inner = _split(declared)
    if name in _SIGNED or name in _UNSIGNED:
        return _integer(value, name)
    if name in ("f32", "f64"):
        return _float(value, name)
    if name == "bool":
        return str(_expect(value, bool, declared)).lower()
    if name == "char":
        character = _text_of(value, declared)
        if len(character) != 1:
            raise Unfit(f"takes one character, not {_show(value)}")
        return "'\\''" if character == "'" else f"'{character}'" if character == '"' else f"'{_escape(character)}'"
    if name == "&str":
        return _quoted(_text_of(value, declared))
    if name in ("String", "PathBuf", "OsString"):
        return f"{declared}::from({_quoted(_text_of(value, declared))})"
    if name == "Option" and len(inner) == 1:
        return "None" if value is None else f"Some({expression(value, inner[0])})"
    if name == "Vec" and len(inner) == 1:
        return f"vec![{_items(value, inner[0], declared)}]"
    if name in _LISTS and inner:
        return f"{_path(declared)}::from([{_items(value, inner[0], declared)}])"
    if name in _MAPS and len(inner) >= 2:
        pairs = _expect(value, dict, declared).items()
        entries = ", ".join(f"({expression(key, inner[0])}, {expression(item, inner[1])})" for key, item in pairs)
        return f"{_path(declared)}::from([{entries}])"
    if name == "[]":
        items = _expect(value, (list, tuple), declared)
        length = inner[1] if len(inner) > 1 else ""
        if length.isdecimal() and int(length) != len(items):
            raise Unfit(f"takes {length} values, not {len(items)}")
        return ("&" if declared.startswith("&") else "") + f"[{_items(items, inner[0], declared)}]"
    if name == "()":
        items = _expect(value, (list, tuple), declared)
        if len(items) != len(inner):
            raise Unfit(f"takes {len(inner)} values, not {len(items)}")
        parts = ", ".join(expression(item, part) for item, part in zip(items, inner))
        return f"({parts},)" if len(inner) == 1 else f"({parts})"
    # A type that only the compiler knows: it is told the value and judges.
    return guess(value)[1]


def guess(value):
    """The type that suits `value` best, and `value` as an expression of it."""
    declared = _guessed(value)
    return declared, expression(value, declared)


def _guessed(value):
    if value is None:
        raise Unfit("has no type that `None` could have; declare it as an `Option<…>` in the cell tagged `parameters`")
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "i64" if -(2**63) <= value < 2**63 else "i128"
    if isinstance(value, float):
        return "f64"
    if isinstance(value, (list, tuple)):
        return f"Vec<{_common(value, 'list')}>"
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise Unfit("has keys that are not text; declare its type in the cell tagged `parameters`")
        return f"std::collections::BTreeMap<String, {_common(list(value.values()), 'dictionary')}>"
    return "String"


def _common(values, kind):
    """The type that all of `values` have."""
    there = [value for value in values if value is not None]
    if not there:
        raise Unfit(f"is a {kind} of nothing whose type could be seen; declare its type in the cell tagged `parameters`")
    types = {_guessed(value) for value in there}
    if types <= {"i64", "i128"}:
        types = {max(types, key=len)}
    elif types <= {"i64", "i128", "f64"}:
        types = {"f64"}
    if len(types) > 1:
        raise Unfit(f"is a {kind} of several kinds ({', '.join(sorted(types))}), and Rust needs one; declare its type in the cell tagged `parameters`")
    [one] = types
    return one if len(there) == len(values) else f"Option<{one}>"


def _split(declared):
    """A type's last name and the types inside: `Vec` and [`u8`], `[]` and [`u8`, `3`], `()` and the parts."""
    text = re.sub(r"^&\s*(?:'\w+\s+)?", "&", declared.strip())
    if text in ("&str", "& str"):
        return "&str", []
    if text.startswith("&[") and text.endswith("]"):
        text = text[1:]
    if text.startswith("[") and text.endswith("]"):
        return "[]", _parts(text[1:-1], ";")
    if text.startswith("(") and text.endswith(")"):
        return "()", _parts(text[1:-1], ",")
    path, angle, inner = text.partition("<")
    if angle and inner.rstrip().endswith(">"):
        return path.rstrip(": ").split("::")[-1].strip(), _parts(inner.rstrip()[:-1], ",")
    return text.split("::")[-1].strip(), []


def _parts(text, separator):
    """`text` at the separators that are in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "<([") - (character in ">)]")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def _path(declared):
    """A type without what is in its angles, as in `BTreeMap::from`."""
    return declared.partition("<")[0].rstrip(": ")


def _items(value, inner, declared):
    return ", ".join(expression(item, inner) for item in _expect(value, (list, tuple), declared))


def _integer(value, name):
    # A whole number that came as `5.0` is one.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    value = _expect(value, int, name)
    bits = _SIGNED.get(name)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if bits else (0, 2 ** _UNSIGNED[name])
    if not low <= value < high:
        raise Unfit(f"cannot be {value}; it takes {low} to {high - 1}")
    return str(value)


def _float(value, name):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Unfit(f"cannot be {_show(value)}")
    try:
        value = float(value)
    except OverflowError:
        raise Unfit(f"cannot be {value}, which is too large") from None
    if math.isnan(value):
        return f"{name}::NAN"
    if math.isinf(value):
        return f"{name}::INFINITY" if value > 0 else f"{name}::NEG_INFINITY"
    return repr(value)


def _text_of(value, declared):
    """A text. Papermill makes numbers of words like `5`, which are what was typed if they are written again."""
    if isinstance(value, (list, tuple, dict)) or value is None:
        raise Unfit(f"cannot be {_show(value)}")
    return str(value)


def _expect(value, kind, declared):
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Unfit(f"cannot be {_show(value)}")
    return value


def _quoted(text):
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(character):
    if character in _NAMED:
        return _NAMED[character]
    if 0xD800 <= ord(character) <= 0xDFFF:
        raise Unfit("has half a surrogate pair, which is no text in Rust")
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"


def _show(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
