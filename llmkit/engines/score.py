"""Scoring at the engine seam: how likely given tokens are, none of them drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmkit.engines.decoder import Token
    from llmkit.messages import Message


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """A text to score.

    Parameters
    ----------
    id : str
        Unique among the requests in flight.
    text : str or tuple of int
        What to score: a text, or token ids.
    messages : tuple of Message
        The conversation that it answers; none for a text that stands alone.
    after : str
        The text just before it, which isn't scored.
    alternatives : int
        How many of the likeliest tokens to tell at each place.
    """

    id: str
    text: str | tuple[int, ...]
    messages: tuple[Message, ...] = ()
    after: str = ""
    alternatives: int = 5


@runtime_checkable
class Scorer(Protocol):
    """A decoder that can tell the log-probabilities of tokens without decoding them one by one."""

    def score(
        self, context: Sequence[int], ids: Sequence[int], alternatives: int, cancelled: Callable[[], bool]
    ) -> list[Token]:
        """Return the tokens ``ids`` after ``context``, which has one at least; blocks.

        Raises
        ------
        llmkit.errors.Error
            If they can't be scored.
        """
