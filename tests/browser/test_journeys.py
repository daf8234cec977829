"""What people do with a run, from the first cell to the reopened notebook, in a real JupyterLab."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook
    from tests.browser.harness import Notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def scripted(*, count: int, rate: int) -> str:
    """Return a cell that makes a session which says w0, w1, … at a rate in words a second."""
    return f"""
import llmkit as lk
answer = ' '.join(f'w{{number}}' for number in range({count}))
session = lk.Session(engine=lk.Scripted([answer], tokens_per_second={rate}, slots=8), ledger=None)
"""


def live(notebook: Notebook, cell: int) -> Any:
    """Return the live widget under a cell."""
    return notebook.output(cell).locator("section.llmkit-run")


def wait_for_end(notebook: Notebook, cell: int) -> None:
    """Wait until static output has taken the live widget's place."""
    expect(live(notebook, cell)).to_have_count(0)
    expect(notebook.output(cell)).to_contain_text("tokens/s")


def saved_html(notebook: Notebook, cell: int) -> str:
    """Return the HTML that the saved notebook holds under a cell."""
    outputs = notebook.read_saved().cells[cell].outputs
    assert outputs, "the cell was saved without output"
    assert not any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in outputs)
    return "".join(output.data["text/html"] for output in outputs if "text/html" in output.get("data", {}))


def test_the_quickstart_runs_from_first_to_last_cell(open_notebook: OpenNotebook) -> None:
    """Run all: a real model answers in a live view, nothing fails, and the saved notebook holds the answers."""
    cells = nbformat.read(NOTEBOOKS / "01-quickstart.ipynb", as_version=4).cells  # type: ignore[no-untyped-call]
    notebook = open_notebook([cell.source for cell in cells if cell.cell_type == "code"])
    notebook.run_all(timeout=150)
    texts = [notebook.text(index) for index in range(len(notebook.read_saved().cells))]
    assert not [text for text in texts if "Traceback" in text or "Error" in text]
    assert texts[2]
    wait_for_end(notebook, 1)
    notebook.save()
    assert "tokens/s" in saved_html(notebook, 1)


def test_stop_stops_in_mid_stream(open_notebook: OpenNotebook) -> None:
    """CONTRACT 7: the button does what run.cancel() does."""
    notebook = open_notebook(
        [
            scripted(count=5000, rate=50),
            "run = session.complete('Go on')",
            "run.wait(); print(run.finish_reason, len(run.text_so_far))",
        ]
    )
    notebook.run_cell(0)
    notebook.run_cell(1)
    expect(live(notebook, 1)).to_contain_text("w5")
    live(notebook, 1).get_by_role("button", name="Stop").click()
    expect(notebook.output(1)).to_contain_text("Cancelled", ignore_case=True)
    notebook.run_cell(2)
    reason, length = notebook.text(2).split()
    assert reason == "cancelled"
    assert 10 < int(length) < 5000


def test_a_stop_reaches_a_kernel_that_waits_for_the_run(open_notebook: OpenNotebook) -> None:
    """A click gets through while a cell blocks on run.result()."""
    notebook = open_notebook(
        [
            scripted(count=5000, rate=50),
            """
run = session.complete('Go on')
try:
    run.result()
except lk.RunCancelled as stop:
    print('stopped', len(stop.text) > 5)
""",
        ]
    )
    notebook.run_cell(0)
    notebook.run_cell(1, wait=False)
    expect(live(notebook, 1)).to_contain_text("w5")
    live(notebook, 1).get_by_role("button", name="Stop").click()
    notebook.wait_for_cell(1)
    assert "stopped True" in notebook.text(1)


def test_a_reload_in_mid_stream_loses_nothing(open_notebook: OpenNotebook) -> None:
    """The view comes back with all that was said, and goes on to the end."""
    notebook = open_notebook([scripted(count=1500, rate=100), "run = session.complete('Go on')", "run.show()"])
    notebook.run_cell(0)
    notebook.run_cell(1)
    expect(live(notebook, 1)).to_contain_text("w20")
    notebook.save()
    notebook.reload()
    expect(live(notebook, 1)).to_contain_text("w30")
    expect(live(notebook, 1)).to_contain_text("w1499", timeout=30_000)
    words = live(notebook, 1).locator(".llmkit-run-answer").inner_text().split()
    assert words == [f"w{number}" for number in range(1500)]
    notebook.run_cell(2)
    expect(live(notebook, 2)).to_contain_text("w1499")


