"""A step's answer as a response: what the engine said, in the words of openai-agents-js."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmkit.responses.items import FunctionCallItem, MessageItem, ReasoningItem, Status
from llmkit.responses.parts import OutputText, Part, ReasoningText, Refusal
from llmkit.responses.response import ModelResponse
from llmkit.responses.usage import ResponseUsage
from llmkit.results import Spoken
from llmkit.tools.calls import ToolCall, ToolCallError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmkit.responses.items import Item
    from llmkit.results import Usage

REFUSAL = "refusal"
"""Where an engine's provider data has the words that are a refusal; they are the end of the step's text."""

_WHOLE = frozenset({"stop", "tool-calls"})


def model_response(
    id_: str, content: Iterable[object], usage: Usage, finish_reason: str, provider_data: Mapping[str, Any]
) -> ModelResponse:
    """Return the response that a step's answer makes.

    Parameters
    ----------
    id_ : str
        The response's id.
    content : iterable
        A step's content in order; what came of its calls is left out.
    usage : Usage
        The step's tokens.
    finish_reason : str
        Why the answer ended; one that was cut off has an incomplete last item.
    provider_data : mapping
        What the engine told besides.
    """
    said = [each for each in content if isinstance(each, Spoken | ToolCall | ToolCallError)]
    told = dict(provider_data)
    refusal = told.pop(REFUSAL, "")
    last = len(said) - 1
    cut = finish_reason not in _WHOLE
    output = tuple(
        _item(f"{id_}-{at}", each, "incomplete" if cut and at == last else "completed", refusal)
        for at, each in enumerate(said)
    )
    return ModelResponse(id=id_, output=output, usage=ResponseUsage.of(usage), provider_data=told)


def _item(id_: str, said: Spoken | ToolCall | ToolCallError, status: Status, refusal: str) -> Item:
    match said:
        case Spoken("reasoning", text):
            return ReasoningItem(id=id_, content=(), raw_content=(ReasoningText(text=text),), status=status)
        case Spoken(_, text):
            return MessageItem(id=id_, status=status, content=_parts(text, refusal))
        case ToolCall():
            # A call that was read is a whole one, whatever became of the words behind it.
            return FunctionCallItem(
                id=id_, call_id=said.id, name=said.name, arguments=_written(said.arguments), status="completed"
            )
        case _:
            return FunctionCallItem(
                id=id_,
                call_id=said.id,
                name=said.name,
                arguments=said.raw if said.arguments is None else _written(said.arguments),
                status="incomplete" if said.code == "PARSE_ERROR" else "completed",
                provider_data={"error": {"code": said.code, "message": said.message}},
            )


def _parts(text: str, refusal: str) -> tuple[Part, ...]:
    if not refusal or not text.endswith(refusal):
        return (OutputText(text=text),)
    before = text[: -len(refusal)]
    return (*((OutputText(text=before),) if before else ()), Refusal(refusal=refusal))


def _written(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False)
