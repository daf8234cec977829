"""The connection to one server, through the ``openai`` client: requests out, JSON values in, errors typed."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from llmkit.cancellation import Stopped
from llmkit.engines.remote.faults import Faults, bare
from llmkit.engines.remote.secret import hide
from llmkit.engines.remote.sse import DONE, EventDecoder
from llmkit.errors import EngineError, Error, RequestError, StreamError, ValidationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from openai import AsyncAPIResponse, AsyncOpenAI

    from llmkit.engines.remote.config import Remote
    from llmkit.engines.remote.secret import Secret

T = TypeVar("T")

_LARGEST_BODY: Final = 64 << 20
"""Bytes of an answer that comes whole."""

_DRAIN: Final = 0.1
"""Seconds to wait for the end of a stream after its last event, so that the connection can be used again."""

_GET_TIMEOUT: Final = 5.0
"""Seconds that a server may take to say what it is."""

_END: Final = object()


class Connection:
    """Speaks to one server. Used on one event loop.

    Parameters
    ----------
    remote : Remote
        The server.

    Attributes
    ----------
    faults : Faults
        Makes the errors.
    software : str
        What the server called itself in the ``Server`` header of its last answer.

    Raises
    ------
    EngineError
        If the ``openai`` package isn't installed.
    """

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._secrets = list(remote.secrets())
        self.faults = Faults(remote.host, self._secrets)
        self.software = ""
        self._client = _client(remote, self._note)
        self._absent = _absent(remote)

    async def get(self, path: str) -> Any:
        """Return what the server has at ``path``, as a JSON value, within seconds.

        Raises
        ------
        APIError, RequestError
            If it can't be had.
        """
        options: Any = {"timeout": _GET_TIMEOUT, "headers": self._absent}
        return await self._typed(self._client.get(path, cast_to=object, options=options), _GET_TIMEOUT)

    async def batches(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, Secret] | None = None
    ) -> AsyncGenerator[list[Any], None]:
        """Send ``body`` and yield what comes, the JSON values of each network read together; closing it disconnects.

        A server that doesn't stream gives one value.

        Raises
        ------
        APIError, ContextLengthError
            If the server answers with an error, at once or within the stream.
        RequestError
            If there is no connection, or none any more, or what comes is no answer.
        StreamError
            For a stream that can't be read.
        """
        self._secrets.extend(set((headers or {}).values()).difference(self._secrets))
        async with self._answer(path, body, headers or {}) as response:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "application/json" or kind.endswith("+json"):
                good, fault = self._good([self._json(response, await self._whole(response))], response)
                if fault is not None:
                    raise fault
                yield good
            elif kind.startswith(("text/html", "text/xml", "application/xml", "image/")):
                raise self.faults.no_answer(kind, (await self._whole(response)).decode("utf-8", "replace"))
            else:
                async with aclosing(self._events(response)) as events:
                    async for batch in events:
                        good, fault = self._good(batch, response)
                        yield good
                        if fault is not None:
                            del batch, good  # or a traceback that tells local variables would quote the server
                            raise fault

    async def close(self) -> None:
        """Close it."""
        await self._client.close()

    async def _note(self, response: Any) -> None:
        self.software = response.headers.get("server", "")

    async def _events(self, response: AsyncAPIResponse[Any]) -> AsyncGenerator[list[Any], None]:
        decoder = EventDecoder()
        async with aclosing(self._bytes(response)) as pieces:
            async for piece in pieces:
                batch, fault = self._decoded(decoder.feed(piece))
                if DONE in batch:
                    await _drain(pieces)
                if batch:
                    yield batch
                if fault is not None:
                    del piece, batch
                    raise fault
                if DONE in batch:
                    return
        batch, fault = self._decoded(decoder.finish())
        yield batch
        if fault is not None:
            del batch
            raise fault

    def _decoded(self, values: Iterator[Any]) -> tuple[list[Any], StreamError | None]:
        """Return the values up to the first that can't be read, and why it can't."""
        batch: list[Any] = []
        try:
            batch.extend(values)
        except StreamError as error:
            return batch, StreamError(self.faults.masked(error.message))
        return batch, None

    async def _whole(self, response: AsyncAPIResponse[Any]) -> bytes:
        body = bytearray()
        async with aclosing(self._bytes(response)) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > _LARGEST_BODY:
                    raise self.faults.no_answer("more than 64 MiB", body[:100].decode("utf-8", "replace"))
        return bytes(body)

    async def _bytes(self, response: AsyncAPIResponse[Any]) -> AsyncGenerator[bytes, None]:
        try:
            async for piece in response.iter_bytes():
                yield piece
        except Exception as error:  # noqa: BLE001 - the HTTP library's own, of which there are two
            raise self.faults.dropped(error, self._remote.timeout) from bare(error)

    def _json(self, response: AsyncAPIResponse[Any], body: bytes) -> Any:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            kind = response.headers.get("content-type", "")
            raise self.faults.no_answer(kind, body[:1000].decode("utf-8", "replace")) from None

    def _good(self, batch: list[Any], response: AsyncAPIResponse[Any]) -> tuple[list[Any], Error | None]:
        """Return the values up to the first that is an error, and that error."""
        for at, value in enumerate(batch):
            if isinstance(value, dict) and (value.get("error") or (not value.get("choices") and _is_error(value))):
                return batch[:at], self.faults.answered(None, value, response.headers)
        return batch, None

    @asynccontextmanager
    async def _answer(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, Secret]
    ) -> AsyncIterator[AsyncAPIResponse[Any]]:
        """Provide the answer to a request, its body not yet read."""
        request = _request(self._client, path, body, {**self._absent, **_revealed(headers)})
        response = await self._typed(request.__aenter__(), self._remote.timeout)
        try:
            yield response
        finally:
            await request.__aexit__(None, None, None)

    async def _typed(self, work: Awaitable[T], silence: float) -> T:
        """Await ``work`` and turn the client's errors into llmkit's; ``silence`` is how long the server may be silent.

        They are raised outside the handlers: an error's context would quote what the server said, keys included.
        """
        import openai

        fault: Error
        try:
            return await work
        except openai.APIStatusError as error:
            fault = self._status_error(error)
        except openai.APIConnectionError as error:
            fault = self._no_connection(error, silence)
            fault.__cause__ = bare(error)
        except (TypeError, ValueError) as error:
            why = hide(str(error), self._secrets)
            fault = ValidationError(f"The request can't be sent: {why}.", field="provider_options")
        raise fault

    def _status_error(self, error: Any) -> Error:
        response = error.response
        if 300 <= response.status_code < 400:
            return self.faults.redirected(response.status_code, response.headers.get("location", ""))
        try:
            body = json.loads(response.text)
        except (ValueError, RecursionError):
            body = response.text
        return self.faults.answered(response.status_code, body, response.headers)

    def _no_connection(self, error: Exception, timeout: float) -> RequestError:
        cause = error.__cause__
        if cause is None or type(cause).__name__ in {"ConnectError", "ConnectTimeout", "PoolTimeout"}:
            return self.faults.unreachable(error, min(timeout, self._remote.connect_timeout))
        return self.faults.dropped(error, timeout)


async def until(stopped: asyncio.Event, source: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Yield what ``source`` yields, until the event is set; ``source`` is closed at the end.

    Raises
    ------
    Stopped
        If the event was set before ``source`` ended.
    """
    halt = asyncio.ensure_future(stopped.wait())
    step: asyncio.Future[Any] | None = None
    try:
        while True:
            step = asyncio.ensure_future(_next(source))
            await asyncio.wait({step, halt}, return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                raise Stopped
            value = step.result()
            if value is _END:
                return
            yield value
    finally:
        halt.cancel()
        if step is not None and not step.done():
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
        await source.aclose()


def _is_error(value: dict[str, Any]) -> bool:
    return value.get("object") == "error" or "detail" in value


async def _next(source: AsyncGenerator[T, None]) -> T | object:
    return await anext(source, _END)


async def _drain(pieces: AsyncGenerator[bytes, None]) -> None:
    """Read on for a moment; what comes is of no interest, nor is how it ends."""
    try:
        async with asyncio.timeout(_DRAIN):
            async for _ in pieces:
                pass
    except (TimeoutError, Error):
        return


def _request(client: AsyncOpenAI, path: str, body: Mapping[str, Any], headers: Mapping[str, Any]) -> Any:
    """Return the context manager of a request's answer; nothing is sent before it is entered."""
    endpoint: Any = client.chat.completions if path == "/chat/completions" else client.completions
    fields = dict(body)
    own = {name: fields.pop(name) for name in ("model", "messages", "prompt", "stream") if name in fields}
    return endpoint.with_streaming_response.create(**own, extra_body=fields, extra_headers=headers)


def _client(remote: Remote, heard: Callable[[Any], Awaitable[None]]) -> AsyncOpenAI:
    try:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout
    except ImportError as error:
        raise EngineError(
            f"Models on servers need the openai package ({error}). Run: pip install 'openai>=1.58.1'"
        ) from error
    key = remote.key()
    timeout = Timeout(remote.timeout, connect=remote.connect_timeout)
    return AsyncOpenAI(
        api_key="none" if key is None else key.reveal(),
        base_url=remote.base_url,
        max_retries=0,
        timeout=timeout,
        default_headers={
            # A plain connection costs nothing to make anew. Kept, it holds one of the few threads of llama.cpp's server
            # for seconds, and servers drop it just when it is used again.
            **({} if remote.base_url.startswith("https:") else {"Connection": "close"}),
            **_revealed({**({} if key is None else {"X-API-Key": key}), **remote.hidden_headers}),
        },
        http_client=DefaultAsyncHttpxClient(timeout=timeout, follow_redirects=False, event_hooks={"response": [heard]}),
    )


def _absent(remote: Remote) -> dict[str, Any]:
    """Return the headers that the client would add and that this server isn't to have.

    What the client takes from OPENAI_… variables is meant for OpenAI's own server.
    """
    from openai import Omit

    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    custom = [line.partition(":")[0].strip() for line in lines if ":" in line]
    names = [] if remote.is_openai else ["OpenAI-Organization", "OpenAI-Project", *custom]
    names += ["Authorization"] if remote.key() is None else []
    given = {name.lower() for name in remote.headers}
    return {name: Omit() for name in names if name.lower() not in given}


def _revealed(headers: Mapping[str, Secret]) -> dict[str, str]:
    return {name: value.reveal() for name, value in headers.items()}
