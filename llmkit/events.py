"""Every event of a run, as plain frozen records.

A run's events are numbered from 0 without gaps. Views, callbacks and the ledger take them as they are; nothing else
feeds those. The kinds, in the order they come::

    start · load · queue · step-start · prefill · (reasoning-start · reasoning-delta… · reasoning-end)
    · (text-start · text-delta… · text-end) · tokens · tool-call · tool-call-error · step-finish
    · one of: finish, abort, error
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from llmkit.errors import Error

if TYPE_CHECKING:
    from llmkit.engines.decoder import Token
    from llmkit.messages import Message
    from llmkit.results import Stats, StepResult, Usage
    from llmkit.settings import FinishReason, Settings
    from llmkit.tools.calls import ToolCall, ToolCallError


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events.

    Parameters
    ----------
    index : int
        The event's number in its run, from 0.
    time : float
        Unix time in seconds.
    """

    type: ClassVar[str]

    index: int
    time: float = field(default_factory=time.time)

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON values, its type included."""
        return {"type": self.type, **{each.name: _plain(getattr(self, each.name)) for each in fields(self)}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Event):
    """The request was checked and the run begins.

    Parameters
    ----------
    run_id : str
        The run's id.
    session_id : str
        The session's id.
    model : str
        The model's name.
    engine : str
        The engine that will answer.
    messages : tuple of Message
        The whole conversation, system message included.
    settings : Settings
        As merged from session and call.
    stream : bool
        Whether pieces stream.
    metadata : dict
        The caller's own.
    note : str
        Why this engine was chosen, when it isn't the one a user would expect.
    """

    type: ClassVar[str] = "start"
    run_id: str
    session_id: str
    model: str
    engine: str
    messages: tuple[Message, ...]
    settings: Settings
    stream: bool = True
    metadata: dict[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(Event):
    """The model is being fetched or loaded.

    Parameters
    ----------
    stage : {"fetch", "load"}
        Fetching files, or reading them into memory.
    downloaded, total : int, optional
        Bytes.
    percentage : float, optional
        0 to 100.
    file : str
        The file's name.
    """

    type: ClassVar[str] = "load"
    stage: Literal["fetch", "load"]
    downloaded: int | None = None
    total: int | None = None
    percentage: float | None = None
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue(Event):
    """The run waits its turn; ``position`` 0 is next."""

    type: ClassVar[str] = "queue"
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStart(Event):
    """The model is asked for its next answer."""

    type: ClassVar[str] = "step-start"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefill(Event):
    """``done`` of ``total`` prompt tokens are read, ``cached`` of them reused."""

    type: ClassVar[str] = "prefill"
    step: int
    done: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStart(Event):
    """A stretch of text begins."""

    type: ClassVar[str] = "text-start"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta(Event):
    """A piece of text."""

    type: ClassVar[str] = "text-delta"
    step: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEnd(Event):
    """The stretch of text is over."""

    type: ClassVar[str] = "text-end"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningStart(Event):
    """A stretch of reasoning begins."""

    type: ClassVar[str] = "reasoning-start"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningDelta(Event):
    """A piece of reasoning."""

    type: ClassVar[str] = "reasoning-delta"
    step: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningEnd(Event):
    """The stretch of reasoning is over."""

    type: ClassVar[str] = "reasoning-end"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensDecoded(Event):
    """Tokens as decoded, with log-probabilities; only when ``logprobs`` is set."""

    type: ClassVar[str] = "tokens"
    step: int
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallMade(Event):
    """The model made a call."""

    type: ClassVar[str] = "tool-call"
    step: int
    call: ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallFailed(Event):
    """The model meant to make a call and got it wrong."""

    type: ClassVar[str] = "tool-call-error"
    step: int
    error: ToolCallError


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinish(Event):
    """A step is over."""

    type: ClassVar[str] = "step-finish"
    step: int
    result: StepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Event):
    """Base of the three ways a run ends; carries what there is of it.

    Parameters
    ----------
    text, reasoning : str
        The last step's, as far as it came.
    tool_calls : tuple of ToolCall
        The last step's.
    finish_reason : str
        ``stop``, ``length``, … ; ``cancelled`` in an abort, ``error`` in an error.
    usage : Usage
        Total over the steps.
    stats : Stats, optional
        Of the whole run; ``None`` when profiling is off.
    """

    text: str
    reasoning: str
    finish_reason: FinishReason
    raw_finish_reason: str
    usage: Usage
    stats: Stats | None
    tool_calls: tuple[ToolCall, ...] = ()
    steps: tuple[StepResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish(End):
    """The run is done."""

    type: ClassVar[str] = "finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort(End):
    """The run was cancelled; ``reason`` says by what."""

    type: ClassVar[str] = "abort"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(End):
    """The run failed."""

    type: ClassVar[str] = "error"
    error: Error


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON values; records become dictionaries, errors their kind and words."""
    from pydantic import BaseModel

    match value:
        case BaseModel():
            plain: Any = value.model_dump(mode="json")
        case Error():
            plain = {"error": type(value).__name__, "code": value.code, "message": value.message}
        case dict():
            plain = {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            plain = [_plain(item) for item in value]
        case _ if hasattr(value, "to_dict"):
            plain = _plain(value.to_dict())
        case _ if hasattr(value, "__dataclass_fields__"):
            plain = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        case _:
            plain = value
    return plain
