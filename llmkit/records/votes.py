"""Votes on which of two answers is the better, as the ledger keeps them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from llmkit.errors import ValidationError
from llmkit.records.columns import VOTES
from llmkit.records.values import copied

if TYPE_CHECKING:
    import sqlite3

Verdict: TypeAlias = Literal["a", "b", "tie"]
Side: TypeAlias = Literal["a", "b"]

_NAMES = tuple(column.name for column in VOTES)
_SAVE_VOTE = f"INSERT INTO votes ({', '.join(_NAMES)}) VALUES ({', '.join(f':{name}' for name in _NAMES)})"  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """A verdict on two cells of a comparison.

    Parameters
    ----------
    comparison_id : str
        The comparison's id.
    a_cell, b_cell : int
        The cells' indices.
    verdict : {"a", "b", "tie"}
        Which is the better.
    judge : str
        ``"person"``, or the name of the model that judged.
    a_label, b_label : str
        What tells the cells apart.
    first : {"a", "b"}
        Which was shown first, so that a judge's leaning to the first can be seen.
    question : str
        What was asked about the two.
    reason : str
        Why, in the judge's words.
    session_id : str, optional
        The session's id.
    created : float
        Unix time in seconds.

    Raises
    ------
    ValidationError
        For a verdict or a ``first`` that doesn't exist.
    """

    comparison_id: str
    a_cell: int
    b_cell: int
    verdict: Verdict
    judge: str = "person"
    a_label: str = ""
    b_label: str = ""
    first: Side = "a"
    question: str = ""
    reason: str = ""
    session_id: str | None = None
    created: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        for name, value, choices in (("verdict", self.verdict, get_args(Verdict)), ("first", self.first, ("a", "b"))):
            if value not in choices:
                raise ValidationError(f"{name} is one of {', '.join(choices)}, not {value!r}.", field=name)


class VoteRecord:
    """A vote's row; it is complete from the first and never changes.

    Parameters
    ----------
    vote : Vote
        The vote.
    """

    def __init__(self, vote: Vote) -> None:
        self.key: int | None = None
        self.row: dict[str, Any] = copied(VOTES, "vote", vote)

    @property
    def name(self) -> str:
        """What it is, for messages."""
        return f"A vote on comparison {self.row['comparison_id']}"

    def save(self, connection: sqlite3.Connection) -> int | None:
        """Insert the row, inside the caller's transaction; return its key."""
        return self.key if self.key is not None else connection.execute(_SAVE_VOTE, self.row).lastrowid

    def saved(self, key: int) -> None:
        """Note that it is on disk, under ``key``."""
        self.key = key


class VoteEntry:
    """A vote on its way to the ledger.

    Parameters
    ----------
    vote : Vote
        The vote.
    """

    def __init__(self, vote: Vote) -> None:
        self.record = VoteRecord(vote)

    def fold(self) -> None:
        """Do nothing: a vote is complete."""
