"""Everything that goes wrong with a server, played once: for the tests, and for the page in docs/ that tells of it.

Bodies are of the shapes that the servers' sources write: vLLM's ``entrypoints/openai``, llama.cpp's ``tools/server``,
TabbyAPI's ``common/networking.py`` and ``common/auth.py``, ``mlx_lm/server.py``.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import llmkit as lk
from llmkit.engines.remote.config import Remote
from llmkit.engines.remote.source import connect
from llmkit.errors import APIError, ContextLengthError, Error, RequestError, StreamError, TimeoutError  # noqa: A004
from tests.unit.fault_server import FaultServer, Reply, delta, event, hear, stream, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = "nobody"
"""In place of a reply: no server is there at all."""


@dataclass(frozen=True)
class Case:
    """A fault, and what is expected of it.

    Attributes
    ----------
    what : str
        What happens, in words.
    reply : Reply or "nobody"
        What the server sends.
    error, code, retryable
        What the error must be.
    server : str
        Whose body it is, where they differ.
    keeps : bool
        Whether a piece came before, which must be kept.
    fields : dict
        Of the Remote.
    timeout : dict
        Of the run: then it is asked through a session.
    """

    what: str
    reply: Reply | str
    error: type[Error]
    code: str
    retryable: bool = False
    server: str = ""
    keeps: bool = False
    fields: dict[str, Any] = field(default_factory=dict)
    timeout: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a case."""

    case: Case
    error: Error
    text: str
    host: str

    @property
    def message(self) -> str:
        """The error's message as it reads for a server at ``gpu:8000``."""
        return str(self.error.message).replace(self.host, "gpu:8000")


def _answered(status: int, code: str, bodies: dict[str, Any], *, retryable: bool = False) -> list[Case]:
    return [
        Case(str(status), whole(body, status), APIError, code, retryable, server) for server, body in bodies.items()
    ]


def _too_long(server: str, body: dict[str, Any]) -> Case:
    return Case(
        "400, the prompt is too long", whole(body, 400), ContextLengthError, "context_length_exceeded", server=server
    )


def _within(
    what: str, code: str, *values: Any, error: type[Error] = StreamError, server: str = "", **reply: Any
) -> Case:
    """Return a fault after the first piece of a stream."""
    ends = {"done": False, **reply}
    return Case(what, stream(delta("Hello"), *values, **ends), error, code, keeps=True, server=server)


def _llamacpp(status: int, message: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "type": kind, **more}}


