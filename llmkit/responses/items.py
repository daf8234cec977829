"""The items of a model's output: what it said, called, thought, and what only its provider knows.

The names, fields and types are those of openai-agents-js: ``OutputModelItem`` in
``packages/agents-core/src/types/protocol.ts``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from llmkit.responses.parts import InputText, OutputText, Part, ReasoningText, Refusal, part
from llmkit.responses.wire import Misfit, Record, each, mapping, reads, string

Status: TypeAlias = Literal["in_progress", "completed", "incomplete"]


def _status(value: Any) -> Status:
    if value not in ("in_progress", "completed", "incomplete"):
        raise Misfit
    status: Status = value
    return status


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageItem(Record):
    """What the model said.

    Parameters
    ----------
    content : tuple of parts
        :class:`OutputText`, :class:`Refusal`, or :class:`UnknownPart`.
    status : {"in_progress", "completed", "incomplete"}
        ``incomplete`` when it was cut off.
    id : str, optional
        The item's id.
    """

    type: ClassVar[str] = "message"
    role: ClassVar[str] = "assistant"
    id: str | None = field(default=None, metadata=reads(string))
    status: Status = field(metadata=reads(_status))
    content: tuple[Part, ...] = field(metadata=reads(each(part)))

    @property
    def text(self) -> str:
        """The text that was said, refusals left out."""
        return "".join(one.text for one in self.content if isinstance(one, OutputText))

    @property
    def refusal(self) -> str:
        """The words of its refusals, "" if there is none."""
        return "".join(one.refusal for one in self.content if isinstance(one, Refusal))


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCallItem(Record):
    """A call of one of the caller's own tools.

    Parameters
    ----------
    call_id : str
        The call's id, which its result is matched by.
    name : str
        The tool's.
    arguments : str
        JSON, or what the model wrote in its place; then ``provider_data["error"]`` says what is wrong with it.
    status : str, optional
        ``in_progress``, ``completed`` or ``incomplete``: it was cut off.
    id : str, optional
        The item's id.
    """

    type: ClassVar[str] = "function_call"
    id: str | None = field(default=None, metadata=reads(string))
    call_id: str = field(metadata=reads(string))
    name: str = field(metadata=reads(string))
    arguments: str = field(metadata=reads(string))
    status: Status | None = field(default=None, metadata=reads(_status))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedToolCallItem(Record):
    """A call of a tool that the provider has and runs, such as a web search.

    Parameters
    ----------
    name : str
        The tool's.
    arguments, output : str, optional
        What it was called with, and what came of it.
    status : str, optional
        The provider's own word.
    id : str, optional
        The item's id.
    """

    type: ClassVar[str] = "hosted_tool_call"
    id: str | None = field(default=None, metadata=reads(string))
    name: str = field(metadata=reads(string))
    arguments: str | None = field(default=None, metadata=reads(string))
    status: str | None = field(default=None, metadata=reads(string))
    output: str | None = field(default=None, metadata=reads(string))


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputerCallItem(Record):
    """A model's wish to click, type or look in a computer.

    Parameters
    ----------
    call_id : str
        The call's id.
    status : str
        ``in_progress``, ``completed`` or ``incomplete``.
    action : dict, optional
        What to do: ``{"type": "click", "x": 3, "y": 4, "button": "left"}``, ….
    actions : tuple of dict, optional
        Several of them.
    id : str, optional
        The item's id.
    """

    type: ClassVar[str] = "computer_call"
    id: str | None = field(default=None, metadata=reads(string))
    call_id: str = field(metadata=reads(string))
    status: Status = field(metadata=reads(_status))
    action: dict[str, Any] | None = field(default=None, metadata=reads(mapping))
    actions: tuple[dict[str, Any], ...] | None = field(default=None, metadata=reads(each(mapping)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningItem(Record):
    """What the model thought.

    Parameters
    ----------
    content : tuple of parts
        The summary that is meant to be shown.
    raw_content : tuple of parts, optional
        The reasoning itself.
    status : str, optional
        ``in_progress``, ``completed`` or ``incomplete``.
    id : str, optional
        The item's id.
    """

    type: ClassVar[str] = "reasoning"
    id: str | None = field(default=None, metadata=reads(string))
    content: tuple[Part, ...] = field(metadata=reads(each(part)))
    raw_content: tuple[Part, ...] | None = field(default=None, metadata=reads(each(part)))
    status: Status | None = field(default=None, metadata=reads(_status))

    @property
    def text(self) -> str:
        """The reasoning itself, or its summary where the provider keeps it to itself."""
        parts = self.raw_content or self.content
        return "".join(one.text for one in parts if isinstance(one, ReasoningText | InputText))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownItem(Record):
    """An item of another kind, as it came; all its fields but ``id`` and ``provider_data`` are in ``extra``."""

    id: str | None = field(default=None, metadata=reads(string))

    @property
    def type(self) -> str:
        """What it calls itself, "" if it doesn't."""
        name = self.extra.get("type")
        return name if isinstance(name, str) else ""

    @property
    def status(self) -> str | None:
        """Its status, if it tells one."""
        status = self.extra.get("status")
        return status if isinstance(status, str) else None


Item: TypeAlias = MessageItem | FunctionCallItem | HostedToolCallItem | ComputerCallItem | ReasoningItem | UnknownItem

_KINDS: tuple[type[MessageItem | FunctionCallItem | HostedToolCallItem | ComputerCallItem | ReasoningItem], ...] = (
    MessageItem,
    FunctionCallItem,
    HostedToolCallItem,
    ComputerCallItem,
    ReasoningItem,
)


def item(value: Any) -> Item:
    """Read an item of any kind; one that isn't of its kind's shape is kept as an unknown one."""
    named = mapping(value).get("type")
    for kind in _KINDS:
        if kind.type == named:
            try:
                return kind.read(value)
            except Misfit:
                break
    return UnknownItem.read(value)
