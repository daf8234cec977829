"""The state of a run as a view shows it, and how each event changes it.

The state is JSON; ``widgets/run/protocol.ts`` is the same thing in TypeScript::

    run_id, model, engine, note       who answers, and why this engine
    status                            starting · loading · queued · prefill · decoding · done · cancelled · error
    load                              {stage, percentage, file} while loading, else null
    queue_position                    0 is next; null when not queued
    prefill                           {done, total, cached} in tokens while reading the prompt, else null
    text, reasoning                   what came so far, over all steps
    rate                              pieces per second while decoding
    stats                             of the whole run, with a ``summary`` in words; null until the end
    error                             {kind, code, message}, or null
    finish_reason                     null until the end
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from llmkit import events

if TYPE_CHECKING:
    from llmkit.results import Stats

Status = Literal["starting", "loading", "queued", "prefill", "decoding", "done", "cancelled", "error"]

RATE_INTERVAL = 0.5
"""Seconds between two rates: digits that change faster can't be read."""


@dataclass(slots=True)
class Change:
    """What an event, or several, changed: pieces to append and fields to replace."""

    text: str = ""
    reasoning: str = ""
    set: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.text or self.reasoning or self.set)

    def add(self, later: Change) -> None:
        """Let this change also do what `later` does."""
        self.text += later.text
        self.reasoning += later.reasoning
        self.set |= later.set

    def to_dict(self) -> dict[str, Any]:
        """Return what there is of the change as JSON."""
        parts = {"text": self.text, "reasoning": self.reasoning, "set": self.set}
        return {name: part for name, part in parts.items() if part}


class RunState:
    """A run's state, made from its events alone.

    Parameters
    ----------
    run_id : str
        The run's id.
    """

    def __init__(self, run_id: str) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._rate = _Rate()
        self._streamed = False
        self._fields: dict[str, Any] = {
            "run_id": run_id,
            "status": "starting",
            "model": "",
            "engine": "",
            "note": "",
            "load": None,
            "queue_position": None,
            "prefill": None,
            "rate": None,
            "stats": None,
            "error": None,
            "finish_reason": None,
        }

    @property
    def text(self) -> str:
        """The answer so far."""
        return _joined(self._text)

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self._fields["model"])

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return _joined(self._reasoning)

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self._fields["status"] in {"done", "cancelled", "error"}

    def to_dict(self) -> dict[str, Any]:
        """Return the whole state as JSON."""
        return {**self._fields, "text": self.text, "reasoning": self.reasoning}

    def take(self, event: events.Event) -> Change:
        """Take in the run's next event and return what it changed."""
        change = self._change(event)
        change.set = {name: value for name, value in change.set.items() if self._fields[name] != value}
        self._fields |= change.set
        if change.text:
            self._text.append(change.text)
        if change.reasoning:
            self._reasoning.append(change.reasoning)
        return change

    def _change(self, event: events.Event) -> Change:
        match event:
            case events.TextDelta(text=text):
                self._streamed = True
                change = Change(text=text, set=self._decoding(event.time))
            case events.ReasoningDelta(text=text):
                change = Change(reasoning=text, set=self._decoding(event.time))
            case events.TextStart():
                change = Change(text="\n\n" if self._text else "", set=_phase("decoding"))
            case events.ReasoningStart():
                change = Change(reasoning="\n\n" if self._reasoning else "", set=_phase("decoding"))
            case events.Start(model=model, engine=engine, note=note):
                change = Change(set={"model": model, "engine": engine, "note": note})
            case events.Load(stage=stage, percentage=percentage, file=file):
                load = {"stage": stage, "percentage": percentage, "file": file}
                change = Change(set=_phase("loading", load=load))
            case events.Queue(position=position):
                change = Change(set=_phase("queued", queue_position=position))
            case events.StepStart():
                self._streamed = False
                change = Change(set=_phase("prefill"))
            case events.Prefill(done=done, total=total, cached=cached):
                change = Change(set=_phase("prefill", prefill={"done": done, "total": total, "cached": cached}))
            case events.End():
                change = self._end(event)
            case _:
                change = Change()
        return change

    def _decoding(self, time: float) -> dict[str, Any]:
        rate = self._rate.after_piece(time)
        return _phase("decoding") | ({} if rate is None else {"rate": rate})

    def _end(self, event: events.End) -> Change:
        change = Change(set=_phase(_ending(event), finish_reason=event.finish_reason, stats=_stats(event.stats)))
        if isinstance(event, events.Failure):
            error = event.error
            change.set["error"] = {"kind": type(error).__name__, "code": error.code, "message": error.message}
        if not self._streamed and event.text:  # a run that doesn't stream says all of it at the end
            change.text = ("\n\n" if self._text else "") + event.text
        if not self._reasoning and event.reasoning:
            change.reasoning = event.reasoning
        return change


class _Rate:
    """Pieces per second since the first one; a piece is about a token."""

    def __init__(self) -> None:
        self._pieces = 0
        self._first = 0.0
        self._last = 0.0

    def after_piece(self, time: float) -> float | None:
        """Count a piece; return the rate now and then."""
        self._pieces += 1
        if self._pieces == 1:
            self._first = self._last = time
        if time - self._last < RATE_INTERVAL:
            return None
        self._last = time
        return round((self._pieces - 1) / (time - self._first), 1)


def _phase(status: Status, **fields: Any) -> dict[str, Any]:
    """Return a status and what belongs to it; what belongs to another is over."""
    return {"status": status, "load": None, "queue_position": None, "prefill": None, **fields}


def _ending(event: events.End) -> Status:
    match event:
        case events.Failure():
            return "error"
        case events.Abort():
            return "cancelled"
        case _:
            return "done"


def _stats(stats: Stats | None) -> dict[str, Any] | None:
    return None if stats is None else {"summary": str(stats), **stats.to_dict()}


def _joined(pieces: list[str]) -> str:
    """Return the pieces as one text, and keep it as the only piece: joining again costs nothing."""
    if len(pieces) > 1:
        pieces[:] = ["".join(pieces)]
    return pieces[0] if pieces else ""
