"""What a request becomes on the wire.

Field names: OpenAI's API reference; for what it has no field for, those of vLLM, TabbyAPI and mlx_lm.server
(``top_k``, ``min_p``, ``repetition_penalty``) and of llama.cpp's server (``repeat_penalty``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from llmkit.engines.remote.characters import whole_characters
from llmkit.engines.remote.outputs import output_fields, output_messages
from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmkit.engines.base import EngineRequest
    from llmkit.engines.remote.probe import Server
    from llmkit.engines.remote.secret import Secret
    from llmkit.errors import APIError
    from llmkit.messages import Message
    from llmkit.settings import Settings
    from llmkit.tools.choice import ToolChoice
    from llmkit.tools.tool import Tool

_ALWAYS: Final = ("temperature", "top_p")
"""Settings that are sent also at llmkit's defaults, so that what a run's record says of them is true."""

_OURS: Final = (*_ALWAYS, "response_format")
"""Fields that can be done without where a server refuses them, unless the user chose them."""


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent.

    Parameters
    ----------
    fields : dict
        The request's fields.
    chosen : frozenset of str
        The settings and fields that the user chose; they are never dropped in silence.
    notes : tuple of str
        What can't be asked of the server.
    headers : dict of str to Secret
        Headers of this request.
    """

    fields: dict[str, Any]
    chosen: frozenset[str]
    notes: tuple[str, ...] = ()
    headers: dict[str, Secret] = field(default_factory=dict)


def chat_body(
    request: EngineRequest,
    server: Server,
    *,
    options: Mapping[str, Any] | None = None,
) -> Body:
    """Return what ``/chat/completions`` is sent.

    Parameters
    ----------
    request : EngineRequest
        What is asked.
    server : Server
        What the server is, as far as it says.
    options : mapping, optional
        Further fields; they replace others of the same name.

    Raises
    ------
    ValidationError
        For an output that the server can't be held to.
    """
    settings = request.settings
    held, notes = output_fields(request, server, options or {})
    fields: dict[str, Any] = {
        "model": server.model,
        "messages": wire_messages(output_messages(request)),
        **_streaming(server),
        **sampling_fields(settings, server),
        **_tool_fields(request.tools, request.tool_choice),
        **held,
    }
    if settings.logprobs is not None:
        fields["logprobs"] = True
        fields["top_logprobs"] = settings.logprobs
    if settings.reasoning is not None:
        if server.kind == "openai":
            notes.append(
                f"OpenAI's server has no switch for reasoning; reasoning={settings.reasoning} changes nothing."
            )
        else:
            fields["chat_template_kwargs"] = {"enable_thinking": settings.reasoning}
    if settings.reasoning_budget is not None:
        if server.kind == "vllm":
            fields["thinking_token_budget"] = settings.reasoning_budget
        else:
            notes.append("The server isn't known to keep a budget for reasoning; reasoning_budget changes nothing.")
    return _body(fields, settings, options, notes)


def text_body(
    prompt: str | Sequence[str] | Sequence[int],
    settings: Settings,
    server: Server,
    *,
    options: Mapping[str, Any] | None = None,
    stream: bool = True,
    notes: Sequence[str] = (),
) -> Body:
    """Return what ``/completions`` is sent for a text, several, or token ids."""
    fields: dict[str, Any] = {
        "model": server.model,
        "prompt": prompt if isinstance(prompt, str) else list(prompt),
        **(_streaming(server) if stream else {"stream": False}),
        **sampling_fields(settings, server),
    }
    # mlx_lm.server takes no number here, and tells ids without texts, or the likeliest token in place of its own.
    if settings.logprobs is not None and server.kind != "mlx_lm":
        fields["logprobs"] = settings.logprobs
    return _body(fields, settings, options, notes)


def prompt_text(request: EngineRequest) -> str:
    """Return a conversation as a text to be continued, for a server that has no chat template.

    Raises
    ------
    ValidationError
        For tools and images, which a text can't hold.
    """
    if request.tools:
        raise ValidationError("Tools need the server's chat endpoint: Remote(api='chat').", field="tools")
    if any(not isinstance(part, str) for message in request.messages for part in message.content):
        raise ValidationError("Images need the server's chat endpoint: Remote(api='chat').", field="messages")
    return "\n\n".join(message.text for message in output_messages(request))


