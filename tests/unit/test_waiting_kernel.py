"""Waiting in real kernels, with the ipykernel that is installed and with others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import pytest
import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from tests.source_path import kernel_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERSIONS = ("6.29.5", "7.0.1", "7.3.0", "7.4.0")
TIMEOUT = 30.0

PRELUDE = """
import asyncio, contextlib, threading, time
import comm
from llmkit.notebook import waiting as kernel_waiting
from llmkit.waiting import Signal, current_waiter, wait, wait_async
kernel_waiting.install()

clicked = Signal()
clicks = []
on_click = lambda data: clicked.set()

def opened(channel, message):
    @channel.on_msg
    def clicked_on(message):
        data = message["content"]["data"]
        clicks.append(data)
        on_click(data)

comm.get_comm_manager().register_target("button", opened)

def fresh():
    clicked.clear(); clicks.clear()
    globals()["on_click"] = lambda data: clicked.set()
"""


@dataclass
class Outcome:
    """What came of one message: a cell, or a click."""

    text: str = ""
    states: list[str] = field(default_factory=list)
    reply: dict[str, Any] | None = None

    @property
    def status(self) -> str:
        assert self.reply is not None
        status: str = self.reply["content"]["status"]
        return status

    @property
    def error(self) -> str:
        assert self.reply is not None
        name: str = self.reply["content"].get("ename", "")
        return name


class Kernel:
    """A kernel process and its client: cells go in, and outcomes come out by message."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self.client = manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT)
        self.channels = {channel.socket: channel for channel in (self.client.iopub_channel, self.client.shell_channel)}
        self.poller = zmq.Poller()
        for socket in self.channels:
            self.poller.register(socket, zmq.POLLIN)
        self.outcomes: dict[str, Outcome] = {}
        assert self.run(PRELUDE).status == "ok"
        self.button = self.send("comm_open", comm_id="b" * 32, target_name="button", data={})

    def run(self, code: str) -> Outcome:
        return self.finish(self.start(code))

    def start(self, code: str) -> str:
        return self.send("execute_request", code=code, silent=False, store_history=True, allow_stdin=False)

    def click(self, data: str = "click") -> str:
        return self.send("comm_msg", comm_id="b" * 32, data=data)

    def send(self, kind: str, **content: Any) -> str:
        message = self.client.session.msg(kind, content)
        self.client.shell_channel.send(message)
        message_id: str = message["header"]["msg_id"]
        self.outcomes[message_id] = Outcome()
        return message_id

    def interrupt(self) -> float:
        at = time.monotonic()
        self.manager.interrupt_kernel()
        return at

    def finish(self, message_id: str) -> Outcome:
        """Wait for the reply to a message, and for all its output."""
        outcome = self.outcomes[message_id]
        self._receive_until(lambda: outcome.reply is not None and "idle" in outcome.states)
        return outcome

    def wait_for(self, message_id: str, text: str) -> None:
        self._receive_until(lambda: text in self.outcomes[message_id].text)

    def wait_for_idle(self, message_id: str) -> None:
        self._receive_until(lambda: "idle" in self.outcomes[message_id].states)

    def _receive_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, f"nothing came: {self.outcomes}"
            assert self.manager.is_alive(), "the kernel died"
            for socket, _ in self.poller.poll(1000):
                self._take(self.channels[socket].get_msg(timeout=0))

    def _take(self, message: dict[str, Any]) -> None:
        outcome = self.outcomes.get(message["parent_header"].get("msg_id"))
        if outcome is None:
            return
        if message["msg_type"] == "stream":
            outcome.text += message["content"]["text"]
        elif message["msg_type"] == "status":
            outcome.states.append(message["content"]["execution_state"])
        elif message["msg_type"].endswith("_reply"):
            outcome.reply = message


def installed(wanted: str) -> list[Path]:
    """Return the folder that has ipykernel in the wanted version, unless it is the one of this environment."""
    if version("ipykernel") == wanted:
        return []
    cache = platformdirs.user_cache_path("llmkit-tests")
    folder = cache / f"ipykernel-{wanted}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            target = Path(scratch) / "target"
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
            subprocess.run([*pip, f"ipykernel=={wanted}"], check=True, timeout=120)
            target.rename(folder)
    return [folder]


@pytest.fixture(scope="module", params=VERSIONS)
def process(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("kernel")
    manager = KernelManager(connection_file=str(folder / "connection.json"))
    manager._kernel_spec = KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], language="python"
    )
    environment = {**os.environ, **kernel_path(*installed(request.param)), "IPYTHONDIR": str(folder)}
    with (folder / "log").open("w") as log:
        manager.start_kernel(env=environment, stdout=log, stderr=log)
        kernel = Kernel(manager)
        assert kernel.run("import ipykernel; print(ipykernel.__version__)").text.strip() == request.param
        yield kernel
        kernel.client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.fixture
