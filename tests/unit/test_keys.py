"""A key goes to its server and shows nowhere else: one search through everything that a session leaves behind."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

import llmkit as lk
from llmkit.notebook import static
from llmkit.notebook.budget import Budget
from llmkit.notebook.run_view import RunView
from tests.unit.fault_server import FaultServer, Reply, delta, hello, stream, whole
from tests.unit.test_notebook_view import FakePage
from tests.unit.test_otel import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "sk-grep-for-me-0123456789"
"""All other keys here begin with it."""

OWN = f"{KEY}-of-one-run"


@lk.tool
def weather(city: str) -> str:
    """Weather in a city."""
    return f"Rain in {city}."


QUOTED = {"error": {"message": f"Bad key {KEY}.", "type": KEY, "code": KEY, "keys": [KEY, {KEY: f"Bearer {KEY}"}]}}
ID = {"id": f"chat-{KEY}", "model": KEY, "system_fingerprint": f"fp-{KEY}", "created": 7}
CALL = {"index": 0, "id": "call-1", "function": {"name": "weather", "arguments": '{"city": "Tokyo"}'}}
REPLIES: dict[str, Reply] = {
    "good": stream({**delta("Hello there."), **ID}, delta(finish="stop")),
    "refused": whole(QUOTED, 401, **{"x-request-id": KEY}),
    "busy": whole(QUOTED, 503, **{"retry-after": "0", "x-request-id": KEY}),
    "broken": stream(delta("Hello"), QUOTED, done=False),
    "moved": Reply(status=307, headers={"location": f"http://elsewhere/?key={KEY}"}),
    "page": Reply((f"<html>Who is {KEY}?</html>".encode(),), kind="text/html"),
    "no JSON": stream(delta("Hello"), f'data: {{"key": "{KEY}"\n\n'.encode()),
    "cut off": stream(delta("Hello"), done=False, end="broken"),
    "pended": stream({**delta(tool_calls=[CALL]), **ID}, delta(finish="tool_calls")),
}


class Places:
    """What was found where."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add(self, where: str, *values: object) -> None:
        self.texts[where] = "\n".join(value if isinstance(value, str) else repr(value) for value in values)


def in_full(error: BaseException | None) -> str:
    """Return all that a traceback tells, with the local variables of llmkit's frames."""
    told = ""
    while error is not None:
        summary = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True)
        frames = [frame for frame in summary.stack if "/tests/" not in frame.filename]
        told += "".join(traceback.StackSummary.from_list(frames).format())
        told += f"{error}{error!r}{vars(error)}{error.args}"
        error = error.__cause__ or error.__context__
    return told


def tell_run(places: Places, name: str, run: lk.Run) -> None:
    """Search a run, as a value and as it is shown."""
    pages: list[FakePage] = []

    def page(snapshot: Callable[[], dict[str, Any]], receive: Callable[[Any], None]) -> FakePage:
        pages.append(FakePage(snapshot, receive))
        return pages[0]

    view = RunView(run, page, budget=Budget())
    view.open()
    state = view.state.to_dict()
    places.add(f"{name}: widget", json.dumps(state), json.dumps(pages[0].sent), json.dumps(view.snapshot()))
    places.add(f"{name}: static output", json.dumps(static.bundle(state)))
    places.add(f"{name}: events", *run.events, json.dumps([event.to_dict() for event in run.events]))
    places.add(f"{name}: values", run, run.request, run.steps, run.stats, str(run), run.trace.to_csv())
    try:
        result = run.result()
    except lk.Error as error:
        places.add(f"{name}: error", in_full(error))
    else:
        places.add(f"{name}: response", result.response, result.response.to_json(), result)


