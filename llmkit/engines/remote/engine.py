"""The engine: one model on one server."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from llmkit.background import loop_thread
from llmkit.cancellation import CancelToken, Stopped
from llmkit.engines.base import EngineInfo, Note
from llmkit.engines.decoder import Done
from llmkit.engines.raw import RawPiece
from llmkit.engines.remote.answer import Answer
from llmkit.engines.remote.body import chat_body, prompt_text, refused_field, text_body, without
from llmkit.engines.remote.connection import until
from llmkit.engines.remote.holding import holding_fields
from llmkit.engines.remote.outputs import refused_note, text_output_fields
from llmkit.engines.remote.raw import RawAnswers
from llmkit.engines.remote.secret import Secret
from llmkit.errors import APIError, EngineError, Error, StreamError, ValidationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

    from llmkit.caches import NamedCaches
    from llmkit.engines.base import Delta, EngineRequest
    from llmkit.engines.decoder import Token
    from llmkit.engines.raw import RawRequest
    from llmkit.engines.remote.body import Body
    from llmkit.engines.remote.config import Remote
    from llmkit.engines.remote.connection import Connection
    from llmkit.engines.remote.probe import Server
    from llmkit.engines.score import ScoreRequest

SLOTS = 256
"""Requests that may be under way at once; the server queues what it can't decode."""

_CLOSE_TIME = 10.0
_REPLACED = {
    "temperature": "The server refuses temperature; it decides by itself.",
    "top_p": "The server refuses top_p; it decides by itself.",
    "response_format": refused_note(),
}

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Taker(Protocol[T_co]):
    """Makes deltas of what a server sends; see :class:`llmkit.engines.remote.answer.Answer`."""

    @property
    def begun(self) -> bool:
        """Whether anything came, so that the request can't be sent again."""

    @property
    def announced(self) -> bool:
        """Whether the server said that it is over."""

    @property
    def stopped(self) -> bool:
        """Whether the rest isn't wanted."""

    def take(self, chunk: Any) -> Sequence[T_co]:
        """Take a chunk."""

    def finish(self) -> Sequence[T_co]:
        """Return what is left at the end."""

    def cancel(self) -> Sequence[T_co]:
        """Return what is left when nobody wants the rest."""

    def fail(self, error: Exception) -> Sequence[T_co]:
        """Return what is left when the rest can't be had."""


