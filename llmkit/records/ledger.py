"""The ledger: every run, on disk, as rows."""

from __future__ import annotations

import atexit
import logging
import os
import sqlite3
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from llmkit.records.answers import recorded_answers, recorded_run
from llmkit.records.columns import APPROVALS, RUNS, STEPS, TOKENS, TOOL_CALLS, VOTES, documented
from llmkit.records.database import LedgerWarning, transaction
from llmkit.records.frames import (
    approvals_frame,
    runs_frame,
    steps_frame,
    tokens_frame,
    tool_calls_frame,
    votes_frame,
)
from llmkit.records.image import images_missing, make_images
from llmkit.records.process import dead_processes, mark_interrupted
from llmkit.records.recorder import Recorder
from llmkit.records.schema import check_version
from llmkit.records.selection import Selection
from llmkit.records.votes import VoteEntry
from llmkit.records.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from llmkit.events import Event
    from llmkit.records.answers import RecordedAnswer, RecordedRun
    from llmkit.records.selection import Since
    from llmkit.records.votes import Vote

_Result = TypeVar("_Result")

_logger = logging.getLogger("llmkit")
_open_ledgers: set[Ledger] = set()


@atexit.register
def _close_all() -> None:
    """Close the ledgers when the interpreter exits: after the sessions, which end their runs first."""
    for ledger in tuple(_open_ledgers):
        ledger.close()


def ledger_path(path: Path | str | None = None) -> Path | None:
    """Return the absolute path of the ledger that ``path`` names; ``None`` is in memory.

    Without a path it is what ``LLMKIT_LEDGER`` says, else ``ledger.sqlite3`` in the user's data folder.
    """
    if path is None:
        path = os.environ.get("LLMKIT_LEDGER") or None
    if path is None:
        from platformdirs import user_data_path

        return user_data_path("llmkit", appauthor=False) / "ledger.sqlite3"
    return None if str(path) == ":memory:" else Path(path).expanduser().absolute()


