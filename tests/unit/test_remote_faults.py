"""What a remote engine makes of everything that goes wrong, played by a server of our own."""

from __future__ import annotations

import email.utils
import json
import runpy
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmkit.cancellation import CancelToken
from llmkit.engines.base import TextPiece
from llmkit.errors import (
    APIError,
    ContextLengthError,
    EngineError,
    Error,
    RequestError,
    StreamError,
    ValidationError,
)
from tests.unit.fault_cases import CASES, Outcome, outcomes
from tests.unit.fault_server import (
    FaultServer,
    Heard,
    Opened,
    Reply,
    asked,
    delta,
    event,
    hear,
    hello,
    opened,
    stream,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

open_ = pytest.fixture(opened)
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as each:
        yield each


def failure(server: FaultServer, open_: Opened, *replies: Reply, **fields: Any) -> Error:
    """Return what is raised before anything came."""
    server.play(*replies)
    with pytest.raises(Error) as caught:
        hear(open_(server, **fields))
    return caught.value


def broken(server: FaultServer, open_: Opened, reply: Reply) -> Heard:
    """Return what was heard of an answer that began and broke."""
    server.play(reply)
    heard = hear(open_(server))
    assert heard.text == "Hello"
    assert heard.done.reason == "error"
    return heard


@pytest.fixture(scope="module")
def played() -> list[Outcome]:
    return list(outcomes())


def test_every_fault_is_an_error_that_says_what_it_is_and_whether_it_may_pass(played: list[Outcome]) -> None:
    """CONTRACT 57: typed errors, one tree; what had come is kept."""
    assert [each.case for each in played] == list(CASES)
    for each in played:
        case, error = each.case, each.error
        assert (type(error), error.code) == (case.error, case.code), case
        assert each.text == ("Hello" if case.keeps else ""), case
        if not case.keeps:
            assert error.retryable == case.retryable, case
        assert len(each.message) > 20, case


def test_the_page_of_faults_is_what_they_give(played: list[Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    """If it isn't: ``python docs/server_errors.py``."""
    monkeypatch.setattr("tests.unit.fault_cases.outcomes", lambda: played)
    made = runpy.run_path(str(DOCS / "server_errors.py"))["table"]()
    assert (DOCS / "server-errors.md").read_text(encoding="utf-8") == made


def test_pieces_that_come_a_byte_at_a_time_are_read(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 58: streaming, however slowly it trickles in."""
    whole_stream = b"".join(stream(delta("Grüße "), delta("🦙"), delta(finish="stop")).pieces)
    server.play(Reply(tuple(whole_stream[at : at + 1] for at in range(len(whole_stream)))))
    heard = hear(open_(server))
    assert (heard.text, heard.done.reason) == ("Grüße 🦙", "stop")


STATUSES = [
    (400, "invalid_request", False),
    (401, "authentication_error", False),
    (403, "permission_error", False),
    (404, "not_found", False),
    (408, "invalid_request", True),
    (409, "invalid_request", True),
    (413, "invalid_request", False),
    (422, "invalid_request", False),
    (429, "rate_limit_exceeded", True),
    (500, "server_error", True),
    (503, "server_error", True),
]


@pytest.mark.parametrize(("status", "code", "retryable"), STATUSES)
def test_a_status_becomes_an_api_error_with_its_code(
    server: FaultServer, open_: Opened, status: int, code: str, *, retryable: bool
) -> None:
    """CONTRACT 57: status, code, message, details, request id. CONTRACT 44: only what may pass is retryable."""
    body = {"error": {"message": "No luck today.", "type": "some_error", "param": None, "code": "x7"}}
    error = failure(server, open_, whole(body, status, **{"x-request-id": "req-9"}))
    assert isinstance(error, APIError)
    assert (error.status, error.code, error.retryable) == (status, code, retryable)
    assert "No luck today" in error.message
    assert error.details == {"type": "some_error", "code": "x7"}
    assert error.request_id == "req-9"
    assert error.retry_after is None


SHAPES = {
    "openai, vLLM, TabbyAPI": {"error": {"message": "Bad thing.", "type": "t", "param": None, "code": None}},
    "vLLM before 0.10": {"object": "error", "message": "Bad thing.", "type": "BadRequestError", "code": 400},
    "llama.cpp": {"error": {"code": 400, "message": "Bad thing.", "type": "invalid_request_error"}},
    "mlx_lm.server, vLLM's key check": {"error": "Bad thing."},
    "FastAPI": {"detail": "Bad thing."},
    "FastAPI around another": {"detail": {"error": {"message": "Bad thing.", "trace": None}}},
    "FastAPI's validation": {"detail": [{"loc": ["body", "top_k"], "msg": "Bad thing.", "type": "int_parsing"}]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_servers_error_body_is_read(server: FaultServer, open_: Opened, shape: str) -> None:
    """CONTRACT 57: a ``detail`` message isn't lost."""
    error = failure(server, open_, whole(SHAPES[shape], 400))
    assert isinstance(error, APIError)
    assert "Bad thing" in error.message
    assert "{" not in error.message
    if "validation" in shape:
        assert "top_k" in error.message


def test_a_body_that_is_no_json_is_told_as_text(server: FaultServer, open_: Opened) -> None:
    page = Reply((b"<html><body><h1>502 Bad Gateway</h1>\n\n<hr>nginx</body></html>",), 502, "text/html")
    error = failure(server, open_, page)
    assert isinstance(error, APIError)
    assert "502 Bad Gateway nginx" in error.message
    assert error.retryable


CONTEXTS: list[tuple[dict[str, Any], int, int]] = [
    (
        {"error": {"code": 400, "message": "request (5031 tokens) exceeds the available context size (1024 tokens), "
                   "try increasing it", "type": "exceed_context_size_error", "n_prompt_tokens": 5031, "n_ctx": 1024}},
        5031, 1024,
    ),
    (
        {"error": {"message": "This model's maximum context length is 4097 tokens. However, your messages resulted in "
                   "5,000 tokens.", "type": "invalid_request_error", "code": "context_length_exceeded"}},
        5000, 4097,
    ),
    (
        {"object": "error", "message": "This model's maximum context length is 2048 tokens. However, you requested "
         "2100 tokens (2000 in the messages, 100 in the completion).", "type": "BadRequestError", "code": 400},
        2000, 2048,
    ),
    (
        {"error": {"message": "This model's maximum context length is 2048 tokens. However, you requested 16 output "
                   "tokens and your prompt contains at least 2033 input tokens, for a total of at least 2049 tokens.",
                   "type": "BadRequestError", "param": "input_tokens", "code": 400}},
        2033, 2048,
    ),
    ({"error": {"message": "Prompt length 5000 is greater than max_seq_len 4096"}}, 5000, 4096),
]  # fmt: skip


@pytest.mark.parametrize(("body", "prompt", "length"), CONTEXTS)
def test_a_prompt_beyond_the_servers_context_is_a_context_length_error(
    server: FaultServer, open_: Opened, body: dict[str, Any], prompt: int, length: int
) -> None:
    """CONTRACT 57: context_length_exceeded, with both lengths where the server tells them."""
    error = failure(server, open_, whole(body, 400))
    assert isinstance(error, ContextLengthError)
    assert (error.prompt_tokens, error.context_length) == (prompt, length)
    assert error.code == "context_length_exceeded"
    assert "llmkit.prune" in error.message


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ({"retry-after": "7"}, 7, 7),
        ({"retry-after": "0.25"}, 0.25, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5, 1.5),
        ({"retry-after": 300}, 280, 301),
        ({"retry-after": -300}, 0, 0),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_a_date(
    server: FaultServer, open_: Opened, value: dict[str, Any], low: float, high: float
) -> None:
    """CONTRACT 44: retry-after; a number here stands for the date in so many seconds."""
    value = {
        name: text if isinstance(text, str) else email.utils.formatdate(time.time() + text, usegmt=True)
        for name, text in value.items()
    }
    error = failure(server, open_, whole({"error": "busy"}, 429, **value))
    assert error.retry_after is not None
    assert low <= error.retry_after <= high


@pytest.mark.parametrize("value", ["soon", "-3", "", "nan", "1e99", "9" * 40])
def test_a_senseless_retry_after_is_none(server: FaultServer, open_: Opened, value: str) -> None:
    assert failure(server, open_, whole({"error": "busy"}, 429, **{"retry-after": value})).retry_after is None


def test_a_spent_quota_is_not_retried(server: FaultServer, open_: Opened) -> None:
    body = {
        "error": {"message": "You exceeded your quota.", "type": "insufficient_quota", "code": "insufficient_quota"}
    }
    assert not failure(server, open_, whole(body, 429)).retryable


def test_a_server_that_isnt_there_is_a_request_error(open_: Opened) -> None:
    """CONTRACT 57: RequestError wraps its cause."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    from llmkit.engines.remote.config import Remote
    from llmkit.engines.remote.source import connect

    engine = connect(Remote(f"http://127.0.0.1:{port}", "m"))
    with pytest.raises(RequestError, match=f"127.0.0.1:{port} couldn't be reached") as caught:
        hear(engine)
    assert caught.value.retryable
    assert caught.value.__cause__ is not None
    engine.close()


def test_a_server_that_never_accepts_is_given_up_in_time(open_: Opened) -> None:
    """CONTRACT 58: timeouts."""
    from llmkit.engines.remote.config import Remote
    from llmkit.engines.remote.source import connect

    engine = connect(Remote("http://192.0.2.1:9", "m", connect_timeout=0.3))
    began = time.perf_counter()
    with pytest.raises(RequestError, match="couldn't be reached"):
        hear(engine)
    assert time.perf_counter() - began < 5
    engine.close()


def test_a_connection_dropped_before_an_answer_can_be_tried_again(server: FaultServer, open_: Opened) -> None:
    error = failure(server, open_, Reply(end="unanswered"))
    assert isinstance(error, RequestError)
    assert error.retryable
    assert error.__cause__ is not None


def test_a_stream_dropped_before_its_first_piece_can_be_tried_again(server: FaultServer, open_: Opened) -> None:
    error = failure(server, open_, stream(delta(role="assistant"), done=False, end="broken"))
    assert isinstance(error, RequestError)
    assert error.retryable


def test_a_stream_dropped_within_keeps_what_came_and_says_so(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 57: StreamError. What came is kept, and isn't asked for again."""
    heard = broken(server, open_, stream(delta("Hello"), done=False, end="broken"))
    assert isinstance(heard.done.error, StreamError)
    assert not heard.done.error.retryable
    assert heard.done.error.__cause__ is not None


def test_a_stream_that_ends_without_an_end_broke_off(server: FaultServer, open_: Opened) -> None:
    heard = broken(server, open_, stream(delta("Hello"), done=False))
    assert isinstance(heard.done.error, StreamError)
    assert "before the answer was over" in str(heard.done.error)


def test_a_silent_server_is_given_up_after_the_timeout(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 58: timeouts."""
    error = failure(server, open_, stream(done=False, end="silent"), timeout=0.3)
    assert isinstance(error, RequestError)
    assert "sent nothing for 0.3 s" in error.message
    assert server.left.wait(10)


def test_half_a_json_is_a_stream_error(server: FaultServer, open_: Opened) -> None:
    half = json.dumps(delta(" there")).encode()[:30]
    heard = broken(server, open_, stream(delta("Hello"), b"data: " + half, done=False))
    assert isinstance(heard.done.error, StreamError)
    assert "no JSON" in str(heard.done.error)
    heard = broken(server, open_, stream(event(delta("Hello")) + b"data: " + half + b"\n\n"))
    assert "no JSON" in str(heard.done.error)


def test_a_line_of_ten_megabytes_is_refused(server: FaultServer, open_: Opened) -> None:
    heard = broken(server, open_, stream(delta("Hello"), event(delta("x" * 10_000_000)), done=False))
    assert isinstance(heard.done.error, StreamError)
    assert "8 MiB" in str(heard.done.error)


def test_ten_megabytes_of_data_lines_without_an_end_are_refused(server: FaultServer, open_: Opened) -> None:
    lines = b"data: 1234567890\n" * 600_000
    heard = broken(server, open_, stream(delta("Hello"), lines, done=False))
    assert "8 MiB" in str(heard.done.error)


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", "image/png"])
def test_an_answer_of_the_wrong_type_is_no_answer(server: FaultServer, open_: Opened, kind: str) -> None:
    error = failure(server, open_, Reply((b"<html>Please sign in</html>",), kind=kind))
    assert isinstance(error, RequestError)
    assert not error.retryable
    assert "base_url" in error.message
    assert "sign in" in error.message


def test_json_that_is_none_is_no_answer(server: FaultServer, open_: Opened) -> None:
    error = failure(server, open_, Reply((b'{"choices": [',), kind="application/json"))
    assert isinstance(error, RequestError)
    assert not error.retryable


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "", "text/event-stream; charset=utf-8"])
def test_events_are_read_whatever_they_are_called(server: FaultServer, open_: Opened, kind: str) -> None:
    server.play(hello(kind=kind))
    assert hear(open_(server)).text == "Hello there."


IN_STREAM: dict[str, bytes] = {
    "vLLM, llama.cpp": event({"error": {"message": "Out of memory.", "type": "InternalServerError", "code": 500}}),
    "TabbyAPI": event({"error": {"message": "Out of memory.", "trace": None}}),
    "llama.cpp before 2025-08": b'error: {"message": "Out of memory.", "code": 500, "type": "server_error"}\n\n',
    "an event of its own": b'event: error\ndata: {"message": "Out of memory."}\n\n',
    "vLLM before 0.10": event({"object": "error", "message": "Out of memory.", "code": 500, "type": "x"}),
    "a text": event({"error": "Out of memory."}),
}


@pytest.mark.parametrize("shape", IN_STREAM)
def test_an_error_within_a_stream_ends_it(server: FaultServer, open_: Opened, shape: str) -> None:
    """CONTRACT 58: in-stream errors."""
    heard = broken(server, open_, stream(delta("Hello"), IN_STREAM[shape], delta(" never"), done=False))
    assert isinstance(heard.done.error, APIError)
    assert "Out of memory" in str(heard.done.error)
    assert heard.done.error.code == "server_error"


@pytest.mark.parametrize("shape", IN_STREAM)
def test_what_came_in_the_same_packet_before_an_error_is_kept(server: FaultServer, open_: Opened, shape: str) -> None:
    broken(server, open_, stream(event(delta("Hello")) + IN_STREAM[shape], done=False))


def test_an_error_as_the_first_event_is_raised_with_its_own_status(server: FaultServer, open_: Opened) -> None:
    error = failure(server, open_, stream(event({"error": {"message": "Busy.", "code": 503}}), done=False))
    assert isinstance(error, APIError)
    assert error.status == 503
    assert error.retryable


def test_a_redirect_isnt_followed(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 58: the key is for this server alone."""
    with FaultServer() as other:
        moved = Reply(status=307, headers={"location": f"{other.url}/chat/completions"})
        error = failure(server, open_, moved, api_key="key-123456")
        assert other.received == []
    assert isinstance(error, RequestError)
    assert "base_url" in error.message
    assert not error.retryable


def test_cancelling_disconnects_at_once(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 7: cancel by disconnect."""
    server.play(stream(delta("Hello"), done=False, end="silent"))
    cancel = CancelToken()
    began = time.perf_counter()
    heard = hear(open_(server), cancel=cancel, on_delta=lambda each: isinstance(each, TextPiece) and cancel.cancel())
    assert heard.done.reason == "cancelled"
    assert heard.text == "Hello"
    assert time.perf_counter() - began < 5
    assert server.left.wait(10)


def test_cancelling_before_the_first_byte_disconnects_too(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 7: also in prefill."""
    import threading

    server.play(Reply(end="silent"))
    cancel = CancelToken()

    def wait_and_cancel() -> None:
        server.began.wait(10)
        cancel.cancel()

    thread = threading.Thread(target=wait_and_cancel)
    thread.start()
    heard = hear(open_(server), cancel=cancel)
    thread.join(10)
    assert [type(each).__name__ for each in heard.deltas] == ["Done"]
    assert heard.done.reason == "cancelled"
    assert server.left.wait(10)


def test_a_run_cancelled_before_it_asks_never_asks(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 7: a run cancelled while queued never decodes."""
    cancel = CancelToken()
    cancel.cancel()
    assert hear(open_(server), cancel=cancel).done.reason == "cancelled"
    assert server.bodies == []


def test_leaving_an_answer_disconnects(server: FaultServer, open_: Opened) -> None:
    from tests.unit.fault_server import on_loop

    server.play(stream(delta("Hello"), done=False, end="silent"))
    engine = open_(server)

    async def leave() -> None:
        answer = engine.generate(asked(), CancelToken())
        async for each in answer:
            if isinstance(each, TextPiece):
                break
        await answer.aclose()  # type: ignore[attr-defined]

    on_loop(leave)
    assert server.left.wait(10)


def test_close_ends_what_is_running_and_refuses_more(server: FaultServer) -> None:
    """CONTRACT 8: close ends runs, and is a no-op the second time."""
    import threading

    server.play(stream(delta("Hello"), done=False, end="silent"))
    engine = Opened()(server)

    def wait_and_close() -> None:
        server.began.wait(10)
        engine.close()

    closing = threading.Thread(target=wait_and_close)
    closing.start()
    heard = hear(engine)
    closing.join(10)
    assert heard.done.reason == "cancelled"
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        hear(engine)


def test_named_caches_are_refused_clearly(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 9: a server keeps its own."""
    engine = open_(server)
    with pytest.raises(ValidationError, match="keeps its KV caches itself"):
        hear(engine, asked(cache="mine"))
    with pytest.raises(ValidationError, match="keeps its KV caches itself"):
        assert engine.caches
    assert server.bodies == []


def test_options_that_cant_be_sent_are_refused(server: FaultServer, open_: Opened) -> None:
    error = failure(server, open_, hello(), options={"x": float("nan")})
    assert isinstance(error, ValidationError)
    assert error.field == "provider_options"
