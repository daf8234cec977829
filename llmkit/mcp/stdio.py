"""An MCP server that llmkit starts and speaks to through its standard input and output."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from llmkit.background import in_thread
from llmkit.errors import Error, RequestError
from llmkit.mcp.content import visible
from llmkit.tools.problems import shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mcp.client._transport import TransportStreams

    from llmkit.mcp.endpoint import Endpoint

logger = logging.getLogger("llmkit.mcp")

_LAST_WORDS = 0.5
"""Seconds to wait for what a program wrote before it ended."""


class Said:
    """What a program writes to its standard error: logged line by line, its end kept for error messages."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lines: deque[str] = deque(maxlen=12)
        self._over = threading.Event()
        reading, writing = os.pipe()
        self.stream = os.fdopen(writing, "w", encoding="utf-8")
        threading.Thread(target=self._read, args=(reading,), name="llmkit-mcp-stderr", daemon=True).start()

    def _read(self, reading: int) -> None:
        with os.fdopen(reading, encoding="utf-8", errors="replace") as lines:
            while line := lines.readline(4096):
                if words := self._endpoint.redacted(line.strip()):
                    self._lines.append(words)
                    logger.debug("%s: %s", self._endpoint.label, shown(words)[1:-1])
        self._over.set()

    async def tail(self) -> str:
        """Return its last lines as a sentence to append to a message, once it has ended; empty if it said nothing."""
        await in_thread(self._over.wait, _LAST_WORDS)
        told = "\n  ".join(visible(line) for line in self._lines)
        return f" It wrote:\n  {told}" if told else ""


class StdioTransport:
    """One start of a program.

    Parameters
    ----------
    endpoint : Endpoint
        Which program.
    """

    status = 0

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._said: Said | None = None

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[TransportStreams]:
        """Provide the SDK's streams to the running program; it is ended after the block."""
        from mcp import StdioServerParameters, stdio_client

        program, *arguments = self._endpoint.command
        parameters = StdioServerParameters(command=program, args=arguments, env=dict(self._endpoint.env))
        self._said = Said(self._endpoint)
        with self._said.stream as stream:
            async with stdio_client(parameters, errlog=stream) as streams:
                stream.close()  # so that the other end is over when the program is
                yield streams

    async def failure(self, cause: BaseException | None) -> Error:
        """Return why there is no connection."""
        label = self._endpoint.label
        match cause:
            case FileNotFoundError():
                return RequestError(
                    f"The MCP server can't be started: there is no program {label!r}. "
                    "Check the name, install it, or give its full path."
                )
            case OSError():
                return RequestError(f"The MCP server {label!r} can't be started: {cause.strerror or cause}.")
        return RequestError(f"The MCP server {label!r} has ended.{await self.told()}")

    async def told(self) -> str:
        """Return what the program wrote last, to append to a message."""
        return await self._said.tail() if self._said else ""
