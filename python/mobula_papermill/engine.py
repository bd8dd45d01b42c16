"""The engine `mobula`, which is papermill's own; importing this registers the translator."""

from papermill.engines import NBClientEngine
from papermill.translators import papermill_translators

from .translator import RustTranslator


class MobulaEngine(NBClientEngine):
    """Papermill's engine under the name `mobula`. Notebooks need not ask for it: parameters work with every engine."""


# The kernel may be installed under another name, so the language counts too.
papermill_translators.register("mobula", RustTranslator)
papermill_translators.register("rust", RustTranslator)
