"""The parts of a message or of a model's reasoning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from llmkit.responses.wire import Misfit, Record, mapping, reads, string


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputText(Record):
    """Text that the model said."""

    type: ClassVar[str] = "output_text"
    text: str = field(metadata=reads(string))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(Record):
    """The words in which the model refused."""

    type: ClassVar[str] = "refusal"
    refusal: str = field(metadata=reads(string))


@dataclass(frozen=True, slots=True, kw_only=True)
class InputText(Record):
    """A part of a reasoning's summary, the one that is meant to be shown."""

    type: ClassVar[str] = "input_text"
    text: str = field(metadata=reads(string))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningText(Record):
    """Reasoning as the model wrote it."""

    type: ClassVar[str] = "reasoning_text"
    text: str = field(metadata=reads(string))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownPart(Record):
    """A part of another kind, such as a sound or an image, as it came, in ``extra``."""

    @property
    def type(self) -> str:
        """What it calls itself, "" if it doesn't."""
        name = self.extra.get("type")
        return name if isinstance(name, str) else ""


Part: TypeAlias = OutputText | Refusal | InputText | ReasoningText | UnknownPart

_KINDS: tuple[type[OutputText | Refusal | InputText | ReasoningText], ...] = (
    OutputText,
    Refusal,
    InputText,
    ReasoningText,
)


def part(value: Any) -> Part:
    """Read a part of any kind."""
    named = mapping(value).get("type")
    for kind in _KINDS:
        if kind.type == named:
            try:
                return kind.read(value)
            except Misfit:
                break
    return UnknownPart.read(value)
