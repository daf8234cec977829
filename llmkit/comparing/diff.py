"""How two texts differ, word by word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape
from typing import TYPE_CHECKING, Literal

from llmkit.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

# A word or sign with the whitespace after it; whitespace at the beginning stands alone.
_WORD = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")

MANY_WORDS = 2000
"""From so many words on, those that are everywhere don't guide the search: without that it takes minutes."""

_STYLES = {
    "delete": "background:rgba(229,83,75,.25);text-decoration:line-through;text-decoration-thickness:1px",
    "insert": "background:rgba(46,160,67,.28);text-decoration:none",
}


@dataclass(frozen=True, slots=True)
class DiffPart:
    """A stretch of two texts.

    Parameters
    ----------
    kind : {"equal", "delete", "insert"}
        Whether both have it, only the first, or only the second.
    text : str
        The stretch.
    """

    kind: Literal["equal", "delete", "insert"]
    text: str


@dataclass(frozen=True, slots=True, repr=False)
class Diff:
    """How two texts differ. Prints with ``[-…-]`` around what only the first has and ``{+…+}`` what only the second.

    Parameters
    ----------
    parts : tuple of DiffPart
        The stretches in order. Those that aren't inserted are the first text, those that aren't deleted the second.
    """

    parts: tuple[DiffPart, ...]

    @property
    def similarity(self) -> float:
        """The share of both texts' characters that is alike, 0 to 1."""
        alike = 2 * sum(len(part.text) for part in self.parts if part.kind == "equal")
        total = alike + sum(len(part.text) for part in self.parts if part.kind != "equal")
        return alike / total if total else 1.0

    def to_list(self) -> list[tuple[str, str]]:
        """Return pairs of kind and text, as JSON can hold them."""
        return [(part.kind, part.text) for part in self.parts]

    def __iter__(self) -> Iterator[DiffPart]:
        return iter(self.parts)

    def __bool__(self) -> bool:
        return any(part.kind != "equal" for part in self.parts)

    def __str__(self) -> str:
        marks = {"equal": ("", ""), "delete": ("[-", "-]"), "insert": ("{+", "+}")}
        return "".join(part.text.join(marks[part.kind]) for part in self.parts)

    def __repr__(self) -> str:
        return f"<Diff · {self.similarity:.0%} alike>\n{printable(str(self))}"

    def _repr_html_(self) -> str:
        """Return the second text with what changed, as HTML in which the texts are text."""
        tags = {"delete": "del", "insert": "ins"}
        body = "".join(
            escape(part.text)
            if part.kind == "equal"
            else f'<{tags[part.kind]} style="{_STYLES[part.kind]}">{escape(part.text)}</{tags[part.kind]}>'
            for part in self.parts
        )
        # Jupyter typesets what stands between two dollar signs, unless a class forbids it.
        return (
            '<div class="tex2jax_ignore mathjax_ignore" style="white-space:pre-wrap;overflow-wrap:anywhere;'
            f'line-height:1.55">{body}</div>'
        )


def diff(a: str, b: str) -> Diff:
    """Return how two texts differ, word by word.

    Parameters
    ----------
    a, b : str
        The texts.
    """
    one, other = _WORD.findall(a), _WORD.findall(b)
    matcher = SequenceMatcher(None, one, other, autojunk=max(len(one), len(other)) > MANY_WORDS)
    parts: list[DiffPart] = []
    for kind, begin, end, other_begin, other_end in matcher.get_opcodes():
        if kind == "equal":
            parts.append(DiffPart("equal", "".join(one[begin:end])))
            continue
        if begin < end:
            parts.append(DiffPart("delete", "".join(one[begin:end])))
        if other_begin < other_end:
            parts.append(DiffPart("insert", "".join(other[other_begin:other_end])))
    return Diff(tuple(parts))
