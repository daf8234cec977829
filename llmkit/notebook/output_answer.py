"""An answer that must be of a certain form, as views show it: a JSON value as far as it came, or letters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeGuard

from llmkit.notebook.json_text import pretty
from llmkit.output.partial import MISSING, PartialJSON

if TYPE_CHECKING:
    from llmkit.output.spec import OutputKind


@dataclass(frozen=True)
class Answer:
    """A step's answer.

    Parameters
    ----------
    kind : str
        What was asked for.
    text : str
        What the model wrote.
    """

    kind: OutputKind
    text: str

    @property
    def is_json(self) -> bool:
        """Whether it shows as a value; what should be JSON and isn't, from its first letter on, doesn't."""
        return self.kind in {"json", "array"} and self.value is not MISSING

    @property
    def is_letters(self) -> bool:
        """Whether it shows as it is written, not as Markdown."""
        return self.kind in {"choice", "regex", "grammar"}

    @cached_property
    def _reading(self) -> PartialJSON:
        reading = PartialJSON()
        reading.feed(self.text)
        reading.close()
        return reading

    @cached_property
    def value(self) -> Any:
        """What is certain of the JSON value, or :data:`~llmkit.output.partial.MISSING`."""
        return self._reading.value

    @property
    def is_whole(self) -> bool:
        """Whether the text is one whole JSON value and nothing else."""
        return self._reading.complete and not self._reading.broken

    def written(self) -> str:
        """Return the JSON as people read it; the text itself where that would say something else."""
        if not self.is_whole or not _is_exact(self.value):
            return self.text
        return pretty(self.value)


def is_table(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    """Return whether a value shows as a table: it is an array of objects, and has one at least."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def columns(rows: list[dict[str, Any]]) -> list[str]:
    """Return the names of the rows' members, in the order in which they appear."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _is_exact(value: Any) -> bool:
    """Return whether JSON has words for all of a value: a number may be too large for Python."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return True
