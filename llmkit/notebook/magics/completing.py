"""Tab completion in magics: options and their values, models, sessions, and the variables that fill braces.

A matcher of IPython's second API (IPython ≥ 8.6), the only one that sees the whole cell:
https://ipython.readthedocs.io/en/stable/api/generated/IPython.core.completer.html
"""

from __future__ import annotations

import inspect
import logging
import re
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from llmkit.comparing.template import template_from
from llmkit.errors import Error
from llmkit.models.cache import cached_models
from llmkit.notebook.magics.commands import TABLES
from llmkit.notebook.magics.options import COMPARE, FLAGS, llm_options
from llmkit.settings import Settings
from llmkit.tools.tool import Tool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.notebook.magics.scope import Scope

_MATCHER = "llmkit.magics"
_MAGIC = re.compile(r"\s*(?:[\w, ]+=\s*)?%{1,2}(llm_stats|llm|compare)\s(.*)", re.DOTALL)
_CELL = re.compile(r"\s*%%(?:llm|compare)\b")
_BRACE = re.compile(r"(?<!\{)(?:\{\{)*\{(\w*)$")
_VALUE = re.compile(r"(?:--([A-Za-z][\w-]*)(?:\s+|=)|(?<!\S)(-o)\s+|([^\W\d]\w*)=)(?!-)(\S*)$")
_CHOICES = {
    "tool_choice": ("auto", "none", "required"),
    "approval": ("ask", "allow", "deny", "pend"),
    "reasoning": ("True", "False"),
}
_logger = logging.getLogger("llmkit")


def complete_in(shell: Any, scope: Scope) -> None:
    """Complete llmkit's magics in a shell, in place of an earlier matcher of this kind."""

    @context_matcher(identifier=_MATCHER, priority=200)  # type: ignore[untyped-decorator] # IPython's
    def match(context: Any) -> dict[str, Any]:
        words, fragment = completions(scope, context.full_text, context.cursor_line, context.cursor_position)
        found = [SimpleCompletion(word, type="magic") for word in words]
        return {"completions": found, "matched_fragment": fragment, "suppress": bool(found), "ordered": True}

    matchers = shell.Completer.custom_matchers
    matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", None) != _MATCHER]
    matchers.append(match)


def completions(scope: Scope, text: str, line: int, column: int) -> tuple[list[str], str]:
    """Return what may stand at a place in a cell, and the fragment of it that is there.

    Parameters
    ----------
    scope : Scope
        The notebook's variables.
    text : str
        The cell.
    line, column : int
        Where the cursor is, from 0.
    """
    lines = text.split("\n")
    before = lines[line][:column]
    magic = _MAGIC.match(before)
    if magic is None and not (_CELL.match(text) and text[: text.find("%%")].count("\n") < line):
        return [], ""
    if brace := _BRACE.search(before):
        return _begin(scope.variables, brace[1]), brace[1]
    if magic is None:
        return [], ""
    name, rest = magic[1], magic[2]
    value = _VALUE.search(rest)
    option = (value[1] or value[2] or value[3] or "").replace("-", "_").strip("_") if value else ""
    if value and option not in FLAGS:
        return _begin(_values("into" if option == "o" else option, scope), value[4]), value[4]
    fragment = rest.rpartition(" ")[2]
    return _begin(_words(name, "\n".join(lines[line + 1 :])), fragment), fragment


def _words(magic: str, body: str) -> list[str]:
    """Return the options, factors or tables that a magic takes."""
    if magic == "llm":
        return [option.flag for option in llm_options().values()]
    flags = [option.flag for option in COMPARE.values()]
    if magic == "llm_stats":
        return [*TABLES, *flags]
    factors = [*_fields(body), "repeat", "models", "system", "data", *Settings.model_fields]
    return [*(f"{name}=" for name in dict.fromkeys(factors)), *flags]


def _fields(body: str) -> tuple[str, ...]:
    try:
        return template_from(body).fields
    except Error:
        return ()  # half typed


def _values(option: str, scope: Scope) -> list[str]:
    """Return what an option may be."""
    variables = scope.variables
    match option:
        case "model" | "models":
            return _models(scope)
        case "session":
            return list(scope.sessions)
        case "output":
            return [name for name, each in variables.items() if inspect.isclass(each) or isinstance(each, dict)]
        case "tools":
            return [n for n, each in variables.items() if isinstance(each, Tool) or inspect.isfunction(each)]
        case _:
            return list(_CHOICES.get(option, variables))


def _models(scope: Scope) -> list[str]:
    """Return the names of the sessions' models and of those on this machine."""
    resident = [model for session in scope.sessions.values() for model in session.models["model"]]
    try:
        here = [model.name for model in cached_models()]
    except (Error, OSError):
        _logger.debug("The models of this machine can't be listed.", exc_info=True)
        here = []
    return list(dict.fromkeys([*resident, *here]))


def _begin(words: Iterable[str], fragment: str) -> list[str]:
    return [word for word in words if word.startswith(fragment)]
