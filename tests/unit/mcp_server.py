"""A real MCP server for the tests: ``python mcp_server.py stdio|http|sse PORT [odd] [legacy]``.

Over HTTP it prints its port as soon as that accepts connections.
"""

from __future__ import annotations

import base64
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, TypedDict

import anyio
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

server = MCPServer("weather", version="1.2.0", log_level="ERROR")
stopped = anyio.Event()
locked: list[int] = []


class Weather(TypedDict):
    city: str
    temperature: float


@server.tool(structured_output=False)
def greet(name: str, *, loud: bool = False) -> str:
    """Greet somebody.

    At some length.
    """
    return f"Hello {name}!".upper() if loud else f"Hello {name}!"


@server.tool()
def weather(city: str) -> Weather:
    """Tell the weather in a city."""
    return {"city": city, "temperature": 22.5}


@server.tool(structured_output=False)
def picture() -> Image:
    """Give a picture."""
    return Image(data=PNG, format="png")


@server.tool(structured_output=False)
def album() -> list[Any]:
    """Give words and a picture."""
    return ["A picture:", Image(data=PNG, format="png")]


@server.tool(structured_output=False)
def nothing() -> None:
    """Give nothing."""


@server.tool()
def fail(why: str) -> str:
    """Fail."""
    raise ToolError(why)


@server.tool(name="files.read-all/now", structured_output=False)
def read_all(context: str, self: str = "") -> str:
    """Have a strange name, and parameters that handlers use too."""
    return f"{context} {self}"


@server.tool(structured_output=False)
async def count(to: int, context: Context[Any]) -> str:
    """Count, and tell of it."""
    for number in range(1, to + 1):
        await context.report_progress(number, to, f"{number} of {to}")
    return "done"


@server.tool(structured_output=False)
async def wait(context: Context[Any]) -> str:
    """Tell of progress once, then wait until cancelled."""
    await context.report_progress(0)
    try:
        await anyio.sleep_forever()
    finally:
        stopped.set()
    return "never"


@server.tool(structured_output=False)
async def cancellation() -> str:
    """Return when a call of ``wait`` was cancelled."""
    await stopped.wait()
    return "cancelled"


@server.tool(structured_output=False)
def die() -> str:
    """End the server at once, in the middle of a call."""
    print("A last word.", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


@server.tool(structured_output=False)
def variable(name: str) -> str:
    """Give an environment variable of the server."""
    return os.environ.get(name, "")


@server.tool(structured_output=False)
def process() -> str:
    """Give the server's process id."""
    return str(os.getpid())


@server.tool(structured_output=False)
async def learn(context: Context[Any]) -> str:
    """Learn a new tool, and say so to the client."""

    def sing() -> str:
        """Sing."""
        return "la"

    server.add_tool(sing, structured_output=False)
    await context.notify_tools_changed()
    await context.session.send_tool_list_changed()
    return "learned"


@server.tool(structured_output=False)
async def header(name: str, context: Context[Any]) -> str:
    """Give a header that the call came with."""
    return str((context.headers or {}).get(name, ""))


@server.tool(structured_output=False)
def lock() -> str:
    """Refuse every request from now on."""
    locked.append(1)
    return "locked"


def add_odd_tools() -> None:
    for name in ("broken", "same.name", "same_name"):
        server.add_tool(process, name=name, structured_output=False)
    tool = server._tool_manager.get_tool("broken")
    assert tool is not None
    tool.parameters = {"type": "object", "properties": {"a": {"$ref": "https://example.org/schema.json"}}}


def guarded(app: ASGIApp, *, legacy: bool) -> ASGIApp:
    """Return a server that can be locked, and if ``legacy`` knows only the protocol with sessions."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        version = dict(scope.get("headers") or ()).get(b"mcp-protocol-version", b"")
        if locked or (legacy and version >= b"2026"):
            await send({"type": "http.response.start", "status": 401 if locked else 400, "headers": []})
            await send({"type": "http.response.body"})
        else:
            await app(scope, receive, send)

    return answer


def serve(transport: str, port: int, *, legacy: bool) -> None:
    import uvicorn

    app: Any = server.sse_app() if transport == "sse" else server.streamable_http_app()
    with socket.create_server(("127.0.0.1", port)) as listening:
        print(listening.getsockname()[1], flush=True)
        config = uvicorn.Config(guarded(app, legacy=legacy), log_level="error", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    if "odd" in sys.argv:
        add_odd_tools()
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        serve(sys.argv[1], int(sys.argv[2]), legacy="legacy" in sys.argv)
