"""A cell: one place in a comparison, and the run that is there now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.errors import RunCancelled

if TYPE_CHECKING:
    from llmkit.comparing.design import Point
    from llmkit.comparing.schedule import Schedule
    from llmkit.errors import Error
    from llmkit.events import Event
    from llmkit.messages import Prompt
    from llmkit.run import Run


class Cell:
    """One place in a comparison.

    Attributes
    ----------
    index : int
        Its number, in the order of the factors' product.
    factors : dict
        The level of each factor here, by the factor's name.
    labels : dict of str to str
        Short texts of these levels. They are the user's data, and may hold anything.
    run : Run or None
        The present run; ``None`` while it waits to be asked, and when it couldn't be.
    error : Error or None
        Why it couldn't be asked, or :class:`llmkit.RunCancelled` if that was called off. What went wrong in its run,
        the run tells.
    events : list of Event
        What has happened in its run so far.
    """

    def __init__(self, index: int, point: Point, schedule: Schedule) -> None:
        self.index = index
        self.factors: dict[str, Any] = {name: level.value for name, level in point.levels.items()}
        self.labels: dict[str, str] = {name: level.label for name, level in point.levels.items()}
        self.run: Run | None = None
        self.error: Error | None = None
        self.events: list[Event] = []
        self._point = point
        self._schedule = schedule

    @property
    def prompt(self) -> str:
        """What is asked, as text to show; of a conversation the last message."""
        return self._point.text

    @property
    def messages(self) -> Prompt | None:
        """What is asked; ``None`` if the template couldn't be filled."""
        return self._point.prompt

    @property
    def fault(self) -> Error | None:
        """Why the template couldn't be filled here."""
        return self._point.error

    @property
    def options(self) -> dict[str, Any]:
        """With what it is asked: model, system message, settings, as :meth:`llmkit.Session.complete` takes them."""
        return dict(self._point.options)

    @property
    def row(self) -> int | None:
        """The number of the data's row that filled the template."""
        return self._point.row

    @property
    def ended(self) -> bool:
        """Whether its run has ended, or there won't be one; doesn't wait."""
        return self.error is not None or (self.run is not None and self.run.ended)

    @property
    def status(self) -> str:
        """``waiting`` to be asked, ``failed``, ``cancelled``, or what its run does; doesn't wait."""
        if self.error is not None:
            return "cancelled" if isinstance(self.error, RunCancelled) else "failed"
        return "waiting" if self.run is None else self.run.status

    @property
    def text(self) -> str:
        """The text so far; doesn't wait and never raises."""
        return "" if self.run is None else self.run.text_so_far

    def begin_anew(self) -> None:
        """Forget the present run. The schedule's own."""
        self.run, self.error, self.events = None, None, []

    def rerun(self) -> None:
        """Ask again: a new run takes the place of the present one, which is stopped. Returns at once."""
        self._schedule.rerun(self)

    def cancel(self) -> None:
        """Stop its run, or don't begin it. Returns at once."""
        self._schedule.cancel((self,))

    def __repr__(self) -> str:
        where = " · ".join(f"{name}={label}" for name, label in self.labels.items())
        said = self.run if self.run is not None else self.error if self.error is not None else "waiting"
        return f"<Cell {self.index}{' · ' if where else ''}{where}: {said!r}>"
