from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmkit
from llmkit import events
from llmkit.terminal import Terminal, printable
from tests.unit.notebook_runs import FakeRun

STATS_LINE = (
    "Done · SmolLM2 · llamacpp · 12 tokens · 80.0 tokens/s · first after 0.25 s · prompt 20 · 8 cached · stop\n"
)


@pytest.fixture(autouse=True)
def at_exit(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Collect what is registered for the interpreter's exit, which must not wait for the runs of these tests."""
    registered: list[object] = []
    monkeypatch.setattr("llmkit.terminal.atexit.register", registered.append)
    return registered


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(st.text())
def test_no_control_character_gets_through(text: str) -> None:
    shown = printable(text)
    assert not [each for each in shown if each not in "\n\t" and (ord(each) < 32 or 127 <= ord(each) < 160)]
    assert not set(shown) & set("\u2028\u202e\u2066")


def test_escape_sequences_are_visible() -> None:
    assert printable("a\x1b[2Jb\x7f\r\nc\td\u202e") == "a␛[2Jb␡\nc\td�"


def test_text_streams_to_stdout_and_stats_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRun()
    Terminal().show(run)
    run.start()
    run.text("Hel")
    assert capsys.readouterr().out == "Hel"
    run.text("lo")
    run.finish("Hello")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("lo\n", STATS_LINE)


def test_a_line_that_is_ended_is_not_ended_again(capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRun()
    Terminal().show(run)
    run.answer("Hello\n")
    assert capsys.readouterr().out == "Hello\n"


def test_a_call_is_a_line_with_its_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRun()
    Terminal().show(run)
    run.start()
    run.text("I look.")
    call = run.ask("get\x1b[2J", city="Tokyo\u202e")
    assert capsys.readouterr().err == ""
    run.decide(call, by="code")
    run.end_call(call, {"temperature": 22}, duration=0.25)
    shown = capsys.readouterr()
    assert shown.out == "\n"
    assert shown.err == ('✓ get\\u001b[2J(city: "Tokyo\\u202e") → {"temperature": 22} · allowed by code · 250 ms\n')
    denied = run.ask("rm", "call-2")
    run.decide(denied, "deny", "headless")
    run.text("Well.")
    run.finish("Well.")
    shown = capsys.readouterr()
    assert shown.out == "Well.\n"
    assert shown.err.startswith("⊘ rm() · denied because nobody was there to ask\nDone")


def test_runs_print_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = FakeRun(1), FakeRun(2), FakeRun(3)
    terminal = Terminal()
    for run in (first, second, third):
        terminal.show(run)
        run.start()
    first.text("a")
    second.text("1")
    third.answer("x")
    first.text("b")
    assert capsys.readouterr().out == "ab"
    first.finish("ab")
    assert capsys.readouterr().out == "\n1"
    second.text("2")
    second.finish("12")
    assert capsys.readouterr().out == "2\nx\n"


def test_a_failed_run_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRun()
    Terminal().show(run)
    run.start()
    run.fail("No memory\x1b[31m left.")
    assert capsys.readouterr().err.startswith("EngineError: No memory␛[31m left.\nFailed · SmolLM2")


def test_reasoning_and_stats_are_dim_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Tty()
    monkeypatch.setattr(sys, "stderr", stderr)
    run = FakeRun()
    Terminal().show(run)
    run.start()
    run.emit(events.ReasoningDelta, step=0, text="hm")
    run.finish("a")
    assert stderr.getvalue().startswith("\x1b[2mhm\x1b[0m\x1b[2mDone · SmolLM2")


def test_what_the_encoding_lacks_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    run = FakeRun()
    Terminal().show(run)
    run.text("naïve \ud800 ☃")
    assert raw.getvalue() == b"na?ve ? ?"


def test_a_closed_stdout_stops_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    run = FakeRun()
    terminal = Terminal()
    terminal.show(run)
    run.answer("Hello")
    terminal.wait()
    assert run.wait(0)


def test_waiting_ends_when_all_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRun()
    terminal = Terminal()
    terminal.show(run)
    answering = threading.Thread(target=run.answer, args=("Hello",))
    answering.start()
    terminal.wait()
    assert capsys.readouterr().out == "Hello\n"
    answering.join()


def test_runs_are_awaited_once_at_exit(at_exit: list[object]) -> None:
    terminal = Terminal()
    terminal.show(FakeRun(1))
    terminal.show(FakeRun(2))
    assert at_exit == [terminal.wait]


def test_an_interrupt_while_waiting_stops_the_runs() -> None:
    class Interrupted(FakeRun):
        def wait(self, timeout: float | None = None) -> bool:
            if not self.cancelled:
                raise KeyboardInterrupt
            self.abort()
            return super().wait(timeout)

    run = Interrupted()
    terminal = Terminal()
    terminal.show(run)
    terminal.wait()
    assert run.cancelled == 1


SCRIPT = """
import llmkit as lk
session = lk.Session(engine=lk.Scripted(["Hello there, this is the answer."]), ledger=None)
session.complete("Hi")
"""


def test_a_script_awaits_what_it_shows() -> None:
    root = Path(llmkit.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "Hello there, this is the answer.\n"
    assert done.stderr.startswith("Done · scripted")


@pytest.mark.parametrize("stage", ["fetch", "load"])
def test_loading_for_a_run_shows_nothing_when_stderr_is_no_terminal(
    stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = FakeRun()
    Terminal().show(run)
    run.start()
    run.emit(events.Load, stage=stage, downloaded=1, total=2, percentage=50.0, file="a")
    assert capsys.readouterr().err == ""
