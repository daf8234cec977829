"""Prompts with fields: ``{name}`` stands for a value, ``{{`` and ``}}`` for braces.

The syntax is that of :meth:`str.format`, and only its plain part: no attributes, indices, conversions or formats, so
that a template can reach nothing but the values it is given. Values are put in as they are: braces in them stay text.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from llmkit.errors import ValidationError
from llmkit.messages import Message, messages_from

if TYPE_CHECKING:
    from llmkit.messages import Prompt

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Template(Protocol):
    """What makes a prompt of values."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of its fields, in the order in which they first occur."""

    @property
    def text(self) -> str:
        """What to show for it."""

    def fill(self, values: Mapping[str, Any]) -> Prompt:
        """Return the prompt.

        Raises
        ------
        ValidationError
            For a field without a value; names it.
        """


@dataclass(frozen=True, slots=True)
class Field:
    """A place in a text where a value goes."""

    name: str


Pieces: TypeAlias = tuple[str | Field, ...]


def pieces_of(text: str) -> Pieces:
    """Return the texts and fields that a template is made of.

    Raises
    ------
    ValidationError
        For a single brace, and for a field that isn't a plain name.
    """
    pieces: list[str | Field] = []
    place = 0
    for found in _PIECE.finditer(text):
        pieces.append(text[place : found.start()])
        pieces.append(_piece(found[0], found[1], text, found.start()))
        place = found.end()
    pieces.append(text[place:])
    return tuple(piece for piece in pieces if piece)


def _piece(brace: str, name: str | None, text: str, place: int) -> str | Field:
    if brace in {"{{", "}}"}:
        return brace[0]
    if name is not None and name.isidentifier():
        return Field(name)
    what = "a single brace" if name is None else f"{{{name}}}, which is no plain name,"
    raise ValidationError(
        f"The template has {what} at character {place}: …{text[max(0, place - 20) : place + 20]!r}…. A field is "
        "{name}; a brace that is meant as text is written twice, or is part of a value: "
        'compare("{prompt}", prompt=[…]).',
        field="template",
    )


def filled(pieces: Pieces, values: Mapping[str, Any]) -> str:
    """Return the text with the values in the fields' places.

    Raises
    ------
    ValidationError
        For a field without a value; names it.
    """
    return "".join(piece if isinstance(piece, str) else _text_of(piece.name, values) for piece in pieces)


def _text_of(name: str, values: Mapping[str, Any]) -> str:
    value = values.get(name)
    if is_missing(value):
        raise ValidationError(f"The field {{{name}}} has no value here.", field=name)
    return str(value)


def is_missing(value: Any) -> bool:
    """Return whether a value is ``None``, NaN, NA or NaT."""
    return value is None or type(value).__name__ in {"NAType", "NaTType"} or (isinstance(value, float) and isnan(value))


class TextTemplate:
    """A text with fields.

    Parameters
    ----------
    text : str
        The text.

    Raises
    ------
    ValidationError
        If it can't be read.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._pieces = pieces_of(text)
        self.fields = _names(self._pieces)

    def fill(self, values: Mapping[str, Any]) -> Prompt:
        """Return the text with the values in it."""
        return filled(self._pieces, values)


class ConversationTemplate:
    """A conversation whose texts have fields, those of all roles.

    Parameters
    ----------
    messages : sequence of Message
        The conversation.

    Raises
    ------
    ValidationError
        If a text can't be read.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = tuple(messages)
        self._pieces = {text: pieces_of(text) for message in messages for text in _texts(message)}
        self.fields = _names([piece for pieces in self._pieces.values() for piece in pieces])

    @property
    def text(self) -> str:
        """What is said last."""
        return self._messages[-1].text

    def fill(self, values: Mapping[str, Any]) -> Prompt:
        """Return the conversation with the values in its texts."""
        return tuple(replace(message, content=self._filled(message, values)) for message in self._messages)

    def _filled(self, message: Message, values: Mapping[str, Any]) -> Any:
        if isinstance(message.content, str):
            return filled(self._pieces[message.content], values)
        return tuple(filled(self._pieces[part], values) if isinstance(part, str) else part for part in message.content)


class FunctionTemplate:
    """A function that makes a prompt; its parameters are the fields.

    Parameters
    ----------
    function : Callable
        Returns a text or a conversation, which is taken as it is.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        parameters = inspect.signature(function).parameters.values()
        named = [each for each in parameters if each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}]
        self.fields = tuple(each.name for each in named)
        self._needed = tuple(each.name for each in named if each.default is each.empty)

    @property
    def text(self) -> str:
        """The function's name."""
        return f"{getattr(self._function, '__name__', type(self._function).__name__)}({', '.join(self.fields)})"

    @property
    def needed(self) -> tuple[str, ...]:
        """The fields without a default."""
        return self._needed

    def fill(self, values: Mapping[str, Any]) -> Prompt:
        """Return what the function makes of the values."""
        for name in self._needed:
            if name not in values:
                raise ValidationError(f"The field {{{name}}} has no value here.", field=name)
        try:
            prompt = self._function(**{name: values[name] for name in self.fields if name in values})
        except Exception as error:
            raise ValidationError(
                f"The template function raised {type(error).__name__}: {error}.", field="template"
            ) from error
        if isinstance(prompt, str):
            return prompt
        return messages_from(prompt)


def template_from(value: Any) -> Template:
    """Return the template that a text, a message, a conversation or a function is.

    Raises
    ------
    ValidationError
        If it is none of these, or can't be read.
    """
    if isinstance(value, str):
        return TextTemplate(value)
    if callable(value):
        return FunctionTemplate(value)
    if isinstance(value, Message | Mapping | Sequence):
        return ConversationTemplate(messages_from(value))
    raise ValidationError(
        f"A template is a text, a conversation or a function, not {type(value).__name__}.", field="template"
    )


def needed_fields(template: Template) -> tuple[str, ...]:
    """Return the fields that must have a value."""
    return template.needed if isinstance(template, FunctionTemplate) else template.fields


def _texts(message: Message) -> tuple[str, ...]:
    parts = (message.content,) if isinstance(message.content, str) else message.content
    return tuple(part for part in parts if isinstance(part, str))


def _names(pieces: Sequence[str | Field]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(piece.name for piece in pieces if isinstance(piece, Field)))