def tell_session(places: Places, session: lk.Session, remote: lk.Remote) -> None:
    """Search what is told of the session as a whole."""
    places.add("session", session, vars(session), session.models.to_csv(), session.models.to_html())
    frames = {name: getattr(session, name) for name in ("runs", "steps", "tool_calls", "approvals", "profile")}
    for name, frame in frames.items():
        places.add(f"session.{name}", frame.to_csv(), frame.to_html(), frame.to_string())
    places.add("remote", remote, str(remote), remote.api_key, remote.headers, vars(session.resident(remote)))
    with pytest.raises(TypeError) as caught:
        pickle.dumps(remote)
    places.add("pickling", in_full(caught.value))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.setenv("GREP_KEY", KEY)
    with FaultServer({"data": [{"id": "m", "max_model_len": 4096, "note": KEY}]}) as each:
        yield each


def test_a_key_is_nowhere_in_what_a_session_leaves(
    server: FaultServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """CONTRACT 58: never in a repr, an event, the ledger, an error or traceback of ours, a widget, a span, a log."""
    caplog.set_level(logging.DEBUG)
    places, spans = Places(), Collector()
    remote = lk.Remote(server.url, "m", api_key_env="GREP_KEY", headers={"X-Other": f"{KEY}-header"})
    with ExitStack() as stack:
        session = stack.enter_context(
            lk.Session(remote, ledger=tmp_path / "ledger.db", telemetry=spans.provider, show=False, max_retries=1)
        )
        for name, reply in REPLIES.items():
            server.play(reply)
            run = session.complete(
                "Hi.", tools=[weather], headers={"Authorization": f"Bearer {OWN}"}, approval="pend", logprobs=2
            )
            assert run.wait(20), name
            tell_run(places, name, run)
        places.add("pended run", run.pended, run.pended.to_json())
        server.play(hello(), REPLIES["refused"])
        places.add("completion", session.completions.create("Once", headers={"X-Own": OWN}))
        with pytest.raises(lk.APIError) as caught:
            session.completions.create("Once")
        places.add("completion's error", in_full(caught.value))
        tell_session(places, session, remote)
    files = {path.name: path.read_bytes().decode("latin-1") for path in tmp_path.iterdir()}
    places.add("ledger", *files.values())
    places.add("spans", *(span.to_json() for span in spans.spans))
    places.add("log", "log:", *(each.getMessage() for each in caplog.records if each.name.startswith("llmkit")))

    assert {each.headers["x-api-key"] for each in server.received} == {KEY}
    assert any(OWN in each.headers["authorization"] for each in server.received)
    assert [where for where, text in places.texts.items() if not text] == []
    leaks = [f"{where}: …{_around(text)}…" for where, text in places.texts.items() if KEY in text]
    assert not leaks, "\n\n".join(leaks)
    assert "***" in places.texts["refused: error"]


def _around(text: str) -> str:
    at = text.index(KEY)
    return text[max(0, at - 200) : at + 60]


CELLS = (
    "import llmkit as lk\n%xmode Verbose",
    "session = lk.Session(lk.Remote(URL, 'm', api_key_env='GREP_KEY'), max_retries=0)\nsession",
    "run = session.complete('Hi.')",
    "run.result(), run.response, run.request, list(run.events)",
    "refused = session.complete('Hi.')",
    "refused.text",
    "session.completions.create('Once')",
    "lk.Remote(URL, 'm', api_key_env='GREP_KEY')",
    "session.models",
    "session.runs.T",
    "session.close()",
)


def test_a_key_is_nowhere_in_a_saved_notebook(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONTRACT 58: also where an error's traceback tells the local variables."""
    monkeypatch.setenv("LLMKIT_LEDGER", str(tmp_path / "ledger.db"))
    server.play(REPLIES["good"], REPLIES["refused"])
    cells = [nbformat.v4.new_code_cell(source.replace("URL", repr(server.url))) for source in CELLS]  # type: ignore[no-untyped-call]
    notebook = nbformat.v4.new_notebook(cells=cells)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True).execute()
    saved = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    failed = [at for at, cell in enumerate(notebook.cells) if any(each.output_type == "error" for each in cell.outputs)]
    assert failed == [5, 6]
    assert "Hello there." in saved
    assert "***" in saved
    assert KEY not in saved, _around(saved)