def kernel(process: Kernel) -> Kernel:
    process.outcomes.clear()
    assert process.run("fresh()").status == "ok"
    return process


BLOCKING = "print('waiting'); print(wait(clicked, 20), clicks)"
AWAITING = "print('waiting'); print(await wait_async(clicked, 20), clicks)"


@pytest.mark.parametrize("cell", [BLOCKING, AWAITING], ids=["blocking", "awaiting"])
def test_a_click_reaches_a_cell_that_waits_for_it(kernel: Kernel, cell: str) -> None:
    waiting = kernel.start(cell)
    kernel.wait_for(waiting, "waiting")
    click = kernel.click("yes")
    assert kernel.finish(waiting).text == "waiting\nTrue ['yes']\n"
    assert kernel.outcomes[click].states == ["busy", "idle"]


def test_a_click_reaches_an_idle_kernel(kernel: Kernel) -> None:
    kernel.wait_for_idle(kernel.click("idle"))
    assert kernel.run("print(clicks)").text == "['idle']\n"


@pytest.mark.parametrize("cell", [BLOCKING, AWAITING], ids=["blocking", "awaiting"])
def test_cells_queued_behind_a_waiting_one_run_after_it_in_order(kernel: Kernel, cell: str) -> None:
    waiting = kernel.start(cell)
    kernel.wait_for(waiting, "waiting")
    queued = [kernel.start(f"order = [{n}] if {n} == 0 else [*order, {n}]; print(order)") for n in range(5)]
    kernel.click()
    assert "True" in kernel.finish(waiting).text
    assert kernel.finish(queued[-1]).text == "[0, 1, 2, 3, 4]\n"


@pytest.mark.parametrize("cell", [BLOCKING, AWAITING], ids=["blocking", "awaiting"])
def test_cells_queued_behind_an_interrupted_one_are_aborted_and_the_next_runs(kernel: Kernel, cell: str) -> None:
    waiting = kernel.start(cell.replace("clicked", "Signal()"))
    kernel.wait_for(waiting, "waiting")
    queued = kernel.start("print('never')")
    kernel.wait_for_idle(kernel.click())  # it was sent after the queued cell, so that has arrived too
    kernel.interrupt()
    assert kernel.finish(waiting).error == "KeyboardInterrupt"
    assert kernel.finish(queued).status == "aborted"
    assert kernel.run("print('next')").text == "next\n"


@pytest.mark.parametrize(
    "wait",
    ["wait(Signal(), 20)", "await wait_async(Signal(), 20)", "await asyncio.sleep(0); wait(Signal(), 20)"],
    ids=["blocking", "awaiting", "blocking-in-a-cell-that-awaits"],
)
def test_an_interrupt_reaches_a_waiting_cell_at_once(kernel: Kernel, wait: str) -> None:
    lines = ["print('waiting')", *wait.split("; ")]
    body = "\n".join(f"    {line}" for line in lines)
    cell = f"try:\n{body}\nexcept KeyboardInterrupt:\n    print(time.monotonic())\n    raise"
    waiting = kernel.start(cell)
    kernel.wait_for(waiting, "waiting")
    at = kernel.interrupt()
    outcome = kernel.finish(waiting)
    assert outcome.error == "KeyboardInterrupt"
    delay = float(outcome.text.split()[1]) - at
    print(f"interrupted within {delay * 1000:.0f} ms")
    assert delay < 1
    waiting = kernel.start(BLOCKING)
    kernel.wait_for(waiting, "waiting")
    kernel.click("still works")
    assert "['still works']" in kernel.finish(waiting).text


@pytest.mark.parametrize("wait", ["await wait_async(Signal(), 20)", "wait(Signal(), 20)"], ids=["async", "blocking"])
def test_an_interrupt_cancels_the_task_a_cell_has_made_and_the_kernel_lives(kernel: Kernel, wait: str) -> None:
    cell = f"async def one():\n    print('waiting')\n    {wait}\nawait asyncio.gather(one())"
    waiting = kernel.start(cell)
    kernel.wait_for(waiting, "waiting")
    at = kernel.interrupt()
    assert kernel.finish(waiting).error == "CancelledError"
    assert time.monotonic() - at < 10
    assert kernel.run("print('alive')").text == "alive\n"


