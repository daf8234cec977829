"""Opening the ledger's file: whatever state it is in, the result is a connection that works."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmkit.errors import LedgerError
from llmkit.records.image import add_image_function
from llmkit.records.schema import check_version, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY_TIMEOUT = 5.0
"""Seconds that a write waits for another process's."""

FULL_CHECK_LIMIT = 16 * 2**20
"""Bytes up to which a file is checked throughout when it is opened; SQLite reads about 1 GB/s for that."""

PAGE_SIZE = 8192
"""Bytes of a page of a new file: twice SQLite's default takes a tenth off the time that a large frame takes."""

_logger = logging.getLogger("llmkit")


class LedgerWarning(UserWarning):
    """Something is wrong with the ledger; the runs go on."""


_UNWRITABLE = frozenset(
    {sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}
)


def is_damage(error: BaseException) -> bool:
    """Tell whether ``error`` says that a file is no database, or a malformed one."""
    return _code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def in_memory(connection: sqlite3.Connection) -> bool:
    """Tell whether what ``connection`` holds ends with it."""
    file: str = connection.execute("PRAGMA database_list").fetchone()[2]
    return not file


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the body writes, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def open_ledger(path: Path | None) -> sqlite3.Connection:
    """Return a connection to the ledger at ``path``, made if there is none, or to a new one in memory.

    A damaged file is set aside. Where nothing can be written, the connection is to a copy in memory, so that runs go
    on and are recorded as long as the process lives. Both are told by a :class:`LedgerWarning`.

    Raises
    ------
    LedgerError
        The file is of a newer llmkit, another program's database, or a folder.
    """
    if path is None:
        return _prepare(_connect(":memory:"), "in memory")
    if path.is_dir():
        raise LedgerError(f"The ledger {path} is a folder. Pass the path of a file as ledger=.")
    try:
        return _open_file(path)
    except (OSError, sqlite3.DatabaseError) as error:
        if is_damage(error):
            return replace_damaged(path, error)
        return _without_file(path, error)


def replace_damaged(path: Path, error: Exception) -> sqlite3.Connection:
    """Set the damaged file at ``path`` aside and return a connection to a new one.

    The damaged file is renamed, its write-ahead log with it; a lock keeps two processes from doing so at once, which
    would set the new one aside too.
    """
    from filelock import FileLock

    try:
        with FileLock(f"{path}.lock"):
            try:
                return _open_file(path)
            except sqlite3.DatabaseError as still:
                if not is_damage(still):
                    raise
            aside = _set_aside(path)
            _warn(
                f"The ledger {path} is damaged ({error}). It was set aside as {aside} and a new one begun; "
                f"`sqlite3 {aside.name} .recover` may get its records back."
            )
            return _open_file(path)
    except (OSError, sqlite3.DatabaseError) as failure:
        return _without_file(path, failure)


def _connect(database: str, *, uri: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(
        database, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, uri=uri, cached_statements=64
    )
    add_image_function(connection)
    return connection


def _open_file(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Prompts are private: the file, and with it SQLite's companions, is for its owner alone.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return _prepare(_connect(str(path)), str(path), path)


def _prepare(connection: sqlite3.Connection, name: str, path: Path | None = None) -> sqlite3.Connection:
    try:
        check_version(connection, name)
        if path is not None:
            _check_health(connection, path)
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            _write_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection, name)
        _check_writable(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_writable(connection: sqlite3.Connection) -> None:
    """Raise what SQLite raises where nothing can be written; that another process writes just now is no obstacle."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        with transaction(connection):
            pass
    except sqlite3.OperationalError as error:
        if _code(error) != sqlite3.SQLITE_BUSY:
            raise
    connection.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT * 1000)}")


def _check_health(connection: sqlite3.Connection, path: Path) -> None:
    """Raise what SQLite raises for a damaged file; a large one is only probed at both ends of each table."""
    if path.stat().st_size <= FULL_CHECK_LIMIT:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            error = sqlite3.DatabaseError(verdict.splitlines()[-1])
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        return
    for table in ("runs", "steps"):
        for end in ("ASC", "DESC"):
            connection.execute(f"SELECT * FROM {table} ORDER BY rowid {end} LIMIT 1").fetchone()  # noqa: S608


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging, which two processes that open a new file at once do to each other's dismay."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _set_aside(path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    # The log first: should the process end between, no log is left to be taken for the new file's.
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(f"{aside}{suffix}")
    return aside


def _without_file(path: Path, error: Exception) -> sqlite3.Connection:
    if isinstance(error, OSError) or _code(error) in _UNWRITABLE:
        return _copy_in_memory(path, error)
    raise LedgerError(f"The ledger {path} can't be opened: {error}. Pass another path as ledger=.") from error


def _copy_in_memory(path: Path, error: Exception) -> sqlite3.Connection:
    _warn(
        f"The ledger {path} can't be written ({error}). Runs are recorded in memory until this process ends; "
        "make the path writable, or pass another as ledger=."
    )
    memory = _connect(":memory:")
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        if not path.is_file():
            break
        try:
            source = _connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
            try:
                source.backup(memory)
            finally:
                source.close()
            break
        except sqlite3.DatabaseError as unreadable:
            _logger.info("The ledger %s can't be read with %s: %s", path, mode, unreadable)
    return _prepare(memory, str(path))


def _code(error: BaseException) -> int | None:
    """Return SQLite's primary result code, of which an error may carry a finer one."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _warn(message: str) -> None:
    _logger.warning(message)
    warnings.warn(message, LedgerWarning, stacklevel=2)
