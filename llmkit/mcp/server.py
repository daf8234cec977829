"""An MCP server as llmkit's tools see it: connected when needed, asked for its tools, called."""

from __future__ import annotations

import asyncio
import builtins
import weakref
from typing import TYPE_CHECKING, Any

from llmkit.errors import APIError, Error, RequestError, TimeoutError  # noqa: A004 - llmkit's own, a built-in one too
from llmkit.mcp.connection import Connection, closed
from llmkit.mcp.content import value_of, visible
from llmkit.mcp.http import code_of
from llmkit.tools.problems import shown

if TYPE_CHECKING:
    from mcp import Client
    from mcp.shared.dispatcher import ProgressFnT
    from mcp_types import Tool as ServerTool

    from llmkit.mcp.endpoint import Endpoint

_MOST_PAGES = 100
_INVALID_REQUEST = -32600  # this and the others: JSON-RPC 2.0, section 5.1
_CODES = {_INVALID_REQUEST: "invalid_request", -32601: "not_found", -32602: "invalid_request"}


class Server:
    """A server. Made in any thread; its coroutines run on the loop thread.

    A lost connection is opened anew for the next call. A call that was under way is not repeated, for nobody knows
    whether it was carried out. When nothing refers to the server any more, its connection is closed.

    Parameters
    ----------
    endpoint : Endpoint
        Where it is.
    start_timeout : float
        Seconds it has to answer for the first time, and to list its tools.

    Attributes
    ----------
    name, version : str
        What it calls itself; before it has, a name for its endpoint.
    """

    def __init__(self, endpoint: Endpoint, start_timeout: float) -> None:
        self.name = endpoint.label
        self.version = ""
        self.closed = False
        self._endpoint = endpoint
        self._start_timeout = start_timeout
        self._connection: Connection | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connection is not None and not self._connection.lost

    @property
    def tools_changed(self) -> bool:
        """Whether the server has said that its tools changed since they were last listed."""
        return self._connection is not None and self._connection.tools_changed

    async def close(self) -> None:
        """End the connection, for good."""
        self.closed = True
        if self._connection is not None:
            await self._connection.close()

    async def tools(self) -> list[ServerTool]:
        """Return all tools that the server offers now.

        Raises
        ------
        Error
            If it can't be connected to, or doesn't tell.
        """
        connection, session = await self._connected()
        connection.tools_changed = False
        try:
            async with asyncio.timeout(self._start_timeout):
                return await _all_tools(session)
        except builtins.TimeoutError:
            failure: Error = TimeoutError(
                f"The MCP server {self.name!r} didn't list its tools within {self._start_timeout:g} s.", limit="start"
            )
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises, told as our own
            failure = await self._failure(error, connection, "list its tools")
        raise failure

    async def call(self, tool: str, arguments: dict[str, Any], report: ProgressFnT) -> Any:
        """Return what a tool answers; cancelling this cancels the call on the server.

        Parameters
        ----------
        tool : str
            The server's own name for it.
        arguments : dict
            JSON values.
        report : Callable
            Awaited with every progress: how far, of how much if known, and a message.

        Raises
        ------
        Error
            If there is no connection, it breaks, or the answer is an error.
        """

        async def ask(session: Client) -> Any:
            return value_of(await session.call_tool(tool, arguments, progress_callback=report), tool)

        connection, session = await self._connected()
        try:
            try:
                return await ask(session)
            except Exception as error:
                if not _expired(error, connection):
                    raise
            connection, session = await self._reconnected(connection)
            return await ask(session)
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises, told as our own
            failure = await self._failure(error, connection, f"run {shown(tool)}")
        raise failure

    async def _reconnected(self, expired: Connection) -> tuple[Connection, Client]:
        if self._connection is expired:
            self._connection = None
        try:
            return await self._connected()
        finally:
            expired.close_soon()

    async def _connected(self) -> tuple[Connection, Client]:
        """Return the connection and its session, both made anew if they are lost."""
        if self.closed:
            raise closed()
        if self._connection is None or self._connection.lost:
            if self._finalizer is not None:
                self._finalizer.detach()
            self._connection = Connection(self._endpoint, self._start_timeout)
            self._finalizer = weakref.finalize(self, self._connection.close_soon)
            self._finalizer.atexit = False  # connections see to that themselves
        connection = self._connection
        session = await connection.session()
        if session.server_info is not None:
            self.name = visible(session.server_info.name)[:80] or self.name
            self.version = visible(session.server_info.version)[:40]
        return connection, session

    async def _failure(self, error: Exception, connection: Connection, task: str) -> Error:
        """Return what went wrong, as one of llmkit's errors."""
        from mcp import MCPError

        if isinstance(error, Error):
            return error
        if connection.lost:
            return self._broken(await connection.failure(), task)
        told = visible(self._endpoint.redacted(str(error)))[:2000]
        if isinstance(error, MCPError):
            status = connection.transport.status if connection.transport.status >= 400 else None
            told += f" (status {status})" if status else ""
            code = _CODES.get(error.code) or (code_of(status) if status else "server_error")
            message = f"The MCP server {self.name!r} refused to {task}: {told}"
            return APIError(message, status=status, code=code, details=error.data)
        return APIError(f"The MCP server {self.name!r} was to {task}; what it answered can't be used: {told}")

    def _broken(self, why: Error, task: str) -> Error:
        if self.closed:
            return why
        broken = RequestError(
            f"The connection to the MCP server {self.name!r} broke while it was to {task}; whether it did isn't known, "
            f"and the next call connects anew. {why.message}"
        )
        broken.__cause__ = why
        return broken


async def _all_tools(session: Client) -> list[ServerTool]:
    found: list[ServerTool] = []
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        page = await session.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            return found
    raise APIError(f"The MCP server's list of tools has more than {_MOST_PAGES} pages.")


def _expired(error: Exception, connection: Connection) -> bool:
    """Whether a server that was started anew no longer knows our session; then the call was surely not carried out.

    Such a server answers with status 404 (2025-11-25, basic/transports, "Session Management").
    """
    from mcp import MCPError

    return isinstance(error, MCPError) and error.code == _INVALID_REQUEST and connection.transport.status == 404
