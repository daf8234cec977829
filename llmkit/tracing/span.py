"""A span: something that a run did, with its beginning and its end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal[
    "run", "queue", "load", "step", "retry", "prefill", "decode", "reasoning", "call-error", "approval", "tool"
]
Status = Literal["open", "ok", "error", "timeout", "cancelled", "denied", "pending"]

MAX_TEXT = 2_000
"""So many characters of a text, of arguments or of a result are kept with a span."""

MAX_NAME = 200
"""So many characters of a name."""


@dataclass(frozen=True, slots=True)
class Span:
    """Something that a run did.

    Parameters
    ----------
    id : int
        Its number in the run, in the order in which spans begin to show.
    parent : int, optional
        The span that it is part of; ``None`` for the run itself.
    kind : str
        ``run``; in it ``queue``, ``load`` and ``step``; in a step ``retry``, ``prefill``, ``decode`` (in it
        ``reasoning``), ``call-error`` (words that are no call; takes no time), ``approval`` and ``tool``.
    name : str
        The tool's, the model's, or the kind's own.
    step : int, optional
        The step that it belongs to, from 0.
    start : float
        Unix time in seconds.
    end : float, optional
        Unix time in seconds; ``None`` while it goes on.
    status : str
        ``open`` while it goes on, then ``ok``, ``error``, ``timeout``, ``cancelled``, ``denied``, or ``pending``: an
        approval that was left open beyond the run's end.
    attributes : dict
        What else is known, as JSON values by name; times in seconds, rates per second. Unknown ones aren't there.
    """

    id: int
    parent: int | None
    kind: Kind
    name: str
    step: int | None
    start: float
    end: float | None = None
    status: Status = "open"
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; ``None`` while it goes on."""
        return None if self.end is None else max(0.0, self.end - self.start)

    def to_dict(self) -> dict[str, Any]:
        """Return the span as JSON values."""
        return {
            "id": self.id,
            "parent": self.parent,
            "kind": self.kind,
            "name": self.name,
            "step": self.step,
            "start": self.start,
            "end": self.end,
            "status": self.status,
            "attributes": dict(self.attributes),
        }


def spans_to_json(spans: Iterable[Span]) -> str:
    """Return spans as a JSON list, each as :meth:`Span.to_dict` gives it."""
    return json.dumps([span.to_dict() for span in spans], ensure_ascii=False)
