"""Messages: what is said to a model and what it said, as frozen values.

They read and write the dictionaries that OpenAI-style chat APIs and chat templates use.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from llmkit.errors import ValidationError
from llmkit.tools.arguments import read_arguments
from llmkit.tools.calls import ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a message, for models that see.

    Parameters
    ----------
    url : str
        A ``data:`` or ``https:`` URL.
    """

    url: str


Content: TypeAlias = "str | tuple[str | Image, ...]"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Parameters
    ----------
    role : {"system", "user", "assistant", "tool"}
        Who speaks.
    content : str or tuple of str and Image
        What is said.
    reasoning : str
        What an assistant thought before it spoke.
    tool_calls : tuple of ToolCall
        What an assistant asked for.
    tool_call_id, name : str, optional
        With role ``tool``: which call this answers, and the tool's name.
    """

    role: Role
    content: Content = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        """The content's text, images left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part for part in self.content if isinstance(part, str))

    def to_dict(self) -> dict[str, Any]:
        """Return the message as OpenAI-style chat APIs and chat templates take it."""
        value: dict[str, Any] = {"role": self.role, "content": _content_to_json(self.content)}
        if self.reasoning:
            value["reasoning_content"] = self.reasoning
        if self.tool_calls:
            value["tool_calls"] = [_call_to_json(call) for call in self.tool_calls]
        if self.tool_call_id is not None:
            value["tool_call_id"] = self.tool_call_id
        if self.name is not None:
            value["name"] = self.name
        return value

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Message:
        """Return the message that an OpenAI-style dictionary describes.

        Raises
        ------
        ValidationError
            For an unknown role or field, or content that is neither text nor a list of parts.
        """
        role = value.get("role")
        if role == "developer":
            role = "system"
        if role not in ROLES:
            raise ValidationError(f"A message's role is one of {', '.join(ROLES)}, not {role!r}.", field="messages")
        unknown = set(value) - {
            "role",
            "content",
            "reasoning",
            "reasoning_content",
            "tool_calls",
            "tool_call_id",
            "name",
        }
        if unknown:
            raise ValidationError(f"A message has no field {min(unknown)!r}.", field="messages")
        return cls(
            role=role,
            content=_content_from_json(value.get("content")),
            reasoning=value.get("reasoning_content") or value.get("reasoning") or "",
            tool_calls=tuple(_call_from_json(call) for call in value.get("tool_calls") or ()),
            tool_call_id=value.get("tool_call_id"),
            name=value.get("name"),
        )


Prompt: TypeAlias = "str | Message | Mapping[str, Any] | Sequence[Message | Mapping[str, Any]]"


def messages_from(
    prompt: Prompt, *, system: str | None = None, default_system: str | None = None
) -> tuple[Message, ...]:
    """Return a conversation from what a user may pass as a prompt.

    Parameters
    ----------
    prompt : str, Message, dict, or a sequence of the latter two
        A text is one user message.
    system : str, optional
        Put first, replacing a system message that is there.
    default_system : str, optional
        Put first if there is none.

    Raises
    ------
    ValidationError
        For an empty conversation, or something that is no message.
    """
    if isinstance(prompt, str):
        messages: tuple[Message, ...] = (Message("user", prompt),)
    else:
        single = isinstance(prompt, Message) or hasattr(prompt, "keys")
        items = (prompt,) if single else prompt
        messages = tuple(_message_from(item) for item in cast("Iterable[Any]", items))
    if not messages:
        raise ValidationError("The conversation is empty: pass a text or at least one message.", field="prompt")
    if system is None and not any(message.role == "system" for message in messages):
        system = default_system
    if system is not None:
        messages = (Message("system", system), *(message for message in messages if message.role != "system"))
    return messages


def prune(
    messages: Sequence[Message], *, reasoning: bool = True, tools: bool = True, keep_last: int = 0
) -> list[Message]:
    """Return a conversation without old reasoning and tool traffic, to save context.

    Parameters
    ----------
    messages : sequence of Message
        The conversation.
    reasoning, tools : bool
        What to take out: assistants' reasoning; calls and their results.
    keep_last : int
        So many messages at the end stay as they are.
    """
    edge = max(0, len(messages) - keep_last)
    kept = []
    for message in messages[:edge]:
        if tools and message.role == "tool":
            continue
        slim = replace(
            message,
            reasoning="" if reasoning else message.reasoning,
            tool_calls=() if tools else message.tool_calls,
        )
        if slim.content or slim.reasoning or slim.tool_calls:
            kept.append(slim)
    return [*kept, *messages[edge:]]


def _message_from(item: object) -> Message:
    if isinstance(item, Message):
        return item
    if hasattr(item, "keys"):
        return Message.from_dict(cast("Mapping[str, Any]", item))
    raise ValidationError(
        f"A message is a Message or a dict with role and content, not {type(item).__name__}.",
        field="messages",
    )


def _content_to_json(content: Content) -> Any:
    if isinstance(content, str):
        return content
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": part.url}}
        for part in content
    ]


def _content_from_json(content: object) -> Content:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        raise ValidationError(
            f"A message's content is text or a list of parts, not {type(content).__name__}.", field="messages"
        )
    return tuple(_part_from_json(part) for part in content)


def _part_from_json(part: object) -> str | Image:
    match part:
        case str() | Image():
            return part
        case {"type": "text" | "input_text", "text": str(text)}:
            return text
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            return Image(url)
    raise ValidationError(
        "A part of a message is a text, an Image, or a dict of type text or image_url.", field="messages"
    )


def _call_to_json(call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _call_from_json(call: object) -> ToolCall:
    match call:
        case ToolCall():
            return call
        case {"id": str(id_), "function": {"name": str(name), "arguments": str() | dict() as arguments}}:
            return ToolCall(id_, name, read_arguments(arguments))
    raise ValidationError("A tool call has an id and a function with name and arguments.", field="messages")
