"""How a fetch tells its progress and learns that it was cancelled."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmkit.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT_INTERVAL: Final = 0.1


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """How far a fetch has come.

    Parameters
    ----------
    downloaded : int
        Bytes here so far, those of an earlier, interrupted fetch included.
    total : int, optional
        Bytes there will be; ``None`` is unknown.
    file : str
        The file that is being fetched.
    rate : float, optional
        Bytes per second since the first came; ``None`` while there's nothing to measure.
    """

    downloaded: int
    total: int | None
    file: str
    rate: float | None = None

    @property
    def percentage(self) -> float | None:
        """``downloaded`` of ``total``, 0 to 100; ``None`` is unknown."""
        if not self.total:
            return None
        return min(100.0, 100.0 * self.downloaded / self.total)


class Watch:
    """The two-way link to whoever asked for the fetch: progress goes out, cancelling comes in.

    Parameters
    ----------
    progress : callable, optional
        Gets a :class:`FetchProgress` at most ten times a second, and one at the end of each file.
    cancelled : callable, optional
        The fetch ends as soon as it returns true.
    total : int, optional
        Bytes of all files together.
    """

    def __init__(
        self,
        progress: Callable[[FetchProgress], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        total: int | None = None,
    ) -> None:
        self.total = total
        self.finished = 0
        self._progress = progress
        self._cancelled = cancelled
        self._received = 0
        self._started: float | None = None
        self._reported = 0.0

    def received(self, count: int, file: str, downloaded: int) -> None:
        """Note ``count`` new bytes of ``file``, of which ``downloaded`` are now here."""
        self.check()
        if self._started is None:
            self._started = time.monotonic()
        else:
            self._received += count
        if time.monotonic() - self._reported >= REPORT_INTERVAL:
            self._report(file, downloaded)

    def file_done(self, file: str, size: int) -> None:
        """Note that ``file`` is complete."""
        self._report(file, size)
        self.finished += size

    def check(self) -> None:
        """End the fetch if it was cancelled.

        Raises
        ------
        FetchError
            With the code ``"cancelled"``.
        """
        if self._cancelled is not None and self._cancelled():
            error = FetchError("The fetch was cancelled. Fetch again to go on from here.")
            error.code = "cancelled"
            raise error

    def pause(self, duration: float) -> None:
        """Wait ``duration`` seconds, unless the fetch is cancelled meanwhile."""
        end = time.monotonic() + duration
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, REPORT_INTERVAL))

    def _report(self, file: str, downloaded: int) -> None:
        self._reported = time.monotonic()
        elapsed = self._reported - self._started if self._started is not None else 0.0
        rate = self._received / elapsed if self._received and elapsed > 0 else None
        if self._progress is not None:
            self._progress(FetchProgress(self.finished + downloaded, self.total, file, rate))
