"""The tool calls of a run as a view shows them: a card each, and how each event changes it.

A card is JSON; ``widgets/run/protocol.ts`` is the same thing in TypeScript::

    id, step              the call, and the step that made it
    at                    where in the run's text it comes, in UTF-16 units, as JavaScript counts
    name, description     the tool's
    status                writing · made · pending · allowed · running · done · failed · denied · cancelled · open
                          · invalid
    input, written        while the model writes it: the first characters of that, and how many there are
    arguments             what the model asked for, as JSON text; null until it is whole
    short                 the arguments in a line
    digest                what a decision must carry; null unless somebody was asked
    why                   why somebody is asked, when that isn't plain
    decision              {verdict, by, reason, edited, waited}, or null
    executed              what it runs with when that was edited, as JSON text; else null
    preliminary           the last few values that a generator yielded; preliminary_count says of how many
    result                what the handler returned; null until then, and if it doesn't
    error                 {kind, message} of what it raised, or of why the model's words are no call; else null
    printed               {text, more}, or null
    displayed             what the handler displayed, as values
    duration              seconds that the handler ran

Values are in the forms of :func:`llmkit.notebook.values.shown_value`. ``open`` means that the run ended without a
decision and can be resumed, ``invalid`` that it is no call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from llmkit import events
from llmkit.notebook.json_text import pretty
from llmkit.notebook.values import shown_displays, shown_text, shown_value
from llmkit.notebook.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.approval.decision import Ruling
    from llmkit.approval.request import ApprovalRequest
    from llmkit.tools.calls import ToolCall, ToolCallError
    from llmkit.tools.results import ToolResult

CardStatus = Literal[
    "writing", "made", "pending", "allowed", "running", "done", "failed", "denied", "cancelled", "open", "invalid"
]

MOST_INPUT = 4_000
"""So many characters of a call are shown while it is being written; all of it is, once it is whole."""

MOST_PRELIMINARY, LONGEST_PRELIMINARY = 5, 60_000
MOST_PRINTED = 50_000
SHORT = 80

SETTLED = frozenset({"done", "failed", "denied", "cancelled", "open", "invalid"})
"""What becomes of such a call is known; an open one's fate may change in another run."""


@dataclass(slots=True)
class CardChange:
    """What changed in a card: fields to replace, then pieces to append."""

    set: dict[str, Any] = field(default_factory=dict)
    input: str = ""
    preliminary: list[dict[str, Any]] = field(default_factory=list)

    def add(self, later: CardChange) -> None:
        """Let this change also do what `later` does."""
        self.input = later.input if "input" in later.set else self.input + later.input
        self.preliminary = (self.preliminary + later.preliminary)[-MOST_PRELIMINARY:]
        self.set |= later.set

    def apply(self, card: dict[str, Any]) -> None:
        """Make the change in a card."""
        card |= self.set
        card["input"] += self.input
        card["preliminary"] = (card["preliminary"] + self.preliminary)[-MOST_PRELIMINARY:]

    def to_dict(self, call_id: str) -> dict[str, Any]:
        """Return what there is of the change as JSON."""
        parts = {"set": self.set, "input": self.input, "preliminary": self.preliminary}
        return {"id": call_id, **{name: part for name, part in parts.items() if part}}


CallEvent = (
    events.ToolInputStart
    | events.ToolInputDelta
    | events.ToolInputEnd
    | events.ToolCallMade
    | events.ToolCallFailed
    | events.ApprovalRequested
    | events.ApprovalDecided
    | events.ToolStarted
    | events.ToolPreliminary
    | events.ToolFinished
    | events.ToolFailed
    | events.ToolDenied
)


