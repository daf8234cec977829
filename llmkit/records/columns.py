"""What the columns of the frames are: declared once, read by the recorder, the frames and their docstrings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Dtype: TypeAlias = Literal["string", "category", "Int64", "Float64", "boolean", "datetime64[ns, UTC]", "object"]

_Function = TypeVar("_Function", bound="Callable[..., object]")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a frame, of the same name in the ledger's table.

    Parameters
    ----------
    name : str
        The column's name.
    dtype : str
        Its pandas dtype; an unknown value is NA.
    unit : str
        What its numbers count or measure; "" for what isn't a measure. Measures are what aggregates are made of.
    description : str
        What it says.
    source : str
        The attribute it is copied from: ``start.…`` of the run's first event, ``end.…`` of its last, ``step.…`` of a
        step's result, ``model.…`` of a resident model, ``vote.…`` of a vote. "" for what the ledger finds itself.
    """

    name: str
    dtype: Dtype
    unit: str
    description: str
    source: str = ""


def _usage(owner: str) -> tuple[Column, ...]:
    described = {
        "input_tokens": "Tokens read.",
        "output_tokens": "Tokens written.",
        "total_tokens": "Both.",
        "no_cache_tokens": "Prompt tokens that were computed.",
        "cache_read_tokens": "Prompt tokens that came from the KV cache.",
        "text_tokens": "Written tokens that are text.",
        "reasoning_tokens": "Written tokens that are reasoning.",
    }
    tokens = (Column(name, "Int64", "tokens", text, f"{owner}.usage.{name}") for name, text in described.items())
    requests = Column("requests", "Int64", "requests", "How often the engine was asked.", f"{owner}.usage.requests")
    return (*tokens, requests)


def _stats(owner: str) -> tuple[Column, ...]:
    described: tuple[tuple[str, Dtype, str, str], ...] = (
        ("prompt_tokens", "Int64", "tokens", "Tokens of the prompt."),
        ("cache_tokens", "Int64", "tokens", "Those of them that came from the KV cache."),
        ("generated_tokens", "Int64", "tokens", "Tokens decoded."),
        ("time_to_first_token", "Float64", "s", "From the request to the first token, queueing included."),
        ("queue_time", "Float64", "s", "Waiting for a turn."),
        ("load_time", "Float64", "s", "Loading the model."),
        ("prefill_time", "Float64", "s", "Reading the prompt."),
        ("decode_time", "Float64", "s", "Decoding."),
        ("tool_time", "Float64", "s", "Running tools."),
        ("approval_time", "Float64", "s", "Waiting for decisions."),
        ("total_time", "Float64", "s", "From request to end."),
        ("tokens_per_second", "Float64", "tokens/s", "Generated tokens ÷ decode time."),
        ("prompt_tokens_per_second", "Float64", "tokens/s", "Computed prompt tokens ÷ prefill time."),
        ("peak_memory", "Int64", "bytes", "The most that the model was seen to hold."),
        ("concurrency", "Int64", "runs", "The most runs of the model that decoded at once."),
        ("device", "category", "", "Where it decoded."),
        ("seed", "Int64", "", "The seed that was used."),
    )
    return tuple(Column(name, dtype, unit, text, f"{owner}.stats.{name}") for name, dtype, unit, text in described)


RUNS: tuple[Column, ...] = (
    Column("run_id", "string", "", "The run's id.", "start.run_id"),
    Column("session_id", "category", "", "The session's id.", "start.session_id"),
    Column("created", "datetime64[ns, UTC]", "", "When the run began.", "start.time"),
    Column("ended", "datetime64[ns, UTC]", "", "When it ended.", "end.time"),
    Column("model", "category", "", "The model's name.", "start.model"),
    Column("engine", "category", "", "The engine that answered.", "start.engine"),
    Column("build", "category", "", "Its version."),
    Column("status", "category", "", "``running``, ``done``, ``cancelled``, ``failed`` or ``interrupted``."),
    Column("prompt", "string", "", "What the user said last."),
    Column("text", "string", "", "The last step's text, as far as it came.", "end.text"),
    Column("reasoning", "string", "", "The last step's reasoning, as far as it came.", "end.reasoning"),
    Column("finish_reason", "category", "", "Why it ended, in llmkit's words.", "end.finish_reason"),
    Column("raw_finish_reason", "category", "", "Why it ended, in the engine's words.", "end.raw_finish_reason"),
    Column("error_code", "category", "", "The kind of error of a failed run.", "end.error.code"),
    Column("error_message", "string", "", "What went wrong and what to do about it.", "end.error.message"),
    Column("abort_reason", "category", "", "By what a cancelled run was cancelled.", "end.reason"),
    Column("step_count", "Int64", "steps", "Steps that came to an end."),
    *_usage("end"),
    *_stats("end"),
    Column("temperature", "Float64", "", "Setting.", "start.settings.temperature"),
    Column("top_p", "Float64", "", "Setting.", "start.settings.top_p"),
    Column("max_output_tokens", "Int64", "", "Setting; NA is no limit.", "start.settings.max_output_tokens"),
    Column("stream", "boolean", "", "Whether pieces streamed.", "start.stream"),
    Column("metadata", "string", "", "The caller's own, as JSON; NA if there is none."),
)

