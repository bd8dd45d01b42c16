"""The translator between papermill and the two cells: the one that declares parameters, and the one that sets them."""

import re
import threading

from papermill.exceptions import PapermillException
from papermill.models import Parameter
from papermill.translators import Translator

from .declarations import declarations
from .values import Unfit, expression, guess

# Papermill asks for the parameters of a notebook and then for the cell that sets them, on one thread; the second call does not get the notebook.
_inspected = threading.local()

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
# Words that can be a name when they are written `r#word`, and those that never can.
_RAW = set(
    "abstract as async await become box break const continue do dyn else enum extern false final fn for gen if impl in let loop macro match mod "
    "move mut override priv pub ref return static struct trait true try type typeof unsafe unsized use virtual where while yield".split()
)
_NEVER = {"_", "crate", "self", "super", "Self"}


class RustTranslator(Translator):
    """Writes parameters as `let` statements."""

    @classmethod
    def inspect(cls, parameters_cell):
        found = declarations(parameters_cell.source)
        _inspected.declarations = {declaration.name: declaration for declaration in found}
        return [Parameter(d.name, d.type or "None", d.value, d.comment) for d in found]

    @classmethod
    def codify(cls, parameters, comment="Parameters"):
        declared = getattr(_inspected, "declarations", {})
        _inspected.declarations = {}
        lines = [cls.comment(comment)]
        for name, value in parameters.items():
            lines.append(_let(name, value, declared.get(name)))
        return "\n".join(lines)

    @classmethod
    def comment(cls, cmt_str):
        return f"// {cmt_str}".strip()


def _let(name, value, declaration):
    """The statement that gives the variable this value."""
    variable = _variable(name)
    written = declaration.type if declaration else None
    if declaration and declaration.is_mut:
        variable = f"mut {variable}"
    try:
        if written is None:
            written, text = guess(value)
        else:
            text = expression(value, written)
    except Unfit as unfit:
        declares = f" is declared `{written}` and" if written else ""
        raise PapermillException(f"the parameter `{name}`{declares} {unfit}") from None
    return f"let {variable}: {written} = {text};"


def _variable(name):
    if not _IDENTIFIER.fullmatch(name) or name in _NEVER:
        raise PapermillException(f"the parameter `{name}` cannot be a Rust variable; a name is letters, digits and `_`")
    return f"r#{name}" if name in _RAW else name
