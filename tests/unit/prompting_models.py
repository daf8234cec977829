"""Small models to prompt: templates with the traits of real families, and decoders that hold them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit.engines.scripted import Scripted, ScriptedDecoder
from llmkit.messages import Message
from llmkit.tools.calls import ToolCall
from llmkit.tools.choice import tools_from

if TYPE_CHECKING:
    from llmkit.engines.decoder import DecoderInfo

_TOOLS = "{% if tools %}{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}{% endif %}"
_CALL = '<tool_call>\n{"name": "{{ call.function.name }}", "arguments": {{ ARGUMENTS }}}\n</tool_call>'
_MESSAGES = (
    "{% for message in messages %}CHECK<|{{ message.role }}|>{{ message.content }}"
    "{% for call in message.tool_calls or [] %}CALL{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def _template(*, arguments: str = "call.function.arguments | tojson", check: str = "", tools: str = _TOOLS) -> str:
    return tools + _MESSAGES.replace("CALL", _CALL.replace("ARGUMENTS", arguments)).replace("CHECK", check)


def _raises(condition: str, message: str) -> str:
    return "{% if " + condition + " %}{{ raise_exception('" + message + "') }}{% endif %}"


FAMILIES = {
    "qwen": _template(),
    "one call a message, as Llama 3.1": _template(check=_raises("(message.tool_calls or []) | length > 1", "one only")),
    "the first call alone, as gpt-oss": _template().replace(
        "message.tool_calls or []", "(message.tool_calls or [])[:1]"
    ),
    "ids of nine characters, as Mistral": _template(
        check="{% for call in message.tool_calls or [] %}"
        + _raises("call.id | length != 9", "nine")
        + "{% endfor %}"
        + _raises("message.tool_call_id is defined and message.tool_call_id | length != 9", "nine")
    ),
    "arguments as text, as Apriel": _template(arguments="call.function.arguments"),
    "tools are a must, as Hermes": "{{ tools | length }}" + _template(),
    "results are named, as Gemma": _template(check=_raises("message.role == 'tool' and not message.name", "name")),
    "marks what is learned, as LFM2.5": _template()
    .replace("CHECK", "")
    .replace("{{ message.content }}", "{% generation %}{{ message.content }}{% endgeneration %}"),
}
"""Templates that show tools, calls and results, each with one trait of a real family."""

PLAIN = "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}<|assistant|>"
"""A template that knows no tools."""

TURNS = (
    _raises("messages[0].role == 'system'", "no system role")
    + "{% for message in messages %}"
    + _raises("(message.role == 'user') != (loop.index0 % 2 == 0)", "roles must alternate")
    + "<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}<|assistant|>"
)
"""One that takes no system message and insists on turns, as Gemma 2's."""


class Templated(ScriptedDecoder):
    """A decoder with any template, some control tokens, and a script."""

    def __init__(self, template: str | None, *answers: object, control: tuple[str, ...] = ()) -> None:
        super().__init__(Scripted(answers or ["Hi."]))  # type: ignore[arg-type]
        self._template = template
        self._control = control

    @property
    def info(self) -> DecoderInfo:
        return replace(super().info, chat_template=self._template)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        for token in self._control if special or text not in self._control else ():
            if token in text:
                before, _, after = text.partition(token)
                return [
                    *self.tokenize(before, special=special),
                    self._id(token),
                    *self.tokenize(after, special=special),
                ]
        return super().tokenize(text, special=special)


def get_weather(city: str) -> dict[str, int]:
    """Current weather for a city."""  # noqa: D401 - a tool says what it gives
    return {"temperature": len(city)}


WEATHER = tools_from([get_weather])
TWO_CALLS = (
    Message("system", "Be brief."),
    Message("user", "How warm is it in Tokyo and in Oslo?"),
    Message(
        "assistant",
        "Let me look.",
        tool_calls=(
            ToolCall("call_1", "get_weather", {"city": "Tokyo"}),
            ToolCall("call_2", "get_weather", {"city": "Oslo"}),
        ),
    ),
    Message("tool", "result-22", tool_call_id="call_1"),
    Message("tool", "result-3", tool_call_id="call_2"),
)
