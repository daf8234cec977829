"""The state of a run as a view shows it, and how each event changes it.

The state is JSON; ``widgets/run/protocol.ts`` is the same thing in TypeScript::

    run_id, model, engine, note       who answers, and why this engine
    status                            starting · loading · queued · prefill · decoding · approval · tools
                                      · done · cancelled · error
    load                              {stage, percentage, file} while loading, else null
    queue_position                    0 is next; null when not queued
    prefill                           {done, total, cached} in tokens while reading the prompt, else null
    text, reasoning                   what came so far, over all steps
    calls                             a card a tool call, in order; see :mod:`llmkit.notebook.call_state`
    rules                             {id, tool, action, scope, reason, conditional} of each rule in force
    rate                              pieces per second while decoding
    stats                             of the whole run, with a ``summary`` in words; null until the end
    error                             {kind, code, message}, or null
    output                            {kind, from} of the last step: what its answer must be, and where in the text
                                      that begins, in UTF-16 units; null if it is free
    output_error                      {kind, code, message} if the answer of a run that is done isn't that, or null
    finish_reason                     null until the end

A change is JSON too: ``text`` and ``reasoning`` to append, fields to ``set``, and ``calls``, a list of
``{id, set, input, preliminary}``: a card's fields to set, then what to append to its input and its preliminary values.
A card with an id that wasn't there before is new, and its ``set`` holds all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from llmkit import events
from llmkit.notebook.call_state import CallEvent, CardChange, Cards
from llmkit.notebook.output_answer import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.errors import Error
    from llmkit.output.spec import OutputSpec
    from llmkit.results import Stats

Status = Literal[
    "starting", "loading", "queued", "prefill", "decoding", "approval", "tools", "done", "cancelled", "error"
]

_BETWEEN = "\n\n"
"""Stands between the texts of two steps."""

RATE_INTERVAL = 0.5
"""Seconds between two rates: digits that change faster can't be read."""


