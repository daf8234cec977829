"""Putting records into the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.records.columns import RUNS, STEPS, TOKENS
from llmkit.records.database import transaction
from llmkit.records.image import make_images
from llmkit.records.schema import check_version

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from llmkit.records.record import RunRecord

_RUN = (*(column.name for column in RUNS), "host", "pid", "process_started", "settings", "messages")
_STEP = tuple(column.name for column in STEPS if column.name not in {"run_id", "session_id"})
_TOKEN = tuple(column.name for column in TOKENS)


def _insert(table: str, key: str, names: Sequence[str], *, otherwise: str) -> str:
    """Return an INSERT of declared names, each value bound by its name."""
    columns = ", ".join((key, *names))
    values = ", ".join(f":{name}" for name in (key, *names))
    return f"INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT {otherwise}"  # noqa: S608


_CHANGES = ", ".join(f"{name} = :{name}" for name in _RUN)
_SAVE_RUN = _insert("runs", "key", _RUN, otherwise=f"(key) DO UPDATE SET {_CHANGES}")
_SAVE_STEP = _insert("steps", "run", _STEP, otherwise="DO NOTHING")
_SAVE_TOKEN = _insert("tokens", "run", _TOKEN, otherwise="DO NOTHING")


def save(connection: sqlite3.Connection, records: Sequence[RunRecord], name: str) -> None:
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
        keys = [_save_run(connection, record) for record in records]
        make_images(connection)
    for record, key in zip(records, keys, strict=True):
        record.saved(key)


def _save_run(connection: sqlite3.Connection, record: RunRecord) -> int:
    cursor = connection.execute(_SAVE_RUN, {**record.row, "key": record.key})
    key = record.key if record.key is not None else cursor.lastrowid
    if key is None:
        raise RuntimeError("SQLite gave the new run no key.")
    connection.executemany(_SAVE_STEP, [{**row, "run": key} for row in record.steps])
    connection.executemany(_SAVE_TOKEN, [{**row, "run": key} for row in record.tokens])
    return key
