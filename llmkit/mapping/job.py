"""A job: rows being asked, to be looked at while it goes and after."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any

from llmkit import waiting
from llmkit.background import loop_thread
from llmkit.cancellation import CancelToken
from llmkit.errors import Error, SessionClosed
from llmkit.mapping.answer import MAPPED, mapped_frame
from llmkit.mapping.feed import Feed
from llmkit.mapping.question import Questions
from llmkit.mapping.table import table_from
from llmkit.presenting import Displayed, presenter
from llmkit.records.columns import documented

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    import pandas as pd

    from llmkit.mapping.progress import Progress
    from llmkit.session import Session

_logger = logging.getLogger("llmkit")


class Job(Displayed):
    """Rows being asked; :meth:`llmkit.Session.map` makes it and returns at once.

    ``frame`` and ``await job`` wait for the end; ``frame_so_far`` doesn't. An interrupt while waiting stops the job.
    What it has answered by then is in the ledger: the same call again goes on from there.

    Attributes
    ----------
    id : str
        The job's id; its runs have it in their metadata, as ``"job"``.
    """

    def __init__(
        self, session: Session, frame: pd.DataFrame, template: Any, options: Mapping[str, Any], *, resume: bool = True
    ) -> None:
        self.id = secrets.token_hex(6)
        self._input = frame
        self._cancel = CancelToken()
        self._subscribers: list[Callable[[], None]] = []
        self._over = waiting.Signal()
        questions = Questions(session, frame, template, options, {"job": self.id})
        self._with_output = questions.output is not None
        self._feed = Feed(session, questions, self._cancel, self._tell, resume=resume)
        self.error: Error | None = None
        """What ended it before its time, if anything did: a model that can't be loaded, a session that was closed."""
        loop_thread().start(self._run)

    @property
    @documented(MAPPED)
    def frame(self) -> pd.DataFrame:
        """A row for each of the input, with its index; waits for the end.

        {columns}

        With ``output=`` there is a column ``output`` after the text; :meth:`llmkit.mapping.accessor.LLM.expand` makes
        columns of its fields.

        Raises
        ------
        Error
            What ended the job before its time; a row that went wrong only has its ``error``.
        """
        self.wait()
        if self.error is not None:
            raise self.error
        return self.frame_so_far

    @property
    def frame_so_far(self) -> pd.DataFrame:
        """The same as far as it is; doesn't wait and never raises."""
        return mapped_frame(list(self._feed.answers), self._input.index, with_output=self._with_output)

    @property
    def joined(self) -> pd.DataFrame:
        """The input with the columns of ``frame`` beside it; of two of one name the new one is called ``llm_…``."""
        import pandas as pd

        made = self.frame
        taken = {name: f"llm_{name}" for name in made.columns if name in self._input.columns}
        return pd.concat([self._input, made.rename(columns=taken)], axis=1)

    @property
    def progress(self) -> Progress:
        """How far it is: rows done, decoded, found in the ledger; rate and time left."""
        return self._feed.progress

    @property
    def status(self) -> str:
        """``running``, ``done``, ``cancelled`` or ``failed``; doesn't wait."""
        if not self._over.is_set():
            return "running"
        if self.error is not None:
            return "failed"
        return "cancelled" if self._cancel.cancelled and self.progress.done < self.progress.total else "done"

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, whatever it is; an interrupt stops the job.

        Parameters
        ----------
        timeout : float, optional
            Seconds at most.

        Returns
        -------
        bool
            Whether it has ended.
        """
        try:
            return waiting.wait(self._over, timeout)
        except KeyboardInterrupt:
            self.cancel("interrupted")
            raise

    def __await__(self) -> Generator[Any, None, pd.DataFrame]:
        """Wait for the end in any event loop and return the frame."""
        return self._ended().__await__()

    def cancel(self, reason: str = "cancelled by the caller") -> bool:
        """Stop it; rows that are answered stay so, and are in the ledger.

        Parameters
        ----------
        reason : str
            Kept in the record of the runs that were in flight.

        Returns
        -------
        bool
            Whether this call stopped it; ``False`` if it had ended or was being stopped already.
        """
        return not self._over.is_set() and self._cancel.cancel(reason)

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` now, whenever a row is settled, and at the end, on llmkit's event loop thread.

        Parameters
        ----------
        callback : Callable
            Must be quick and thread-safe. What it raises is logged, and the job goes on.
        """
        loop_thread().call(self._follow, callback)

    def show(self) -> None:
        """Show it where the user is: a bar, how far it is, and in the end the first rows."""
        presenter().show_job(self, asked=True)

    def __repr__(self) -> str:
        return f"<Job {self.id} · {self.status} · {self.progress}>"

    def _ipython_display_(self) -> None:
        if not presenter().shown_here(self):
            presenter().show_job(self, asked=False)

    async def _run(self) -> None:
        try:
            await self._feed.run()
        except Error as error:
            self.error = error
        except Exception as error:
            _logger.exception("A job failed unexpectedly.")
            self.error = Error(f"The job failed unexpectedly: {type(error).__name__}: {error}")
        finally:
            self._over.set()
            self._tell()

    async def _ended(self) -> pd.DataFrame:
        import asyncio

        try:
            await waiting.wait_async(self._over)
        except asyncio.CancelledError:
            self.cancel("interrupted")
            raise
        return self.frame

    def _follow(self, callback: Callable[[], None]) -> None:
        self._subscribers.append(callback)
        _call(callback)

    def _tell(self) -> None:
        for callback in tuple(self._subscribers):
            _call(callback)


def start_job(
    session: Session, data: Any, template: Any, options: Mapping[str, Any], *, resume: bool, show: bool | None
) -> Job:
    """Do what :meth:`llmkit.Session.map` says."""
    if session.closed:
        raise SessionClosed("The session was closed. Make a new one: llmkit.Session().")
    job = Job(session, table_from(data), template, options, resume=resume)
    if (session.shows if show is None else show) is not False:
        presenter().show_job(job, asked=show is True)
    return job


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:
        _logger.exception("A subscriber of a job failed; the job goes on.")