class Ledger:
    """All runs of all sessions, in an SQLite file.

    Processes may share a file. What a run leaves is on disk a moment after it ended, its text so far every second.
    When the disk is full or a file can't be written, runs go on and their records wait in memory; a damaged file is
    set aside under another name and a new one begun. Both give a :class:`LedgerWarning`.

    Parameters
    ----------
    path : Path or str, optional
        The file, made if there is none; ``":memory:"`` keeps nothing. By default what the environment variable
        ``LLMKIT_LEDGER`` says, else ``ledger.sqlite3`` in the user's data folder.

    Raises
    ------
    LedgerError
        The file is of a newer llmkit, another program's database, or a folder.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = ledger_path(path)
        self._writer = Writer(self.path)
        _open_ledgers.add(self)

    def __repr__(self) -> str:
        return f"Ledger({str(self.path or ':memory:')!r})"

    def recorder(self) -> Callable[[Event], None]:
        """Return what takes the events of one run, from any one thread; each costs about a microsecond."""
        return Recorder(self._writer.submit)

    def vote(self, vote: Vote) -> None:
        """Record a vote; returns at once, and it is on disk a moment later."""
        self._writer.submit(VoteEntry(vote), True)

    def flush(self) -> None:
        """Return when all that was recorded is on disk. If it can't be, a :class:`LedgerWarning` says why."""
        self._writer.flush()
        if self._writer.failure:
            warnings.warn(
                f"{self._writer.unsaved} runs aren't in the ledger {self.path or 'in memory'} yet: "
                f"{self._writer.failure}. They wait in memory until it can be written.",
                LedgerWarning,
                stacklevel=2,
            )

    def close(self) -> None:
        """Write all, close the file. A second call does nothing.

        Runs go on, but what they do isn't recorded any more. Reading still works.
        """
        _open_ledgers.discard(self)
        self._writer.close()
        if self._writer.failure and self._writer.unsaved:
            lost, self._writer.failure = self._writer.failure, None
            warnings.warn(
                f"{self._writer.unsaved} runs couldn't be written to the ledger {self.path or 'in memory'} "
                f"and are lost: {lost}.",
                LedgerWarning,
                stacklevel=2,
            )

    @documented(RUNS)
    def runs(
        self,
        session_id: str | None = None,
        *,
        model: str | None = None,
        since: Since | None = None,
        status: str | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Return a row a run, in the order in which they began; all that this process recorded is in it.

        {columns}

        Parameters
        ----------
        session_id, model : str, optional
            Only the runs of these.
        since : str, datetime or timedelta, optional
            Only runs begun at that time or later: an ISO date or time (local unless it says otherwise), or so long ago.
        status : str, optional
            Only ``running``, ``done``, ``cancelled``, ``failed`` or ``interrupted`` ones. A run is interrupted if its
            process died in the middle of it.
        limit : int, optional
            Only the latest so many.

        Raises
        ------
        LedgerError
            The ledger can't be read.
        ValidationError
            A condition that can't be used; names the argument.
        """
        wanted = Selection(session_id=session_id, model=model, since=since, status=status, limit=limit)
        return self._frame(runs_frame, wanted)

    @documented(STEPS)
    def steps(
        self, session_id: str | None = None, *, run_id: str | None = None, limit: int | None = None
    ) -> pd.DataFrame:
        """Return a row a step.

        {columns}

        Parameters
        ----------
        session_id, run_id : str, optional
            Only the steps of these.
        limit : int, optional
            Only the latest so many.

        Raises
        ------
        LedgerError
            The ledger can't be read.
        """
        return self._frame(steps_frame, Selection(session_id=session_id, run_id=run_id, limit=limit))

    @documented(TOOL_CALLS)
    def tool_calls(
        self, session_id: str | None = None, *, run_id: str | None = None, limit: int | None = None
    ) -> pd.DataFrame:
        """Return a row a tool call, and one for each of the words that were meant as a call but are none.

        {columns}

        Parameters
        ----------
        session_id, run_id : str, optional
            Only the calls of these.
        limit : int, optional
            Only the latest so many.

        Raises
        ------
        LedgerError
            The ledger can't be read.
        """
        return self._frame(tool_calls_frame, Selection(session_id=session_id, run_id=run_id, limit=limit))

    @documented(APPROVALS)
    def approvals(
        self, session_id: str | None = None, *, run_id: str | None = None, limit: int | None = None
    ) -> pd.DataFrame:
        """Return a row a decision on a tool call, also one that took no effect, and one for each open request.

        {columns}

        Parameters
        ----------
        session_id, run_id : str, optional
            Only the decisions of these.
        limit : int, optional
            Only the latest so many.

        Raises
        ------
        LedgerError
            The ledger can't be read.
        """
        return self._frame(approvals_frame, Selection(session_id=session_id, run_id=run_id, limit=limit))

    @documented(TOKENS)
    def tokens(self, run_id: str, *, session_id: str | None = None) -> pd.DataFrame:
        """Return a row a token of a run; none if it wasn't asked for log-probabilities.

        {columns}

        Parameters
        ----------
        run_id : str
            The run's id.
        session_id : str, optional
            The session's id, where two have runs of the same id.

        Raises
        ------
        LedgerError
            The ledger can't be read.
        """
        return self._frame(tokens_frame, Selection(run_id=run_id, session_id=session_id))

    @documented(VOTES)
    def votes(self, comparison_id: str | None = None, *, session_id: str | None = None) -> pd.DataFrame:
        """Return a row a vote on two cells of a comparison, in the order in which they were cast.

        {columns}

        Parameters
        ----------
        comparison_id, session_id : str, optional
            Only the votes on this comparison; of this session.

        Raises
        ------
        LedgerError
            The ledger can't be read.
        """
        return self._read(
            lambda connection: votes_frame(connection, comparison_id=comparison_id, session_id=session_id)
        )

    def answers(self, fingerprints: Sequence[str], *, engine: str) -> dict[str, RecordedAnswer]:
        """Return by fingerprint the first answer that an engine gave, where one is done.

        Parameters
        ----------
        fingerprints : sequence of str
            Those of requests (:func:`llmkit.fingerprint.fingerprint`).
        engine : str
            The engine's name.

        Raises
        ------
        LedgerError
            The ledger can't be read.
        """
        return self._read(lambda connection: recorded_answers(connection, fingerprints, engine))

    def run(self, run_id: str) -> RecordedRun | None:
        """Return what is recorded of a run, of several of that id the last; ``None`` if there is none.

        Raises
        ------
        LedgerError
            The ledger can't be read.
        """
        return self._read(lambda connection: recorded_run(connection, run_id))

    def _frame(
        self, frame: Callable[[sqlite3.Connection, Selection], pd.DataFrame], selection: Selection
    ) -> pd.DataFrame:
        return self._read(lambda connection: frame(connection, selection))

    def _read(self, query: Callable[[sqlite3.Connection], _Result]) -> _Result:
        self.flush()

        def prepared(connection: sqlite3.Connection) -> _Result:
            check_version(connection, str(self.path))
            _bring_up_to_date(connection)
            return query(connection)

        return self._writer.read(prepared)


def open_ledger_at(path: Path | None) -> Ledger | None:
    """Return a ledger of this process that is open at ``path``; ``None`` if there is none."""
    return next((ledger for ledger in _open_ledgers if ledger.path == path), None)


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Mark what dead processes left running, and make images for rows that others put in or changed."""
    dead, imageless = dead_processes(connection), images_missing(connection)
    if not (dead or imageless):
        return
    try:
        with transaction(connection):
            mark_interrupted(connection, dead)
            make_images(connection)
    except sqlite3.OperationalError as error:
        if imageless:
            raise
        _logger.warning("Runs of dead processes couldn't be marked interrupted: %s", error)