def test_an_interrupted_cell_leaves_kernel_and_run_alive(open_notebook: OpenNotebook) -> None:
    """Interrupting a cell that waits for a run stops the waiting; the next cells work, and so does the widget."""
    notebook = open_notebook(
        [
            scripted(count=5000, rate=50),
            "run = session.complete('Go on')\nprint('waiting', flush=True)\nrun.result()",
            "print('alive', run.status)",
            "await run",
        ]
    )
    notebook.run_cell(0)
    notebook.run_cell(1, wait=False)
    expect(live(notebook, 1)).to_contain_text("w5")
    notebook.interrupt()
    notebook.wait_for_cell(1)
    assert "KeyboardInterrupt" in notebook.text(1)
    notebook.run_cell(2)
    assert "alive decoding" in notebook.text(2)
    notebook.run_cell(3, wait=False)
    live(notebook, 1).get_by_role("button", name="Stop").click()
    notebook.wait_for_cell(3)
    assert "RunCancelled" in notebook.text(3)


def test_eight_at_once_lose_nothing(open_notebook: OpenNotebook) -> None:
    """Eight live widgets at 200 tokens a second each show every word."""
    count = 400
    notebook = open_notebook(
        [
            scripted(count=count, rate=200),
            "runs = [session.complete(f'Go {n}') for n in range(8)]",
            "[run.wait() for run in runs]",
        ]
    )
    notebook.run_cell(0)
    notebook.run_cell(1)
    expect(live(notebook, 1)).to_have_count(8)
    notebook.run_cell(2)
    expect(notebook.output(1).get_by_text("tokens/s")).to_have_count(8)
    expected = [f"w{number}" for number in range(count)]
    for output in notebook.output(1).locator(".jp-OutputArea-output").all():
        words = [word for word in output.inner_text().split() if word.startswith("w") and word[1:].isdigit()]
        assert words == expected


def test_a_saved_notebook_reopens_with_the_answer(open_notebook: OpenNotebook, server: Any) -> None:
    """Without its kernel, the notebook still shows the answer and how it went; hostile text stays text."""
    hostile = (
        '**bold** <img src=x onerror="window.hacked=1"> <script>window.hacked=2</script> ![x](http://127.0.0.1:9/x.png)'
    )
    notebook = open_notebook(
        [
            f"import llmkit as lk\nsession = lk.Session(engine=lk.Scripted([{hostile!r}]), ledger=None)",
            "session.complete('Hi')",
        ]
    )
    notebook.run_all()
    wait_for_end(notebook, 1)
    notebook.save()
    assert "<strong>bold</strong>" in saved_html(notebook, 1)
    for session in server.api("sessions"):
        server.api(f"sessions/{session['id']}", "DELETE")
    notebook.page.goto(server.url(notebook.name))
    expect(notebook.output(1)).to_contain_text("bold")
    expect(notebook.output(1)).to_contain_text("tokens/s")
    assert notebook.page.evaluate("window.hacked") is None
    assert notebook.output(1).locator("img").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_view_is_named_and_driven_by_keyboard(open_notebook: OpenNotebook, theme: Any) -> None:
    """The view has a name, its button can be reached and pressed by keyboard, in both themes."""
    notebook = open_notebook([scripted(count=5000, rate=50), "run = session.complete('Go on')"])
    notebook.set_theme(theme)
    notebook.run_cell(0)
    notebook.run_cell(1)
    view = live(notebook, 1)
    expect(view).to_contain_text("w5")
    expect(view).to_have_accessible_name("Answer of scripted")
    stop = view.get_by_role("button", name="Stop")
    stop.focus()
    notebook.page.keyboard.press("Enter")
    expect(notebook.output(1)).to_contain_text("Cancelled", ignore_case=True)