def _vllm(status: int, message: str, kind: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def _tabby(message: str) -> dict[str, Any]:
    return {"detail": {"error": {"message": message, "trace": None}}}


HALF = json.dumps(delta(" there")).encode()[:30]

CASES: tuple[Case, ...] = (
    Case("nobody listens", NOBODY, RequestError, "connection_error", retryable=True),
    Case(
        "the connection drops, no answer came",
        Reply(end="unanswered"),
        RequestError,
        "connection_error",
        retryable=True,
    ),
    Case(
        "the connection drops before the first piece",
        stream(delta(role="assistant"), done=False, end="broken"),
        RequestError,
        "connection_error",
        retryable=True,
    ),
    Case(
        "no byte for longer than `Remote(timeout=…)`",
        stream(done=False, end="silent"),
        RequestError,
        "connection_error",
        retryable=True,
        fields={"timeout": 0.1},
    ),
    *_answered(
        400,
        "invalid_request",
        {
            "vLLM": _vllm(400, "temperature must be non-negative, got -1.0.", "BadRequestError", "temperature"),
            "llama.cpp": _llamacpp(400, "'messages' is required", "invalid_request_error"),
            "mlx_lm.server": {"error": "temperature must be at least 0"},
            "TabbyAPI": _tabby("Prompt cannot be empty"),
        },
    ),
    _too_long(
        "vLLM",
        _vllm(
            400,
            "This model's maximum context length is 2048 tokens. However, you requested 16 output tokens and your "
            "prompt contains at least 2033 input tokens, for a total of at least 2049 tokens.",
            "BadRequestError",
            "input_tokens",
        ),
    ),
    _too_long(
        "llama.cpp",
        _llamacpp(
            400,
            "request (5031 tokens) exceeds the available context size (1024 tokens), try increasing it",
            "exceed_context_size_error",
            n_prompt_tokens=5031,
            n_ctx=1024,
        ),
    ),
    _too_long("TabbyAPI", _tabby("Prompt length 5000 is greater than max_seq_len 4096")),
    *_answered(
        401,
        "authentication_error",
        {
            "vLLM": {"error": "Unauthorized"},
            "llama.cpp": _llamacpp(401, "Invalid API Key", "authentication_error"),
            "TabbyAPI": {"detail": "Invalid API key"},
        },
    ),
    *_answered(
        403,
        "permission_error",
        {
            "a proxy": {"error": {"message": "Forbidden", "type": "forbidden", "param": None, "code": None}},
        },
    ),
    *_answered(
        404,
        "not_found",
        {
            "vLLM": _vllm(404, "The model `m` does not exist.", "NotFoundError", "model"),
            "llama.cpp": _llamacpp(404, "File Not Found", "not_found_error"),
            "mlx_lm.server": {"error": "Repository Not Found for url: https://huggingface.co/api/models/m."},
            "TabbyAPI": {"detail": "Not Found"},
        },
    ),
    *_answered(
        422,
        "invalid_request",
        {
            "TabbyAPI": {
                "detail": [{"type": "int_parsing", "loc": ["body", "top_k"], "msg": "Input should be a valid integer"}]
            },
        },
    ),
    *_answered(
        429,
        "rate_limit_exceeded",
        {
            "OpenAI": {
                "error": {
                    "message": "Rate limit reached",
                    "type": "requests",
                    "param": None,
                    "code": "rate_limit_exceeded",
                }
            },
        },
        retryable=True,
    ),
    Case(
        "429, the quota is spent",
        whole(
            {
                "error": {
                    "message": "You exceeded your quota",
                    "type": "insufficient_quota",
                    "code": "insufficient_quota",
                }
            },
            429,
        ),
        APIError,
        "rate_limit_exceeded",
        server="OpenAI",
    ),
    *_answered(
        500,
        "server_error",
        {
            "vLLM": _vllm(
                500,
                "EngineCore encountered an issue. See stack trace (above) for the root cause.",
                "InternalServerError",
            ),
            "llama.cpp": _llamacpp(500, "Compute error.", "server_error"),
            "TabbyAPI": _tabby("Chat completion aborted. Please check the server console."),
        },
        retryable=True,
    ),
    Case(
        "502, from a proxy",
        Reply((b"<html><body><h1>502 Bad Gateway</h1><hr>nginx</body></html>",), 502, "text/html"),
        APIError,
        "server_error",
        retryable=True,
        server="nginx",
    ),
    *_answered(
        503,
        "server_error",
        {
            "llama.cpp": _llamacpp(503, "Loading model", "unavailable_error"),
            "TabbyAPI": _tabby("Model load is in progress"),
        },
        retryable=True,
    ),
    Case(
        "a redirect", Reply(status=307, headers={"location": "https://elsewhere/v1"}), RequestError, "connection_error"
    ),
    Case("a web page", Reply((b"<html>Please sign in</html>",), kind="text/html"), RequestError, "connection_error"),
    Case(
        "half a JSON, no stream", Reply((b'{"choices": [',), kind="application/json"), RequestError, "connection_error"
    ),
    Case(
        "an error as the first event of a stream",
        stream(event(_llamacpp(503, "Loading model", "unavailable_error")), done=False),
        APIError,
        "server_error",
        retryable=True,
        server="llama.cpp",
    ),
    _within(
        "an error within the stream",
        "server_error",
        event(_vllm(500, "Out of memory", "InternalServerError")),
        error=APIError,
        server="vLLM",
    ),
    _within(
        "an error within the stream",
        "server_error",
        event({"error": {"message": "Out of memory", "trace": None}}),
        error=APIError,
        server="TabbyAPI",
    ),
    _within(
        "an error within the stream",
        "server_error",
        b'error: {"message": "Out of memory", "code": 500, "type": "server_error"}\n\n',
        error=APIError,
        server="llama.cpp before 2025-08",
    ),
    _within("the connection drops within the stream", "stream_error", end="broken"),
    _within("the stream ends without saying so", "stream_error"),
    Case(
        "a piece comes later than `Remote(timeout=…)`",
        stream(delta("Hello"), done=False, end="silent"),
        StreamError,
        "stream_error",
        keeps=True,
        fields={"timeout": 0.1},
    ),
    Case(
        'a piece comes later than the run\'s `timeout={"chunk": …}`',
        stream(delta("Hello"), done=False, end="silent"),
        TimeoutError,
        "timeout",
        keeps=True,
        timeout={"chunk": 0.1},
    ),
    _within("half a JSON in the stream", "stream_error", b"data: " + HALF + b"\n\n"),
    _within("a line of 10 MB", "stream_error", event(delta("x" * 10_000_000))),
    _within("10 MB of data without an end", "stream_error", b"data: 1234567890\n" * 600_000),
)


def outcomes() -> Iterator[Outcome]:
    """Play the cases, and yield what becomes of each."""
    with FaultServer() as server:
        for case in CASES:
            yield _played(case, server)


def _played(case: Case, server: FaultServer) -> Outcome:
    remote = Remote(server.url if isinstance(case.reply, Reply) else _unused(), "m", **case.fields)
    if isinstance(case.reply, Reply):
        server.play(case.reply)
    if case.timeout:
        return _ran(case, remote)
    engine = connect(remote)
    try:
        heard = hear(engine)
    except Error as error:
        return Outcome(case, error, "", remote.host)
    finally:
        engine.close()
    assert isinstance(heard.done.error, Error)
    return Outcome(case, heard.done.error, heard.text, remote.host)


def _ran(case: Case, remote: Remote) -> Outcome:
    with lk.Session(ledger=None, show=False) as session:
        run = session.complete("Hi.", model=remote, timeout=case.timeout)
        assert run.wait(20)
    assert run.error is not None
    return Outcome(case, run.error, run.text_so_far, remote.host)


def _unused() -> str:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        return f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
