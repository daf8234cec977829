"""Messages as the dictionaries that one chat template can show."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.prompting.call_ids import accepted_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmkit.messages import Message
    from llmkit.prompting.abilities import Abilities


def shaped_for(abilities: Abilities, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages as a template with these abilities can show them.

    Several calls of one message become several messages where a template takes one a message, and words where it takes
    none; arguments are mappings or text; ids are such as every template takes; results carry their tool's name.

    Raises
    ------
    ValidationError
        For images.
    """
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    if not abilities.calls:
        messages = [_with_calls_as_words(message) for message in messages]
    elif not abilities.several:
        messages = [*_one_call_each(messages)]
    return [_shaped(message, names, arguments_as_text=abilities.arguments_as_text) for message in messages]


def _shaped(message: Message, names: dict[str, str], *, arguments_as_text: bool) -> dict[str, Any]:
    if not all(isinstance(part, str) for part in message.content):
        raise ValidationError("This model reads text only; leave the images out.", field="messages")
    value = {**message.to_dict(), "content": message.text}
    for call in value.get("tool_calls", ()):
        call["id"] = accepted_id(call["id"])
        if not arguments_as_text:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    if message.tool_call_id is not None:
        value["tool_call_id"] = accepted_id(message.tool_call_id)
        value.setdefault("name", names.get(message.tool_call_id, ""))
    return value


def _with_calls_as_words(message: Message) -> Message:
    """Put calls into the text as the model wrote them, which is how LFM2's templates, among others, take them."""
    if not message.tool_calls:
        return message
    calls = [call.raw or json.dumps({"name": call.name, "arguments": call.arguments}) for call in message.tool_calls]
    return replace(message, content="\n".join([*filter(None, [message.text]), *calls]), tool_calls=())


def _one_call_each(messages: Sequence[Message]) -> Iterator[Message]:
    """Put each call in a message of its own, followed by its result."""
    answered: set[str] = set()
    for at, message in enumerate(messages):
        if len(message.tool_calls) < 2:
            if message.tool_call_id not in answered:
                yield message
            continue
        for number, call in enumerate(message.tool_calls):
            words = {} if number == 0 else {"content": "", "reasoning": ""}
            yield replace(message, tool_calls=(call,), **words)  # type: ignore[arg-type]
            for result in _results(messages[at + 1 :], call.id):
                answered.add(call.id)
                yield result


def _results(messages: Sequence[Message], id_: str) -> Iterator[Message]:
    return (message for message in messages if message.tool_call_id == id_)
