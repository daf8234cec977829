"""How servers are held to an output, and told of it.

``response_format`` is OpenAI's, and taken by most servers (https://platform.openai.com/docs/guides/structured-outputs);
for the fields of their own, see :mod:`llmkit.engines.remote.holding`. Whatever they do, answers are checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llmkit.engines.remote.holding import holding_fields
from llmkit.errors import ValidationError
from llmkit.prompting.outputs import told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.engines.base import EngineRequest
    from llmkit.engines.remote.probe import Server
    from llmkit.messages import Message

FIELDS: Final = frozenset(
    {
        "response_format", "structured_outputs", "json_schema", "grammar", "regex_pattern", "grammar_string",
        "guided_json", "guided_regex", "guided_choice", "guided_grammar", "ebnf", "regex",
    }
)  # fmt: skip
"""The fields by which servers are held to something."""

_CHECKED: Final = "the answer isn't held to the output, it is told of it and checked."


def output_messages(request: EngineRequest) -> tuple[Message, ...]:
    """Return the conversation, in which the model is told of the output.

    In a system message only if there is one: some models take none, and servers don't tell.
    """
    system = any(message.role == "system" for message in request.messages)
    return told(request.messages, request.output, system=system)


def output_fields(
    request: EngineRequest, server: Server, options: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the fields that hold an answer of ``/chat/completions`` to the output, and what can't be done.

    Parameters
    ----------
    request : EngineRequest
        What is asked.
    server : Server
        What the server is, as far as it says.
    options : mapping
        The user's own fields. If they hold the answer to something, nothing is added.

    Raises
    ------
    ValidationError
        For a regex or grammar that the server has no known field for.
    """
    output = request.output
    if output is None or output.kind == "text" or FIELDS & options.keys():
        return {}, []
    if output.kind == "grammar" or (output.kind == "regex" and server.kind not in {"vllm", "tabbyapi"}):
        raise _unheld(output.kind)
    calls = bool(request.tools) and request.tool_choice.mode != "none"
    if calls and server.kind != "openai":
        return {}, [f"Servers don't hold an answer to an output while tools are offered; {_CHECKED}"]
    if server.kind == "mlx_lm":
        return {}, [f"mlx_lm.server has no structured output; {_CHECKED}"]
    if output.kind == "regex" or server.kind == "tabbyapi":
        return holding_fields(output, server), []
    return {"response_format": output.response_format()}, []


def text_output_fields(
    request: EngineRequest, server: Server, options: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the same for ``/completions``, where there is no ``response_format``."""
    output = request.output
    if output is None or FIELDS & options.keys():
        return {}, []
    try:
        return holding_fields(output, server), []
    except ValidationError:
        if output.kind in {"regex", "grammar"}:
            raise _unheld(output.kind) from None
        return {}, [f"The server isn't known to have structured output for raw completions; {_CHECKED}"]


def refused_note() -> str:
    """Return what to say if the server refuses ``response_format``."""
    return f"The server refuses response_format; {_CHECKED}"


def _unheld(kind: str) -> ValidationError:
    return ValidationError(
        f"This server isn't known to hold an answer to a {kind}. Name its own field in provider_options, as in "
        "provider_options={'grammar': …} for llama.cpp's server or {'structured_outputs': {'grammar': …}} for vLLM, in "
        "the language that it reads; use a JSON schema; or ask a local model.",
        field="output",
    )