class Cards:
    """The cards of a run, in the order in which the model began them."""

    def __init__(self) -> None:
        self._cards: dict[str, dict[str, Any]] = {}
        self._descriptions: dict[str, str] = {}

    def to_list(self) -> list[dict[str, Any]]:
        """Return all cards as JSON."""
        return [dict(card) for card in self._cards.values()]

    def has(self, *statuses: CardStatus) -> bool:
        """Return whether a card has one of these statuses."""
        return any(card["status"] in statuses for card in self._cards.values())

    def offer(self, event: events.Start) -> None:
        """Remember what the tools of a run do."""
        self._descriptions = {tool.name: tool.description for tool in event.tools}

    def take(self, event: CallEvent, at: int) -> dict[str, CardChange]:
        """Take in an event of a call; return what it changed, by call id.

        Parameters
        ----------
        event : Event
            The run's next event.
        at : int
            The length of the run's text, in UTF-16 units.
        """
        call_id, name = _subject(event)
        change = self._read(event)
        if call_id not in self._cards:
            if isinstance(event, events.ApprovalDecided):  # on a call that isn't there; the record keeps it
                return {}
            blank = _blank(call_id, event.step, at, name, self._descriptions.get(name, ""))
            change = CardChange({**blank, **change.set}, change.input, change.preliminary)
            self._cards[call_id] = dict(blank)
        return self._apply(call_id, change)

    def end(self, event: events.End) -> dict[str, CardChange]:
        """Take in the run's end: what isn't settled won't be, unless the run is resumed."""
        left_open = {request.call.id for request in event.pending_approvals}
        changes: dict[str, CardChange] = {}
        for call_id, card in self._cards.items():
            if call_id in left_open:
                changes |= self._apply(call_id, CardChange({"status": "open"}))
            elif card["status"] not in SETTLED and not (isinstance(event, events.Finish) and card["status"] == "made"):
                changes |= self._apply(call_id, CardChange({"status": "cancelled", "input": ""}))
        return changes

    def _apply(self, call_id: str, change: CardChange) -> dict[str, CardChange]:
        """Make a change, and return as much of it as makes a difference."""
        card = self._cards[call_id]
        new = {name: value for name, value in change.set.items() if name not in card or card[name] != value}
        if change.set.get("id"):  # a card that is new to the page too
            new = change.set
        real = CardChange(new, change.input, change.preliminary)
        real.apply(card)
        return {call_id: real} if real.set or real.input or real.preliminary else {}

    def _read(self, event: CallEvent) -> CardChange:
        """Return what an event says of its call."""
        change = CardChange()
        match event:
            case events.ToolInputStart(name=name):
                change.set = {"name": name}
            case events.ToolInputDelta(id=call_id, text=text):
                change = self._written(call_id, text)
            case events.ToolInputEnd():
                pass
            case events.ToolCallMade(call=call):
                change.set = _made(call)
            case events.ToolCallFailed(error=error):
                change.set = _invalid(error)
            case events.ApprovalRequested(request=request):
                change.set = _asked(request)
            case events.ApprovalDecided(ruling=ruling):
                change.set = _decided(ruling) if ruling.accepted else {}
            case events.ToolStarted():
                change.set = {"status": "running"}
            case events.ToolPreliminary(call=call, output=output):
                change = self._yielded(call.id, output)
            case (
                events.ToolFinished(result=result) | events.ToolFailed(result=result) | events.ToolDenied(result=result)
            ):
                change.set = _ended(result)
        return change

    def _written(self, call_id: str, text: str) -> CardChange:
        card = self._cards.get(call_id, {})
        room = MOST_INPUT - len(card.get("input", ""))
        return CardChange({"written": card.get("written", 0) + len(text)}, text[: max(0, room)])

    def _yielded(self, call_id: str, output: Any) -> CardChange:
        count = self._cards.get(call_id, {}).get("preliminary_count", 0)
        return CardChange({"preliminary_count": count + 1}, preliminary=[shown_value(output, LONGEST_PRELIMINARY)])


