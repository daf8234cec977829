"""A model's whole answer to one request, in the shape of openai-agents-js's ``response_done`` event.

``StreamEventResponseCompleted`` in ``packages/agents-core/src/types/protocol.ts`` of openai-agents-js defines it.
"""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from llmkit.errors import ValidationError
from llmkit.messages import Message
from llmkit.responses.items import FunctionCallItem, Item, MessageItem, ReasoningItem, item
from llmkit.responses.usage import ResponseUsage
from llmkit.responses.wire import Misfit, Record, each, mapping, reads, string
from llmkit.tools.arguments import ToolArgumentsError, read_arguments
from llmkit.tools.calls import ToolCall

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ModelResponse(Record):
    """What a model answered to one request; ``run.response`` is that of the last step.

    Parameters
    ----------
    id : str
        The response's id: the server's, or one of llmkit's own.
    output : tuple of items
        What it said, called and thought, in order: :class:`MessageItem`, :class:`FunctionCallItem`,
        :class:`HostedToolCallItem`, :class:`ComputerCallItem`, :class:`ReasoningItem`, :class:`UnknownItem`.
    usage : ResponseUsage
        Its tokens.
    provider_data : dict
        The model, the engine, its word for the end, and what a server told besides.
    request_id : str, optional
        The id that the transport gave the request.
    raw_usage : dict, optional
        The tokens as the provider counts them.
    extra : dict
        Fields of the JSON that aren't known.
    """

    id: str = field(metadata=reads(string))
    request_id: str | None = field(default=None, metadata=reads(string))
    output: tuple[Item, ...] = field(metadata=reads(each(item)))
    usage: ResponseUsage = field(metadata=reads(ResponseUsage.read))
    raw_usage: dict[str, Any] | None = field(default=None, metadata=reads(mapping))

    @property
    def text(self) -> str:
        """The text that was said, refusals left out."""
        return "".join(each.text for each in self.output if isinstance(each, MessageItem))

    @property
    def refusal(self) -> str:
        """The words in which the model refused, "" if it didn't."""
        return "".join(each.refusal for each in self.output if isinstance(each, MessageItem))

    @property
    def reasoning(self) -> str:
        """What the model thought."""
        return "".join(each.text for each in self.output if isinstance(each, ReasoningItem))

    @property
    def function_calls(self) -> tuple[FunctionCallItem, ...]:
        """The calls of the caller's own tools."""
        return tuple(each for each in self.output if isinstance(each, FunctionCallItem))

    @property
    def messages(self) -> tuple[Message, ...]:
        """What it adds to the conversation, as a message to pass on; a hosted tool's calls aren't in it."""
        calls = tuple(_call(each) for each in self.function_calls)
        return (Message("assistant", self.text + self.refusal, self.reasoning, calls),)

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the response as JSON, with the names that openai-agents-js uses.

        Parameters
        ----------
        indent : int, optional
            Spaces a level; ``None`` for one line.
        """
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ModelResponse:
        """Return the response that JSON values describe: a response, or an event that holds one.

        Items, parts and fields that llmkit doesn't know are kept as they are.

        Raises
        ------
        ValidationError
            If it has no id, no list of items, or no usage.
        """
        held = value.get("response") if isinstance(value, dict) and "output" not in value else value
        try:
            return cls.read(copy.deepcopy(held))
        except (Misfit, RecursionError):
            raise ValidationError(
                "This is no response: it has a text `id`, a list of objects `output`, and `usage` with inputTokens, "
                "outputTokens and totalTokens.",
                field="response",
            ) from None

    @classmethod
    def from_json(cls, text: str) -> ModelResponse:
        """Return the response that ``to_json`` or openai-agents-js wrote.

        Raises
        ------
        ValidationError
            If it is no JSON, or none of a response.
        """
        try:
            value = json.loads(text, parse_constant=_not_finite, parse_float=_finite)
        except (ValueError, RecursionError) as error:
            raise ValidationError(f"The response can't be read, it is no JSON: {error}.", field="response") from None
        return cls.from_dict(value)

    def __repr__(self) -> str:
        usage = self.usage
        shown = ", ".join(_shown(one) for one in self.output) or "nothing"
        tokens = f"{_number(usage.input_tokens)} → {_number(usage.output_tokens)} tokens"
        return f"<ModelResponse {self.id} · {tokens}: {shown}>"


def _call(item: FunctionCallItem) -> ToolCall:
    try:
        return ToolCall(item.call_id, item.name, read_arguments(item.arguments), item.arguments)
    except ToolArgumentsError:
        return ToolCall(item.call_id, item.name, {}, item.arguments)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        _not_finite(digits)
    return number


def _not_finite(digits: str) -> NoReturn:
    message = f"{digits} is no finite number"
    raise ValueError(message)


def _number(count: int | None) -> str:
    return "?" if count is None else str(count)


def _shown(one: Item) -> str:
    """Return an item in a few words."""
    match one:
        case MessageItem():
            told = f"refusal {_short(one.refusal)}" if one.refusal else f"message {_short(one.text)}"
        case ReasoningItem():
            told = f"reasoning {_short(one.text)}"
        case FunctionCallItem():
            told = f"function_call {one.name}({_cut(one.arguments)})"
        case _:
            told = _cut(one.type) or "unknown"
    return told if one.status in (None, "completed") else f"{told} ({_cut(one.status)})"


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def _short(text: str) -> str:
    return repr(_cut(text))
