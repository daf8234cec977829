"""The tools of an MCP server, as a sequence of llmkit's own."""

from __future__ import annotations

import asyncio
import math
import re
import warnings
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from llmkit import waiting
from llmkit.background import loop_thread
from llmkit.errors import RequestError, ValidationError
from llmkit.mcp.content import visible
from llmkit.mcp.endpoint import endpoint_from
from llmkit.mcp.server import Server
from llmkit.tools.checking import subschemas
from llmkit.tools.define import ToolOptions, tool_from
from llmkit.tools.problems import shown
from llmkit.tools.signature_text import signature_text

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
    from types import TracebackType

    from mcp_types import Tool as ServerTool

    from llmkit.tools.tool import Approval, Tool

T = TypeVar("T")

_STRANGE = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_NAME = 64
_MOST_SHOWN = 20


def mcp_tools(
    server: str | Sequence[str | os.PathLike[str]],
    *,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    include: str | Iterable[str] = "*",
    prefix: str = "",
    needs_approval: Approval = True,
    timeout: float | None = 60.0,
    start_timeout: float = 60.0,
) -> Toolset:
    """Return the tools of an MCP server, ready for ``tools=``.

    They are tools like any other: a call's arguments are checked against the tool's schema before anybody is asked,
    and it is approved before the server hears of it::

        with mcp_tools("uvx mcp-server-time") as tools:
            session.complete("What time is it in Tokyo?", tools=tools).result()

    Without ``with``, the server is kept until ``tools.close()``, until neither the tools nor a run that was given them
    is referred to, or until Python exits.

    Parameters
    ----------
    server : str or sequence of str
        A command to start, as one line or as a list; or a URL, where a path that ends in ``/sse`` means the older
        transport of server-sent events.
    headers : mapping of str, optional
        For a URL, sent with every request. Never shown.
    env : mapping of str, optional
        For a command: variables that it gets besides a few, such as ``PATH`` and ``HOME``. Never shown.
    include : str or iterable of str
        Globs; a tool is offered if its name on the server matches one.
    prefix : str
        Put before each name, to tell the tools of several servers apart.
    needs_approval : bool or Callable
        Whether a person is asked before a tool runs. What a server says of its tools' harmlessness isn't believed.
    timeout : float, optional
        Seconds that a call may take; ``None`` for no limit.
    start_timeout : float
        Seconds until the server must have started and answered.

    Returns
    -------
    Toolset
        A sequence of tools. One whose schema can't be used is left out, with a warning.

    Raises
    ------
    ValidationError
        For a server, header or name that can't be used.
    RequestError
        If the server can't be started or reached, or the ``mcp`` package isn't installed.
    APIError
        If it answers with an error.
    TimeoutError
        If it doesn't answer in time.
    """
    endpoint = endpoint_from(server, headers, env)
    globs = (include,) if isinstance(include, str) else tuple(include)
    if not all(isinstance(each, str) for each in globs):
        raise ValidationError("include= is a glob or several.", field="include")
    if _STRANGE.search(prefix) or len(prefix) >= _LONGEST_NAME:
        raise ValidationError("A prefix is made of letters, digits, _ and -.", field="prefix")
    if not (isinstance(start_timeout, int | float) and 0 < start_timeout < math.inf):
        raise ValidationError(f"start_timeout is seconds above 0, not {start_timeout!r}.", field="start_timeout")
    options = ToolOptions(needs_approval=needs_approval, timeout=timeout)
    tool_from({"name": "any"}, **options)  # refuses wrong options before anything is started
    _require_sdk()
    tools = Toolset(Server(endpoint, start_timeout), globs, prefix, options)
    try:
        tools._read()  # noqa: SLF001 - not refresh(), so that warnings name the caller's line
    except BaseException:
        tools.close_soon()
        raise
    return tools


