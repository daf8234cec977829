"""Raw completions on servers: what goes over the wire, and what is made of what comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import llmkit as lk
from tests.unit.fault_server import FaultServer, Reply, event, stream, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
KEY = "sk-a-secret"


def said(text: str, finish: str | None = "stop", **fields: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "text": text, "finish_reason": finish}], **fields}


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.fixture
def session() -> Iterator[lk.Session]:
    with lk.Session(engine=lk.Scripted(["x"]), show=False, ledger=None) as each:
        yield each


@pytest.fixture(params=["tabbyapi", "vllm", "llamacpp", "mlx_lm", ""])
def server(request: pytest.FixtureRequest) -> Iterator[FaultServer]:
    with FaultServer({"data": [{"id": "m", "owned_by": request.param, "max_model_len": 4096}]}) as each:
        yield each


def kind(server: FaultServer) -> str:
    return str(server.models["data"][0]["owned_by"])


def ask(session: lk.Session, server: FaultServer, prompt: Any = "Once", **options: Any) -> lk.Completion:
    return session.completions.create(prompt, model=lk.Remote(server.url, "m", api_key=KEY), **options)


@pytest.fixture
def plain() -> Iterator[FaultServer]:
    with FaultServer() as each:
        yield each


def test_create_asks_for_no_stream_and_create_stream_does(session: lk.Session, plain: FaultServer) -> None:
    """CONTRACT 54, 57, 58: stream, temperature 0, names, keys and prompts as the endpoint takes them."""
    plain.play(
        whole(said(" upon", usage=USAGE)), stream(said(" up", None), said("on"), {"choices": [], "usage": USAGE})
    )
    options: dict[str, Any] = {"temperature": 0, "max_tokens": 5, "top_k": 3, "min_p": 0.1, "seed": 4}
    completion = ask(session, plain, **options, headers={"X-Mine": "1"}, provider_options={"user": "me"})
    with session.completions.create_stream("Once", model=completion.model, **options) as pieces:
        assert "".join(chunk.text for chunk in pieces) == " upon"
    assert completion.text == " upon"
    assert completion.usage == lk.CompletionUsage(3, 2, 5, None)
    first, second = plain.bodies
    assert (first["stream"], second["stream"]) == (False, True)
    assert "stream_options" not in first
    assert second["stream_options"] == {"include_usage": True}
    wanted = {"model": "m", "prompt": "Once", "temperature": 0, "max_tokens": 5, "top_k": 3, "min_p": 0.1, "seed": 4}
    assert wanted.items() <= first.items()
    assert (first["user"], "user" in second) == ("me", False)
    posts = [each for each in plain.received if each.method == "POST"]
    assert {each.path for each in posts} == {"/v1/completions"}
    assert (posts[0].headers["x-mine"], posts[0].headers["x-api-key"]) == ("1", KEY)
    assert KEY not in completion.to_json() + repr(session.runs.to_dict())


def test_every_choice_is_a_request_of_its_own(session: lk.Session, server: FaultServer) -> None:
    """CONTRACT 54, 58: servers ignore n, echo and lists of prompts, or join them; seeds differ as on local engines."""
    server.play(whole(said(" x", usage=USAGE)))
    completion = ask(session, server, ["A", "B"], n=2, echo=True, seed=9, temperature=1)
    assert completion.texts == ("A x", "A x", "B x", "B x")
    assert completion.usage == lk.CompletionUsage(6, 8, 14, None)
    bodies = server.bodies
    assert sorted(body["prompt"] for body in bodies) == ["A", "A", "B", "B"]
    assert len({body["seed"] for body in bodies}) == 4
    assert not any({"n", "echo"} & body.keys() for body in bodies)


def test_servers_are_told_what_the_text_must_be(session: lk.Session, server: FaultServer) -> None:
    """CONTRACT 50, 54, 58: each in its own fields; one that isn't known to have any is never asked."""
    fields: dict[str, dict[str, Any]] = {
        "tabbyapi": {"json_schema": ("json_schema",), "regex": ("regex_pattern",), "grammar": ("grammar_string",)},
        "vllm": {name: ("structured_outputs", key) for name, key in
                 {"json_schema": "json", "regex": "regex", "grammar": "grammar"}.items()},
        "llamacpp": {"json_schema": ("json_schema",), "grammar": ("grammar",)},
    }  # fmt: skip
    values = {"json_schema": SCHEMA, "regex": "[0-9]+", "grammar": "root ::= [0-9]+"}
    texts = {"json_schema": '{"a": 1}', "regex": "5", "grammar": "5"}
    for name, value in values.items():
        asked, place = len(server.bodies), fields.get(kind(server), {}).get(name)
        server.play(whole(said(texts[name])))
        if place is None:
            with pytest.raises(lk.ValidationError, match=f"hold a raw completion to {name}") as caught:
                ask(session, server, **{name: value})
            assert caught.value.field == name
            assert len(server.bodies) == asked
            continue
        assert ask(session, server, **{name: value}).warnings == ()
        found = server.bodies[-1]
        for step in place:
            found = found[step]
        assert found == value


def test_a_server_that_doesnt_hold_the_text_is_told_of(session: lk.Session) -> None:
    """CONTRACT 50: TabbyAPI logs a schema that it can't use, and goes on without; the completion says so."""
    with FaultServer({"data": [{"id": "m", "owned_by": "tabbyapi"}]}) as server:
        server.play(whole(said("Sure! Here it is.")))
        completion = ask(session, server, json_schema=SCHEMA)
        assert completion.text == "Sure! Here it is."
        assert "isn't JSON" in completion.warnings[0]


