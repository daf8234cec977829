from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from llmkit.notebook import cells, display
from tests.unit.notebook_runs import FakeRun

if TYPE_CHECKING:
    from collections.abc import Callable

WIDGET = "application/vnd.jupyter.widget-view+json"


class Handle:
    """What IPython gives for a display that can be updated."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []
        self.updated = threading.Event()

    def update(self, data: dict[str, Any], *, raw: bool) -> None:
        assert raw
        self.updates.append(data)
        self.updated.set()


class Shell:
    """IPython's part: a cell number, what was displayed, and the hooks at the end of a cell."""

    def __init__(self) -> None:
        self.execution_count = 1
        self.displayed: list[dict[str, Any]] = []
        self.handles: list[Handle] = []
        self.hooks: list[Callable[[Any], None]] = []
        self.events = self

    def register(self, event: str, hook: Callable[[Any], None]) -> None:
        assert event == "post_run_cell"
        self.hooks.append(hook)

    def unregister(self, _event: str, hook: Callable[[Any], None]) -> None:
        self.hooks.remove(hook)

    def end_cell(self) -> None:
        for hook in tuple(self.hooks):
            hook(None)
        self.execution_count += 1

    def display(self, data: dict[str, Any], *, raw: bool, display_id: bool = False, **_: Any) -> Handle | None:
        assert raw
        self.displayed.append(data)
        self.handles.append(Handle())
        return self.handles[-1] if display_id else None


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell()
    monkeypatch.setattr(cells, "running_shell", lambda: shell)
    monkeypatch.setattr(cells, "running_kernel", lambda: None)
    monkeypatch.setattr("IPython.display.display", shell.display)
    return shell


@pytest.fixture
def live(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(display, "frontend", lambda: "live")
    return shell


@pytest.fixture
def headless(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(display, "frontend", lambda: "headless")
    return shell


def test_a_live_run_shows_a_widget_and_static_output_takes_its_place(live: Shell) -> None:
    run = FakeRun()
    display.show(run)
    assert set(live.displayed[0]) == {"text/plain", WIDGET}
    run.answer("Hello")
    assert live.handles[0].updated.wait(10)
    (final,) = live.handles[0].updates
    assert set(final) == {"text/plain", "text/markdown", "text/html"}
    assert final["text/plain"].startswith("Hello\n")


def test_a_run_that_is_over_shows_static_output(live: Shell) -> None:
    run = FakeRun()
    run.answer("Hello")
    display.show(run)
    assert WIDGET not in live.displayed[0]


def test_a_live_view_of_a_run_that_is_over_stays(live: Shell) -> None:
    """CONTRACT 2: independent replays, in any number, early or late."""
    run = FakeRun()
    run.answer("Hello")
    display.show(run, live=True)
    assert WIDGET in live.displayed[0]
    assert live.handles[0].updates == []


def test_a_cell_knows_what_it_has_shown(live: Shell) -> None:
    run, other = FakeRun(1), FakeRun(2)
    display.show(run)
    assert display.shown_in_this_cell(run)
    assert not display.shown_in_this_cell(other)
    live.end_cell()
    assert not display.shown_in_this_cell(run)


def test_a_headless_run_shows_once_at_the_end_of_its_cell(headless: Shell) -> None:
    runs = [FakeRun(number) for number in range(3)]
    for run in runs:
        display.show(run)
    assert headless.displayed == []

    def answer() -> None:
        for run in reversed(runs):
            run.answer(f"answer {run.id}")

    answering = threading.Thread(target=answer)
    answering.start()
    headless.end_cell()
    answering.join()
    assert [data["text/plain"].split("\n")[0] for data in headless.displayed] == [f"answer {run.id}" for run in runs]
    assert all(handle.updates == [] for handle in headless.handles)
    assert headless.hooks == []


def test_an_interrupt_at_the_end_of_a_headless_cell_stops_the_run_and_shows_it(headless: Shell) -> None:
    class Interrupted(FakeRun):
        def wait(self, timeout: float | None = None) -> bool:
            if not self.cancelled:
                raise KeyboardInterrupt
            self.abort("Hel")
            return super().wait(timeout)

    run = Interrupted()
    display.show(run)
    run.start()
    run.text("Hel")
    headless.end_cell()
    assert "Cancelled" in headless.displayed[0]["text/plain"]


def test_a_terminal_gets_its_prompt_back_when_the_run_has_ended(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(display, "frontend", lambda: "terminal")
    run = FakeRun()
    display.show(run)
    answering = threading.Thread(target=run.answer, args=("Hello",))
    answering.start()
    shell.end_cell()
    assert capsys.readouterr().out == "Hello\n"
    answering.join()


def test_a_script_has_no_cells(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(display, "frontend", lambda: "script")
    run = FakeRun()
    run.answer("Hello")
    display.show(run)
    assert not display.shown_in_this_cell(run)
    assert capsys.readouterr().out == "Hello\n"


def test_importing_the_notebook_package_imports_no_notebook_library() -> None:
    code = (
        "import sys, llmkit.notebook, llmkit.notebook.display\n"
        "assert not {'IPython', 'ipywidgets', 'anywidget', 'markdown_it', 'tqdm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