def test_an_interrupt_in_the_middle_of_a_click_leaves_nothing_half_done(kernel: Kernel) -> None:
    waiting = kernel.start(
        "import signal\n"
        "shell_kernel = get_ipython().kernel; publish = shell_kernel._publish_status\n"
        "def publish_and_interrupt(status, *rest, **more):\n"
        "    publish(status, *rest, **more)\n"
        "    del shell_kernel._publish_status\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "print('waiting')\n"
        "shell_kernel._publish_status = publish_and_interrupt\n"
        "try: wait(Signal(), 20)\n"
        "finally: print(clicks)\n"
    )
    kernel.wait_for(waiting, "waiting")
    click = kernel.click("whole")
    outcome = kernel.finish(waiting)
    assert (outcome.text, outcome.error) == ("waiting\n['whole']\n", "KeyboardInterrupt")
    assert kernel.outcomes[click].states == ["busy", "idle"]


def test_a_time_limit_around_an_asynchronous_wait_is_not_an_interrupt(kernel: Kernel) -> None:
    cell = "async with asyncio.timeout(0.1):\n    await wait_async(Signal(), 20)"
    assert kernel.run(cell).error == "TimeoutError"


@pytest.mark.parametrize("cell", [BLOCKING, AWAITING], ids=["blocking", "awaiting"])
def test_a_widgets_handler_can_itself_wait_for_a_click(kernel: Kernel, cell: str) -> None:
    kernel.run(
        "second = Signal()\n"
        "def on_click(data):\n"
        "    if data == 'second': second.set()\n"
        "    else: clicks.append(wait(second, 20)); clicked.set()"
    )
    waiting = kernel.start(cell)
    kernel.wait_for(waiting, "waiting")
    kernel.click("first")
    queued = kernel.start("print('queued')")
    kernel.click("second")
    assert kernel.finish(waiting).text == "waiting\nTrue ['first', 'second', True]\n"
    assert kernel.finish(queued).text == "queued\n"


@pytest.mark.parametrize("cell", [BLOCKING, AWAITING], ids=["blocking", "awaiting"])
def test_a_handler_that_waits_can_be_interrupted(kernel: Kernel, cell: str) -> None:
    kernel.run("def on_click(data): print('in handler'); wait(Signal(), 20)")
    waiting = kernel.start(cell)
    kernel.wait_for(waiting, "waiting")
    click = kernel.click()
    kernel.wait_for(click, "in handler")
    kernel.interrupt()
    assert kernel.finish(waiting).error == "KeyboardInterrupt"
    assert kernel.run("print('alive')").text == "alive\n"


@pytest.mark.parametrize("cell", [BLOCKING, AWAITING], ids=["blocking", "awaiting"])
def test_output_of_a_handler_belongs_to_the_click_and_the_cells_to_the_cell(kernel: Kernel, cell: str) -> None:
    kernel.run("def on_click(data): print('from the handler'); clicked.set()")
    waiting = kernel.start(cell)
    kernel.wait_for(waiting, "waiting")
    click = kernel.click("x")
    assert kernel.finish(waiting).text == "waiting\nTrue ['x']\n"
    kernel.wait_for_idle(click)
    assert kernel.outcomes[click].text == "from the handler\n"


@pytest.mark.parametrize("cell", [BLOCKING, AWAITING], ids=["blocking", "awaiting"])
def test_a_handler_that_fails_does_not_end_the_wait(kernel: Kernel, cell: str) -> None:
    kernel.run("def on_click(data):\n    if data == 'bad': raise ValueError(data)\n    clicked.set()")
    waiting = kernel.start(cell)
    kernel.wait_for(waiting, "waiting")
    kernel.click("bad")
    kernel.click("good")
    assert "True ['bad', 'good']" in kernel.finish(waiting).text


@pytest.mark.parametrize("cell", [BLOCKING, AWAITING], ids=["blocking", "awaiting"])
def test_a_page_that_is_reloaded_gets_its_answers_while_a_cell_waits(kernel: Kernel, cell: str) -> None:
    waiting = kernel.start(cell)
    kernel.wait_for(waiting, "waiting")
    info = kernel.finish(kernel.send("kernel_info_request"))
    assert info.status == "ok"
    comms = kernel.finish(kernel.send("comm_info_request", target_name="button"))
    assert comms.reply is not None
    assert kernel.button
    assert list(comms.reply["content"]["comms"]) == ["b" * 32]
    assert kernel.outcomes[waiting].reply is None
    kernel.click()
    assert kernel.finish(waiting).status == "ok"


def test_a_reader_that_is_always_behind_lets_clicks_in(kernel: Kernel) -> None:
    waiting = kernel.start(
        "there = Signal(); there.set(); print('waiting')\n"
        "deadline = time.monotonic() + 20\n"
        "while not clicks and time.monotonic() < deadline: wait(there)\n"
        "print(clicks)"
    )
    kernel.wait_for(waiting, "waiting")
    kernel.click("in")
    assert kernel.finish(waiting).text == "waiting\n['in']\n"