def sampling_fields(settings: Settings, server: Server) -> dict[str, Any]:
    """Return how to sample: what was set, what records always state, and all of it where a server's defaults differ."""
    chosen = settings.model_fields_set | set(_ALWAYS)
    if server.kind == "llamacpp":  # whose own defaults are top_k 40 and min_p 0.05
        chosen |= {"top_k", "min_p", "repetition_penalty"}
    named = (*_ALWAYS, "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty")
    fields: dict[str, Any] = {name: getattr(settings, name) for name in named if name in chosen}
    if "repetition_penalty" in fields and server.kind in {"llamacpp", ""}:
        fields["repeat_penalty"] = fields["repetition_penalty"]
    if settings.seed is not None:  # one that nobody asked for would keep servers from batching
        fields["seed"] = settings.seed
    if settings.max_output_tokens is not None:
        fields["max_completion_tokens" if server.kind == "openai" else "max_tokens"] = settings.max_output_tokens
    # mlx_lm.server takes stop strings out of the text and goes on after them, where they aren't whole tokens (0.32.2).
    if settings.stop and server.kind != "mlx_lm":
        fields["stop"] = list(settings.stop)
    if settings.logit_bias:
        fields["logit_bias"] = {str(id_): bias for id_, bias in settings.logit_bias.items()}
    return fields


def wire_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return a conversation as servers take it.

    Reasoning goes along within the turn that it belongs to, between calls and their results: models that reason between
    calls need it there, and templates leave out older reasoning anyway. A result whose call isn't in the conversation,
    such as that of a call that couldn't be read, is told as the user's words: servers refuse it otherwise.
    """
    turn = max((at for at, message in enumerate(messages) if message.role == "user"), default=-1)
    called: set[str] = set()
    values = []
    for at, message in enumerate(messages):
        value = message.to_dict()
        if at < turn or not message.tool_calls:
            value.pop("reasoning_content", None)
        called.update(call.id for call in message.tool_calls)
        if message.role == "tool" and message.tool_call_id not in called:
            value = {"role": "user", "content": message.text}
        values.append(value)
    return values


def sendable(value: Any) -> Any:
    """Return a JSON value whose texts can be written as UTF-8: halves of surrogate pairs are joined or replaced."""
    match value:
        case str():
            return whole_characters(value)
        case list() | tuple():
            return [sendable(item) for item in value]
        case dict():
            return {key: sendable(item) for key, item in value.items()}
    return value


def refused_field(fields: Mapping[str, Any], error: APIError, chosen: frozenset[str]) -> str | None:
    """Return the name of a field that the server refuses and that can be done without.

    Parameters
    ----------
    fields : mapping
        What was sent.
    error : APIError
        What the server said.
    chosen : frozenset of str
        What the user chose.
    """
    if error.status not in {400, 422}:
        return None
    parameter = error.details.get("param") if isinstance(error.details, dict) else None
    # `max_tokens` is sent under its other name, and stop strings are cut out here anyway.
    names = ("stream_options", "return_progress", "stream", "max_tokens", "stop", *sorted(set(_OURS) - chosen))
    for name in names:
        named = parameter == name or re.search(rf"(?<![\w.]){name}\b", error.message)
        if named and fields.get(name) not in (None, False):
            return name
    return None


def without(fields: Mapping[str, Any], refused: Sequence[str]) -> dict[str, Any]:
    """Return the fields without those that the server refuses, or with what it takes in their place."""
    rest = {name: value for name, value in fields.items() if name not in refused}
    if "stream" in refused:
        rest.pop("stream_options", None)
        rest["stream"] = False
    if "max_tokens" in refused and "max_tokens" in fields:
        rest["max_completion_tokens"] = fields["max_tokens"]
    return rest


def _body(
    fields: dict[str, Any], settings: Settings, options: Mapping[str, Any] | None, notes: Sequence[str] = ()
) -> Body:
    given = dict(options or {})
    return Body(sendable({**fields, **given}), frozenset(settings.model_fields_set | given.keys()), tuple(notes))


def _streaming(server: Server) -> dict[str, Any]:
    fields: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    return {**fields, "return_progress": True} if server.kind == "llamacpp" else fields


def _tool_fields(tools: Sequence[Tool], choice: ToolChoice) -> dict[str, Any]:
    if not tools or choice.mode == "none":
        return {}
    wanted: Any = choice.mode
    if choice.mode == "named":
        wanted = {"type": "function", "function": {"name": choice.name}}
    return {"tools": [tool.to_dict() for tool in tools], "tool_choice": wanted}
