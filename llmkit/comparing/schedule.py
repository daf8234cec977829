"""When cells are asked: as many at once as decode together, model after model, whatever else the session does."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING

from llmkit.asking import request_from
from llmkit.background import in_thread, loop_thread
from llmkit.comparing.prefix import SharedPrefixes
from llmkit.errors import EngineError, Error, QueueError, RunCancelled, ValidationError
from llmkit.events import End, Event, Failure
from llmkit.waiting import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llmkit.comparing.cell import Cell
    from llmkit.engines.base import Engine
    from llmkit.request import RunRequest
    from llmkit.run import Run
    from llmkit.session import Session

logger = logging.getLogger("llmkit")

LONGEST_TEXT = 500
"""Characters of a level's text that each run's metadata keeps; of a longer one it has the label."""

BEFORE_DECODING = frozenset({"start", "load", "queue", "step-start", "note", "retry"})
"""Events of a run whose prompt isn't being read yet."""

TRY_AGAIN = 0.1
"""Seconds after which a cell is asked again when the session's queue had no place for it."""


class Schedule:
    """Asks the cells of a comparison, in order. State changes on the event loop thread only.

    No more cells are asked at once than the model decodes together, so that hundreds of them neither fill the
    session's queue nor wait in it. The cells of one model come before those of the next.

    Parameters
    ----------
    session : Session
        Who is asked.
    comparison_id : str
        Goes into the metadata of each run.
    tell : Callable
        Called with a cell and its next event, or ``None`` when it begins anew or its error changed.
    """

    def __init__(self, session: Session, comparison_id: str, tell: Callable[[Cell, Event | None], None]) -> None:
        self._session = session
        self._id = comparison_id
        self._tell = tell
        self._context = copy_context()  # so that what tools print lands in the cell that compares
        self._waiting: deque[Cell] = deque()
        self._active: dict[int, Cell] = {}
        self._open: set[int] = set()
        self._asking: Cell | None = None
        self._prefixes = SharedPrefixes(())
        self._taken = asyncio.Event()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.over = Signal()
        """Set while all cells have ended."""

    def start(self, cells: Sequence[Cell]) -> None:
        """Begin to ask; returns at once. From any thread."""
        self._open = {cell.index for cell in cells}
        loop_thread().call(self._add, _by_model(cells))

    def rerun(self, cell: Cell) -> None:
        """Ask a cell again; returns at once. From any thread."""
        self.over.clear()
        loop_thread().call(self._rerun, cell)

    def cancel(self, cells: Iterable[Cell]) -> None:
        """Stop cells' runs and don't begin those that wait; returns at once. From any thread."""
        loop_thread().call(self._cancel, tuple(cells))

    # -- on the loop thread --------------------------------------------------------------------------------------

    def _add(self, cells: Sequence[Cell]) -> None:
        self._prefixes = SharedPrefixes(cells)
        self._waiting.extend(cells)
        self._wake()

    def _rerun(self, cell: Cell) -> None:
        if self._is_next(cell):
            return
        self._open.add(cell.index)
        run = cell.run
        cell.begin_anew()
        self._active.pop(cell.index, None)
        if run is not None:
            run.cancel("asked again")
        self._tell(cell, None)
        self._waiting.appendleft(cell)
        self._wake()

    def _cancel(self, cells: Sequence[Cell]) -> None:
        for cell in cells:
            if cell.run is not None:
                cell.run.cancel()
            elif cell.error is None:
                if cell in self._waiting:
                    self._waiting.remove(cell)
                self._fail(cell, RunCancelled("The cell was cancelled before it was asked."))

    def _wake(self) -> None:
        self._changed.set()
        if self._task is None or self._task.done():
            self._task = self._context.run(asyncio.get_running_loop().create_task, self._serve())

    async def _serve(self) -> None:
        """Ask those that wait, until none do."""
        while self._waiting:
            self._changed.clear()
            cell = self._next()
            if cell is None:
                await self._changed.wait()
            else:
                await self._ask(cell)

    def _is_next(self, cell: Cell) -> bool:
        return cell in self._waiting or cell is self._asking

    def _next(self) -> Cell | None:
        """Return the cell that is asked next; ``None`` if one has to end before."""
        asked = next(iter(self._active.values()), None)
        model = _model(self._waiting[0] if asked is None else asked)
        cell = next((each for each in self._waiting if _model(each) == model), None)
        if cell is None or len(self._active) >= self._places(cell):
            return None
        self._waiting.remove(cell)
        return cell

    def _places(self, cell: Cell) -> int:
        try:
            return self._session.resident(cell.options.get("model")).admission.places
        except Error:
            return 1  # asking will tell what is wrong

    async def _ask(self, cell: Cell) -> None:
        if cell.fault is not None:
            self._fail(cell, cell.fault)
            return
        self._active[cell.index] = self._asking = cell
        try:
            request = await self._request(cell)
            put = cell in self._prefixes and await self._prefixes.put(cell, await self._engine(request), self._request)
            run = self._session.start(request, show=False)
        except Error as error:
            self._fail(cell, error)
        except Exception as error:
            logger.exception("A cell couldn't be asked.")
            self._fail(cell, EngineError(f"It couldn't be asked: {type(error).__name__}: {error}"))
        else:
            if cell.error is None:
                self._taken.clear()
                cell.run = run
                run.subscribe(lambda event: self._take(cell, run, event))
                if put:
                    await self._taken.wait()
            else:
                run.cancel()  # the cell was cancelled meanwhile
        finally:
            self._asking = None

    async def _engine(self, request: RunRequest) -> Engine:
        return await self._session.resident(request.model).loaded()

    async def _request(self, cell: Cell) -> RunRequest:
        prompt, options = cell.messages, cell.options
        if prompt is None:
            raise ValidationError("The template couldn't be filled.", field="template")
        metadata = {**(options.pop("metadata", None) or {}), "comparison": self._note(cell)}
        # In a thread: what tools and outputs need is imported and compiled there.
        return await in_thread(request_from, self._session, prompt, {**options, "metadata": metadata})

    def _note(self, cell: Cell) -> dict[str, object]:
        levels = {name: _plain(value, cell.labels[name]) for name, value in cell.factors.items()}
        return {"id": self._id, "cell": cell.index, "factors": levels}

    def _take(self, cell: Cell, run: Run, event: Event) -> None:
        if cell.run is not run:
            return
        if isinstance(event, Failure) and isinstance(event.error, QueueError):
            self._postpone(cell)
            return
        if event.type not in BEFORE_DECODING:
            self._taken.set()
        cell.events.append(event)
        self._tell(cell, event)
        if isinstance(event, End):  # the run has ended only when all have heard of it
            asyncio.get_running_loop().call_soon(self._close, cell)

    def _postpone(self, cell: Cell) -> None:
        """Ask a cell again later: the session's queue limits aren't meant for it."""
        self._taken.set()
        cell.begin_anew()
        self._active.pop(cell.index, None)
        self._changed.set()
        self._tell(cell, None)

        def again() -> None:
            if cell.error is None and cell.run is None and not self._is_next(cell):
                self._waiting.appendleft(cell)
                self._wake()

        asyncio.get_running_loop().call_later(TRY_AGAIN, again)

    def _fail(self, cell: Cell, error: Error) -> None:
        cell.error = error
        self._tell(cell, None)
        self._close(cell)

    def _close(self, cell: Cell) -> None:
        self._active.pop(cell.index, None)
        self._open.discard(cell.index)
        self._changed.set()
        if not self._open:
            self._prefixes.close()
            self.over.set()


def _by_model(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells of the first model, then those of the second, each in order."""
    models = {name: place for place, name in enumerate(dict.fromkeys(_model(cell) for cell in cells))}
    return sorted(cells, key=lambda cell: models[_model(cell)])


def _model(cell: Cell) -> str:
    return str(cell.options.get("model"))


def _plain(value: object, label: str) -> object:
    """Return a level as the ledger keeps it: numbers and texts as they are, all else by its label."""
    plain = isinstance(value, int | float) or (isinstance(value, str) and len(value) <= LONGEST_TEXT)
    return value if plain else label
