"""A model's chat template: messages to one prompt text.

Templates are Jinja programs that come with a model. They run in Jinja's immutable sandbox with the extensions that
Hugging Face's ``apply_chat_template`` documents: ``raise_exception``, ``strftime_now``, ``tojson`` that escapes no
HTML, loop controls, trimmed blocks, and ``{% generation %}``, which marks what a model learns from.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from llmkit.errors import ValidationError
from llmkit.prompting.abilities import Abilities, RefusedError, abilities_of
from llmkit.prompting.conversation import shaped_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmkit.messages import Message
    from llmkit.tools.tool import Tool

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""What a model without a template gets; the run warns that it does."""


class ChatTemplate:
    """A compiled chat template.

    Parameters
    ----------
    source : str
        Jinja source.
    bos_token, eos_token : str
        The model's begin and end tokens as text.

    Raises
    ------
    ValidationError
        If the source is no Jinja.
    """

    def __init__(self, source: str, *, bos_token: str = "", eos_token: str = "") -> None:
        from jinja2 import TemplateError

        self.source = source
        self.has_reasoning_switch = "enable_thinking" in source
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        try:
            self._template = _environment().from_string(source)
        except TemplateError as error:
            raise ValidationError(f"The model's chat template can't be read: {error}.", field="model") from error

    @cached_property
    def abilities(self) -> Abilities:
        """What it can show, found by trying it out."""
        return abilities_of(self._fill)

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Tool] = (),
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """Return the prompt text for ``messages``, ready for the assistant's answer.

        Parameters
        ----------
        messages : sequence of Message
            The conversation.
        tools : sequence of Tool
            What the model is told that it may call.
        variables : Mapping, optional
            Further variables of the template, such as ``enable_thinking``.

        Raises
        ------
        ValidationError
            If the template refuses the conversation, as some do a system message or two user messages in a row.
        """
        shaped = shaped_for(self.abilities, messages)
        try:
            return self._fill(shaped, [tool.to_dict() for tool in tools] or None, **(variables or {}))
        except RefusedError as error:
            raise ValidationError(
                f"The model's chat template refuses these messages: {error}.", field="messages"
            ) from error

    def _fill(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, **variables: Any) -> str:
        try:
            # transformers passes tools and documents always; some templates compare them with none
            text: str = self._template.render(
                messages=messages,
                tools=tools,
                documents=None,
                add_generation_prompt=True,
                **self._tokens,
                **variables,
            )
        except Exception as error:  # a template is a program of somebody else's
            raise RefusedError(str(error)) from error
        return text


def _environment() -> Any:
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    return environment


def _tojson(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=options.pop("ensure_ascii", False), **options)


def _raise(message: str) -> NoReturn:
    from jinja2 import TemplateError

    raise TemplateError(message)
