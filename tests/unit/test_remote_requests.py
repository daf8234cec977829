"""What a remote engine sends, where to, and what it never shows."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest

import llmkit
from llmkit.engines.base import Note
from llmkit.engines.remote.body import wire_messages
from llmkit.engines.remote.config import Remote, is_remote, remote_from
from llmkit.engines.remote.probe import Server
from llmkit.engines.remote.secret import Secret
from llmkit.engines.remote.source import RemoteSource, connect
from llmkit.errors import APIError, Error, ModelNotFound, ValidationError
from llmkit.messages import Message, messages_from
from llmkit.tools.calls import ToolCall
from tests.unit.fault_server import FaultServer, Opened, Reply, asked, delta, hear, hello, opened, stream, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

open_ = pytest.fixture(opened)
KEY = "sk-very-secret-0123456789"
VARIABLES = ("LLMKIT_API_KEY", "OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS")


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as each:
        yield each


def sent(server: FaultServer, open_: Opened, remote: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    hear(open_(server, **(remote or {})), asked(**settings))
    body = server.bodies[-1]
    assert isinstance(body, dict)
    return body


# -- where to ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("http://gpu:8000/v1", "http://gpu:8000/v1"),
        ("http://gpu:8000", "http://gpu:8000/v1"),
        ("http://gpu:8000/v1/", "http://gpu:8000/v1"),
        ("https://gpu/v1/chat/completions", "https://gpu/v1"),
        ("https://gpu/proxy/openai/v1/models/", "https://gpu/proxy/openai/v1"),
        ("http://[::1]:8080", "http://[::1]:8080/v1"),
    ],
)
def test_an_address_is_completed(given: str, address: str) -> None:
    assert Remote(given).base_url == address


@pytest.mark.parametrize(
    "given", ["", "gpu:8000", "ftp://gpu", "http://", "http://gpu:x/v1", "http://user:pw@gpu/v1", "http://gpu/v1?k=v"]
)
def test_an_address_that_cant_be_one_is_refused(given: str) -> None:
    """CONTRACT 42: a ValidationError that names the field; it doesn't repeat a password."""
    with pytest.raises(ValidationError) as caught:
        Remote(given)
    assert caught.value.field == "base_url"
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout", 0),
        ("connect_timeout", float("inf")),
        ("timeout", True),
        ("api", "responses"),
        ("api_key", "two\nlines"),
        ("api_key", ""),
        ("headers", {"bad name": "x"}),
        ("model", ""),
    ],
)
def test_other_values_that_cant_be_used_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Remote(**{"base_url": "http://gpu", field: value})
    assert caught.value.field == field


def test_a_models_name_may_say_where_it_runs() -> None:
    """Issue 5: several remotes in one session; a model name may say where it runs."""
    remote = remote_from("http://gpu:8000/v1#Qwen/Qwen3-8B")
    assert (remote.base_url, remote.model, remote.name) == (
        "http://gpu:8000/v1",
        "Qwen/Qwen3-8B",
        "http://gpu:8000/v1#Qwen/Qwen3-8B",
    )
    assert remote_from(remote) is remote
    assert remote_from(remote.name) == remote
    assert remote_from("http://gpu:8000").name == "http://gpu:8000/v1"
    assert RemoteSource("http://gpu:8000#m").name == "http://gpu:8000/v1#m"
    assert [is_remote(name) for name in ("http://gpu#m", "HTTPS://gpu", Remote("http://gpu"))] == [True] * 3
    assert not any(is_remote(name) for name in ("owner/name", "httpx/model", "./http:", 3, None))


def test_a_remote_can_have_a_name_of_its_own() -> None:
    assert str(Remote("http://gpu", "m", name="cluster")) == "cluster"


# -- who it is -----------------------------------------------------------------------------------------------------


