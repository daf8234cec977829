"""The ledger's own thread: gathers what recorders have, writes it in short transactions, tries again what failed."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from llmkit.errors import LedgerError
from llmkit.records.database import in_memory, is_damage, open_ledger, replace_damaged
from llmkit.records.store import save

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from llmkit.records.store import Record

SAVE_INTERVAL = 1.0
"""Seconds after which text that streams is on disk at the latest."""

RETRY_INTERVAL = 5.0
"""Seconds until a write that failed is tried again."""

_logger = logging.getLogger("llmkit")
_Result = TypeVar("_Result")


class _Flush(threading.Event):
    """Asks the thread to write all it has; set when it has tried. ``last`` ends the thread."""

    def __init__(self, *, last: bool = False) -> None:
        super().__init__()
        self.last = last


class Entry(Protocol):
    """What brings a record to the writer: a run's recorder, a vote."""

    @property
    def record(self) -> Record:
        """What is to be written."""

    def fold(self) -> None:
        """Bring the record up to what has come."""


_Task: TypeAlias = tuple[Entry, bool] | _Flush


class Writer:
    """Owns the connection to the ledger and the thread that writes; the thread starts with the first record.

    Parameters
    ----------
    path : Path, optional
        The ledger's file; ``None`` is in memory.

    Attributes
    ----------
    failure : Exception or None
        Why the last write failed; ``None`` when it went well.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._name = str(path) if path else "in memory"
        self._connection: sqlite3.Connection | None = open_ledger(path)
        self._connected = threading.Lock()
        self._queue: SimpleQueue[_Task] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._pid = os.getpid()
        # These belong to whoever writes: the thread, and after its end the one that closes.
        self._due: dict[Entry, float] = {}
        self._unsaved: dict[Entry, None] = {}
        self._retry_time = 0.0
        self.failure: Exception | None = None

    @property
    def unsaved(self) -> int:
        """How many runs have something that isn't on disk though it should be."""
        return len(self._unsaved)

    def submit(self, recorder: Entry, urgent: bool) -> None:
        """Have ``recorder``'s run written, at once if urgent, else within a second. Never blocks, never raises."""
        if self._closed or os.getpid() != self._pid:
            _logger.warning("The ledger %s is closed: what a run does now isn't recorded", self._name)
            return
        self._queue.put((recorder, urgent))
        self._start()

    def flush(self) -> None:
        """Return when all that was submitted is on disk, or couldn't be written; ``failure`` tells which."""
        self._ask(_Flush())

    def close(self) -> None:
        """Write all, end the thread, close the file. A second call does nothing."""
        with self._starting:
            if self._closed or os.getpid() != self._pid:
                return
            self._closed = True
        self._ask(_Flush(last=True))
        self._take(self._drained(), everything=True)
        with self._connected:
            self._disconnect()

    def __del__(self) -> None:
        # What is in memory stays readable as long as anyone could read it.
        connection: sqlite3.Connection | None = getattr(self, "_connection", None)
        if connection is not None:
            connection.close()

    def read(self, query: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Return what ``query`` makes of the connection; a damaged file is set aside and the query tried on a new one.

        Raises
        ------
        LedgerError
            The ledger can't be read.
        """
        with self._connected:
            try:
                return query(self._open())
            except sqlite3.DatabaseError as error:
                if not self._replaced(error):
                    raise LedgerError(f"The ledger {self._name} can't be read: {error}.") from error
                return query(self._open())
            finally:
                if self._closed:
                    self._disconnect()

    def _open(self) -> sqlite3.Connection:
        """Return the connection; after the writer was closed, one for the moment."""
        if self._connection is None:
            self._connection = open_ledger(self._path)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None and not in_memory(self._connection):
            self._connection.close()
            self._connection = None

    def _replaced(self, error: Exception) -> bool:
        """Put a new file in place of a damaged one; tell whether that was it."""
        if self._path is None or self._connection is None or not is_damage(error):
            return False
        self._disconnect()
        self._connection = replace_damaged(self._path, error)
        return True

    def _start(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        with self._starting:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="llmkit-ledger", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:
                    # The interpreter is ending; close() writes what is queued.
                    _logger.debug("The ledger's thread can't start any more")
                    self._thread = None

    def _ask(self, flush: _Flush) -> None:
        thread = self._thread
        if thread is None or not thread.is_alive():
            return
        self._queue.put(flush)
        while not flush.wait(1.0):
            if not thread.is_alive():
                return

    def _work(self) -> None:
        ending = False
        while not ending:
            tasks = self._drained(timeout=self._pause())
            flushes = [task for task in tasks if isinstance(task, _Flush)]
            try:
                self._take(tasks, everything=bool(flushes))
            except Exception as error:
                _logger.exception("Writing to the ledger %s failed", self._name)
                self._failed(error)
            for flush in flushes:
                ending = ending or flush.last
                flush.set()

    def _pause(self) -> float | None:
        """Return the seconds until there is something to do of itself; ``None`` is for ever."""
        times = list(self._due.values())
        if self._unsaved:
            times.append(self._retry_time)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _drained(self, timeout: float | None = 0.0) -> list[_Task]:
        """Return all tasks that are queued, having waited for one."""
        tasks: list[_Task] = []
        try:
            tasks.append(self._queue.get(timeout=timeout))
            while True:
                tasks.append(self._queue.get_nowait())
        except Empty:
            return tasks

    def _take(self, tasks: Iterable[_Task], *, everything: bool) -> None:
        now = time.monotonic()
        for task in tasks:
            if isinstance(task, tuple):
                recorder, urgent = task
                if urgent:
                    self._due[recorder] = now
                else:
                    self._due.setdefault(recorder, now + SAVE_INTERVAL)
        for recorder in [each for each, due in self._due.items() if everything or due <= now]:
            del self._due[recorder]
            self._unsaved[recorder] = None
        if self._unsaved and (everything or not self.failure or now >= self._retry_time):
            self._write()

    def _write(self) -> None:
        recorders = list(self._unsaved)
        for recorder in recorders:
            recorder.fold()
        # A run that hasn't begun has no row yet; its start will bring it back here.
        begun = [recorder for recorder in recorders if recorder.record.row]
        with self._connected:
            try:
                self._save(begun)
            except (sqlite3.OperationalError, LedgerError) as error:
                self._failed(error)
                return
        if self.failure:
            _logger.warning("The ledger %s can be written again", self._name)
        self.failure = None
        self._unsaved.clear()

    def _save(self, recorders: list[Entry]) -> None:
        try:
            save(self._open(), [recorder.record for recorder in recorders], self._name)
        except (sqlite3.OperationalError, LedgerError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, _save_each tells it of the record that it is of
            if self._replaced(error):
                for recorder in recorders:
                    recorder.record.key = None
            self._save_each(recorders)

    def _save_each(self, recorders: list[Entry]) -> None:
        """Save one by one, so that a record that can't be saved takes no other with it."""
        for recorder in recorders:
            try:
                save(self._open(), [recorder.record], self._name)
            except (sqlite3.OperationalError, LedgerError):
                raise
            except Exception:
                _logger.exception("%s couldn't be recorded", recorder.record.name)

    def _failed(self, error: Exception) -> None:
        if not self.failure:
            _logger.warning(
                "The ledger %s can't be written: %s. Runs go on; their records wait in memory until it can, "
                "and are lost if this process ends before",
                self._name,
                error,
            )
        self.failure = error
        self._retry_time = time.monotonic() + RETRY_INTERVAL
