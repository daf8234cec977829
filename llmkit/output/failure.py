"""An answer that isn't what the output asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.errors import Error

if TYPE_CHECKING:
    from collections.abc import Sequence


class OutputError(Error):
    """An answer that doesn't fit the output that was asked for: cut short, or from an engine that isn't bound to it.

    Attributes
    ----------
    text : str
        The answer, or what there is of it.
    problems : tuple of str
        What is wrong with it, one by one.
    finish_reason : str or None
        Why the model stopped, where known.
    """

    code = "invalid_output"

    def __init__(
        self, message: str, *, text: str, problems: Sequence[str] = (), finish_reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.text = text
        self.problems = tuple(problems)
        self.finish_reason = finish_reason


_MESSAGES = {
    "length": "The answer was cut off before it was whole; raise max_output_tokens",
    "content-filter": "The server's filter stopped the answer",
}


def unfit(text: str, problems: Sequence[str], finish_reason: str | None) -> OutputError:
    """Return the error for an answer that doesn't fit."""
    message = _MESSAGES.get(finish_reason or "", "The answer doesn't fit the output")
    return OutputError(
        f"{message}: {'; '.join(problems[:5])}.", text=text, problems=problems, finish_reason=finish_reason
    )