STEPS: tuple[Column, ...] = (
    Column("run_id", "string", "", "The run's id."),
    Column("session_id", "category", "", "The session's id."),
    Column("step", "Int64", "", "The step's number, from 0.", "step.step_number"),
    Column("created", "datetime64[ns, UTC]", "", "When the answer was complete.", "step.response.timestamp"),
    Column("response_id", "string", "", "The answer's id.", "step.response.id"),
    Column("model", "category", "", "The model that answered.", "step.model"),
    Column("text", "string", "", "What it said.", "step.text"),
    Column("reasoning", "string", "", "What it thought.", "step.reasoning"),
    Column("raw_text", "string", "", "All it wrote, before text and reasoning were told apart.", "step.raw_text"),
    Column("finish_reason", "category", "", "Why it ended, in llmkit's words.", "step.finish_reason"),
    Column("raw_finish_reason", "category", "", "Why it ended, in the engine's words.", "step.raw_finish_reason"),
    *_usage("step"),
    *_stats("step"),
    Column("warnings", "string", "", "What was asked for but couldn't be done, as a JSON list; NA if nothing."),
)

TOKENS: tuple[Column, ...] = (
    Column("step", "Int64", "", "The step's number, from 0."),
    Column("position", "Int64", "", "The token's number in its step, from 0."),
    Column("token_id", "Int64", "", "The token's id."),
    Column("text", "string", "", "The text that it completes."),
    Column("logprob", "Float64", "nats", "Natural log of its probability, before sampling."),
    Column("alternatives", "object", "", "The likeliest tokens there: a list of dicts of id, text and logprob."),
)

TOOL_CALLS: tuple[Column, ...] = (
    Column("run_id", "string", "", "The run's id."),
    Column("session_id", "category", "", "The session's id."),
    Column("step", "Int64", "", "The step that made it, from 0."),
    Column("call_id", "string", "", "The call's id."),
    Column("created", "datetime64[ns, UTC]", "", "When the model had written it."),
    Column("started", "datetime64[ns, UTC]", "", "When its handler was last called."),
    Column("ended", "datetime64[ns, UTC]", "", "When it was settled."),
    Column("tool", "category", "", "The tool's name, offered or not."),
    Column(
        "outcome",
        "category",
        "",
        "``pending``, ``success``, ``error``, ``timeout``, ``cancelled``, ``denied`` or ``interrupted`` (the process "
        "died before it was settled); NA for words that are no call.",
    ),
    Column("arguments", "string", "", "As the model made them, as JSON."),
    Column("executed_arguments", "string", "", "What the handler was given, as JSON; NA if it wasn't called."),
    Column("output", "string", "", "What it returned, as JSON; of a long one the beginning, as a JSON string."),
    Column("error", "string", "", "What the handler raised, or why the call was stopped or denied."),
    Column("printed", "string", "", "What the handler printed; of a long text the beginning."),
    Column("duration", "Float64", "s", "The handler alone, when it was last called."),
    Column("executions", "Int64", "calls", "How often the handler was called."),
    Column("decided_by", "category", "", "Who or what decided, see ``approvals``."),
    Column("approval_time", "Float64", "s", "From request to decision."),
    Column("error_code", "category", "", "``PARSE_ERROR``, ``VALIDATION_ERROR`` or ``UNKNOWN_TOOL`` if it is no call."),
    Column("error_message", "string", "", "Why it is no call."),
    Column("raw", "string", "", "The text that the model wrote for it."),
)

