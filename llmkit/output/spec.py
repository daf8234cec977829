"""What an answer must be: the seam between a run's ``output`` and the engines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

OutputKind: TypeAlias = Literal["json", "array", "choice", "regex", "grammar", "text"]


class OutputReader(Protocol):
    """Reads an answer while it is written."""

    @property
    def value(self) -> Any:
        """What is certain so far, in plain JSON values; :data:`~llmkit.output.partial.MISSING` if nothing is."""

    def feed(self, text: str) -> bool:
        """Read a piece; return whether the value changed."""

    def close(self) -> bool:
        """Say that the answer has ended; return whether the value changed."""

    def take_elements(self) -> Sequence[Any]:
        """Return the elements of an array that were completed since the last call."""


@runtime_checkable
class OutputSpec(Protocol):
    """What an answer must be. It is checked when it is made: what can't be enforced is refused there and then."""

    @property
    def kind(self) -> OutputKind:
        """What sort of answer."""

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema, as given; ``None`` where the answer isn't JSON."""

    def rules(self, *, room: int | None = None) -> str | None:
        """Return Lark rules that bind the answer, the first being ``answer``; ``None`` if it is free.

        Parameters
        ----------
        room : int, optional
            So many tokens there are for it. Texts and lists without a limit get one that lets it end within them,
            mostly: small models go on without end where nothing stops them. ``None``: no limits but the output's own.
        """

    def instructions(self) -> str | None:
        """Return what to tell the model of it in the prompt; ``None`` if nothing needs to be said."""

    def response_format(self) -> dict[str, Any] | None:
        """Return ``response_format`` of a request to an OpenAI-style server; ``None`` if it has none for this."""

    def reader(self) -> OutputReader:
        """Return a reader of an answer in the making."""

    def partial(self, text: str) -> Any:
        """Return what is certain of the beginning of an answer, or :data:`~llmkit.output.partial.MISSING`."""

    def elements(self, text: str) -> list[Any]:
        """Return the complete elements in the beginning of an array, each as :meth:`element` gives it."""

    def element(self, value: Any) -> Any:
        """Return an element that a reader gave, as :meth:`parse` would have it in the array.

        Raises
        ------
        OutputError
            If it doesn't fit.
        """

    def parse(self, text: str, *, finish_reason: str | None = None) -> Any:
        """Return the value of a whole answer.

        Raises
        ------
        OutputError
            If it doesn't fit; with the text and what is wrong with it.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return what is asked for as JSON values."""


class Reading(ABC):
    """What every output has in common, built on its reader."""

    @abstractmethod
    def reader(self) -> OutputReader:
        """Return a reader of an answer in the making."""

    def partial(self, text: str) -> Any:
        """Return what is certain of the beginning of an answer."""
        reader = self.reader()
        reader.feed(text)
        return reader.value

    def elements(self, text: str) -> list[Any]:
        """Return the complete elements in the beginning of an array."""
        reader = self.reader()
        reader.feed(text)
        return [self.element(value) for value in reader.take_elements()]

    def element(self, value: Any) -> Any:
        """Return an element that a reader gave."""
        return value

    def to_dict(self: OutputSpec) -> dict[str, Any]:
        """Return what is asked for as JSON values: its kind, and its schema or else its grammar."""
        found: dict[str, Any] = {"schema": self.schema} if self.schema is not None else {"rules": self.rules()}
        return {"kind": self.kind, **{key: value for key, value in found.items() if value is not None}}
