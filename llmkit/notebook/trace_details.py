"""What a timeline's row holds when it is unfolded: messages and the answer, arguments and the result, who decided.

A span keeps the beginning of a text at most. So what is unfolded is made from the run's events when a page asks for
it, and is cut to what a page can take. Details are a list of sections; ``widgets/trace/protocol.ts`` is the same thing
in TypeScript::

    title, kind      kind says what else there is:
    facts            facts: a list of name and value, both text
    text             text, more: so many characters were left out
    value            value: in a form of :func:`llmkit.notebook.values.shown_value`
    messages         messages: {role, parts: {label, text, more} each} each; earlier: so many came before those;
                     most: so many can be had at once
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from llmkit import events
from llmkit.notebook.json_text import pretty
from llmkit.notebook.values import shown_text, shown_value
from llmkit.notebook.visible import one_line
from llmkit.records.values import error_text
from llmkit.tracing.words import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkit.approval.decision import Ruling
    from llmkit.messages import Message
    from llmkit.tracing.span import Kind, Span

Section = dict[str, Any]
E = TypeVar("E", bound=events.Event)

LONGEST_TEXT = 50_000
"""So many characters of one text or value are sent."""

LONGEST_MESSAGES = 200_000
"""So many characters of all messages of a step together, about."""

MESSAGES, MOST_MESSAGES = 8, 200
"""So many messages of a step are sent unasked, and at most."""

_TELLING: dict[Kind, tuple[type[events.Event], ...]] = {
    "run": (events.Start, events.End),
    "step": (events.StepStart, events.StepFinish),
    "call-error": (events.ToolCallFailed,),
    "approval": (events.ApprovalRequested, events.ApprovalDecided),
    "tool": (events.ToolStarted, events.ToolFinished, events.ToolFailed),
}
"""The events that tell more of a kind of span than the span itself."""

_FACTS = (
    ("status", "status"),
    ("model", "model"),
    ("engine", "engine"),
    ("steps", "steps"),
    ("prompt_tokens", "prompt tokens"),
    ("input_tokens", "tokens read"),
    ("cache_tokens", "of them cached"),
    ("generated_tokens", "tokens written"),
    ("output_tokens", "tokens written"),
    ("reasoning_tokens", "of them reasoning"),
    ("tokens_per_second", "tokens per second"),
    ("time_to_first_token", "first token after"),
    ("finish_reason", "ended by"),
    ("stop_reason", "no further step"),
    ("decided_by", "decided by"),
    ("handler_time", "handler ran"),
    ("preliminary_results", "preliminary results"),
    ("error_code", "code"),
    ("file", "file"),
    ("bytes", "bytes"),
    ("position", "place in the queue"),
    ("call_id", "call"),
    ("run_id", "run"),
    ("session_id", "session"),
)
_PLAIN = {("status", "ok"), ("status", "open"), ("decided_by", "tool")}
"""What goes without saying; a tool that needs no approval has decided by itself."""

_TIMES = frozenset({"time_to_first_token", "handler_time"})
_LONGEST_FACT = 200


class Told:
    """The events of a run that tell more of its spans than these themselves."""

    def __init__(self) -> None:
        self._events: dict[int, list[events.Event]] = {}

    def take(self, event: events.Event, changed: Iterable[Span]) -> None:
        """Keep an event for those of the spans it changed that it tells of."""
        for span in changed:
            if isinstance(event, _TELLING.get(span.kind, ())):
                self._events.setdefault(span.id, []).append(event)

    def of(self, span: Span) -> tuple[events.Event, ...]:
        """Return the events that tell of a span."""
        return tuple(self._events.get(span.id, ()))


def details(span: Span, told: Sequence[events.Event], messages: int = MESSAGES) -> list[Section]:
    """Return what there is to know of a span, never more than a page can take.

    Parameters
    ----------
    span : Span
        The span.
    told : sequence of Event
        The events that tell of it.
    messages : int
        So many of the messages that a step was given, the last ones.
    """
    match span.kind:
        case "run":
            sections = _run(told)
        case "step":
            sections = _step(told, messages)
        case "tool":
            sections = _tool(told)
        case "approval":
            sections = _approval(told)
        case "call-error":
            sections = _call_error(told)
        case _:
            sections = _text("Error", span.attributes.get("error", ""))
    return [*_facts("", _known(span)), *sections]


def _known(span: Span) -> list[tuple[str, str]]:
    known = {"status": span.status, **span.attributes}
    return [
        (title, _fact(name, known[name]))
        for name, title in _FACTS
        if name in known and (name, known[name]) not in _PLAIN
    ]


def _fact(name: str, value: Any) -> str:
    if name in _TIMES:
        return duration(value)
    match value:
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.1f}"
    return one_line(str(value), _LONGEST_FACT)


def _run(told: Sequence[events.Event]) -> list[Section]:
    start, end = _last(told, events.Start), _last(told, events.End)
    sections = _text("System", (start.system or "") if start else "") + _text("Prompt", start.prompt if start else "")
    if end is None:
        return sections
    sections += _text("Answer", end.text)
    match end:
        case events.Failure():
            sections += _text("Error", error_text(end.error))
        case events.Abort():
            sections += _text("Cancelled", end.reason)
    return sections


def _step(told: Sequence[events.Event], messages: int) -> list[Section]:
    start, finish = _last(told, events.StepStart), _last(told, events.StepFinish)
    sections = [] if start is None else _messages(start.messages, messages)
    if finish is None:
        return sections
    result = finish.result
    sections += _text("Reasoning", result.reasoning) + _text("Answer", result.text)
    for call in result.tool_calls:
        sections += _value(f"Calls {one_line(call.name, 80)}", call.arguments)
    return sections + _text("Warnings", "\n".join(result.warnings))


def _tool(told: Sequence[events.Event]) -> list[Section]:
    start = _last(told, events.ToolStarted)
    result = next((each.result for each in told if isinstance(each, events.ToolFinished | events.ToolFailed)), None)
    sections = []
    if start is not None:
        edited = start.arguments != start.call.arguments
        sections += _value("Ran with" if edited else "Arguments", start.arguments)
        if edited:
            sections += _value("What the model asked for", start.call.arguments)
    if result is None:
        return sections
    if result.success:
        sections += _value("Result", result.output)
    if result.error is not None:
        sections += _text("Error", error_text(result.error))
    return sections + _text("Printed", result.printed)


def _approval(told: Sequence[events.Event]) -> list[Section]:
    asked, decided = _last(told, events.ApprovalRequested), _last(told, events.ApprovalDecided)
    sections = []
    if asked is not None:
        sections += _text("What the tool does", asked.request.description)
        sections += _text("Why it is asked", asked.request.reason)
    ruling = None if decided is None else decided.ruling
    if ruling is not None and ruling.shown_arguments is not None:
        sections += _value("Asked for", ruling.shown_arguments)
    elif asked is not None:
        sections += _value("Asked for", asked.request.call.arguments)
    return sections if ruling is None else sections + _decision(ruling)


def _decision(ruling: Ruling) -> list[Section]:
    sections = _value("Edited to", ruling.arguments) if ruling.edited else []
    return sections + _text("Reason", ruling.reason)


def _call_error(told: Sequence[events.Event]) -> list[Section]:
    failed = _last(told, events.ToolCallFailed)
    if failed is None:
        return []
    return _text("What is wrong", failed.error.message) + _text("What the model wrote", failed.error.raw)


def _messages(sent: Sequence[Message], wanted: int) -> list[Section]:
    count = min(max(1, wanted), MOST_MESSAGES, len(sent))
    if count == 0:
        return []
    most = min(LONGEST_TEXT, LONGEST_MESSAGES // count)
    shown = [_message(message, most) for message in sent[len(sent) - count :]]
    numbers = {"earlier": len(sent) - count, "most": MOST_MESSAGES}
    return [{"title": "Messages sent", "kind": "messages", "messages": shown, **numbers}]


def _message(message: Message, most: int) -> dict[str, Any]:
    parts = [("thought", message.reasoning), ("", message.text)]
    images = 0 if isinstance(message.content, str) else sum(not isinstance(part, str) for part in message.content)
    parts += [("", "1 image" if images == 1 else f"{images} images")] if images else []
    parts += [(f"calls {one_line(call.name, 80)}", pretty(call.arguments)) for call in message.tool_calls]
    role = message.role if not message.name else f"{message.role} · {one_line(message.name, 80)}"
    share = most // max(1, len(parts))
    return {"role": role, "parts": [{"label": name, **shown_text(text, share)} for name, text in parts if text]}


def _facts(title: str, facts: Sequence[tuple[str, str]]) -> list[Section]:
    return [{"title": title, "kind": "facts", "facts": [list(each) for each in facts]}] if facts else []


def _text(title: str, text: str) -> list[Section]:
    return [{"title": title, "kind": "text", **shown_text(text, LONGEST_TEXT)}] if text else []


def _value(title: str, value: Any) -> list[Section]:
    return [{"title": title, "kind": "value", "value": shown_value(value, LONGEST_TEXT)}]


def _last(told: Sequence[events.Event], kind: type[E]) -> E | None:
    return next((event for event in reversed(told) if isinstance(event, kind)), None)
