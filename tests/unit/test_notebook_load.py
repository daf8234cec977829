from __future__ import annotations

import io
import sys
import threading
from typing import Any

import pytest

from llmkit.errors import FetchError
from llmkit.notebook import load_view
from llmkit.notebook.load_view import HeadlessLoad, LiveLoad, TerminalLoad, bar, line

HALF = {"stage": "fetch", "downloaded": 5_000_000, "total": 10_000_000, "percentage": 50.0, "file": "a.gguf"}


class Output:
    """A cell's output: what is displayed, and what takes its place."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []
        self.changed = threading.Semaphore(0)

    def display(self, data: dict[str, str], **_: Any) -> Output:
        return self.update(data)

    def update(self, data: dict[str, str], **_: Any) -> Output:
        self.shown.append(data)
        self.changed.release()
        return self


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Output:
    output = Output()
    monkeypatch.setattr("IPython.display.display", output.display)
    monkeypatch.setattr(load_view, "PATIENCE", 0.0)
    monkeypatch.setattr(load_view, "_INTERVAL", 0.0)
    return output


def test_a_live_load_shows_a_bar_and_ends_as_a_line(output: Output) -> None:
    view = LiveLoad("SmolLM2")
    view.update(**HALF)
    view.finish("SmolLM2 is loaded")
    assert output.shown[0]["text/plain"] == "Loading SmolLM2"
    assert output.shown[-1]["text/plain"] == "✓ SmolLM2 is loaded"


def test_a_bar_says_how_far_it_is() -> None:
    assert bar("SmolLM2", HALF)["text/plain"] == "Fetching SmolLM2 · a.gguf · 5 of 10 MB · 50 %"


def test_a_quick_load_shows_nothing(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_view, "PATIENCE", 60.0)
    view = LiveLoad("SmolLM2")
    view.update(**HALF)
    view.finish("SmolLM2 is loaded")
    assert output.shown == []


def test_a_failed_load_says_why_at_once(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_view, "PATIENCE", 60.0)
    LiveLoad("SmolLM2").fail(FetchError("No network."))
    assert output.shown[0]["text/plain"] == "✗ SmolLM2: FetchError: No network."


def test_without_a_browser_only_a_fetch_is_worth_a_line(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_view, "WORTH_A_LINE", 0.0)
    loaded = HeadlessLoad("SmolLM2")
    loaded.update(stage="load", percentage=50.0)
    loaded.finish("SmolLM2 is loaded")
    assert output.shown == []
    fetched = HeadlessLoad("SmolLM2")
    fetched.update(**HALF)
    fetched.finish("SmolLM2 is loaded")
    assert [data["text/plain"] for data in output.shown] == ["✓ SmolLM2 is loaded"]


def test_names_are_text_and_never_markup() -> None:
    html = bar("<img src=x>", {**HALF, "file": "<script>"})["text/html"] + line("failed", "<b>")["text/html"]
    assert not {"<img", "<script", "<b>"} & {html[at : at + length] for at in range(len(html)) for length in (3, 4, 7)}
    assert 'aria-valuenow="50"' in html


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_load_draws_on_stderr_and_cleans_up(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Tty()
    monkeypatch.setattr(sys, "stderr", stderr)
    view = TerminalLoad("SmolLM2")
    view.update(**HALF)
    other = TerminalLoad("Other")
    other.update(**HALF)
    other.finish("")
    view.finish("SmolLM2 is loaded")
    assert "Fetching a.gguf" in stderr.getvalue()
    assert stderr.getvalue().count("Fetching") == stderr.getvalue().count("Fetching a.gguf")
    assert stderr.getvalue().endswith("\r")


def test_a_terminal_load_without_a_terminal_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    view = TerminalLoad("SmolLM2")
    view.update(**HALF)
    view.finish("SmolLM2 is loaded")
    assert capsys.readouterr() == ("", "")
