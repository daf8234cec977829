"""The options of ``%%llm``: the fields of Settings under their own names, and a few of the call's own."""

from __future__ import annotations

import difflib
import textwrap
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from llmkit.errors import ValidationError
from llmkit.settings import Settings
from llmkit.tools.docstring import parse_docstring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llmkit.notebook.magics.scope import Scope

F = TypeVar("F", bound="Callable[..., Any]")
Kind = Literal["flag", "name", "words", "text", "value", "object", "objects", "loose"]

_OPENINGS = ("'", '"', "[", "(")

FLAGS = frozenset({"raw"})
"""Options that have no value."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option.

    Parameters
    ----------
    name : str
        As the field of Settings, or the parameter of :meth:`llmkit.Session.complete`, that it sets.
    kind : str
        How its value is read: a variable's ``name``; ``words`` that may hold ``{variables}``; ``text``; a ``value``,
        which is a literal or a variable; a ``loose`` one, which is text if it is neither; an ``object``, which is a
        variable, or several ``objects``.
    about : str
        What it does.
    """

    name: str
    kind: Kind
    about: str

    @property
    def flag(self) -> str:
        """As it is typed."""
        return f"--{self.name.replace('_', '-')}"

    def read(self, text: str, scope: Scope) -> Any:
        """Return the value that a text stands for.

        Raises
        ------
        ValidationError
            If it stands for none.
        """
        readers = {
            "words": scope.words,
            "text": scope.text,
            "object": scope.named,
            "objects": scope.objects,
            "value": scope.value,
            "loose": scope.value if text[:1] in _OPENINGS else scope.text,
        }
        reader = readers.get(self.kind)
        return text or True if reader is None else reader(text, option=self.flag)


_SESSION = Option("session", "name", "The variable of the session to ask; the newest open one by default.")
_INTO = Option("into", "name", "Or ``-o``: the variable that the result goes into.")
_RAW = Option("raw", "flag", "Takes the text as it is: braces are braces.")

COMPARE = {option.name: option for option in (_SESSION, _INTO)}
"""The options of ``%%compare`` besides its factors."""

_CALL = (
    _INTO,
    _SESSION,
    _RAW,
    Option("model", "text", "Another model than the session's."),
    Option("system", "words", "A system message; ``{variables}`` are filled in."),
    Option("output", "object", "What the answer must be: the name of a type, or a JSON schema, in the notebook."),
    Option("tools", "objects", "What the model may call: names, with commas between them."),
    Option("tool_choice", "text", "``auto``, ``none``, ``required``, or the name of a tool."),
    Option("stop_when", "value", "So many steps of answers and tool calls at most."),
    Option("approval", "text", "``ask``, ``allow``, ``deny`` or ``pend``: what is decided about calls."),
    Option("cache", "text", "The named KV cache to reuse and extend."),
)


@cache
def llm_options() -> dict[str, Option]:
    """Return the options of ``%%llm`` by name."""
    meanings = parse_docstring(Settings.__doc__).parameters
    settings = (
        Option(name, "loose" if name == "stop" else "value", " ".join(meanings.get(name, "").split()))
        for name in Settings.model_fields
    )
    return {option.name: option for option in (*_CALL, *settings)}


def read_options(written: Mapping[str, str], known: Mapping[str, Option], scope: Scope) -> dict[str, Any]:
    """Return the values of options by name.

    Raises
    ------
    ValidationError
        For an option that doesn't exist, or a value that can't be read.
    """
    for name in written:
        if name not in known:
            raise ValidationError(_unknown(name, known), field=name)
    return {name: known[name].read(text, scope) for name, text in written.items()}


def listed(options: Iterable[Option]) -> str:
    """Return the options as a list for a docstring."""
    return "\n".join(f"{option.flag}\n{textwrap.indent(textwrap.fill(option.about, 88), '    ')}" for option in options)


def documented(options: Callable[[], Mapping[str, Option]]) -> Callable[[F], F]:
    """Put the list of options where a docstring says ``{options}``."""

    def document(function: F) -> F:
        if function.__doc__:  # python -OO strips it
            text = listed(options().values())
            function.__doc__ = textwrap.dedent(f"        {function.__doc__}").strip().replace("{options}", text)
        return function

    return document


def _unknown(name: str, known: Mapping[str, Option]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    others = ", ".join(option.flag for option in known.values())
    hint = f"Did you mean {known[near[0]].flag}?" if near else f"There are: {others}."
    return f"There is no option --{name.replace('_', '-')}. {hint}"
