"""Every event of a run, as plain frozen records.

A run's events are numbered from 0 without gaps. Views, callbacks and the ledger take them as they are; nothing else
feeds those. The kinds, in the order they come::

    start · load · queue · step-start · retry · note · prefill · (reasoning-start · reasoning-delta… · reasoning-end)
    · (text-start · text-delta… · text-end) · tokens
    · (tool-input-start · tool-input-delta… · tool-input-end · tool-call or tool-call-error)
    · response-done · approval-rules · approval-request · approval-decision
    · (tool-start · tool-preliminary-result… · tool-result or tool-error) or tool-denied
    · step-finish · one of: finish, abort, error

A second decision on a call, a forged one, or a call that is invoked later may come after the end: subscribers are told
of it, streams and replays have ended by then.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from llmkit.cancellation import CancelToken
from llmkit.errors import Error
from llmkit.settings import Settings
from llmkit.tools.choice import AUTO, ToolChoice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.approval.decision import Ruling
    from llmkit.approval.request import ApprovalRequest
    from llmkit.approval.rules import Rule
    from llmkit.engines.decoder import Token
    from llmkit.messages import Message
    from llmkit.output.failure import OutputError
    from llmkit.output.spec import OutputSpec
    from llmkit.responses.response import ModelResponse
    from llmkit.results import Stats, StepResult, Usage
    from llmkit.settings import FinishReason
    from llmkit.stopping import StopCondition
    from llmkit.tools.calls import ToolCall, ToolCallError
    from llmkit.tools.results import ToolResult
    from llmkit.tools.tool import Tool


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
        As merged from session and call: sampling, timeout, max_retries.
    stream : bool
        Whether pieces stream.
    metadata : dict
        The caller's own.
    note : str
        Why this engine was chosen, when it isn't the one a user would expect.
    tools : tuple of Tool
        What the model may call.
    tool_choice : ToolChoice
        Whether it may, must or must not.
    active_tools : tuple of str, optional
        The names of the tools offered now, ``None`` for all.
    system : str, optional
        The system message.
    prompt : str
        What the user said last.
    stop_when : tuple of conditions
        Any of them ends the loop of steps.
    headers : dict
        For remote engines; those that may hold a key are masked.
    provider_options : dict
        For remote engines.
    output : OutputSpec, optional
        What the answer must be; ``None`` if it is free.
    cancel : CancelToken
        Throwing it cancels the run.
    include : tuple of str
        Which bulky parts steps' results keep.
    function_id : str, optional
        The caller's name for what this run does.
    context : Any
        The caller's own, for tools and callbacks.
    seed : int, optional
        The seed that is used: the settings' own, or one drawn for this run.
    revision : str, optional
        Which weights the model's name stands for, where that is known.
    beginning : tuple of Token
        Tokens that the first answer begins with: a branch of another run.
    functions : tuple of str
        The caller's own that change steps or calls: ``prepare_step`` and ``repair``, in words.
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
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = AUTO
    active_tools: tuple[str, ...] | None = None
    system: str | None = None
    prompt: str = ""
    stop_when: tuple[StopCondition, ...] = ()
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    provider_options: dict[str, Any] = field(default_factory=dict)
    output: OutputSpec | None = None
    cancel: CancelToken = field(default_factory=CancelToken, repr=False)
    include: tuple[str, ...] = ()
    function_id: str | None = None
    context: Any = None
    seed: int | None = None
    revision: str | None = None
    beginning: tuple[Token, ...] = ()
    functions: tuple[str, ...] = ()


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
    """The model is asked for its next answer.

    Parameters
    ----------
    step : int
        From 0.
    model : str
        The model that is asked.
    engine : str
        Its engine.
    messages : sequence of Message
        The conversation so far.
    settings : Settings
        As changed for this step.
    tools : tuple of Tool
        What the run offers.
    tool_choice : ToolChoice
        Whether the model may, must or must not call.
    active_tools : tuple of str, optional
        The names of the tools offered in this step, ``None`` for all.
    output : OutputSpec, optional
        What the answer must be.
    steps : sequence of StepResult
        The steps before.
    function_id, metadata, context
        The caller's own.
    build : str, optional
        The engine's version.
    """

    type: ClassVar[str] = "step-start"
    step: int
    model: str = ""
    engine: str = ""
    build: str | None = None
    messages: Sequence[Message] = ()
    settings: Settings = field(default_factory=Settings)
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = AUTO
    active_tools: tuple[str, ...] | None = None
    output: OutputSpec | None = None
    steps: Sequence[StepResult] = field(default=(), repr=False)
    function_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    context: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(Event):
    """The engine failed before it said anything; it is asked again after ``delay`` seconds."""

    type: ClassVar[str] = "retry"
    step: int
    attempt: int
    delay: float
    error: Error


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefill(Event):
    """``done`` of ``total`` prompt tokens are read, ``cached`` of them reused."""

    type: ClassVar[str] = "prefill"
    step: int
    done: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Event):
    """Something a person should know: what couldn't be done as asked, or what is about to go wrong."""

    type: ClassVar[str] = "note"
    step: int
    text: str


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
class ToolInputStart(Event):
    """The model begins to write a call of the tool ``name``."""

    type: ClassVar[str] = "tool-input-start"
    step: int
    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolInputDelta(Event):
    """A piece of a call's arguments, as the model writes them."""

    type: ClassVar[str] = "tool-input-delta"
    step: int
    id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolInputEnd(Event):
    """The call is written; ``tool-call`` or ``tool-call-error`` says what it is."""

    type: ClassVar[str] = "tool-input-end"
    step: int
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallMade(Event):
    """The model made a call; it fits the tool's schema."""

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
class ResponseDone(Event):
    """The model's answer is whole; its calls may still wait or run."""

    type: ClassVar[str] = "response-done"
    step: int
    response: ModelResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesChanged(Event):
    """These rules are in force from now on, the first that fits decides."""

    type: ClassVar[str] = "approval-rules"
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequested(Event):
    """A call waits for a decision."""

    type: ClassVar[str] = "approval-request"
    step: int
    request: ApprovalRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDecided(Event):
    """Somebody or something decided on a call, or tried to; ``ruling.accepted`` tells which."""

    type: ClassVar[str] = "approval-decision"
    step: int
    ruling: Ruling


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted(Event):
    """A tool's handler is called, with ``arguments`` as they were approved."""

    type: ClassVar[str] = "tool-start"
    step: int
    call: ToolCall
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPreliminary(Event):
    """A handler that goes on yielded a value."""

    type: ClassVar[str] = "tool-preliminary-result"
    step: int
    call: ToolCall
    output: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinished(Event):
    """A handler is done.

    Parameters
    ----------
    result : ToolResult
        What it returned, how long it ran and what it printed.
    """

    type: ClassVar[str] = "tool-result"
    step: int
    result: ToolResult

    success: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFailed(Event):
    """A handler raised, took too long or was cancelled; ``result.error`` says how."""

    type: ClassVar[str] = "tool-error"
    step: int
    result: ToolResult

    success: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDenied(Event):
    """A call was denied and won't run; the model reads the reason."""

    type: ClassVar[str] = "tool-denied"
    step: int
    result: ToolResult


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
    tool_results : tuple of ToolResult
        What they came to, as far as they did.
    pending_approvals : tuple of ApprovalRequest
        What the policy left open; :meth:`llmkit.Session.resume` goes on from there.
    stop_reason : str
        Why no further step was taken: a condition of ``stop_when``, no more calls, a call without a result, ….
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
    tool_results: tuple[ToolResult, ...] = ()
    pending_approvals: tuple[ApprovalRequest, ...] = ()
    stop_reason: str = ""
    steps: tuple[StepResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish(End):
    """The run is done.

    Parameters
    ----------
    output : Any
        The value that was asked for with ``output=``; the text if nothing was, ``None`` if the answer doesn't fit.
    output_error : OutputError, optional
        Why it doesn't fit.
    """

    type: ClassVar[str] = "finish"
    output: Any = None
    output_error: OutputError | None = None


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

    from llmkit.prefix import Prefix
    from llmkit.tools.results import json_value

    match value:
        case BaseModel():
            plain: Any = value.model_dump(mode="json")
        case Error():
            plain = {"error": type(value).__name__, "code": value.code, "message": value.message}
        case dict():
            plain = {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | Prefix():
            plain = [_plain(item) for item in value]
        case _ if hasattr(value, "to_dict"):
            plain = _plain(value.to_dict())
        case _ if hasattr(value, "__dataclass_fields__"):
            plain = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        case _:
            plain = json_value(value)
    return plain
