"""How servers are told what a raw completion must be: each has fields of its own for it.

TabbyAPI: ``json_schema``, ``regex_pattern``, ``grammar_string``
(https://github.com/theroyallab/tabbyAPI/blob/main/common/sampling.py). vLLM: ``structured_outputs``
(https://docs.vllm.ai/en/latest/features/structured_outputs/). llama.cpp's server: ``json_schema``, ``grammar``
(https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llmkit.errors import ValidationError
from llmkit.output.text_output import ChoiceOutput, GrammarOutput, RegexOutput

if TYPE_CHECKING:
    from llmkit.engines.remote.probe import Server
    from llmkit.output.spec import OutputSpec

_FIELDS: Final[dict[str, dict[str, str]]] = {
    "tabbyapi": {"json_schema": "json_schema", "regex": "regex_pattern", "grammar": "grammar_string"},
    "vllm": {"json_schema": "json", "regex": "regex", "grammar": "grammar", "choice": "choice"},
    "llamacpp": {"json_schema": "json_schema", "grammar": "grammar"},
}
_NAMES: Final = {"tabbyapi": "TabbyAPI", "vllm": "vLLM", "llamacpp": "llama.cpp's server", "mlx_lm": "mlx_lm.server"}


class ServerGrammar(GrammarOutput):
    """A grammar in a server's own language, which only the server can check."""

    def __init__(self, grammar: str) -> None:
        self.grammar = grammar

    def parse(self, text: str, *, finish_reason: str | None = None) -> str:  # noqa: ARG002 - only the server knows
        """Return the text."""
        return text


def holding_fields(output: OutputSpec | None, server: Server) -> dict[str, Any]:
    """Return the fields of a request to ``/completions`` that hold its text to an output.

    Raises
    ------
    ValidationError
        If the server isn't known to have any.
    """
    if output is None or output.kind == "text":
        return {}
    asked, value = _asked(output)
    field = _FIELDS.get(server.kind, {}).get(asked)
    if field is None:
        name = _NAMES.get(server.kind, "This server")
        raise ValidationError(
            f"{name} isn't known to hold a raw completion to {asked}=. Leave it out, ask a local model, or pass the "
            "server's own field in provider_options.",
            field=asked,
        )
    return {"structured_outputs": {field: value}} if server.kind == "vllm" else {field: value}


def _asked(output: OutputSpec) -> tuple[str, Any]:
    """Return which kind of output it is, as ``completions.create`` calls it, and what is sent of it."""
    match output:
        case RegexOutput():
            return "regex", output.pattern
        case GrammarOutput():
            return "grammar", output.grammar
        case ChoiceOutput():
            return "choice", list(output.options)
    return "json_schema", output.schema
