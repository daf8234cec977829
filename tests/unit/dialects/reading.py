"""The tools, and the reading of whole answers, that the tests of the tool dialects share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.tools.define import tool_from
from llmkit.tools.dialects.base import CallEnded, CallUnreadable, MarkupPart, ReasoningPart, TextPart
from llmkit.tools.dialects.tape import merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkit.tools.dialects.base import Dialect, Part
    from llmkit.tools.tool import Tool


def get_weather(city: str, days: int = 1, unit: str = "celsius") -> None:
    """Weather."""


def note(text: str, tags: list[str] | None = None, *, urgent: bool = False) -> None:
    """Note."""


TOOLS: tuple[Tool, ...] = (tool_from(get_weather), tool_from(note))


def read(
    dialect: Dialect, pieces: Iterable[str], *, tools: Sequence[Tool] = TOOLS, complete: bool = True
) -> list[Part]:
    """Return all that a reader finds."""
    reader = dialect.reader(tools)
    parts = [part for piece in pieces for part in reader.feed(piece)]
    return merged(parts + reader.finish(complete=complete))


def text_of(parts: Iterable[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def written(parts: Iterable[Part]) -> str:
    """Return what the model wrote, from what was found of it."""
    kept = [
        part for part in parts if isinstance(part, TextPart | ReasoningPart | MarkupPart | CallEnded | CallUnreadable)
    ]
    return "".join(part.raw if isinstance(part, CallEnded | CallUnreadable) else part.text for part in kept)


def calls(parts: Iterable[Part]) -> list[tuple[str, Any]]:
    """Return the calls among the parts: names and arguments as JSON values."""
    from llmkit.tools.arguments import read_arguments

    return [(part.name, read_arguments(part.arguments)) for part in parts if isinstance(part, CallEnded)]
