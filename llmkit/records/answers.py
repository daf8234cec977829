"""What the ledger has already: answers to what was asked before, and what a recorded run was asked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

_AT_ONCE = 500
"""Fingerprints in one query; SQLite takes at least 999 parameters."""


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """The answer of a run that is done, as its row tells it; ``None`` is unknown.

    Parameters
    ----------
    run_id, text, finish_reason : str
        As in ``session.runs``.
    prompt_tokens, generated_tokens : int, optional
        Tokens.
    time_to_first_token, total_time : float, optional
        Seconds.
    tokens_per_second : float, optional
        Generated tokens ÷ decode time.
    """

    run_id: str
    text: str
    finish_reason: str
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    time_to_first_token: float | None = None
    total_time: float | None = None
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What a run was asked, by what, and what came of it, as its row tells it; ``None`` is unknown.

    Parameters
    ----------
    run_id, session_id, status : str
        As in ``session.runs``.
    model, engine, build, revision, device : str, optional
        What answered.
    fingerprint : str, optional
        A digest of what decides the text (:mod:`llmkit.fingerprint`).
    seed : int, optional
        The seed that was used.
    text, reasoning : str, optional
        The last step's.
    settings, messages, extras, metadata : str, optional
        What was asked, as JSON.
    """

    run_id: str
    session_id: str
    status: str
    model: str | None
    engine: str | None
    build: str | None
    revision: str | None
    device: str | None
    fingerprint: str | None
    seed: int | None
    text: str | None
    reasoning: str | None
    settings: str | None
    messages: str | None
    extras: str | None
    metadata: str | None


def _names(kind: type[Any]) -> str:
    return ", ".join(each.name for each in fields(kind))


_RUN_SQL = f"SELECT {_names(RecordedRun)} FROM runs WHERE run_id = ? ORDER BY key DESC LIMIT 1"  # noqa: S608
_ANSWERS_SQL = f"SELECT fingerprint, {_names(RecordedAnswer)} FROM runs"  # noqa: S608 - declared names


def recorded_answers(
    connection: sqlite3.Connection, fingerprints: Sequence[str], engine: str
) -> dict[str, RecordedAnswer]:
    """Return by fingerprint the first answer that ``engine`` gave, where one is done."""
    found: dict[str, RecordedAnswer] = {}
    for start in range(0, len(fingerprints), _AT_ONCE):
        some = fingerprints[start : start + _AT_ONCE]
        places = ", ".join("?" * len(some))
        rows = connection.execute(
            f"{_ANSWERS_SQL} WHERE fingerprint IN ({places}) AND engine = ? AND status = 'done' ORDER BY key DESC",
            (*some, engine),
        )
        for fingerprint, *values in rows:
            found[fingerprint] = RecordedAnswer(*values)
    return found


def recorded_run(connection: sqlite3.Connection, run_id: str) -> RecordedRun | None:
    """Return what is recorded of a run; of several of that id the last."""
    row = connection.execute(_RUN_SQL, (run_id,)).fetchone()
    return None if row is None else RecordedRun(*row)