@dataclass(slots=True)
class Change:
    """What an event, or several, changed: pieces to append and fields to replace."""

    text: str = ""
    reasoning: str = ""
    set: dict[str, Any] = field(default_factory=dict)
    calls: dict[str, CardChange] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.text or self.reasoning or self.set or self.calls)

    def add(self, later: Change) -> None:
        """Let this change also do what `later` does."""
        self.text += later.text
        self.reasoning += later.reasoning
        self.set |= later.set
        for call_id, change in later.calls.items():
            if call_id in self.calls:
                self.calls[call_id].add(change)
            else:
                self.calls[call_id] = change

    def to_dict(self) -> dict[str, Any]:
        """Return what there is of the change as JSON."""
        calls = [change.to_dict(call_id) for call_id, change in self.calls.items()]
        parts = {"text": self.text, "reasoning": self.reasoning, "set": self.set, "calls": calls}
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
        self._cards = Cards()
        self._length = 0
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
            "rules": [],
            "stats": None,
            "error": None,
            "output": None,
            "output_error": None,
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
    def calls(self) -> list[dict[str, Any]]:
        """The cards of the tool calls so far."""
        return self._cards.to_list()

    @property
    def awaits_json(self) -> bool:
        """Whether the step's answer must be JSON."""
        asked = self._fields["output"]
        return asked is not None and asked["kind"] in {"json", "array"}

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self._fields["status"] in {"done", "cancelled", "error"}

    def to_dict(self) -> dict[str, Any]:
        """Return the whole state as JSON."""
        return {**self._fields, "text": self.text, "reasoning": self.reasoning, "calls": self.calls}

    def take(self, event: events.Event) -> Change:
        """Take in the run's next event and return what it changed."""
        change = self._call(event) if isinstance(event, CallEvent) else self._change(event)
        change.set = {name: value for name, value in change.set.items() if self._fields[name] != value}
        self._fields |= change.set
        if change.text:
            self._text.append(change.text)
            self._length += _utf16_length(change.text)
        if change.reasoning:
            self._reasoning.append(change.reasoning)
        return change

    def _change(self, event: events.Event) -> Change:
        match event:
            case events.TextStart() | events.TextDelta() | events.ReasoningStart() | events.ReasoningDelta():
                change = self._piece(event)
            case events.RulesChanged(rules=rules):
                change = Change(set={"rules": [rule.to_dict() for rule in rules]})
            case events.Start(model=model, engine=engine, note=note):
                self._cards.offer(event)
                change = Change(set={"model": model, "engine": engine, "note": note})
            case events.Noted(text=text):
                note = self._fields["note"]
                change = Change(set={"note": f"{note}\n{text}" if note else text})
            case events.Load(stage=stage, percentage=percentage, file=file):
                load = {"stage": stage, "percentage": percentage, "file": file}
                change = Change(set=_phase("loading", load=load))
            case events.Queue(position=position):
                change = Change(set=_phase("queued", queue_position=position))
            case events.StepStart(output=spec):
                self._streamed = False
                change = Change(set=_phase("prefill", output=self._asked(spec)))
            case events.Prefill(done=done, total=total, cached=cached):
                change = Change(set=_phase("prefill", prefill={"done": done, "total": total, "cached": cached}))
            case events.End():
                change = self._end(event)
            case _:
                change = Change()
        return change

    def _piece(
        self, event: events.TextStart | events.TextDelta | events.ReasoningStart | events.ReasoningDelta
    ) -> Change:
        match event:
            case events.TextDelta(text=text):
                self._streamed = True
                change = Change(text=text, set=self._decoding(event.time))
            case events.ReasoningDelta(text=text):
                change = Change(reasoning=text, set=self._decoding(event.time))
            case events.TextStart():
                change = Change(text=_BETWEEN if self._text else "", set=_phase("decoding"))
            case events.ReasoningStart():
                change = Change(reasoning=_BETWEEN if self._reasoning else "", set=_phase("decoding"))
        return change

    def _call(self, event: CallEvent) -> Change:
        change = Change(calls=self._cards.take(event, self._length))
        if self.is_over:
            return change
        match event:
            case events.ToolInputStart() | events.ToolInputDelta():
                change.set = self._decoding(event.time)
            case events.ToolInputEnd() | events.ToolCallMade() | events.ToolCallFailed():
                pass
            case _:
                change.set = _phase("approval" if self._cards.has("pending") else "tools")
        return change

    def _asked(self, spec: OutputSpec | None) -> dict[str, Any] | None:
        """Return what a step's answer must be, and where it will begin."""
        if spec is None:
            return None
        return {"kind": spec.kind, "from": self._length + (len(_BETWEEN) if self._text else 0)}

    def _decoding(self, time: float) -> dict[str, Any]:
        rate = self._rate.after_piece(time)
        return _phase("decoding") | ({} if rate is None else {"rate": rate})

    def _end(self, event: events.End) -> Change:
        change = Change(set=_phase(_ending(event), finish_reason=event.finish_reason, stats=_stats(event.stats)))
        if isinstance(event, events.Failure):
            change.set["error"] = _error(event.error)
        if isinstance(event, events.Finish) and event.output_error is not None:
            change.set["output_error"] = _error(event.output_error)
            change.set["note"] = _without(self._fields["note"], event.output_error.message)
        if not self._streamed and event.text:  # a run that doesn't stream says all of it at the end
            change.text = (_BETWEEN if self._text else "") + event.text
        if not self._reasoning and event.reasoning:
            change.reasoning = event.reasoning
        change.calls = self._cards.end(event)
        return change


def in_order(state: dict[str, Any]) -> Iterator[str | Answer | dict[str, Any]]:
    """Yield the parts of a state as they came: stretches of text, cards, and the answer that an output asks for."""
    text = state["text"].encode("utf-16-le", "surrogatepass")
    shown = 0
    for card in state["calls"]:
        yield from _stretch(text, shown, card["at"], state["output"])
        shown = max(shown, card["at"])
        yield card
    yield from _stretch(text, shown, len(text) // 2, state["output"])


def _stretch(text: bytes, start: int, end: int, asked: dict[str, Any] | None) -> Iterator[str | Answer]:
    """Yield what is between two places: text, and then the answer, if it begins there."""
    begins = asked["from"] if asked is not None and start <= asked["from"] < end else end
    if start < begins:
        yield text[2 * start : 2 * begins].decode("utf-16-le", "surrogatepass")
    if asked is not None and begins < end:
        yield Answer(asked["kind"], text[2 * begins : 2 * end].decode("utf-16-le", "surrogatepass"))


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


def _error(error: Error) -> dict[str, Any]:
    return {"kind": type(error).__name__, "code": error.code, "message": error.message}


def _without(note: str, end: str) -> str:
    """Return a note without its end, which is told elsewhere."""
    return note.removesuffix(end).rstrip("\n")


def _stats(stats: Stats | None) -> dict[str, Any] | None:
    return None if stats is None else {"summary": str(stats), **stats.to_dict()}


def _utf16_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _joined(pieces: list[str]) -> str:
    """Return the pieces as one text, and keep it as the only piece: joining again costs nothing."""
    if len(pieces) > 1:
        pieces[:] = ["".join(pieces)]
    return pieces[0] if pieces else ""
