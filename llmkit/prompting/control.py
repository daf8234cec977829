"""Which texts are control tokens of a model: written as one token that plain text never becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.tools.dialects.base import literal

if TYPE_CHECKING:
    from llmkit.engines.decoder import Decoder

_MAX_LENGTH = 64


class ControlTokens:
    """The control tokens of a model, found as they are asked for.

    Parameters
    ----------
    decoder : Decoder
        The model.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._ids: dict[str, int | None] = {}

    def id_of(self, text: str) -> int | None:
        """Return the id of the control token written ``text``, ``None`` if there is none."""
        if text not in self._ids:
            read = self._decoder.tokenize(text, special=True)
            plain = self._decoder.tokenize(text, special=False)
            self._ids[text] = read[0] if len(read) == 1 and read != plain else None
        return self._ids[text]

    def holds(self, id_: int, text: str) -> bool:
        """Whether the token ``id_``, written ``text``, is a control token."""
        bracketed = text[:1] in ("<", "[") and text[-1:] in (">", "]") and 2 < len(text) <= _MAX_LENGTH
        return bracketed and self.id_of(text) == id_

    def expression(self, text: str) -> str:
        """Return the Lark expression for a marker: a control token's id, or its text in quotes."""
        id_ = self.id_of(text)
        return literal(text) if id_ is None else f"<[{id_}]>"
