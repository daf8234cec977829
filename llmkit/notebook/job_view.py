"""The progress of a job that maps rows, wherever the user is."""

from __future__ import annotations

import atexit
import contextvars
import sys
import threading
from typing import TYPE_CHECKING, Any

from llmkit.notebook.budget import BUDGET
from llmkit.notebook.load_view import line, picture
from llmkit.notebook.output import display_data
from llmkit.terminal import printable

if TYPE_CHECKING:
    from llmkit.mapping.job import Job

INTERVAL = 0.2
"""Seconds between two pictures of the bar."""

PREVIEW = 5
"""Rows that are shown in the end."""

SHOWN = ("text", "output", "error", "source")
"""Columns that are shown of them, where something is in them."""

_STATES = {"done": ("done", ""), "cancelled": ("failed", "Stopped: "), "failed": ("failed", "Failed: ")}


class LiveJob:
    """A bar in the cell's output, in whose place the first rows come at the end.

    Parameters
    ----------
    job : Job
        The job, running or ended.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._context = contextvars.copy_context()
        self._handle = display_data(job_bar(job), display_id=True)
        self._channel = BUDGET.channel(lambda: self._context.run(self._draw), INTERVAL)
        job.subscribe(self._take)

    def _take(self) -> None:
        if self._job.wait(0):
            # In a thread: the rows take their time to draw, and this is the event loop's.
            threading.Thread(target=self._channel.close, name="llmkit-static", daemon=True).start()
        else:
            self._channel.mark()

    def _draw(self) -> None:
        ended = self._job.wait(0)
        self._handle.update(job_end(self._job) if ended else job_bar(self._job), raw=True)


class TerminalJob:
    """A bar on stderr while it goes on, if that is a terminal, and a line at the end.

    Parameters
    ----------
    job : Job
        The job, running or ended.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._bar: Any = None
        self._said = threading.Event()
        atexit.register(self.wait)
        job.subscribe(self._take)

    def wait(self) -> None:
        """Return when the job has ended and that is printed."""
        self._job.wait()
        self._said.wait(INTERVAL)

    def _take(self) -> None:
        if self._said.is_set():
            return
        if not self._job.wait(0):
            if sys.stderr.isatty():
                self._draw()
            return
        if self._bar is not None:
            self._bar.close()
        self._said.set()
        atexit.unregister(self.wait)
        _, words = _ending(self._job)
        sys.stderr.write(f"{printable(words)}\n")
        sys.stderr.flush()

    def _draw(self) -> None:
        progress = self._job.progress
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(desc="Mapping", total=progress.total, unit=" rows", leave=False, file=sys.stderr)
        self._bar.update(progress.done - self._bar.n)


def job_bar(job: Job) -> dict[str, str]:
    """Return a picture of a job's progress as a MIME bundle."""
    progress = job.progress
    return picture(f"Mapping · {progress}", 100 * progress.done / progress.total if progress.total else None)


def job_end(job: Job) -> dict[str, str]:
    """Return what came of a job as a MIME bundle: a line, and the first rows."""
    import pandas as pd

    state, words = _ending(job)
    shown = line(state, words)
    frame = job.frame_so_far
    frame = frame[[name for name in SHOWN if name in frame]].dropna(axis="columns", how="all").head(PREVIEW)
    with pd.option_context("display.max_colwidth", 80, "display.width", 120):
        # pandas escapes what it shows as HTML, and in plain text line ends only.
        table = frame.to_html(border=0, notebook=True)
        plain = printable(str(frame))
    # Jupyter typesets what stands between two dollar signs, unless a class forbids it.
    html = f'{shown["text/html"]}<div class="tex2jax_ignore mathjax_ignore">{table}</div>'
    return {"text/plain": f"{shown['text/plain']}\n{plain}", "text/html": html}


def _ending(job: Job) -> tuple[str, str]:
    state, prefix = _STATES[job.status]
    why = f"{type(job.error).__name__}: {job.error.message} " if job.error is not None else ""
    return state, f"{prefix}{why}{job.progress}"
