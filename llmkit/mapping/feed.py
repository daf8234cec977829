"""The queue of a job: asks row after row, so many at a time, and gathers what comes of them."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit.background import in_thread, loop_thread
from llmkit.cancellation import Stopped
from llmkit.errors import Error, QueueFull, QueueTimeout, RunCancelled, SessionClosed
from llmkit.events import Abort, End, Event, Failure
from llmkit.mapping.answer import NOTHING, RowAnswer, decoded_row, failed_row, recorded_row
from llmkit.mapping.progress import Progress
from llmkit.mapping.question import Question

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.cancellation import CancelToken
    from llmkit.mapping.question import Questions
    from llmkit.records.answers import RecordedAnswer
    from llmkit.run import Run
    from llmkit.session import Session

PART = 256
"""Rows that are made ready, and looked up in the ledger, at a time."""

AHEAD = 2
"""Runs in flight for each that decodes: with one waiting behind each, no place is ever empty."""

QUEUE_PAUSE = 0.1
"""Seconds until a row is asked again that found the session's queue full."""


class Feed:
    """Asks all rows of a job. All of it happens on the event loop thread, but for making rows ready.

    Parameters
    ----------
    session : Session
        Who is asked.
    questions : Questions
        What is asked.
    cancel : CancelToken
        Ends it early.
    told : Callable
        Called whenever a row is settled.
    resume : bool
        Whether answers that the ledger has are taken.

    Attributes
    ----------
    answers : list of RowAnswer
        What came of each row so far.
    """

    def __init__(
        self, session: Session, questions: Questions, cancel: CancelToken, told: Callable[[], None], *, resume: bool
    ) -> None:
        self.answers: list[RowAnswer] = [NOTHING] * questions.total
        self._session = session
        self._questions = questions
        self._cancel = cancel
        self._told = told
        self._resume = resume
        self._first: dict[str, int] = {}
        self._alike: dict[int, list[int]] = {}
        self._running: set[Run] = set()
        self._counts = dict.fromkeys(("decoded", "ledger", "same", "failed", "done"), 0)
        self._began: float | None = None
        self._ended: float | None = None
        self._failure: Error | None = None

    @property
    def progress(self) -> Progress:
        """How far it is; from any thread."""
        counts = self._counts
        until = time.perf_counter() if self._ended is None else self._ended
        return Progress(
            total=self._questions.total,
            decoded=counts["decoded"],
            recorded=counts["ledger"],
            same=counts["same"],
            failed=counts["failed"],
            done=counts["done"],
            elapsed=0.0 if self._began is None else until - self._began,
            over=self._ended is not None,
        )

    async def run(self) -> None:
        """Ask all rows; rows that aren't asked in the end say why.

        Raises
        ------
        Error
            If none can be asked any more: the model can't be loaded, the session was closed.
        """
        # On this thread, so that a run that is being started just now is among those that are stopped.
        self._cancel.on_cancel(lambda: loop_thread().call(self._stop))
        try:
            await self._ask_all()
        except Stopped:
            self._close(RunCancelled(f"The job was stopped before this row was answered: {self._cancel.cause}."))
        except Error as error:
            self._close(error)
            raise
        finally:
            self._ended = time.perf_counter()

    async def _ask_all(self) -> None:
        resident = self._session.resident(self._questions.model)
        await self._cancel.guard(resident.loaded())
        self._began = time.perf_counter()
        places = asyncio.Semaphore(AHEAD * resident.admission.places)
        tasks: set[asyncio.Task[None]] = set()
        try:
            for start in range(0, self._questions.total, PART):
                for question in await self._part(start, resident.engine_name):
                    await places.acquire()
                    task = asyncio.create_task(self._answer(question))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                    task.add_done_callback(lambda _: places.release())
        finally:
            await asyncio.gather(*tasks)
        if self._failure is not None:
            raise self._failure
        if self._cancel.cancelled:
            raise Stopped

    @property
    def _over(self) -> bool:
        return self._cancel.cancelled or self._failure is not None

    async def _part(self, start: int, engine: str) -> list[Question]:
        """Settle what can be settled without decoding, and return what can't."""
        if self._over:
            return []
        made = await in_thread(self._questions.part, start, start + PART)
        asked = [each for each in made if isinstance(each, Question)]
        marks = [each.fingerprint for each in asked if each.fingerprint not in self._first]
        found = await in_thread(lambda: self._session.ledger.answers(marks, engine=engine)) if self._resume else {}
        for each in made:
            if not isinstance(each, Question):
                self._settle(each[0], failed_row(each[1]))
        return [each for each in asked if not self._known(each, found)]

    def _known(self, question: Question, found: dict[str, RecordedAnswer]) -> bool:
        """Settle a row that needn't be decoded; tell whether it is one."""
        first = self._first.setdefault(question.fingerprint, question.position)
        if first != question.position:
            if self.answers[first] is NOTHING:
                self._alike.setdefault(first, []).append(question.position)
            else:
                self._settle(question.position, replace(self.answers[first], source="same"))
            return True
        answer = found.get(question.fingerprint)
        if answer is not None:
            self._settle(question.position, recorded_row(answer, self._questions.output))
        return answer is not None

    async def _answer(self, question: Question) -> None:
        """Ask about a row until it has its answer, or there will be none."""
        while not self._over:
            request = replace(question.request, run_id=secrets.token_hex(6))
            try:
                run = self._session.start(request, show=False)
            except SessionClosed as error:
                self._failure = self._failure or error
                return
            self._running.add(run)
            end = await _end_of(run)
            self._running.discard(run)
            if isinstance(end, Failure) and isinstance(end.error, QueueFull | QueueTimeout):
                await asyncio.sleep(QUEUE_PAUSE)
                continue
            if isinstance(end, Abort):
                if self._session.closed:
                    self._failure = SessionClosed("The session was closed before all rows were answered.")
                self._cancel.cancel(end.reason)
                return
            self._settle(question.position, decoded_row(run.id, end, self._questions.output))
            return

    def _settle(self, position: int, answer: RowAnswer) -> None:
        self.answers[position] = answer
        counts = self._counts
        counts["done"] += 1
        counts["failed"] += answer.error is not None
        if answer.source is not None:
            counts[answer.source] += 1
        for each in self._alike.pop(position, ()):
            self._settle(each, replace(answer, source="same"))
        self._told()

    def _close(self, error: Error) -> None:
        """Say of all rows that have no answer why they have none; they don't count as done."""
        nothing = failed_row(error)
        self.answers = [nothing if each is NOTHING else each for each in self.answers]

    def _stop(self) -> None:
        for run in tuple(self._running):
            run.cancel(str(self._cancel.cause))


async def _end_of(run: Run) -> End:
    ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()

    def take(event: Event) -> None:
        if isinstance(event, End) and not ended.done():
            ended.set_result(event)

    run.subscribe(take)
    return await ended
