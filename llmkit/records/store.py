"""Putting records into the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from llmkit.records.columns import APPROVALS, RUNS, STEPS, TOKENS, TOOL_CALLS
from llmkit.records.database import transaction
from llmkit.records.image import make_images
from llmkit.records.schema import check_version

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from llmkit.records.columns import Column
    from llmkit.records.record import RunRecord

_RUN = (
    *(column.name for column in RUNS),
    *("host", "pid", "process_started", "settings", "messages", "revision", "fingerprint", "extras"),
)
_TOKEN = tuple(column.name for column in TOKENS)


def _own(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the names of the columns that a table holds itself; the run's and session's ids are in ``runs``."""
    return tuple(column.name for column in columns if column.name not in {"run_id", "session_id"})


def _upsert(table: str, key: str, names: Sequence[str], *, unique: str) -> str:
    """Return an INSERT that, where the row is there, sets all its columns."""
    changes = ", ".join(f"{name} = :{name}" for name in names)
    return _insert(table, key, names, otherwise=f"({unique}) DO UPDATE SET {changes}")


def _insert(table: str, key: str, names: Sequence[str], *, otherwise: str) -> str:
    """Return an INSERT of declared names, each value bound by its name."""
    columns = ", ".join((key, *names))
    values = ", ".join(f":{name}" for name in (key, *names))
    return f"INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT {otherwise}"  # noqa: S608


_SAVE_RUN = _upsert("runs", "key", _RUN, unique="key")
_SAVE_STEP = _insert("steps", "run", _own(STEPS), otherwise="DO NOTHING")
_SAVE_TOKEN = _insert("tokens", "run", _TOKEN, otherwise="DO NOTHING")
_SAVE_CALL = _upsert("tool_calls", "run", ("number", *_own(TOOL_CALLS)), unique="run, number")
_SAVE_APPROVAL = _upsert("approvals", "run", ("number", *_own(APPROVALS)), unique="run, number")


class Record(Protocol):
    """What the ledger can keep: a run, a vote."""

    key: int | None
    row: dict[str, Any]

    @property
    def name(self) -> str:
        """What it is, to begin a message with."""

    def save(self, connection: sqlite3.Connection) -> int | None:
        """Write what isn't on disk yet, inside the caller's transaction; return the row's key."""

    def saved(self, key: int) -> None:
        """Note that all of it is on disk, under ``key``."""


def save(connection: sqlite3.Connection, records: Sequence[Record], name: str) -> None:
    """Write ``records`` in one transaction and tell them so.

    Raises
    ------
    LedgerError
        A newer llmkit has meanwhile changed the ledger.
    sqlite3.Error
        It couldn't be written; then nothing was.
    """
    with transaction(connection):
        check_version(connection, name)
        keys = [record.save(connection) for record in records]
        make_images(connection)
    for record, key in zip(records, keys, strict=True):
        if key is None:
            raise RuntimeError(f"SQLite gave {record.name} no key.")
        record.saved(key)


def save_run(connection: sqlite3.Connection, record: RunRecord) -> int | None:
    """Write what isn't on disk yet of a run; return the key of its row."""
    cursor = connection.execute(_SAVE_RUN, {**record.row, "key": record.key})
    key = record.key if record.key is not None else cursor.lastrowid
    connection.executemany(_SAVE_STEP, [{**row, "run": key} for row in record.steps])
    connection.executemany(_SAVE_TOKEN, [{**row, "run": key} for row in record.tokens])
    connection.executemany(_SAVE_CALL, [{**row, "run": key} for row in record.calls.calls.unsaved.values()])
    connection.executemany(_SAVE_APPROVAL, [{**row, "run": key} for row in record.calls.approvals.unsaved.values()])
    return key
