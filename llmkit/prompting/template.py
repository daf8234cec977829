"""A model's chat template: messages to one prompt text.

Templates are Jinja programs that come with a model. They run in Jinja's immutable sandbox with the extensions that
Hugging Face's ``apply_chat_template`` documents: ``raise_exception``, ``strftime_now``, ``tojson`` that escapes no
HTML, loop controls, trimmed blocks.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmkit.messages import Message

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

    def render(self, messages: Sequence[Message], *, variables: Mapping[str, Any] | None = None) -> str:
        """Return the prompt text for ``messages``, ready for the assistant's answer.

        Parameters
        ----------
        messages : sequence of Message
            The conversation.
        variables : Mapping, optional
            Further variables of the template, such as ``enable_thinking``.

        Raises
        ------
        ValidationError
            If the template refuses the conversation, as some do a system message or two user messages in a row.
        """
        from jinja2 import TemplateError

        try:
            text: str = self._template.render(
                messages=[_for_template(message) for message in messages],
                add_generation_prompt=True,
                **self._tokens,
                **(variables or {}),
            )
        except (TemplateError, TypeError) as error:
            raise ValidationError(
                f"The model's chat template refuses these messages: {error}.", field="messages"
            ) from error
        return text


def _for_template(message: Message) -> dict[str, Any]:
    value = message.to_dict()
    if not isinstance(message.content, str):
        if any(not isinstance(part, str) for part in message.content):
            raise ValidationError("This model reads text only; leave the images out.", field="messages")
        value["content"] = message.text
    for call in value.get("tool_calls", ()):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return value


def _environment() -> Any:
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    return environment


def _tojson(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=options.pop("ensure_ascii", False), **options)


def _raise(message: str) -> NoReturn:
    from jinja2 import TemplateError

    raise TemplateError(message)
