"""One connection to an MCP server: a task that opens it, keeps it and closes it.

The SDK's contexts must be left by the task that entered them. So one task on the loop thread owns them all; calls run
in tasks of their own and only speak through the session that is open meanwhile.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import math
import os
import traceback
import weakref
from contextlib import asynccontextmanager
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from llmkit.background import loop_thread
from llmkit.errors import Error, RequestError, TimeoutError  # noqa: A004 - llmkit's own, which is a built-in one too
from llmkit.mcp.http import HTTPTransport
from llmkit.mcp.stdio import StdioTransport
from llmkit.tools.problems import shown
from llmkit.waiting import Signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio import CancelScope
    from mcp import Client
    from mcp.client._transport import TransportStreams
    from mcp_types import LoggingMessageNotificationParams

    from llmkit.mcp.endpoint import Endpoint

logger = logging.getLogger("llmkit.mcp")

CLOSING_TIME = 8.0
"""Seconds that a server has to end; a program is killed before."""

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "notice": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class Transport(Protocol):
    """What carries the messages; ``status`` is that of the last answer over HTTP, else 0."""

    status: int

    def streams(self) -> contextlib.AbstractAsyncContextManager[TransportStreams]:
        """Provide the SDK's streams to the server."""
        ...

    async def failure(self, cause: BaseException | None) -> Error:
        """Return why there is no connection."""
        ...

    async def told(self) -> str:
        """Return what there is to add to a message about it."""
        ...