def test_the_server_says_what_it_is(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 58."""
    server.models = {"data": [{"id": "q", "owned_by": "vllm", "max_model_len": 8192}, {"id": "m", "owned_by": "vllm"}]}
    assert open_(server, model="q").server == Server("q", "vllm", 8192)
    assert open_(server, model="m").info.context_length is None
    server.models = {"data": [{"id": "/x.gguf", "owned_by": "llamacpp", "meta": {"n_ctx": 1024, "n_ctx_train": 8192}}]}
    info = open_(server, model=None).info
    assert (info.engine, info.build, info.context_length) == ("remote", "llamacpp", 1024)
    assert info.device in server.url


@pytest.mark.parametrize(("software", "kind"), [("llama.cpp", "llamacpp"), ("BaseHTTP/0.6", "mlx_lm"), ("uvicorn", "")])
def test_a_server_is_known_by_its_header_too(server: FaultServer, open_: Opened, software: str, kind: str) -> None:
    server.models = whole({"error": "no"}, 404, server=software)
    assert open_(server).info.build == kind


def test_mlx_lm_server_isnt_told_stop_strings(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 42: it would take them out and go on."""
    server.models = whole({"data": []}, server="BaseHTTP/0.6 Python/3.11")
    heard = hear(open_(server), asked(stop=["lo th"]))
    assert (heard.text, heard.done.reason) == ("Hel", "stop")
    assert "stop" not in server.bodies[0]


def test_a_model_that_isnt_named_must_be_the_only_one(server: FaultServer, open_: Opened) -> None:
    server.models = {"data": [{"id": "q"}, {"id": "m"}]}
    with pytest.raises(ModelNotFound, match="q, m"):
        open_(server, model=None)
    server.models = {"data": []}
    with pytest.raises(ModelNotFound, match="0 models"):
        open_(server, model=None)
    server.models = whole({"error": "no"}, 401)
    with pytest.raises(APIError, match="401"):
        open_(server, model=None)


@pytest.mark.parametrize("answer", [whole({"error": "x"}, 404), whole([1]), whole({"data": [3, {"id": None}]}),
                                    Reply((b"<html>",), kind="text/html"), Reply(end="unanswered")])  # fmt: skip
def test_a_named_model_needs_no_list(server: FaultServer, open_: Opened, answer: Reply) -> None:
    server.models = answer
    assert open_(server, model="q").server == Server("q")


# -- what is sent --------------------------------------------------------------------------------------------------


def test_what_was_set_is_sent(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 42, 57: every setting; temperature 0 is sent as 0."""
    settings: dict[str, Any] = {
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 7,
        "min_p": 0.1,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
        "repetition_penalty": 1.2,
    }
    more: dict[str, Any] = {
        "max_output_tokens": 9,
        "stop": ["a", "b"],
        "seed": 7,
        "logit_bias": {5: -1.0},
        "logprobs": 2,
        "reasoning": False,
    }
    body = sent(server, open_, **settings, **more)
    assert {name: body[name] for name in settings} == settings
    assert body["temperature"] == 0
    assert (body["max_tokens"], body["stop"], body["logit_bias"]) == (9, ["a", "b"], {"5": -1.0})
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    assert body["repeat_penalty"] == 1.2
    assert body["seed"] == 7
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert (body["stream"], body["stream_options"], body["model"]) == (True, {"include_usage": True}, "m")


def test_what_wasnt_set_is_left_to_the_server_but_what_records_state(server: FaultServer, open_: Opened) -> None:
    body = sent(server, open_)
    assert set(body) == {"model", "messages", "stream", "stream_options", "temperature", "top_p"}


def test_llama_cpp_is_told_everything(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 42: every setting has a neutral default; its own aren't neutral."""
    server.models = {"data": [{"id": "m", "owned_by": "llamacpp"}]}
    body = sent(server, open_)
    assert (body["top_k"], body["min_p"], body["repeat_penalty"], body["return_progress"]) == (0, 0.0, 1.0, True)


def test_options_come_last(server: FaultServer, open_: Opened) -> None:
    body = sent(server, open_, {"options": {"top_p": 0.1, "guided_regex": "x"}}, top_p=0.9)
    assert (body["top_p"], body["guided_regex"]) == (0.1, "x")


def test_text_that_utf8_cant_hold_is_mended(server: FaultServer, open_: Opened) -> None:
    hear(open_(server), asked("a\ud83d\udc1f\ud800b"))
    assert server.bodies[0]["messages"][0]["content"] == "a🐟\ufffdb"


def test_reasoning_goes_along_within_its_turn_alone() -> None:
    """CONTRACT 48."""
    call = ToolCall("abcdefghi", "weather", {"city": "Rome"})
    messages = (
        Message("user", "Hi"),
        Message("assistant", "Hello", reasoning="Polite."),
        Message("user", "Weather?"),
        Message("assistant", "", reasoning="Look it up.", tool_calls=(call,)),
        Message("tool", "22", tool_call_id="abcdefghi", name="weather"),
        Message("tool", "Error: It has no name.", tool_call_id="zzzzzzzzz"),
    )
    wire = wire_messages(messages)
    assert [value.get("reasoning_content") for value in wire] == [None, None, None, "Look it up.", None, None]
    assert wire[3]["tool_calls"][0]["function"]["arguments"] == '{"city": "Rome"}'
    assert wire[4]["tool_call_id"] == "abcdefghi"
    assert wire[5] == {"role": "user", "content": "Error: It has no name."}


def test_images_go_along(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 48: images where the model can."""
    content = [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,x"}},
    ]
    hear(open_(server), asked([{"role": "user", "content": content}]))
    assert server.bodies[0]["messages"][0]["content"] == content
    with pytest.raises(ValidationError, match="chat"):
        hear(open_(server, api="completions"), asked([{"role": "user", "content": content}]))


# -- what servers refuse -------------------------------------------------------------------------------------------


def refusing(field: str) -> Reply:
    return whole({"error": {"message": f"Unsupported parameter: '{field}'.", "param": field}}, 400)


@pytest.mark.parametrize("field", ["stream_options", "stop", "temperature", "top_p"])
def test_a_field_that_the_server_refuses_is_left_out_from_then_on(
    server: FaultServer, open_: Opened, field: str
) -> None:
    engine = open_(server)
    server.play(refusing(field), hello())
    heard = hear(engine, asked(stop=["there"]))
    assert heard.text == "Hello "
    hear(engine, asked(stop=["there"]))
    assert [field in body for body in server.bodies] == [True, False, False]
    noted = [each.text for each in heard.all(Note)]
    assert bool(noted) == (field in {"temperature", "top_p"})


def test_a_server_that_refuses_to_stream_is_asked_for_a_whole_answer(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 58: legacy servers."""
    answer = {"choices": [{"message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}]}
    server.play(whole({"detail": "stream is not supported"}, 422), whole(answer))
    assert hear(open_(server)).text == "Hello."
    assert [body["stream"] for body in server.bodies] == [True, False]
    assert "stream_options" not in server.bodies[1]


def test_a_limit_goes_under_the_name_that_the_server_takes(server: FaultServer, open_: Opened) -> None:
    server.play(refusing("max_tokens"), hello())
    hear(open_(server), asked(max_output_tokens=7))
    assert ("max_tokens" in server.bodies[1], server.bodies[1]["max_completion_tokens"]) == (False, 7)


@pytest.mark.parametrize(("field", "value"), [("temperature", 0.5), ("top_p", 0.5), ("seed", 3)])
def test_what_the_user_chose_is_never_dropped(server: FaultServer, open_: Opened, field: str, value: Any) -> None:
    server.play(refusing(field), hello())
    with pytest.raises(APIError, match=field):
        hear(open_(server), asked(**{field: value}))
    assert len(server.bodies) == 1


def test_several_refusals_in_a_row_end(server: FaultServer, open_: Opened) -> None:
    server.play(refusing("stop"), refusing("top_p"), refusing("temperature"), refusing("stop"))
    with pytest.raises(APIError):
        hear(open_(server), asked(stop=["x"]))
    assert len(server.bodies) == 4


# -- keys ----------------------------------------------------------------------------------------------------------


def test_a_key_is_sent_as_bearer_and_as_x_api_key(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 58."""
    hear(open_(server, api_key=KEY, headers={"X-Team": "blue"}))
    for each in server.received:
        assert each.headers["authorization"] == f"Bearer {KEY}"
        assert each.headers["x-api-key"] == KEY
        assert each.headers["x-team"] == "blue"


def test_a_key_comes_from_the_environment(server: FaultServer, open_: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 58: from the environment or passed."""
    monkeypatch.setenv("LLMKIT_API_KEY", KEY)
    hear(open_(server))
    assert server.received[-1].headers["x-api-key"] == KEY
    monkeypatch.setenv("TABBY_KEY", "another-key")
    hear(open_(server, api_key_env="TABBY_KEY"))
    assert server.received[-1].headers["x-api-key"] == "another-key"
    hear(open_(server, api_key="passed-key"))
    assert server.received[-1].headers["x-api-key"] == "passed-key"
    with pytest.raises(ValidationError, match="NO_SUCH_KEY"):
        open_(server, api_key_env="NO_SUCH_KEY")


def test_without_a_key_none_is_sent(server: FaultServer, open_: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """What belongs to OpenAI goes to OpenAI's own server alone."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Own: {KEY}\nnonsense")
    hear(open_(server))
    for each in server.received:
        absent = {"authorization", "x-api-key", "openai-organization", "openai-project", "x-own"}
        assert not absent & set(each.headers)
    assert Remote("https://api.openai.com/v1").key() == Secret(KEY)
    assert Remote("https://api.openai.com.evil.example/v1").key() is None


def _everywhere(error: BaseException | None) -> str:
    """Return all that a traceback tells, with the local variables of every frame but the tests' own."""
    told = ""
    assert error is not None
    assert error.__traceback__ is not None
    while error is not None:
        summary = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True)
        frames = [frame for frame in summary.stack if "/tests/" not in frame.filename]
        told += "".join(traceback.StackSummary.from_list(frames).format()) + str(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    return told


@pytest.mark.parametrize("echo", [401, 500, 200, 307])
def test_a_key_shows_nowhere(server: FaultServer, open_: Opened, caplog: pytest.LogCaptureFixture, echo: int) -> None:
    """CONTRACT 58: never in a repr, an event, an error, a traceback of ours, a log."""
    caplog.set_level(logging.DEBUG)
    remote = Remote(server.url, "m", api_key=KEY, headers={"X-Other": f"{KEY}-header"})
    engine = connect(remote)
    quoted = {
        "error": {"message": f"Bad key {KEY}.", "keys": [KEY, {KEY: KEY}], "type": "x", "header": f"{KEY}-header"}
    }
    if echo == 200:
        server.play(stream(delta("Hello"), quoted, done=False))
    elif echo == 307:
        server.play(Reply(status=307, headers={"location": f"http://other/?key={KEY}"}))
    else:
        server.play(whole(quoted, echo))
    try:
        told = repr(hear(engine).done.error.__dict__)
    except Error as error:
        told = _everywhere(error)
    engine.close()
    told += repr(remote) + str(remote) + repr(engine.info) + repr(remote.api_key) + str(remote.headers)
    told += repr(copy.deepcopy(remote)) + repr(vars(engine)) + RemoteSource(remote).reason
    # What a server says is the HTTP library's to show at this level.
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("llmkit")]
    assert KEY not in told
    assert KEY not in "".join(ours)
    assert "***" in told


def test_what_is_sent_is_in_nobodys_log(server: FaultServer, open_: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """CONTRACT 58."""
    caplog.set_level(logging.DEBUG)
    server.play(hello(), whole({"error": "no"}, 401))
    engine = open_(server, api_key=KEY, headers={"X-Other": f"{KEY}-header"})
    hear(engine)
    with pytest.raises(APIError):
        hear(engine)
    assert "POST" in caplog.text
    assert KEY not in caplog.text


def test_an_unreachable_server_shows_no_key(caplog: pytest.LogCaptureFixture) -> None:
    """CONTRACT 58."""
    caplog.set_level(logging.DEBUG)
    engine = connect(Remote("http://127.0.0.1:9/v1", "m", api_key=KEY))
    with pytest.raises(Error) as caught:
        hear(engine)
    engine.close()
    assert KEY not in _everywhere(caught.value)
    assert KEY not in caplog.text


def test_a_key_cant_be_pickled() -> None:
    with pytest.raises(TypeError, match="environment"):
        pickle.dumps(Remote("http://gpu", api_key=KEY))
    assert json.dumps({"key": str(Secret(KEY))}) == '{"key": "***"}'


def test_importing_llmkit_imports_no_client() -> None:
    """DESIGN: heavy libraries are imported when first needed."""
    import subprocess
    import sys

    code = (
        "import sys, llmkit, llmkit.engines.remote.config, llmkit.engines.remote.source; "
        "print([m for m in sys.modules if m in ('openai', 'httpx', 'httpx2')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"
    assert llmkit.__name__ == "llmkit"


def test_messages_stay_as_they_are(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 54: the caller's request is not changed."""
    request = asked(messages_from([{"role": "user", "content": "Hi."}]))
    before = copy.deepcopy(request)
    hear(open_(server), request)
    assert request == before
