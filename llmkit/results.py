"""What a step and a run come to: usage, stats, response, result. Frozen values, derived from events."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkit.approval.request import ApprovalRequest
    from llmkit.engines.decoder import Token
    from llmkit.events import Finish
    from llmkit.messages import Message
    from llmkit.output.failure import OutputError
    from llmkit.preparing import StepPlan
    from llmkit.responses.response import ModelResponse
    from llmkit.settings import FinishReason
    from llmkit.tools.calls import ToolCall, ToolCallError
    from llmkit.tools.results import ToolResult


def _total(values: Iterable[float | None]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _rate(count: int | None, seconds: float | None) -> float | None:
    """Return count ÷ seconds, ``None`` when either is unknown or the result isn't finite."""
    if count is None or not seconds:
        return None
    rate = count / seconds
    return rate if math.isfinite(rate) else None


def _short(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written; ``None`` is unknown, never 0.

    Parameters
    ----------
    input_tokens, output_tokens, total_tokens : int, optional
        Prompt tokens, generated tokens, and both.
    no_cache_tokens, cache_read_tokens : int, optional
        The prompt's tokens that were computed, and those reused from the KV cache.
    text_tokens, reasoning_tokens : int, optional
        The generated tokens by kind.
    requests : int
        How many times the engine was asked.
    steps : tuple of Usage
        In a total: the steps' own.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    no_cache_tokens: int | None = None
    cache_read_tokens: int | None = None
    text_tokens: int | None = None
    reasoning_tokens: int | None = None
    requests: int = 1
    steps: tuple[Usage, ...] = ()

    @classmethod
    def total(cls, steps: Sequence[Usage]) -> Usage:
        """Return the sum over ``steps``; a number that no step knows stays unknown."""
        names = [each.name for each in fields(cls) if each.name not in {"requests", "steps"}]
        sums = {name: _total(getattr(step, name) for step in steps) for name in names}
        return cls(**sums, requests=sum(step.requests for step in steps), steps=tuple(steps))


@dataclass(frozen=True, slots=True)
class Stats:
    """How a step or a run went. Times are in seconds, memory in bytes; ``None`` is unknown.

    Parameters
    ----------
    prompt_tokens, cache_tokens, generated_tokens : int, optional
        Tokens of the prompt, those of them reused from the KV cache, tokens decoded.
    time_to_first_token : float, optional
        From the request to the first token, queueing included.
    queue_time, load_time, prefill_time, decode_time, tool_time, approval_time, total_time : float, optional
        Waiting for a turn, loading the model, reading the prompt, decoding, running tools, waiting for decisions,
        and all of it from request to end.
    peak_memory : int, optional
        The most that the model was seen to hold.
    device : str, optional
        Where it decoded.
    concurrency : int, optional
        The most runs of the model that decoded at once, this one included.
    seed : int, optional
        The seed that was used.
    """

    prompt_tokens: int | None = None
    cache_tokens: int | None = None
    generated_tokens: int | None = None
    time_to_first_token: float | None = None
    queue_time: float | None = None
    load_time: float | None = None
    prefill_time: float | None = None
    decode_time: float | None = None
    tool_time: float | None = None
    approval_time: float | None = None
    total_time: float | None = None
    peak_memory: int | None = None
    device: str | None = None
    concurrency: int | None = None
    seed: int | None = None

    @property
    def tokens_per_second(self) -> float | None:
        """Generated tokens ÷ decode time."""
        return _rate(self.generated_tokens, self.decode_time)

    @property
    def prompt_tokens_per_second(self) -> float | None:
        """Computed (not cached) prompt tokens ÷ prefill time."""
        if self.prompt_tokens is None:
            return None
        return _rate(self.prompt_tokens - (self.cache_tokens or 0), self.prefill_time)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers by name, the rates included."""
        rates = {
            "tokens_per_second": self.tokens_per_second,
            "prompt_tokens_per_second": self.prompt_tokens_per_second,
        }
        return {**asdict(self), **rates}

    @classmethod
    def total(cls, steps: Sequence[Stats], **overrides: Any) -> Stats:
        """Return the stats of a run from those of its steps: counts and times add up, peaks are the highest."""
        if not steps:
            return cls(**overrides)
        peaks = {"peak_memory", "concurrency"}
        firsts = {"time_to_first_token", "device", "seed"}
        values: dict[str, Any] = {}
        for each in fields(cls):
            column = [getattr(step, each.name) for step in steps]
            known = [value for value in column if value is not None]
            if each.name in peaks:
                values[each.name] = max(known, default=None)
            elif each.name in firsts:
                values[each.name] = known[0] if known else None
            else:
                values[each.name] = _total(column)
        return cls(**{**values, **overrides})

    def __str__(self) -> str:
        parts = [
            f"{self.generated_tokens} tokens" if self.generated_tokens is not None else "",
            f"{_short(self.tokens_per_second)} tokens/s" if self.tokens_per_second is not None else "",
            f"first after {self.time_to_first_token:.2f} s" if self.time_to_first_token is not None else "",
            f"prompt {self.prompt_tokens}" if self.prompt_tokens is not None else "",
            f"{self.cache_tokens} cached" if self.cache_tokens else "",
        ]
        return " · ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Response:
    """What the engine answered in a step.

    Parameters
    ----------
    id : str
        The response's id.
    timestamp : float
        Unix time of the answer's end.
    model_id : str
        The model that answered.
    messages : tuple of Message
        What the answer adds to the conversation.
    provider_data : dict
        What the engine told besides.
    """

    id: str
    timestamp: float
    model_id: str
    messages: tuple[Message, ...] = ()
    provider_data: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A stretch of a step's text or reasoning.

    Parameters
    ----------
    kind : {"text", "reasoning"}
        Which.
    text : str
        The words.
    """

    kind: Literal["text", "reasoning"]
    text: str


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step: one answer of the model, and what came of its calls.

    Parameters
    ----------
    step_number : int
        From 0.
    model : str
        The model that answered.
    engine : str
        What it decoded on, or the server.
    content : tuple
        Everything in the order in which it came: Spoken, ToolCall, ToolCallError, then ToolResult.
    text, reasoning : str
        What it said and what it thought.
    tool_calls : tuple of ToolCall
        What it asked for.
    tool_call_errors : tuple of ToolCallError
        What it meant to ask for and got wrong.
    tool_results : tuple of ToolResult
        What the calls came to, in the calls' order.
    finish_reason, raw_finish_reason : str
        Why it ended, in llmkit's words and in the engine's.
    usage : Usage
        Tokens.
    stats : Stats, optional
        Times and rates; ``None`` when profiling is off.
    response : Response
        Id, time and messages.
    tokens : tuple of Token
        The decoded tokens, if they were asked for.
    warnings : tuple of str
        What was asked for but couldn't be done.
    raw_text : str
        Everything the model wrote, before it was split into text, reasoning and calls.
    request : StepPlan, optional
        What the step asked: messages, settings, tools.
    function_id, metadata, context
        The run's own, as its caller gave them.
    """

    step_number: int
    model: str
    text: str
    reasoning: str
    finish_reason: FinishReason
    raw_finish_reason: str
    usage: Usage
    stats: Stats | None
    response: Response
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_errors: tuple[ToolCallError, ...] = ()
    tool_results: tuple[ToolResult, ...] = ()
    tokens: tuple[Token, ...] = ()
    warnings: tuple[str, ...] = ()
    raw_text: str = field(default="", repr=False)
    content: tuple[Spoken | ToolCall | ToolCallError | ToolResult, ...] = field(default=(), repr=False)
    request: StepPlan | None = field(default=None, repr=False)
    engine: str = ""
    function_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    context: Any = None

    @property
    def model_response(self) -> ModelResponse:
        """The answer as openai-agents-js tells it: items, usage, provider data."""
        from llmkit.responses.answered import model_response

        response = self.response
        return model_response(response.id, self.content, self.usage, self.finish_reason, response.provider_data)


@dataclass(frozen=True, slots=True)
class Result:
    """All settled values of a run that is done. Prints as its text.

    Parameters
    ----------
    text, reasoning : str
        The last step's.
    tool_calls : tuple of ToolCall
        The last step's.
    tool_results : tuple of ToolResult
        What they came to.
    pending_approvals : tuple of ApprovalRequest
        Calls whose decision was left open.
    steps : tuple of StepResult
        All steps.
    usage, total_usage : Usage
        The last step's tokens, and those of all steps.
    stats : Stats, optional
        Of the whole run; ``None`` when profiling is off.
    finish_reason : str
        Why it ended.
    output : Any
        What was asked for with ``output=``, as a value of its type; without, the text. Reading it raises
        :class:`llmkit.OutputError` if the answer doesn't fit.
    response : ModelResponse
        The last step's answer as openai-agents-js tells it.
    messages : tuple of Message
        The whole conversation, the answer included.
    stop_reason : str
        Why no further step was taken.
    """

    text: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    steps: tuple[StepResult, ...]
    usage: Usage
    total_usage: Usage
    stats: Stats | None
    finish_reason: FinishReason
    response: ModelResponse
    messages: tuple[Message, ...]
    tool_results: tuple[ToolResult, ...] = ()
    pending_approvals: tuple[ApprovalRequest, ...] = ()
    stop_reason: str = ""
    output_value: Any = field(default=None, repr=False)
    output_error: OutputError | None = field(default=None, repr=False)

    @property
    def output(self) -> Any:
        """What was asked for with ``output=``; without, the text.

        Raises
        ------
        OutputError
            If the answer doesn't fit: cut off by ``max_output_tokens``, stopped by a filter, …. Carries the text and
            the finish reason.
        """
        if self.output_error is not None:
            raise self.output_error
        return self.output_value

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        from llmkit.notebook.displays.result import html

        return html(self)


def result_from(end: Finish, messages: Sequence[Message]) -> Result:
    """Return the settled values that a run's last event tells.

    Parameters
    ----------
    end : Finish
        The event that ended the run; it has at least one step.
    messages : sequence of Message
        The conversation that was asked.
    """
    last = end.steps[-1]
    added = [message for step in end.steps for message in step.response.messages]
    return Result(
        text=end.text,
        reasoning=end.reasoning,
        tool_calls=end.tool_calls,
        steps=end.steps,
        usage=last.usage,
        total_usage=end.usage,
        stats=end.stats,
        finish_reason=end.finish_reason,
        response=last.model_response,
        messages=(*messages, *added),
        tool_results=end.tool_results,
        pending_approvals=end.pending_approvals,
        stop_reason=end.stop_reason,
        output_value=end.output,
        output_error=end.output_error,
    )
