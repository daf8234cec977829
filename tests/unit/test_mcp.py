"""Tools of a real MCP server, started by the tests as a program and over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.server
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmkit import waiting
from llmkit.background import loop_thread
from llmkit.cancellation import CancelToken
from llmkit.errors import APIError, Error, RequestError, RunCancelled, TimeoutError, ValidationError  # noqa: A004
from llmkit.mcp import Media, Toolset, mcp_tools
from llmkit.tools.arguments import ToolArgumentsError
from llmkit.tools.choice import tools_from
from llmkit.tools.context import ToolContext
from tests.unit.mcp_server import PNG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from llmkit.tools.running import ToolOutcome

SCRIPT = str(Path(__file__).with_name("mcp_server.py"))
PROGRAM = [sys.executable, SCRIPT, "stdio"]
SECRET = "Bearer sesame-0123456789"  # noqa: S105 - opens nothing


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Provide a server over HTTP and its port."""
    with subprocess.Popen([sys.executable, SCRIPT, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture(scope="module")
def program() -> Iterator[Toolset]:
    with mcp_tools(PROGRAM, env={"API_KEY": SECRET}) as tools:
        yield tools


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving("http", "0") as (_, port):
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.fixture(scope="module")
def odd() -> Iterator[str]:
    with serving("http", "0", "odd") as (_, port):
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.fixture(scope="module")
def site(url: str) -> Iterator[Toolset]:
    with mcp_tools(url, headers={"Authorization": SECRET}) as tools:
        yield tools


@pytest.fixture(params=["program", "site"])
def tools(request: pytest.FixtureRequest) -> Toolset:
    made: Toolset = request.getfixturevalue(request.param)
    return made


def start(tools: Toolset, name: str, *, cancel: CancelToken | None = None, **arguments: Any) -> Future[ToolOutcome]:
    """Begin a call on llmkit's loop; return its outcome to come, once it has told of progress or ended."""
    told = threading.Event()
    context = ToolContext(cancel=cancel or CancelToken())
    outcome = loop_thread().start(
        lambda: tools[name].run(arguments, context, on_preliminary=lambda _: told.set(), echo=False)
    )
    outcome.add_done_callback(lambda _: told.set())
    assert told.wait(20)
    return outcome


def call(tools: Toolset, tool: str, /, **arguments: Any) -> ToolOutcome:
    return loop_thread().start(lambda: tools[tool].run(arguments)).result(20)


def ended(tools: Toolset) -> bool:
    """Wait for the end of the connection that there is now."""
    connection = tools._server._connection
    assert connection is not None
    return connection.ended.wait(20)


# -- what is offered ------------------------------------------------------------------------------------------------


def test_tools_of_a_server_are_llmkits_tools(tools: Toolset) -> None:
    greet = tools["greet"]
    assert greet is tools[0]
    assert tools_from(tools) == tuple(tools) == tools[:]
    assert greet.description.startswith("Greet somebody.\n")
    assert greet.parameters["properties"]["name"]["type"] == "string"
    assert greet.needs_approval is True
    assert greet.timeout == 60.0


def test_repr_names_the_server_and_its_tools(tools: Toolset) -> None:
    lines = repr(tools).splitlines()
    assert lines[0].startswith(f"MCP server weather 1.2.0 · {len(tools)} tools")
    assert lines[1] == "  greet(name: string, loud: boolean = false) — Greet somebody."


def test_names_are_made_fit_for_models_and_prefixed(url: str) -> None:
    with mcp_tools(url, include=["files*", "greet"], prefix="home-", needs_approval=False, timeout=None) as tools:
        assert [each.name for each in tools] == ["home-greet", "home-files_read-all_now"]
        assert tools[0].needs_approval is False
        assert tools[0].timeout is None
        # Parameters of the same names as those of handlers' own.
        assert call(tools, "home-files_read-all_now", context="a", self="b").value == "a b"


def test_a_tool_whose_schema_cant_be_used_is_left_out_with_a_warning_at_the_callers_line(odd: str) -> None:
    with (
        pytest.warns(UserWarning, match=r"'weather' offers \"broken\", which is left out: .*another document") as told,
        mcp_tools(odd, include=["broken", "greet"]) as tools,
    ):
        assert [each.name for each in tools] == ["greet"]
    assert told[0].filename == __file__


def test_two_tools_of_one_name_are_refused(odd: str) -> None:
    with pytest.raises(ValidationError, match=r"'same_name'.*include"):
        mcp_tools(odd, include="same*")


def test_include_that_matches_nothing_says_what_there_is(url: str) -> None:
    with pytest.raises(ValidationError, match=r'matches no tool.*"greet", "weather"'):
        mcp_tools(url, include="nonsense*")


@pytest.mark.parametrize("where", ["program", "site"])
def test_changed_tools_are_told_of_and_refreshed(where: str) -> None:
    with contextlib.ExitStack() as stack:
        server: Any = PROGRAM
        if where == "site":
            server = f"http://127.0.0.1:{stack.enter_context(serving('http', '0'))[1]}/mcp"
        tools = stack.enter_context(mcp_tools(server))
        assert call(tools, "learn").value == "learned"
        assert call(tools, "greet", name="you").success  # what the server told before has been heard by then
        assert tools.changed
        assert "have changed: refresh()" in repr(tools)
        with pytest.raises(KeyError):
            tools["sing"]
        tools.refresh()
        assert "have changed" not in repr(tools)
        assert call(tools, "sing").value == "la"


# -- calls ----------------------------------------------------------------------------------------------------------


def test_text_structure_and_images_come_as_python_values(tools: Toolset) -> None:
    assert call(tools, "greet", name="you", loud=True).value == "HELLO YOU!"
    assert call(tools, "weather", city="Oslo").value == {"city": "Oslo", "temperature": 22.5}
    assert call(tools, "picture").value == Media(PNG, "image/png")
    assert call(tools, "album").value == ["A picture:", Media(PNG, "image/png")]
    assert call(tools, "nothing").value is None


def test_an_error_result_is_an_error_that_the_model_sees(tools: Toolset) -> None:
    """CONTRACT 20: a handler that raises gives a tool error."""
    outcome = call(tools, "fail", why="no such city")
    assert outcome.status == "error"
    assert isinstance(outcome.error, APIError)
    assert "no such city" in outcome.error.message
    assert outcome.error.code == "tool_error"


def test_arguments_are_checked_before_anybody_is_asked(tools: Toolset) -> None:
    """CONTRACT 24: a call is validated before a person is asked."""
    with pytest.raises(ToolArgumentsError, match="name must be a string"):
        tools["greet"].validate({"name": 3})
    with pytest.raises(ToolArgumentsError):
        tools["greet"].validate({"name": "you", "volume": 11})


def test_progress_comes_as_preliminary_results(tools: Toolset) -> None:
    """CONTRACT 19: a generator's yields are preliminary results and its last value is the result."""
    told: list[Any] = []
    outcome = loop_thread().start(lambda: tools["count"].run({"to": 2}, on_preliminary=told.append)).result(20)
    assert outcome.value == "done"
    assert told == [
        {"progress": 1.0, "total": 2.0, "message": "1 of 2"},
        {"progress": 2.0, "total": 2.0, "message": "2 of 2"},
        "done",
    ]


def test_calls_run_side_by_side_and_in_any_loop(tools: Toolset) -> None:
    async def several() -> list[ToolOutcome]:
        return await asyncio.gather(*(tools["greet"].run({"name": str(number)}) for number in range(20)))

    stop = CancelToken()
    waits = start(tools, "wait", cancel=stop)
    assert [each.value for each in asyncio.run(several())] == [f"Hello {number}!" for number in range(20)]
    assert not waits.done()
    stop.cancel()
    assert waits.result(20).status == "cancelled"


@pytest.mark.parametrize("where", ["program", "site"])
def test_cancelling_a_call_cancels_it_on_the_server(where: str) -> None:
    with contextlib.ExitStack() as stack:
        server: Any = PROGRAM
        if where == "site":
            server = f"http://127.0.0.1:{stack.enter_context(serving('http', '0'))[1]}/mcp"
        tools = stack.enter_context(mcp_tools(server))
        stop = CancelToken()
        outcome = start(tools, "wait", cancel=stop)
        stop.cancel()
        assert isinstance(outcome.result(20).error, RunCancelled)
        assert call(tools, "cancellation").value == "cancelled"


def test_a_slow_tool_is_timed_out_and_cancelled_on_the_server() -> None:
    """CONTRACT 20: per-tool timeout: error as result."""
    with mcp_tools(PROGRAM, timeout=0.3) as tools:
        outcome = call(tools, "wait")
        assert outcome.status == "timeout"
        assert isinstance(outcome.error, TimeoutError)
        assert outcome.error.limit == "tool"
        assert call(tools, "cancellation").value == "cancelled"


# -- connections that break -----------------------------------------------------------------------------------------


def test_a_server_that_dies_in_mid_call_fails_the_call_and_is_started_again_for_the_next(program: Toolset) -> None:
    before = call(program, "process").value
    outcome = call(program, "die")
    assert isinstance(outcome.error, RequestError)
    assert 'broke while it was to run "die"; whether it did isn\'t known' in outcome.error.message
    assert "A last word." in outcome.error.message
    assert "connection lost" in repr(program)
    assert call(program, "process").value != before


def test_a_server_that_died_between_calls_goes_unnoticed(program: Toolset) -> None:
    before = call(program, "process").value
    os.kill(int(before), signal.SIGKILL)
    assert ended(program)
    assert call(program, "process").value != before


def test_a_site_that_dies_in_mid_call_fails_the_call_and_all_after_it() -> None:
    with serving("http", "0") as (_, port), mcp_tools(f"http://127.0.0.1:{port}/mcp") as tools:
        outcome = call(tools, "die")
        assert isinstance(outcome.error, Error)
        outcome = call(tools, "greet", name="you")
        assert isinstance(outcome.error, RequestError)
        outcome = call(tools, "greet", name="you")
        assert isinstance(outcome.error, RequestError)
        assert f"No answer from http://127.0.0.1:{port}" in outcome.error.message


def test_a_session_that_a_restarted_site_no_longer_knows_is_begun_anew_and_the_call_repeated() -> None:
    with serving("http", "0", "legacy") as (process, port):
        tools = mcp_tools(f"http://127.0.0.1:{port}/mcp")
        before = call(tools, "process").value
        process.kill()
        process.wait()
        with serving("http", str(port), "legacy"), tools:
            outcome = call(tools, "process")
            assert outcome.error is None
            assert outcome.value != before


def test_a_site_that_comes_to_refuse_is_told_by_its_status() -> None:
    with serving("http", "0") as (_, port), mcp_tools(f"http://127.0.0.1:{port}/mcp") as tools:
        assert call(tools, "lock").success
        error = call(tools, "greet", name="you").error
        assert isinstance(error, APIError)
        assert error.status == 401
        assert error.code == "authentication_error"


def test_a_tool_that_is_gone_is_the_servers_to_refuse(program: Toolset) -> None:
    async def ignore(progress: float, total: float | None, message: str | None) -> None:
        pass

    error = loop_thread().start(lambda: program._server.call("gone", {}, ignore)).exception(20)
    assert isinstance(error, APIError)
    assert "gone" in error.message


def test_the_older_transport_of_server_sent_events() -> None:
    with serving("sse", "0") as (_, port), mcp_tools(f"http://127.0.0.1:{port}/sse") as tools:
        assert call(tools, "greet", name="you").value == "Hello you!"
        assert isinstance(call(tools, "die").error, RequestError)


def test_a_command_that_isnt_there() -> None:
    with pytest.raises(RequestError, match="there is no program 'no-such-program") as raised:
        mcp_tools("no-such-program --at all")
    assert isinstance(raised.value.__cause__, FileNotFoundError)


def test_a_program_that_ends_at_once_is_quoted() -> None:
    with pytest.raises(RequestError, match=r"has ended. It wrote:\n  no licence"):
        mcp_tools([sys.executable, "-c", "import sys; sys.exit('no licence')"])


def test_a_program_that_never_answers_is_given_up() -> None:
    with pytest.raises(TimeoutError, match=r"didn't answer within 0\.2 s.*\n  thinking") as raised:
        mcp_tools(
            [sys.executable, "-c", "import sys; print('thinking', file=sys.stderr, flush=True); sys.stdin.read()"],
            start_timeout=0.2,
        )
    assert raised.value.limit == "start"


class _Answers(http.server.BaseHTTPRequestHandler):
    """A site that isn't an MCP server; the path says what it answers."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self) -> None:
        self.send_response(int(self.path[1:4]))
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"Hello")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def other_site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_address[1]}"
        site.shutdown()


@pytest.mark.parametrize("path", ["", "/sse"])
@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "authentication_error"), (403, "permission_error"), (404, "not_found"), (503, "server_error")],
)
def test_a_site_that_refuses_is_told_by_its_status(other_site: str, status: int, code: str, path: str) -> None:
    """CONTRACT 57: errors have a status and a code."""
    with pytest.raises(APIError, match=f"answered with status {status}") as raised:
        mcp_tools(f"{other_site}/{status}{path}", headers={"Authorization": SECRET})
    assert raised.value.status == status
    assert raised.value.code == code


@pytest.mark.parametrize("path", ["", "/sse"])
def test_a_site_that_is_no_mcp_server(other_site: str, path: str) -> None:
    with pytest.raises(RequestError, match="isn't an MCP server"):
        mcp_tools(f"{other_site}/200{path}")


def test_a_site_that_accepts_and_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/mcp"
        with pytest.raises(TimeoutError, match=r"didn't answer within 0\.2 s"):
            mcp_tools(url, start_timeout=0.2)


def test_a_port_where_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(RequestError, match=r"No answer from http://127.0.0.1:\d+ \(.+\)\. Check the URL"):
            mcp_tools(f"http://127.0.0.1:{unused.getsockname()[1]}/mcp")


# -- secrets --------------------------------------------------------------------------------------------------------


def test_headers_reach_the_server(site: Toolset) -> None:
    assert call(site, "header", name="authorization").value == SECRET


def test_variables_reach_the_program(program: Toolset) -> None:
    assert call(program, "variable", name="API_KEY").value == SECRET


def test_secrets_are_never_shown(
    site: Toolset, program: Toolset, other_site: str, caplog: pytest.LogCaptureFixture
) -> None:
    """CONTRACT 58: keys are never shown in a repr, an event, the ledger or a saved notebook."""
    caplog.set_level(logging.DEBUG, logger="llmkit")
    secret = SECRET.split()[1]
    loud = "import sys, os; sys.exit('the key is ' + os.environ['KEY'])"
    failures: list[Callable[[], Toolset]] = [
        lambda: mcp_tools(f"{other_site}/401/{secret}?key={secret}", headers={"Authorization": SECRET}),
        lambda: mcp_tools(f"{other_site}/401/{secret}/sse?key={secret}", headers={"Authorization": SECRET}),
        lambda: mcp_tools(f"http://user:{secret}@127.0.0.1:1/mcp", headers={"Authorization": SECRET}),
        lambda: mcp_tools("http://127.0.0.1/", headers={"Authorization": SECRET + "\n"}),
        lambda: mcp_tools([sys.executable, "-c", loud, secret], env={"KEY": SECRET}),
        lambda: mcp_tools(["no-such-program", secret]),
    ]
    for fail in failures:
        with pytest.raises(Error) as raised:
            fail()
        shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
        assert secret not in shown
    assert secret not in repr([site, vars(site), *site, program, vars(program), *program])
    assert secret not in caplog.text


# -- lifetime -------------------------------------------------------------------------------------------------------


def test_the_with_block_ends_the_program_and_later_calls_say_so() -> None:
    with mcp_tools(PROGRAM) as tools:
        process = int(call(tools, "process").value)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert "closed" in repr(tools)
    tools.close()
    outcome = call(tools, "greet", name="you")
    assert isinstance(outcome.error, RequestError)
    assert "were closed" in outcome.error.message


def test_closing_fails_the_calls_in_flight(url: str) -> None:
    tools = mcp_tools(url)
    outcome = start(tools, "wait")
    tools.close()
    error = outcome.result(20).error
    assert isinstance(error, RequestError)
    assert "were closed" in error.message


def test_tools_keep_their_server_and_it_ends_with_the_last_of_them() -> None:
    tools = mcp_tools(PROGRAM)
    greet = [tools["greet"]]
    connection = tools._server._connection
    assert connection is not None
    del tools
    gc.collect()
    assert asyncio.run(greet[0].run({"name": "you"})).value == "Hello you!"
    greet.clear()
    gc.collect()
    assert connection.ended.wait(20)


def test_the_program_ends_with_the_interpreter() -> None:
    script = (
        "import asyncio, sys\n"
        "from llmkit.mcp import mcp_tools\n"
        "tools = mcp_tools(sys.argv[1:])\n"
        "print(asyncio.run(tools['process'].run({})).value)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *PROGRAM], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_interrupting_the_start_gives_the_server_up() -> None:
    class Interrupted(waiting.PlainWaiter):
        def wait(self, done: threading.Event, timeout: float | None) -> bool:
            raise KeyboardInterrupt

    before = waiting.use_waiter(Interrupted())
    try:
        with pytest.raises(KeyboardInterrupt) as raised:
            mcp_tools([sys.executable, "-c", "import sys; sys.stdin.read()"])
    finally:
        waiting.use_waiter(before)
    made = next(each.frame.f_locals["tools"] for each in raised.traceback if "tools" in each.frame.f_locals)
    loop_thread().start(lambda: asyncio.sleep(0)).result(20)  # what was asked of the loop before has begun
    assert made._server.closed
    assert ended(made)


def test_llmkits_own_loop_refuses_to_wait_for_itself() -> None:
    async def ask() -> Toolset:
        return mcp_tools(PROGRAM)

    with pytest.raises(ValidationError, match="would wait for itself"):
        loop_thread().start(ask).result(20)


def test_without_the_sdk_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(RequestError, match=r"pip install 'llmkit\[mcp\]'"):
        mcp_tools("uvx server")