APPROVALS: tuple[Column, ...] = (
    Column("run_id", "string", "", "The run's id."),
    Column("session_id", "category", "", "The session's id."),
    Column("step", "Int64", "", "The step that made the call, from 0."),
    Column("call_id", "string", "", "The call's id, as whoever decided gave it."),
    Column("tool", "category", "", "The tool's name, as far as it is known."),
    Column("requested", "datetime64[ns, UTC]", "", "When a decision was asked for; NA if it wasn't."),
    Column("decided", "datetime64[ns, UTC]", "", "When it was decided; NA if it is open."),
    Column("verdict", "category", "", "``allow``, ``deny``, ``pend`` or ``cancel``; NA if it is open."),
    Column(
        "decided_by",
        "category",
        "",
        "``panel``, ``code``, ``rule``, ``tool`` (it needs no approval), ``timeout``, ``headless`` or ``cancel``.",
    ),
    Column("accepted", "boolean", "", "Whether it took effect; NA if it is open."),
    Column("edited", "boolean", "", "Whether what runs differs from what the model asked for; NA if it doesn't run."),
    Column("waited", "Float64", "s", "From request to decision."),
    Column("request_reason", "string", "", "Why it was asked, when that isn't plain."),
    Column("reason", "string", "", "Why it was decided so; a denial's reaches the model."),
    Column("refusal", "string", "", "Why it took no effect: late, repeated, forged, mismatched."),
    Column("shown_arguments", "string", "", "What whoever decided was shown, as JSON; NA if the call isn't known."),
    Column("executed_arguments", "string", "", "What the handler is given, as JSON; NA if it doesn't run."),
)

VOTES: tuple[Column, ...] = (
    Column("comparison_id", "string", "", "The comparison's id.", "vote.comparison_id"),
    Column("session_id", "category", "", "The session's id.", "vote.session_id"),
    Column("created", "datetime64[ns, UTC]", "", "When it was cast.", "vote.created"),
    Column("judge", "category", "", "Who judged: ``person``, or a model's name.", "vote.judge"),
    Column("question", "string", "", "What was asked about the two.", "vote.question"),
    Column("a_cell", "Int64", "", "The index of one of the cells.", "vote.a_cell"),
    Column("b_cell", "Int64", "", "The index of the other.", "vote.b_cell"),
    Column("a_label", "string", "", "What tells the one from the others.", "vote.a_label"),
    Column("b_label", "string", "", "What tells the other.", "vote.b_label"),
    Column("first", "category", "", "Which was shown first: ``a`` or ``b``.", "vote.first"),
    Column("verdict", "category", "", "``a``, ``b`` or ``tie``.", "vote.verdict"),
    Column("reason", "string", "", "Why, in the judge's words.", "vote.reason"),
)

MODELS: tuple[Column, ...] = (
    Column("model", "string", "", "The model's name.", "model.name"),
    Column("state", "category", "", "``new``, ``loading``, ``ready``, ``failed`` or ``closed``.", "model.state"),
    Column("engine", "category", "", "The engine that answers.", "model.engine_name"),
    Column("reason", "string", "", "Why that engine.", "model.reason"),
    Column("device", "category", "", "Where it decodes.", "model.info.device"),
    Column("context_length", "Int64", "tokens", "Prompt and output together.", "model.info.context_length"),
    Column("memory", "Int64", "bytes", "What it holds now.", "model.info.memory"),
    Column("load_time", "Float64", "s", "Loading it.", "model.load_time"),
    Column("running", "Int64", "runs", "Runs that decode now.", "model.admission.inside"),
    Column("waiting", "Int64", "runs", "Runs that wait their turn.", "model.admission.waiting"),
)


def documented(columns: Sequence[Column]) -> Callable[[_Function], _Function]:
    """Return a decorator that puts the table of ``columns`` where a docstring says ``{columns}``."""

    def decorate(function: _Function) -> _Function:
        if function.__doc__:
            indent = next(line for line in function.__doc__.splitlines() if "{columns}" in line).split("{", 1)[0]
            function.__doc__ = function.__doc__.replace("{columns}", f"\n{indent}".join(column_table(columns)))
        return function

    return decorate


def column_table(columns: Sequence[Column]) -> list[str]:
    """Return the lines of a reStructuredText table: name, dtype, unit, description."""
    rows = [("column", "dtype", "unit", "what it says")]
    rows += [(each.name, each.dtype, each.unit or "\\", each.description) for each in columns]
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    rule = " ".join("=" * width for width in widths)
    lines = [" ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [rule, lines[0], rule, *lines[1:], rule]