def _subject(event: CallEvent) -> tuple[str, str]:
    """Return the id of the call that an event is about, and its tool's name as far as the event tells."""
    match event:
        case events.ToolInputStart() | events.ToolInputDelta() | events.ToolInputEnd():
            subject = event.id, getattr(event, "name", "")
        case events.ToolCallFailed(error=error):
            subject = error.id or f"error-{event.index}", error.name
        case events.ApprovalRequested(request=request):
            subject = request.call.id, request.call.name
        case events.ApprovalDecided(ruling=ruling):
            subject = ruling.call_id, ruling.tool
        case events.ToolCallMade(call=call) | events.ToolStarted(call=call) | events.ToolPreliminary(call=call):
            subject = call.id, call.name
        case _:
            subject = event.result.call.id, event.result.call.name
    return subject


def _blank(call_id: str, step: int, at: int, name: str, description: str) -> dict[str, Any]:
    return {
        "id": call_id,
        "step": step,
        "at": at,
        "name": name,
        "description": description,
        "status": "writing",
        "input": "",
        "written": 0,
        "arguments": None,
        "short": "",
        "digest": None,
        "why": "",
        "decision": None,
        "executed": None,
        "preliminary": [],
        "preliminary_count": 0,
        "result": None,
        "error": None,
        "printed": None,
        "displayed": [],
        "duration": None,
    }


def _made(call: ToolCall) -> dict[str, Any]:
    return {
        "status": "made",
        "name": call.name,
        "arguments": pretty(call.arguments),
        "short": in_short(call.arguments),
        "input": "",
    }


def _asked(request: ApprovalRequest) -> dict[str, Any]:
    asked = {"description": request.description, "digest": request.digest, "why": request.reason}
    return {**_made(request.call), **asked, "status": "pending"}


def _invalid(error: ToolCallError) -> dict[str, Any]:
    raw = shown_text(error.raw, MOST_INPUT)
    card = {
        "status": "invalid",
        "name": error.name,
        "input": raw["text"],
        "written": len(error.raw),
        "error": {"kind": error.code, "message": error.message},
    }
    return card if error.name else {name: value for name, value in card.items() if name != "name"}


def _decided(ruling: Ruling) -> dict[str, Any]:
    statuses: dict[str, CardStatus] = {"allow": "allowed", "deny": "denied", "pend": "open", "cancel": "cancelled"}
    decision = {
        "verdict": ruling.verdict,
        "by": ruling.by,
        "reason": ruling.reason,
        "edited": ruling.edited,
        "waited": ruling.waited,
    }
    card: dict[str, Any] = {"status": statuses[ruling.verdict], "decision": decision}
    if ruling.edited and ruling.arguments is not None:
        card |= {"executed": pretty(ruling.arguments), "short": in_short(ruling.arguments)}
    return card


def _ended(result: ToolResult) -> dict[str, Any]:
    card: dict[str, Any] = {"duration": result.duration}
    if result.printed:
        card["printed"] = shown_text(result.printed, MOST_PRINTED)
    if result.displayed:
        card["displayed"] = shown_displays(result.displayed)
    match result.outcome:
        case "success":
            card |= {"status": "done", "result": shown_value(result.output)}
        case "denied":
            card |= {"status": "denied"}
        case "cancelled":
            card |= {"status": "cancelled"}
        case _:
            error = result.error
            card |= {"status": "failed", "error": {"kind": type(error).__name__, "message": str(error)[:MOST_PRINTED]}}
    return card


def in_short(arguments: dict[str, Any]) -> str:
    """Return arguments on one line, at most 80 characters: ``city: "Tokyo", days: 3``."""
    return one_line(", ".join(_pairs(arguments)), SHORT)


def _pairs(arguments: dict[str, Any]) -> Iterator[str]:
    room = SHORT
    for name, value in arguments.items():
        if room < 0:
            break
        pair = f"{name[:SHORT]}: {pretty(value[:SHORT] if isinstance(value, str) else value)}"
        room -= len(pair)
        yield pair
