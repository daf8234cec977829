"""Who writes a run, so that a later reader can tell whether that process still lives."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

CLOCK_TOLERANCE = 5.0
"""Seconds by which a process's start may seem to move when the system clock is set."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told from later ones with the same number by when it began.

    Parameters
    ----------
    host : str
        The machine's network name.
    pid : int
        The process's number.
    started : float
        Unix time of its start, in seconds.
    """

    host: str
    pid: int
    started: float

    def is_alive(self) -> bool:
        """Tell whether the process runs; only known for this machine's."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < CLOCK_TOLERANCE
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


def this_process() -> Process:
    """Return the process that calls."""
    return _process(os.getpid())


@cache
def _process(pid: int) -> Process:
    import psutil

    return Process(platform.node(), pid, psutil.Process(pid).create_time())


def dead_processes(connection: sqlite3.Connection) -> list[Process]:
    """Return this machine's processes that have died with a run still ``running``.

    Nothing is known of the processes of other machines: their runs stay as they are.
    """
    host = platform.node()
    rows = connection.execute(
        "SELECT DISTINCT pid, process_started FROM runs WHERE status = 'running' AND host = ?", (host,)
    ).fetchall()
    writers = [Process(host, pid, started) for pid, started in rows]
    return [process for process in writers if not process.is_alive()]


def mark_interrupted(connection: sqlite3.Connection, dead: Sequence[Process]) -> None:
    """Set the running runs of ``dead`` processes, and their pending tool calls, to ``interrupted``."""
    running = "status = 'running' AND host = ? AND pid = ? AND process_started = ?"
    writers = [(process.host, process.pid, process.started) for process in dead]
    connection.executemany(
        "UPDATE tool_calls SET outcome = 'interrupted'"  # noqa: S608 - nothing but the words above
        f" WHERE outcome = 'pending' AND run IN (SELECT key FROM runs WHERE {running})",
        writers,
    )
    connection.executemany(f"UPDATE runs SET status = 'interrupted' WHERE {running}", writers)  # noqa: S608