def test_token_ids_go_where_they_are_read(session: lk.Session, server: FaultServer) -> None:
    """CONTRACT 54, 58."""
    server.play(whole(said(" x")))
    if kind(server) in {"tabbyapi", "mlx_lm"}:
        with pytest.raises(lk.ValidationError, match="reads no token ids") as caught:
            ask(session, server, [1, 2])
        assert caught.value.field == "prompt"
        return
    assert ask(session, server, [1, 2]).text == " x"
    assert server.bodies[-1]["prompt"] == [1, 2]
    with pytest.raises(lk.ValidationError, match="echoed"):
        ask(session, server, [1, 2], echo=True)


def test_logprobs_stand_behind_the_prompt(session: lk.Session, plain: FaultServer) -> None:
    """CONTRACT 56: OpenAI's old shape, whole and streamed; a server doesn't tell the prompt's tokens."""

    def told(text: str, finish: str | None) -> dict[str, Any]:
        value = said(text, finish)
        value["choices"][0]["logprobs"] = {"tokens": [text], "token_logprobs": [-0.5], "text_offset": [99],
                                           "top_logprobs": [{text: -0.5, "é": -1}]}  # fmt: skip
        return value

    plain.play(whole(told(" upon", "stop")), stream(told(" up", None), told("on", "stop")))
    options: dict[str, Any] = {"logprobs": 2, "echo": True}
    logprobs = ask(session, plain, **options).logprobs
    assert logprobs == lk.CompletionLogprobs((" upon",), (-0.5,), ({" upon": -0.5, "é": -1.0},), (4,))
    assert plain.bodies[0]["logprobs"] == 2
    remote = lk.Remote(plain.url, "m", api_key=KEY)
    streamed = session.completions.create_stream("Once", model=remote, **options).result().logprobs
    assert streamed is not None
    assert (streamed.tokens, streamed.text_offset) == ((" up", "on"), (4, 7))


FAULTS = [
    (401, {"error": {"message": "no"}}, lk.APIError, "authentication_error"),
    (403, {"detail": "admins only"}, lk.APIError, "permission_error"),
    (404, {"detail": "no model"}, lk.APIError, "not_found"),
    (422, {"detail": [{"loc": ["body", "prompt"], "msg": "wrong"}]}, lk.APIError, "invalid_request"),
    (
        400,
        {"error": {"message": "maximum context length is 10 tokens"}},
        lk.ContextLengthError,
        "context_length_exceeded",
    ),
    (429, {"detail": "slow down"}, lk.APIError, "rate_limit_exceeded"),
    (503, {"detail": "Completion aborted. Maybe the model was unloaded?"}, lk.APIError, "server_error"),
]


@pytest.mark.parametrize(("status", "body", "kind", "code"), FAULTS, ids=[str(each[3]) for each in FAULTS])
def test_what_servers_refuse_has_its_code_and_their_words(
    session: lk.Session, plain: FaultServer, status: int, body: Any, kind: type[lk.Error], code: str
) -> None:
    """CONTRACT 57: typed, with a code; `detail` messages are kept."""
    plain.play(whole(body, status, x_request_id="req-1"))
    with pytest.raises(kind) as caught:
        ask(session, plain, max_retries=0)
    assert caught.value.code == code
    said_ = body.get("detail") or body["error"]["message"]
    assert (said_ if isinstance(said_, str) else said_[0]["msg"]).rstrip("?") in str(caught.value)
    if isinstance(caught.value, lk.APIError):
        assert (caught.value.status, caught.value.request_id) == (status, "req-1")


def test_streams_that_break_say_so_after_what_came(session: lk.Session, plain: FaultServer) -> None:
    """CONTRACT 55, 57, 58: in-stream errors, a stream without an end, and [DONE] that is no JSON."""
    remote = lk.Remote(plain.url, "m")
    cases: list[tuple[Reply, type[lk.Error] | None]] = [
        (stream(said(" a", None), {"error": {"message": "aborted"}}), lk.APIError),
        (stream(said(" a", None), done=False), lk.StreamError),
        (stream(said(" a", None), b"data: {oops\n\n"), lk.StreamError),
        (Reply((event(said(" a", None)), event(said("")), b"data:  [DONE] \n\n")), None),
    ]
    for reply, error in cases:
        plain.play(reply)
        texts: list[str] = []
        pieces = session.completions.create_stream("x", model=remote, max_retries=0)
        if error is None:
            texts.extend(chunk.text for chunk in pieces)
        else:
            with pytest.raises(error):
                texts.extend(chunk.text for chunk in pieces)
        assert "".join(texts) == " a"


def test_closing_disconnects(session: lk.Session, plain: FaultServer) -> None:
    """CONTRACT 55: which is how servers are told to stop."""
    plain.play(stream(said(" a", None), done=False, end="silent"))
    with session.completions.create_stream("x", model=lk.Remote(plain.url, "m")) as pieces:
        assert next(pieces).text == " a"
    assert plain.left.wait(10)
    assert session.runs["status"].tolist() == ["cancelled"]


def test_failures_that_may_pass_are_tried_again(session: lk.Session, plain: FaultServer) -> None:
    """CONTRACT 44: by the same rules as runs."""
    plain.play(whole({"detail": "busy"}, 503, retry_after="0.01"), whole(said(" x")))
    assert ask(session, plain).text == " x"
