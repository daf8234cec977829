"""A completion in flight: a run for each choice, and what comes of them."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from llmkit import waiting
from llmkit.background import loop_thread
from llmkit.cancellation import CancelToken
from llmkit.completions.choice import ChoiceInMaking
from llmkit.completions.completion import Completion, CompletionUsage
from llmkit.completions.continuing import Continued
from llmkit.engines.raw import abreast, choice_seed
from llmkit.errors import EngineError, Error, SessionClosed
from llmkit.events import End, Prefill, TextDelta, TokensDecoded
from llmkit.messages import Message
from llmkit.request import RunRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmkit.completions.completion import CompletionChoice
    from llmkit.completions.request import CompletionRequest
    from llmkit.engines.raw import Echo
    from llmkit.events import Event
    from llmkit.resident import Resident
    from llmkit.session import Session
    from llmkit.settings import Settings

FUNCTION_ID = "completions"
"""The ``function_id`` of the runs that continue prompts, in records and telemetry."""

logger = logging.getLogger("llmkit")


class Flight:
    """Has a completion's choices made, each by a run of the session's.

    As runs they wait for their turn, load the model, keep time limits, are tried again, recorded and cancelled like
    all others. No more of them are begun at once than the model has places.

    Parameters
    ----------
    session : Session
        Whose runs they are.
    request : CompletionRequest
        What is asked.
    stream : bool
        Whether pieces stream.

    Attributes
    ----------
    chunks : deque of Completion
        Pieces that nobody has taken yet.
    grown, over : Signal
        Set when there is a piece more, and when all is over.
    error : Error or None
        What it failed with.
    """

    def __init__(self, session: Session, request: CompletionRequest, *, stream: bool) -> None:
        self.request = request
        self.chunks: deque[Completion] = deque()
        self.grown = waiting.Signal()
        self.over = waiting.Signal()
        self.error: Error | None = None
        self._session = session
        self._stream = stream
        self._began = time.monotonic()
        self._cancel = CancelToken()
        asked = {"logprobs": request.settings.logprobs is not None, "stops": bool(request.settings.stop)}
        self._choices = [ChoiceInMaking(at, **asked, stream=stream) for at in range(len(request.choices))]

    def start(self) -> None:
        """Begin, in the background.

        Raises
        ------
        SessionClosed
            If the session was closed.
        """
        if self._session.closed:
            raise SessionClosed("The session was closed. Make a new one: llmkit.Session().")
        loop_thread().start(self._fly)

    def cancel(self, reason: str) -> None:
        """Stop all choices within a token; from any thread. Later calls change nothing."""
        self._cancel.cancel(reason)

    def completion(self) -> Completion:
        """Return what it came to, once it is over.

        Raises
        ------
        Error
            What it failed with; :class:`llmkit.RunCancelled` if it was cancelled.
        """
        if self.error is not None:
            raise self.error
        return self._completion([choice.whole for choice in self._choices], whole=True)

    async def _fly(self) -> None:
        try:
            places = self._session.resident(self.request.model).admission.places
            await abreast(self.request.choices, self._one, limit=places)
        except Error as error:
            self._fail(error)
        except Exception as error:
            logger.exception("A completion failed unexpectedly.")
            wrapped = EngineError(f"Something unforeseen went wrong: {type(error).__name__}: {error}")
            wrapped.__cause__ = error
            self._fail(wrapped)
        finally:
            self.over.set()
            self.grown.set()

    async def _one(self, index: int, read: Callable[[], None]) -> None:
        """Have one choice made."""
        if self._cancel.cancelled:
            return
        choice, ended = self._choices[index], asyncio.Event()
        remote = self._session.resident(self.request.model).engine_name == "remote"

        def take(event: Event) -> None:
            self._show(choice.take(event))
            if _has_read(event) or remote:
                read()
            if isinstance(event, End):
                ended.set()

        request = self._run_request(index)
        choice.run_id = request.run_id
        run = self._session.start(request, show=False, residents=partial(self._resident, index))
        forget = self._cancel.on_cancel(lambda: run.cancel(str(self._cancel.cause)))
        run.subscribe(take)
        await ended.wait()
        forget()
        if choice.error is not None:
            self._fail(choice.error)

    def _fail(self, error: Error) -> None:
        self.error = self.error or error
        self.cancel("another choice of the completion failed")

    def _resident(self, index: int, model: Any) -> Resident:
        """Return the model as the run of a choice sees it."""
        on_echo = partial(self._echo, self._choices[index]) if self.request.echo else None
        resident = self._session.resident(model)
        prompt = self.request.choices[index]
        return cast("Resident", Continued(resident, prompt, stream=self._stream, on_echo=on_echo))

    def _echo(self, choice: ChoiceInMaking, echo: Echo) -> None:
        self._show(choice.echo(echo))

    def _show(self, piece: CompletionChoice | None) -> None:
        if piece is not None and self._stream:
            self.chunks.append(self._completion([piece], whole=all(choice.ended for choice in self._choices)))
            self.grown.set()

    def _completion(self, choices: Iterable[CompletionChoice], *, whole: bool) -> Completion:
        request = self.request
        warnings = dict.fromkeys(words for choice in self._choices for words in choice.warnings)
        return Completion(
            id=request.id,
            created=request.created,
            model=request.model,
            choices=tuple(choices),
            usage=self._usage() if whole else None,
            warnings=tuple(warnings) if whole else (),
        )

    def _usage(self) -> CompletionUsage:
        firsts = [choice.usage for choice in self._choices[:: self.request.n]]
        prompt = _sum(usage.input_tokens for usage in firsts)
        written = _sum(choice.usage.output_tokens for choice in self._choices)
        total = None if prompt is None or written is None else prompt + written
        return CompletionUsage(prompt, written, total, _sum(usage.cache_read_tokens for usage in firsts))

    def _run_request(self, index: int) -> RunRequest:
        request, session = self.request, self._session
        seed = choice_seed(request.seed, index)
        prompt = request.choices[index]
        # The name tells it from a message to be answered.
        if isinstance(prompt, str):
            said = Message("user", prompt, name="prompt")
        else:
            said = Message("user", str(list(prompt)), name="token_ids")
        return RunRequest(
            run_id=secrets.token_hex(6),
            session_id=session.id,
            model=request.model,
            messages=(said,),
            settings=self._settings(seed),
            seed=seed,
            stream=self._stream,
            profiling=session.profiling,
            metadata={**request.metadata, "completion": request.id, "choice": index},
            callbacks=(session.callbacks,),
            function_id=FUNCTION_ID,
            headers=request.headers,
            provider_options=request.provider_options,
            include=("request",),
            output=request.output,
        )

    def _settings(self, seed: int) -> Settings:
        """Return a choice's settings: its own seed, and of the time limit what is left."""
        settings = self.request.settings
        changes: dict[str, Any] = {} if settings.seed is None else {"seed": seed}
        limits = settings.timeout
        if limits.total is not None:
            left = max(0.01, round(limits.total - (time.monotonic() - self._began), 2))
            changes["timeout"] = limits.model_copy(update={"total": left})
        return settings.merged(changes)


def _has_read(event: Event) -> bool:
    """Return whether an event tells that the prompt has been read."""
    if isinstance(event, Prefill):
        return event.done >= event.total
    return isinstance(event, TokensDecoded | TextDelta | End)


def _sum(counts: Iterable[int | None]) -> int | None:
    known = tuple(counts)
    return None if None in known else sum(count or 0 for count in known)