class Toolset(Sequence["Tool"]):
    """The tools of a server, in its order. :func:`mcp_tools` makes it.

    ``tools[0]`` and ``tools["search"]`` are tools; ``session.complete(…, tools=[*tools, my_function])`` adds more.
    """

    def __init__(self, server: Server, include: tuple[str, ...], prefix: str, options: ToolOptions) -> None:
        self._server = server
        self._include = include
        self._prefix = prefix
        self._options = options
        self._tools: tuple[Tool, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the server has said that its tools changed; :meth:`refresh` reads them anew."""
        return self._server.tools_changed

    def refresh(self) -> None:
        """Ask the server for its tools again. Runs that have begun keep those they were given.

        Raises
        ------
        Error
            As for :func:`mcp_tools`; then the tools stay as they were.
        """
        self._read()

    def close(self) -> None:
        """End the connection, and the program if llmkit started it; again does nothing. Calls in flight fail."""
        if _on_loop():
            self.close_soon()
        else:
            _wait_for(self._server.close)

    def close_soon(self) -> None:
        """Do the same without waiting for it."""
        loop_thread().start(self._server.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @overload
    def __getitem__(self, key: int | str) -> Tool: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Tool, ...]: ...
    def __getitem__(self, key: int | str | slice) -> Tool | tuple[Tool, ...]:
        if not isinstance(key, str):
            return self._tools[key]
        for each in self._tools:
            if each.name == key:
                return each
        raise KeyError(key)

    def __len__(self) -> int:
        return len(self._tools)

    def __repr__(self) -> str:
        server = f"{self._server.name} {self._server.version}".strip()
        count = f"{len(self)} tool{'' if len(self) == 1 else 's'}"
        lines = [" · ".join([f"MCP server {shown(server)[1:-1]}", count, *self._states()])]
        lines += [f"  {_line(each)}" for each in self._tools[:_MOST_SHOWN]]
        lines += [f"  … and {len(self) - _MOST_SHOWN} more"] if len(self) > _MOST_SHOWN else []
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from llmkit.notebook.displays.tool import toolset_html

        return toolset_html(self, f"{self._server.name} {self._server.version}".strip(), *self._states())

    def _states(self) -> list[str]:
        state = ["closed"] if self._server.closed else [] if self._server.connected else ["connection lost"]
        return [*state, *(["the server's tools have changed: refresh()"] if self.changed else [])]

    def _read(self) -> None:
        found = _wait_for(self._server.tools)
        wanted = [each for each in found if any(fnmatchcase(each.name, glob) for glob in self._include)]
        if found and not wanted:
            names = ", ".join(shown(each.name) for each in found[:_MOST_SHOWN])
            raise ValidationError(
                f"include= matches no tool of the MCP server {self._server.name!r}. It has {names}.", field="include"
            )
        made = [self._tool(each) for each in wanted]
        self._tools = _names_differ((each for each in made if each is not None), self._server.name)

    def _tool(self, offered: ServerTool) -> Tool | None:
        """Return a tool of the server as one of ours, or none, with a warning, if it can't be."""
        name = (self._prefix + _STRANGE.sub("_", offered.name))[:_LONGEST_NAME]
        schema = {"name": name, "description": visible(offered.description or ""), "parameters": offered.input_schema}
        for each in subschemas(offered.input_schema):
            if isinstance(each.get("description"), str):
                each["description"] = visible(each["description"])
        try:
            return tool_from(schema, handler=_handler(self._server, offered.name), **self._options)
        except ValidationError as error:
            reason = (
                f"The MCP server {self._server.name!r} offers {shown(offered.name)}, which is left out: {error.message}"
            )
            warnings.warn(reason, stacklevel=5)
            return None


def _names_differ(tools: Iterable[Tool], server: str) -> tuple[Tool, ...]:
    """Return the tools, or refuse two of one name, for a rule of approval would be about both."""
    found: dict[str, Tool] = {}
    for each in tools:
        if each.name in found:
            raise ValidationError(
                f"Two tools of the MCP server {server!r} would have the name {each.name!r}. "
                "Choose one of them with include=…, by its name on the server.",
                field="include",
            )
        found[each.name] = each
    return tuple(found.values())


def _line(tool: Tool) -> str:
    summary = tool.description.partition("\n")[0]
    about = f" — {shown(summary)[1:-1]}" if summary else ""
    return f"{tool.name}({signature_text(tool.parameters)}){about}"


def _handler(server: Server, tool: str) -> Callable[..., AsyncIterator[Any]]:
    """Return what runs a tool: it yields the progress that the server tells of, and last the result."""

    async def call(**arguments: Any) -> AsyncIterator[Any]:
        home = asyncio.get_running_loop()
        told: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

        async def report(progress: float, total: float | None, message: str | None) -> None:
            news = {"progress": progress, "total": total, "message": message}
            home.call_soon_threadsafe(told.put_nowait, news)

        answer = asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(server.call(tool, arguments, report), loop_thread().loop)
        )
        answer.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (news := await told.get()) is not None:
                yield news
        finally:
            answer.cancel()  # which passes on to the server; nothing happens if it is there
        yield answer.result()

    return call


def _require_sdk() -> None:
    try:
        from mcp import Client  # noqa: F401
    except ImportError as error:
        raise RequestError(
            f"MCP servers need the mcp package, version 2 or newer ({error}). Run: pip install 'llmkit[mcp]'"
        ) from error


def _on_loop() -> bool:
    try:
        return asyncio.get_running_loop() is loop_thread().loop
    except RuntimeError:
        return False


def _wait_for(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return what ``work()`` gives on the loop thread; a cell that waits for it can be interrupted."""
    if _on_loop():
        raise ValidationError(
            "llmkit's event loop would wait for itself here. Ask for an MCP server's tools outside of callbacks "
            "and async tools."
        )
    done = waiting.Signal()
    future = loop_thread().start(work)
    future.add_done_callback(lambda _: done.set())
    waiting.wait(done)
    return future.result()