class Connection:
    """One connection, used once.

    It is made and used on the loop thread; :meth:`close_soon` and :attr:`ended` are for any thread.

    Parameters
    ----------
    endpoint : Endpoint
        Where the server is.
    start_timeout : float
        Seconds it has to answer for the first time.

    Attributes
    ----------
    ended : Signal
        Set once everything is closed.
    error : Error or None
        Why it ended, or never began.
    tools_changed : bool
        Whether the server said that its tools did.
    """

    def __init__(self, endpoint: Endpoint, start_timeout: float) -> None:
        self.ended = Signal()
        self.error: Error | None = None
        self.tools_changed = False
        self.transport: Transport = HTTPTransport(endpoint) if endpoint.url else StdioTransport(endpoint)
        self._endpoint = endpoint
        self._start_timeout = start_timeout
        self._session: Client | None = None
        self._settled = asyncio.Event()
        self._over = asyncio.Event()
        self._scope: CancelScope | None = None
        self._closing = False
        _open.add(self)
        # In a context of its own, for it outlives the call that opens it.
        self._task = asyncio.get_running_loop().create_task(self._own(), name="llmkit-mcp", context=Context())

    @property
    def lost(self) -> bool:
        """Whether nothing more can be sent."""
        return self._over.is_set()

    async def session(self) -> Client:
        """Return the open session.

        Raises
        ------
        Error
            If there is none: the server can't be started, reached or understood, or took too long.
        """
        await self._settled.wait()
        if self._session is None:
            raise self.error or closed()
        return self._session

    async def failure(self) -> Error:
        """Wait until a lost connection has ended; return why it did."""
        await asyncio.wait({self._task}, timeout=CLOSING_TIME)
        return self.error or closed()

    async def close(self) -> None:
        """End the connection; calls in flight fail."""
        self._end()
        _, pending = await asyncio.wait({self._task}, timeout=CLOSING_TIME)
        if pending:
            logger.warning("The MCP server %s didn't end within %g s.", self._endpoint.label, CLOSING_TIME)

    def close_soon(self) -> None:
        """Have the connection end, without waiting for it; from any thread."""
        loop_thread().call(self._end)

    def _end(self) -> None:
        self._closing = True
        self._over.set()
        if self._session is None and self._scope is not None:
            self._scope.cancel()

    async def _own(self) -> None:
        """Open the connection, keep it until it is over, close it."""
        from anyio import CancelScope, current_time

        cause: BaseException | None = None
        try:
            with CancelScope(deadline=current_time() + self._start_timeout) as self._scope:
                if self._closing:
                    self._scope.cancel()
                async with self._client() as client:
                    self._scope.deadline = math.inf
                    self._session = client
                    self._settled.set()
                    await self._keep(client)
                    self._scope.deadline = current_time() + CLOSING_TIME
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises, told as our own
            cause = _innermost(error)
            logger.debug("The connection to %s broke: %s", self._endpoint.label, self._endpoint.redacted(repr(cause)))
        finally:
            await self._settle(cause)

    async def _settle(self, cause: BaseException | None) -> None:
        """Say that it is over and why."""
        self._over.set()
        if self._closing:
            self.error = closed()
        elif self._session is None and self._scope is not None and self._scope.cancelled_caught:
            self.error = TimeoutError(
                f"The MCP server {self._endpoint.label!r} didn't answer within {self._start_timeout:g} s; if it only "
                f"needs longer, pass start_timeout=….{await self.transport.told()}",
                limit="start",
            )
        else:
            self.error = await self.transport.failure(cause)
            told = "".join(traceback.format_exception(cause)) if cause else ""
            self.error.__cause__ = cause if self._endpoint.redacted(told) == told else None
        self._settled.set()
        self.ended.set()

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        from mcp import Client

        async with Client(
            cast("Any", self._watched()),
            logging_callback=self._log,
            log_level="info",
            message_handler=self._hear,
            cache=None,
        ) as client:
            yield client

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[TransportStreams]:
        async with self.transport.streams() as (reading, writing):
            yield cast("Any", _Watched(reading, self._over)), writing

    async def _keep(self, client: Client) -> None:
        """Wait until it is over, and hear of changed tools meanwhile."""
        from anyio import create_task_group

        async with create_task_group() as group:
            group.start_soon(self._listen, client)
            try:
                await self._over.wait()
            finally:
                self._over.set()  # also when the transport broke, which cancels this task
                group.cancel_scope.cancel()

    async def _listen(self, client: Client) -> None:
        """Ask to be told of changed tools, where servers tell only those who ask."""
        from mcp import MCPError
        from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost

        tools = client.server_capabilities.tools
        if tools is None or not tools.list_changed:
            return
        try:
            async with client.listen(tools_list_changed=True) as events:
                async for _ in events:
                    pass  # _hear() is told as well
        except ListenNotSupportedError:
            return  # an older server tells everybody
        except (MCPError, SubscriptionLost) as error:
            logger.debug("%s no longer tells of changed tools: %s", self._endpoint.label, type(error).__name__)

    async def _hear(self, message: object) -> None:
        from mcp_types import ToolListChangedNotification

        if isinstance(message, ToolListChangedNotification):
            self.tools_changed = True
            logger.info("The tools of %s have changed; refresh() reads them anew.", self._endpoint.label)

    async def _log(self, params: LoggingMessageNotificationParams) -> None:
        level = _LEVELS.get(params.level, logging.CRITICAL)
        logger.log(level, "%s: %s", self._endpoint.label, shown(params.data))


class _Watched:
    """The SDK's stream of what the server says, which also tells when that ends."""

    def __init__(self, stream: Any, over: asyncio.Event) -> None:
        self._stream = stream
        self._over = over

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __aiter__(self) -> _Watched:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._stream.__anext__()
        except Exception:  # its end, or its being closed
            self._over.set()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_reason: object) -> None:
        await self._stream.aclose()


def _innermost(error: BaseException) -> BaseException:
    """Return the first error within groups of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def closed() -> Error:
    """Return the error for using what was closed."""
    return RequestError(
        "The MCP server's tools were closed. Read a run's result before close() or the end of the with block."
    )


_open: weakref.WeakSet[Connection] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Have the programs that were started end before the interpreter does."""
    connections = [each for each in _open if not each.ended.is_set()]
    for each in connections:
        each.close_soon()
    for each in connections:
        each.ended.wait(CLOSING_TIME)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.clear)
