"""A server for the tests that plays faults, and the shapes in which servers of OpenAI's API answer. It has no model."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeVar

from llmkit.background import loop_thread
from llmkit.cancellation import CancelToken
from llmkit.engines.base import CallDelta, CallRead, CallStart, CallUnread, EngineRequest, ReasoningPiece, TextPiece
from llmkit.engines.decoder import Done
from llmkit.engines.remote.config import Remote
from llmkit.engines.remote.source import connect
from llmkit.messages import messages_from
from llmkit.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from llmkit.engines.base import Delta
    from llmkit.engines.remote.engine import RemoteEngine

T = TypeVar("T")
SSE = "text/event-stream"
PATIENCE = 20


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    """What to send, in pieces as they go over the wire; then the connection ends well, breaks, or stays silent."""

    pieces: tuple[bytes, ...] = ()
    status: int = 200
    kind: str = SSE
    headers: dict[str, str] = field(default_factory=dict)
    end: str = "well"


def event(value: Any) -> bytes:
    return f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode()


def delta(content: str | None = None, *, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    said = fields if content is None else {"content": content, **fields}
    return {"id": "c-1", "model": "m", "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


def stream(*values: Any, done: bool = True, **reply: Any) -> Reply:
    """Return a stream of events, each in a piece of its own."""
    ends = (event("[DONE]"),) if done else ()
    return Reply((*(value if isinstance(value, bytes) else event(value) for value in values), *ends), **reply)


def hello(**reply: Any) -> Reply:
    return stream(delta("Hello"), delta(" there."), delta(finish="stop"), **reply)


def whole(value: Any, status: int = 200, **headers: str) -> Reply:
    """Return an answer that comes whole, as JSON."""
    return Reply((json.dumps(value).encode(),), status, "application/json", headers)


class FaultServer:
    """Plays its replies in order, the last one again and again; keeps what it was asked."""

    def __init__(self, models: Any = None) -> None:
        self.models = models if models is not None else {"data": [{"id": "m", "max_model_len": 4096}]}
        self.received: list[Received] = []
        self.began = threading.Event()
        self.left = threading.Event()
        self._replies: list[Reply] = [hello()]
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def bodies(self) -> list[Any]:
        """What was posted."""
        return [each.body for each in self.received if each.method == "POST"]

    def play(self, *replies: Reply) -> None:
        self._replies = list(replies)

    def _run(self) -> None:
        self._loop.run_until_complete(self._live())
        self._loop.close()

    async def _live(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 24)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        self.received.append(Received(method, path, headers, json.loads(content) if content else None))
        if method == "GET":
            reply = self.models if isinstance(self.models, Reply) else whole(self.models)
        else:
            reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return await self._send(reply, reader, writer, announce=method == "POST")

    async def _send(
        self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, announce: bool
    ) -> bool:
        if reply.end == "unanswered":
            writer.transport.abort()
            return False
        kind = {"content-type": reply.kind} if reply.kind else {}
        fields = {**kind, "transfer-encoding": "chunked", **reply.headers}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {reply.status} X\r\n{lines}\r\n".encode())
        for piece in reply.pieces:
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        if announce:
            self.began.set()
        if reply.end == "silent":
            await reader.read(1)
            self.left.set()
            return False
        if reply.end == "broken":
            writer.close()
            await writer.wait_closed()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


@dataclass
class Heard:
    """What an engine made of an answer."""

    deltas: list[Delta]

    @property
    def text(self) -> str:
        return "".join(each.text for each in self.deltas if isinstance(each, TextPiece))

    @property
    def reasoning(self) -> str:
        return "".join(each.text for each in self.deltas if isinstance(each, ReasoningPiece))

    @property
    def calls(self) -> list[CallRead]:
        return [each for each in self.deltas if isinstance(each, CallRead)]

    @property
    def unread(self) -> list[CallUnread]:
        return [each for each in self.deltas if isinstance(each, CallUnread)]

    @property
    def written(self) -> list[tuple[str, str]]:
        """Starts and pieces of calls, as they came."""
        kinds = CallStart | CallDelta
        return [(e.id, e.name if isinstance(e, CallStart) else e.text) for e in self.deltas if isinstance(e, kinds)]

    def all(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.deltas if isinstance(each, kind)]

    @property
    def done(self) -> Done:
        assert sum(isinstance(each, Done) for each in self.deltas) == 1
        last = self.deltas[-1]
        assert isinstance(last, Done)
        return last


OWN = ("tools", "tool_choice", "cache", "output", "provider_options")


def asked(prompt: Any = "Hi.", *, id_: str = "r-0", **fields: Any) -> EngineRequest:
    """Return a request; what is no field of one is a setting."""
    seed = fields.get("seed", 5)
    own = {name: fields.pop(name) for name in OWN if name in fields}
    return EngineRequest(id_, messages_from(prompt), settings_from(fields), seed, **own)


def hear(
    engine: RemoteEngine,
    request: EngineRequest | None = None,
    cancel: CancelToken | None = None,
    on_delta: Callable[[Delta], object] = lambda _: None,
) -> Heard:
    """Return all deltas of an answer, in the loop thread as a session would ask for them."""

    async def collect() -> Heard:
        heard: list[Delta] = []
        async for each in engine.generate(request or asked(), cancel or CancelToken()):
            heard.append(each)
            on_delta(each)
        return Heard(heard)

    return on_loop(collect)


def on_loop(work: Callable[[], Awaitable[T]]) -> T:
    async def run() -> T:
        return await work()

    return loop_thread().start(run).result(PATIENCE)


class Opened:
    """Connects to fault servers, and disconnects at the end."""

    def __init__(self) -> None:
        self._engines: list[RemoteEngine] = []

    def __call__(self, server: FaultServer, **fields: Any) -> RemoteEngine:
        engine = connect(Remote(server.url, **{"model": "m", **fields}))
        self._engines.append(engine)
        return engine

    def close(self) -> None:
        for engine in self._engines:
            engine.close()


def opened() -> Iterator[Opened]:
    each = Opened()
    yield each
    each.close()