class RemoteEngine:
    """A model on a server; :func:`llmkit.engines.remote.source.connect` makes one.

    Its requests run on llmkit's event loop thread.

    Parameters
    ----------
    remote : Remote
        The server.
    connection : Connection
        To it.
    server : Server
        What it says of itself.
    """

    def __init__(self, remote: Remote, connection: Connection, server: Server) -> None:
        self.remote = remote
        self.server = server
        self._connection = connection
        self._closing = CancelToken()
        self._refused: dict[str, tuple[str, ...]] = {}

    @property
    def info(self) -> EngineInfo:
        """What is known of the model."""
        return EngineInfo("remote", self.remote.host, self.server.kind, self.server.context_length, SLOTS)

    @property
    def caches(self) -> NamedCaches:
        """There are none.

        Raises
        ------
        ValidationError
            Always.
        """
        raise _no_caches(self.remote)

    async def generate(self, request: EngineRequest, cancel: CancelToken) -> AsyncIterator[Delta]:
        """Answer a request; see :meth:`llmkit.engines.base.Engine.generate`.

        Errors before anything came are raised, so that the request can be sent again; later ones come in
        :class:`~llmkit.engines.decoder.Done`. Cancelling disconnects, which is how servers are told.
        """
        if request.cache is not None:
            raise _no_caches(self.remote)
        if request.beginning:
            raise ValidationError(
                f"{self.remote.host} can't go on from the midst of an answer: the servers' interface has no place for "
                "its beginning. Branch runs of a model that runs here (engine='llamacpp' or 'mlx').",
                field="beginning",
            )
        path, body = self._asked(request)
        for note in body.notes:
            yield Note(note)
        async with aclosing(self._answered(path, body, cancel, Answer.to(request))) as deltas:
            async for delta in deltas:
                yield self._masked(delta) if isinstance(delta, Done) else delta

    async def complete_raw(self, request: RawRequest, cancel: CancelToken) -> AsyncIterator[RawPiece]:
        """Continue texts or token ids.

        Raises
        ------
        llmkit.errors.Error
            For a request that can't be answered.
        """
        body = text_body(
            request.prompt,
            request.settings,
            self.server,
            options={**holding_fields(request.output, self.server), **self.remote.options, **request.fields},
            stream=request.stream,
        )
        body = replace(body, headers=_secret(request.headers))
        answers = RawAnswers(request)
        async with aclosing(self._answered("/completions", body, cancel, answers)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Note):
                    yield RawPiece(None, piece)
                else:
                    delta = piece.delta
                    yield RawPiece(piece.index, self._masked(delta)) if isinstance(delta, Done) else piece

    async def score(self, request: ScoreRequest, cancel: CancelToken) -> tuple[Token, ...]:
        """Score a text; see :meth:`llmkit.engines.base.Engine.score`."""
        from llmkit.engines.remote.score import scored

        return await scored(self.complete_raw, request, cancel, self.remote.host)

    def close(self) -> None:
        """End all requests and disconnect; blocks. A second call does nothing."""
        if self._closing.cancel("the model was unloaded"):
            loop_thread().start(self._connection.close).result(_CLOSE_TIME)

    def _masked(self, done: Done) -> Done:
        return replace(done, provider_data=self._connection.faults.masked(done.provider_data))

    def _asked(self, request: EngineRequest) -> tuple[str, Body]:
        options = {**self.remote.options, **request.provider_options}
        if self.remote.api == "chat":
            path, body = "/chat/completions", chat_body(request, self.server, options=options)
        else:
            text = prompt_text(request)
            held, notes = text_output_fields(request, self.server, options)
            options = {**held, **options}
            path, body = "/completions", text_body(text, request.settings, self.server, options=options, notes=notes)
        return path, replace(body, headers=_secret(request.headers))

    async def _answered(
        self, path: str, body: Body, cancel: CancelToken, answer: Taker[T]
    ) -> AsyncGenerator[T | Note, None]:
        """Yield what ``answer`` makes of what the server sends, up to its end."""
        async with aclosing(self._batches(path, body, cancel)) as batches:
            try:
                async for batch in batches:
                    for value in batch:
                        for delta in [value] if isinstance(value, Note) else answer.take(value):
                            yield delta
                    if answer.stopped:
                        break
                if not (answer.announced or answer.stopped):
                    raise self._connection.faults.ended()
                last = answer.finish()
            except Stopped:
                last = answer.cancel()
            except Error as error:
                if not answer.begun:
                    raise
                last = answer.fail(_broken_off(error))
        for delta in last:
            yield delta

    async def _batches(self, path: str, body: Body, cancel: CancelToken) -> AsyncGenerator[list[Any], None]:
        """Yield what the server sends, until ``cancel`` is thrown or the engine closed."""
        if self._closing.cancelled:
            raise EngineError(f"The connection to {self.remote.host} was closed. Ask again to open it anew.")
        if cancel.cancelled:
            raise Stopped
        loop = asyncio.get_running_loop()
        with cancel.event() as thrown:
            forget = self._closing.on_cancel(lambda: loop.call_soon_threadsafe(thrown.set))
            try:
                notes, first, rest = await self._opened(path, body, thrown)
                async with aclosing(rest):
                    yield [*notes, *first]
                    async for batch in rest:
                        yield batch
            finally:
                forget()

    async def _opened(
        self, path: str, body: Body, thrown: asyncio.Event
    ) -> tuple[list[Note], list[Any], AsyncGenerator[list[Any], None]]:
        """Send a request, again without what the server refuses; return the first of its answer and the rest."""
        refused = self._refused.get(path, ())
        while True:
            fields = without(body.fields, refused)
            batches = until(thrown, self._connection.batches(path, fields, body.headers))
            first: list[Any]
            try:
                first = await anext(batches, [])
            except APIError as error:
                name = refused_field(fields, error, body.chosen)
                if name is None:
                    raise
                refused = (*refused, name)
            else:
                # It may have been the one schema that the server couldn't read.
                self._refused[path] = tuple(name for name in refused if name != "response_format")
                return [Note(_REPLACED[name]) for name in refused if name in _REPLACED], first, batches


def _secret(headers: Mapping[str, str]) -> dict[str, Secret]:
    return {name: Secret(value, field=f"headers[{name!r}]") for name, value in headers.items()}


def _broken_off(error: Error) -> Error:
    """Return the error for an answer that began and can't be had to its end."""
    if isinstance(error, APIError | StreamError):
        return error
    broken = StreamError(f"The answer broke off: {error.message}")
    broken.__cause__ = error
    return broken


def _no_caches(remote: Remote) -> ValidationError:
    return ValidationError(
        f"{remote.host} keeps its KV caches itself, so there are no named ones: leave cache= out.", field="cache"
    )
