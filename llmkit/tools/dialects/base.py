"""How a family of models writes tool calls: the seam between what a model writes and what the run hears of it.

A :class:`Dialect` gives two things that belong together: a :class:`Reader`, which takes the model's text piece by piece
and tells text from calls, and a Lark grammar that binds the model to write calls that this reader reads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmkit.tools.tool import Tool

    Token: TypeAlias = Callable[[str], str]

MAX_FRAME = 1 << 20
"""The longest text of one call, in bytes of UTF-8; longer ones are unreadable."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """Text of the model's reasoning; only from dialects that :attr:`Dialect.reasons`."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    """The model began to write a call of ``name``, offered or not; its end follows, :class:`CallInput` between."""

    name: str


@dataclass(frozen=True, slots=True)
class CallInput:
    """A piece of the begun call's arguments, as the model writes them: to look at, not to parse."""

    text: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call; :class:`CallBegun` with the same name came before.

    Parameters
    ----------
    name : str
        The tool's name, offered or not.
    arguments : str or dict
        JSON text, unchecked, where an empty one counts as ``{}``; or JSON values by parameter name.
    raw : str
        What the model wrote for it, markers included.
    """

    name: str
    arguments: str | dict[str, Any]
    raw: str


@dataclass(frozen=True, slots=True)
class CallUnreadable:
    """Words meant as a call that can't be read as one; ends the begun call if there is one.

    Parameters
    ----------
    message : str
        What is wrong with them.
    raw : str
        What the model wrote, markers included, up to :data:`MAX_FRAME` bytes.
    name : str
        The tool that was meant, as far as that could be read.
    """

    message: str
    raw: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class MarkupPart:
    """What stands around calls and is no part of the answer: markers, blanks beside calls, the rest of an endless one.

    Nobody needs to show it. It is told so that nothing is lost: the texts of all text, reasoning and markup parts and
    the ``raw`` of all calls, in order, are what the model wrote.
    """

    text: str


Part: TypeAlias = TextPart | ReasoningPart | CallBegun | CallInput | CallEnded | CallUnreadable | MarkupPart


class Reader(Protocol):
    """Reads one answer. What it finds doesn't depend on how the text was cut into pieces."""

    def feed(self, text: str) -> list[Part]:
        """Take the next piece of the model's text, control tokens included; return what is certain by now."""

    def finish(self, *, complete: bool = True) -> list[Part]:
        """Return what was held back, now that nothing more comes.

        Parameters
        ----------
        complete : bool
            Whether the model ended by itself. If so, a call whose arguments are whole counts although its closing
            marker is missing: models leave it out, and an end token isn't shown. If it was cut off, by length or a
            cancel, every call that is still open is unreadable.
        """


def literal(text: str) -> str:
    """Return the Lark expression for exactly this text; the :attr:`Dialect.markers` of a model without such tokens."""
    return json.dumps(text, ensure_ascii=False)


class Dialect(Protocol):
    """One way to write tool calls."""

    @property
    def name(self) -> str:
        """Its name, for :func:`llmkit.tools.dialects.detect.dialect_named`."""

    @property
    def markers(self) -> tuple[str, ...]:
        """The texts around calls that a tokenizer may hold as control tokens.

        Where it does, text must be decoded with control tokens shown, and the grammar must name their ids.
        """

    @property
    def reasons(self) -> bool:
        """Whether its reader also tells reasoning from text; if not, reasoning is to be split off before."""

    def reader(self, tools: Sequence[Tool]) -> Reader:
        """Return a reader for one answer.

        Parameters
        ----------
        tools : sequence of Tool
            Those offered. Their names tell a call from text where there are no markers, their schemas what an argument
            that is written without quotes stands for.
        """

    def grammar(self, tools: Sequence[Tool], *, many: bool, token: Token = literal) -> str:
        """Return Lark rules for llguidance that let a model write nothing but calls, with arguments that fit.

        The rule to start from is ``calls``; all other rules begin with ``calls_``, all terminals with ``CALLS_``.

        Parameters
        ----------
        tools : sequence of Tool
            Those that may be called, at least one.
        many : bool
            Whether several calls may follow each other, or exactly one is to come.
        token : Callable
            Returns the Lark expression for one of :attr:`markers`: its text in quotes, ``<[id]>`` for a control token,
            or ``( "…" | <[id]> )``.

        Raises
        ------
        ValidationError
            For a tool whose schema this dialect can't bind.
        """
