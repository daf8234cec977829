"""What is told of a run in the words of OpenTelemetry's semantic conventions for generative AI.

They are still in development: https://github.com/open-telemetry/semantic-conventions-genai, ``docs/gen-ai``; formerly
part of https://opentelemetry.io/docs/specs/semconv/gen-ai/. These are the names of version 1.41 there, the last of its
kind, as far as the later drafts kept them. What the conventions have no word for is named ``llmkit.…``. All functions
return attributes by name.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llmkit.messages import Image
from llmkit.records.outputs import output_json
from llmkit.records.values import clean, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.errors import Error
    from llmkit.events import End, Start, StepStart
    from llmkit.messages import Message
    from llmkit.results import StepResult, Usage
    from llmkit.settings import Settings
    from llmkit.tools.results import ToolResult
    from llmkit.tools.tool import Tool
    from llmkit.tracing.span import Span

Attributes = dict[str, Any]

CAPTURE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The environment variable by which users of other instrumentations opt in to content, too."""

_CAPTURING = {"true", "1", "span_only", "span_and_event"}
_PROVIDERS = {"remote": "openai"}
_FINISH_REASONS = {"tool-calls": "tool_call", "content-filter": "content_filter"}


def content_wanted() -> bool:
    """Return whether the environment asks for messages, arguments and results in spans."""
    return os.environ.get(CAPTURE_CONTENT, "").strip().lower() in _CAPTURING


def provider(engine: str) -> str:
    """Return the provider: a server's format, or the local engine's own name."""
    return _PROVIDERS.get(engine, engine or "llmkit")


def agent(start: Start) -> Attributes:
    """Return what is known of a run with tools when it begins."""
    return known(
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": provider(start.engine),
            "gen_ai.agent.name": start.function_id,
            "gen_ai.request.model": start.model,
            **_ids(start),
        }
    )


def answer(start: Start) -> Attributes:
    """Return what is known of a run without tools, which is one answer, when it begins."""
    asked = request(start.engine, start.model, start.settings, stream=start.stream)
    return asked | known({**_ids(start), "llmkit.function_id": start.function_id})


def request(engine: str, model: str, settings: Settings, *, stream: bool) -> Attributes:
    """Return what a model is asked for; settings that are off are left out."""
    return known(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider(engine),
            "gen_ai.request.model": model,
            "gen_ai.request.stream": stream,
            "gen_ai.request.temperature": settings.temperature,
            "gen_ai.request.top_p": settings.top_p,
            "gen_ai.request.top_k": settings.top_k or None,
            "gen_ai.request.max_tokens": settings.max_output_tokens,
            "gen_ai.request.presence_penalty": settings.presence_penalty or None,
            "gen_ai.request.frequency_penalty": settings.frequency_penalty or None,
            "gen_ai.request.stop_sequences": [clean(stop) for stop in settings.stop] or None,
            "gen_ai.request.seed": settings.seed,
        }
    )


def response(result: StepResult, *, stream: bool) -> Attributes:
    """Return what a step's answer came to."""
    stats = result.stats
    return known(
        {
            "gen_ai.response.id": result.response.id,
            "gen_ai.response.model": result.response.model_id,
            "gen_ai.response.finish_reasons": [finish_reason(result.finish_reason)],
            "gen_ai.response.time_to_first_chunk": stats.time_to_first_token if stats is not None and stream else None,
            **_usage(result.usage),
            "gen_ai.usage.cache_read.input_tokens": result.usage.cache_read_tokens,
            "gen_ai.usage.reasoning.output_tokens": result.usage.reasoning_tokens,
            "llmkit.step": result.step_number,
        }
    )


def ending(end: End) -> Attributes:
    """Return what a whole run came to."""
    reason = finish_reason(end.finish_reason)
    return known(
        {
            "gen_ai.response.finish_reasons": [reason],
            **_usage(end.usage),
            "llmkit.stop_reason": end.stop_reason or None,
            "llmkit.steps": len(end.steps),
        }
    )


def tool(span: Span, described: Tool | None) -> Attributes:
    """Return what is known of a handler's run, also of one that was stopped."""
    return known(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": span.name,
            "gen_ai.tool.call.id": span.attributes.get("call_id"),
            "gen_ai.tool.type": "function",
            "gen_ai.tool.description": described.description if described is not None else None,
            "llmkit.decided_by": span.attributes.get("decided_by"),
            "llmkit.status": span.status,
        }
    )


def error_type(error: BaseException) -> str:
    """Return a stable word for a kind of error: llmkit's own code, or the name of the exception."""
    return str(getattr(error, "code", "") or type(error).__name__)


def failed(error: Error) -> Attributes:
    """Return what is told of the error that a run failed with."""
    return {"error.type": error_type(error)}


# -- content: only for those who ask for it ---------------------------------------------------------------------


def asked_content(event: StepStart | Start) -> Attributes:
    """Return the conversation that a model was given, and the tools it was offered."""
    messages = list(event.messages)
    system = [messages.pop(0)] if messages and messages[0].role == "system" else []
    definitions = [{"type": "function", **each.to_dict()["function"]} for each in event.tools]
    return known(
        {
            "gen_ai.system_instructions": to_json(_parts(system[0])) if system else None,
            "gen_ai.input.messages": to_json(_messages(messages)),
            "gen_ai.tool.definitions": to_json(definitions) if definitions else None,
        }
    )


def answered_content(result: StepResult) -> Attributes:
    """Return what the model said, thought and called."""
    said = [message for message in result.response.messages if message.role == "assistant"]
    return {"gen_ai.output.messages": to_json(_messages(said))}


def tool_content(result: ToolResult) -> Attributes:
    """Return what a handler was given and what it returned."""
    return known(
        {
            "gen_ai.tool.call.arguments": None if result.arguments is None else to_json(result.arguments),
            "gen_ai.tool.call.result": output_json(result.output) if result.success else None,
        }
    )


def finish_reason(reason: str) -> str:
    """Return a finish reason in the conventions' words."""
    return _FINISH_REASONS.get(reason, reason)


def known(attributes: Attributes) -> Attributes:
    """Return those attributes that have a value, their texts fit to be sent."""
    return {
        name: clean(value) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None and value != ""
    }


def _ids(start: Start) -> Attributes:
    return {"llmkit.run.id": start.run_id, "llmkit.session.id": start.session_id}


def _usage(usage: Usage) -> Attributes:
    return {"gen_ai.usage.input_tokens": usage.input_tokens, "gen_ai.usage.output_tokens": usage.output_tokens}


def _messages(messages: Iterable[Message]) -> list[Attributes]:
    return [{"role": message.role, "parts": _parts(message)} for message in messages]


def _parts(message: Message) -> list[Attributes]:
    if message.role == "tool":
        return [{"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}]
    parts: list[Attributes] = []
    if message.reasoning:
        parts.append({"type": "reasoning", "content": message.reasoning})
    content = (message.content,) if isinstance(message.content, str) else message.content
    parts += [
        _image(part) if isinstance(part, Image) else {"type": "text", "content": part} for part in content if part
    ]
    parts += [
        {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.tool_calls
    ]
    return parts


def _image(image: Image) -> Attributes:
    head, comma, content = image.url.partition(";base64,")
    if comma and head.startswith("data:"):
        return {"type": "blob", "modality": "image", "mime_type": head.removeprefix("data:"), "content": content}
    return {"type": "uri", "modality": "image", "uri": image.url}
