"""Several processes and one ledger; processes that die."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llmkit.records import Ledger
from llmkit.records.process import Process, this_process
from tests.unit.ledger_runs import Story, record_run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

STREAM = """
story = Story(ledger.recorder())
story.say("So far", reasoning="Hm")
print("said", flush=True)
sys.stdin.read()
"""
MANY = """
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    record_run(ledger.recorder(), f"{name}-{number}", text="x" * 2000)
ledger.close()
"""
LEAVE = """
record_run(ledger.recorder(), "left")
"""


@contextmanager
def child(path: Path, code: str, name: str = "child") -> Iterator[subprocess.Popen[str]]:
    """Run ``code`` in a process of its own, with a ledger at ``path``."""
    head = (
        "import sys\nfrom llmkit.records import Ledger\nfrom tests.unit.ledger_runs import Story, record_run\n"
        "path, name = sys.argv[1:]\nledger = Ledger(path)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", head + code, str(path), name]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def heard(process: subprocess.Popen[str]) -> str:
    """Return the next line that ``process`` prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_until_stored(path: Path, text: str) -> None:
    """Return when another process has put ``text`` into the file, of which only the file can tell."""
    deadline = time.monotonic() + 30
    connection = sqlite3.connect(path)
    try:
        while connection.execute("SELECT text FROM runs").fetchone() != (text,):
            assert time.monotonic() < deadline, "the text never came"
            time.sleep(0.02)
    finally:
        connection.close()


def test_a_killed_process_leaves_its_run_as_interrupted_with_the_text_so_far(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with child(path, STREAM) as process:
        assert heard(process) == "said"
        wait_until_stored(path, "So far")
        with_both = Ledger(path)
        running = with_both.runs()
        assert running["status"].tolist() == ["running"]
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        killed = with_both.runs(status="interrupted")
        with_both.close()
    assert killed["text"].tolist() == ["So far"]
    assert killed["reasoning"].tolist() == ["Hm"]
    assert killed["ended"].isna().all()
    assert killed["model"].tolist() == ["small"]


def test_two_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.sqlite3"
    with child(path, MANY, "one") as one, child(path, MANY, "two") as two:
        for process in (one, two):
            assert heard(process) == "ready"
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        ledger = Ledger(path)
        for number in range(40):
            record_run(ledger.recorder(), f"three-{number}")
            assert (ledger.runs()["session_id"] == "session-1").all()
        errors = [process.communicate(timeout=60)[1] for process in (one, two)]
    assert errors == ["", ""]
    runs, steps = ledger.runs(), ledger.steps()
    ledger.close()
    expected = {f"{name}-{number}" for name in ("one", "two", "three") for number in range(40)}
    assert len(runs) == len(steps) == len(expected)
    assert set(runs["run_id"]) == set(steps["run_id"]) == expected
    assert (runs["status"] == "done").all()


def test_a_ledger_that_nobody_closes_is_complete_at_exit(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with child(path, LEAVE) as process:
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
    ledger = Ledger(path)
    assert ledger.runs()["status"].tolist() == ["done"]
    ledger.close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite3")
    yield opened
    opened.close()


def written_by(ledger: Ledger, process: Process) -> str:
    """Return the status of a running run that ``process`` is said to have begun."""
    Story(ledger.recorder())
    ledger.flush()
    with sqlite3.connect(ledger.path or "") as connection:
        connection.execute(
            "UPDATE runs SET host = ?, pid = ?, process_started = ?", (process.host, process.pid, process.started)
        )
    connection.close()
    status: str = ledger.runs()["status"].iloc[0]
    return status


def test_a_run_of_a_living_process_goes_on(ledger: Ledger) -> None:
    assert written_by(ledger, this_process()) == "running"


def test_a_later_process_of_the_same_number_is_another(ledger: Ledger) -> None:
    here = this_process()
    assert written_by(ledger, Process(here.host, here.pid, here.started - 3600)) == "interrupted"


def test_nothing_is_said_of_another_machines_processes(ledger: Ledger) -> None:
    assert written_by(ledger, Process("elsewhere", 2**22 + 1, 0.0)) == "running"


def test_the_calls_that_a_dead_process_left_are_interrupted_too(ledger: Ledger) -> None:
    """Whether a handler that had begun came to its end, nobody knows; requests stay open."""
    story = Story(ledger.recorder(), "done before")
    story.call("1", "look")
    story.end("")
    story = Story(ledger.recorder(), "dead")
    story.finish_tool(story.call("1", "look"), output=1)
    story.start_tool(story.call("2", "look"))
    story.ask("3", story.call("3", "look").name)
    ledger.flush()
    with sqlite3.connect(ledger.path or "") as connection:
        connection.execute("UPDATE runs SET process_started = process_started - 3600")
    connection.close()
    assert ledger.tool_calls(run_id="dead")["outcome"].tolist() == ["success", "interrupted", "interrupted"]
    assert ledger.tool_calls(run_id="done before")["outcome"].tolist() == ["pending"]
    assert ledger.approvals()["verdict"].isna().tolist() == [True]