def test_a_coroutine_that_is_always_behind_lets_clicks_in(kernel: Kernel) -> None:
    waiting = kernel.start(
        "there = Signal(); there.set(); print('waiting')\n"
        "deadline = time.monotonic() + 20\n"
        "while not clicks and time.monotonic() < deadline: await wait_async(there)\n"
        "print(clicks)"
    )
    kernel.wait_for(waiting, "waiting")
    kernel.click("in")
    assert kernel.finish(waiting).text == "waiting\n['in']\n"


def test_a_task_that_outlives_its_cell_does_not_hold_up_the_next(kernel: Kernel) -> None:
    kernel.run("never = Signal(); task = asyncio.create_task(wait_async(never, 60)); await asyncio.sleep(0.1)")
    assert kernel.run("print('next')").text == "next\n"
    assert kernel.run("await asyncio.sleep(0.1); print('and next')").text == "and next\n"
    kernel.wait_for_idle(kernel.click("idle"))
    assert kernel.run("print(clicks, task.done()); never.set(); print(await task)").text == "['idle'] False\nTrue\n"


def test_a_thread_waits_while_cells_run(kernel: Kernel) -> None:
    kernel.run("results = []; thread = threading.Thread(target=lambda: results.append(wait(clicked, 20)))")
    kernel.run("thread.start()")
    kernel.wait_for_idle(kernel.click())
    assert kernel.run("thread.join(); print(results)").text == "[True]\n"


def test_installing_again_changes_nothing(kernel: Kernel) -> None:
    cell = (
        "before = current_waiter(); kernel_waiting.install(); print(current_waiter() is before, type(before).__name__)"
    )
    assert kernel.run(cell).text == "True KernelWaiter\n"


def test_a_kernel_without_the_private_parts_waits_plainly_and_warns_once(kernel: Kernel) -> None:
    outcome = kernel.run(
        "import logging\n"
        "from llmkit.notebook.waiting import KernelWaiter\n"
        "class Shell:\n"
        "    kernel = type('Strange', (), {})()\n"
        "records = []\n"
        "handler = logging.Handler(); handler.emit = records.append; logging.getLogger('llmkit').addHandler(handler)\n"
        "strange = KernelWaiter(Shell.kernel)\n"
        "done = Signal()\n"
        "print(strange.wait(done, 0.01), await strange.wait_async(done, 0.01))\n"
        "done.set()\n"
        "print(strange.wait(done, 20), await strange.wait_async(done, 20))\n"
        "logging.getLogger('llmkit').removeHandler(handler)\n"
        "print([record.levelname for record in records])"
    )
    assert outcome.text == "False False\nTrue True\n['WARNING']\n"


def test_the_front_end_is_headless_when_it_cannot_be_asked(kernel: Kernel) -> None:
    cell = "from llmkit.notebook.frontend import frontend; print(frontend())"
    assert kernel.run(cell).text == "headless\n"
    live = kernel.send("execute_request", code=cell, silent=False, store_history=True, allow_stdin=True)
    assert kernel.finish(live).text == "live\n"


ASK = """
import json
import llmkit as lk

@lk.tool
def get_weather(city: str) -> str:
    "Tell the weather."
    return f"sunny in {city}"

answer = lk.Answer(tool_calls=[("get_weather", {"city": "Tokyo"})])
session = lk.Session(engine=lk.Scripted([answer]), ledger=None)
asked = Signal()
run = session.complete("Hi", tools=[get_weather], on_approval_request=lambda event: asked.set())
wait(asked, 20)
(request,) = run.pending_approvals
widget = [each for each in comm.get_comm_manager().comms.values() if each.target_name == "jupyter.widget"][-1]
print(json.dumps([widget.comm_id, request.call.id, request.digest]))
"""


@pytest.mark.parametrize("read", ["run.result()", "(await run)"], ids=["blocking", "awaiting"])
def test_a_decision_reaches_a_cell_that_waits_for_the_run(kernel: Kernel, read: str) -> None:
    """CONTRACT 25, 26: the panel's decision, with edited arguments, on every ipykernel."""
    asked = kernel.finish(kernel.send("execute_request", code=ASK, silent=False, store_history=True, allow_stdin=True))
    widget, call, digest = json.loads(asked.text.splitlines()[-1])
    waiting = kernel.start(f"print('waiting'); print({read}.tool_results[0].output)")
    kernel.wait_for(waiting, "waiting")
    edited = '{"city": "Kyoto"}'
    decision = {"kind": "decide", "call_id": call, "digest": digest, "verdict": "allow", "arguments": edited}
    kernel.send("comm_msg", comm_id=widget, data={"method": "custom", "content": decision})

    assert kernel.finish(waiting).text == "waiting\nsunny in Kyoto\n"
