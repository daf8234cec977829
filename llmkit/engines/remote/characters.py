"""Texts with halves of surrogate pairs in them, which JSON can hold and UTF-8 can't."""

from __future__ import annotations


class Characters:
    """Joins halves of surrogate pairs that a server split over pieces, and replaces halves that stay alone."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """Return the text as far as its characters are whole."""
        text = self._half + text
        self._half = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        return whole_characters(text[: len(text) - len(self._half)])

    def flush(self) -> str:
        """Return what is left."""
        half, self._half = self._half, ""
        return whole_characters(half)


def whole_characters(text: str) -> str:
    """Return ``text`` with surrogate pairs joined and lone surrogates replaced by U+FFFD."""
    if text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
