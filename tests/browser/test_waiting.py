"""Clicks and interrupts while a cell waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook
    from tests.browser.harness import Notebook

BUTTON = '''
import anywidget
from llmkit.notebook import waiting as kernel_waiting
from llmkit.waiting import Signal, wait, wait_async

kernel_waiting.install()
clicked, clicks = Signal(), []

class Button(anywidget.AnyWidget):
    _esm = """
    export default {
        render({ model, el }) {
            const button = document.createElement("button");
            button.textContent = "not clicked";
            button.onclick = () => model.send({});
            model.on("msg:custom", (message) => { button.textContent = `clicked ${message.clicks}`; });
            el.append(button);
        },
    };
    """

def on_click(widget, content, buffers):
    clicks.append(content)
    widget.send({"clicks": len(clicks)})
    clicked.set()

button = Button()
button.on_msg(on_click)
button
'''
BLOCKING = "clicked.clear(); print('waiting'); print(wait(clicked, 60), len(clicks))"
AWAITING = "clicked.clear(); print('waiting'); print(await wait_async(clicked, 60), len(clicks))"
FOREVER_BLOCKING = "print('waiting'); wait(Signal())"
FOREVER_AWAITING = "print('waiting'); await wait_async(Signal())"


def click(notebook: Notebook, times: int) -> None:
    """Click the button, and wait until the kernel has answered its `times`-th click."""
    notebook.output(0).get_by_role("button").click()
    expect(notebook.output(0).get_by_role("button")).to_have_text(f"clicked {times}")


@pytest.mark.parametrize("cell", [BLOCKING, AWAITING], ids=["blocking", "awaiting"])
def test_a_click_arrives_while_a_cell_waits(open_notebook: OpenNotebook, cell: str) -> None:
    notebook = open_notebook([BUTTON, cell, "print('next')"])
    notebook.run_cell(0)
    for turn in (1, 2):
        notebook.run_cell(1, wait=False)
        notebook.wait_until_running(1)
        notebook.run_cell(2, wait=False)
        click(notebook, turn)
        notebook.wait_for_cell(2)
        assert notebook.text(1) == f"waiting\nTrue {turn}"
        assert notebook.text(2) == "next"


def test_a_click_arrives_while_no_cell_runs(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook([BUTTON, BLOCKING])
    notebook.run_cell(0)
    click(notebook, 1)
    notebook.run_cell(1, wait=False)
    notebook.wait_until_running(1)
    click(notebook, 2)
    notebook.wait_for_cell(1)
    click(notebook, 3)


@pytest.mark.parametrize("cell", [FOREVER_BLOCKING, FOREVER_AWAITING], ids=["blocking", "awaiting"])
def test_after_an_interrupt_the_next_cell_runs_and_the_widget_still_works(
    open_notebook: OpenNotebook, cell: str
) -> None:
    """CONTRACT 3: an interrupted read leaves everything else usable."""
    notebook = open_notebook([BUTTON, cell, BLOCKING, "print('next')"])
    notebook.run_cell(0)
    notebook.run_cell(1, wait=False)
    notebook.wait_until_running(1)
    click(notebook, 1)
    notebook.interrupt()
    notebook.wait_for_cell(1)
    assert notebook.outputs(1)[-1]["ename"] == "KeyboardInterrupt"
    notebook.run_cell(3)
    assert notebook.text(3) == "next"
    notebook.run_cell(2, wait=False)
    notebook.wait_until_running(2)
    click(notebook, 2)
    notebook.wait_for_cell(2)
    assert notebook.text(2) == "waiting\nTrue 2"


def test_a_page_reloaded_while_a_cell_waits_has_its_widget_again(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook([BUTTON, BLOCKING])
    notebook.run_cell(0)
    notebook.save()
    notebook.run_cell(1, wait=False)
    notebook.wait_until_running(1)
    notebook.reload()
    click(notebook, 1)
    notebook.wait_for_kernel()
    notebook.run_cell(1, wait=False)
    notebook.wait_until_running(1)
    click(notebook, 2)
    notebook.wait_for_cell(1)
    assert notebook.text(1) == "waiting\nTrue 2"
