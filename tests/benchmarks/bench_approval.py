"""From the approval click to the handler's start, in a real browser.

A real JupyterLab shows the panel; the pointer clicks Approve. The page notes when the browser took the click, the
handler's first line when it runs; both are Unix time of the same machine. In turn: the
kernel is idle, a cell blocks on `run.result()`, a cell is in `await run`. Twenty clicks each; median and worst. The
scripted engine writes the calls, so that nothing competes for the processor.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.harness import Notebook, PageErrors, Server, launch_browser
from tests.browser.panel import button, cards, expect_statuses

CLICKS = 20
SETUP = '''
import time
import llmkit as lk

@lk.tool
def get_weather(city: str) -> str:
    """Current weather for a city."""
    global started
    started = time.time()
    return "sunny"

session = lk.Session(engine=lk.Scripted([lk.Answer(tool_calls=[("get_weather", {"city": "Tokyo"})])]), ledger=None)
'''
ASK = "run = session.complete('Hi', tools=[get_weather])"
KERNELS = {"idle": ASK, "blocking": f"{ASK}\nrun.result();", "awaiting": f"{ASK}\nawait run;"}
NOTE_CLICKS = """() => document.addEventListener("click", event => {
    window.clicked = (performance.timeOrigin + event.timeStamp) / 1000;
}, true)"""


def main() -> None:
    server = Server(Path(tempfile.mkdtemp(prefix="llmkit-bench-")))
    server.wait_until_running()
    expect.set_options(timeout=30_000)
    try:
        with launch_browser() as browser:
            server.write_notebook("bench.ipynb", [SETUP, *KERNELS.values(), "print(started)"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            notebook = Notebook(server, page, "bench.ipynb", PageErrors())
            page.evaluate(NOTE_CLICKS)
            notebook.run_cell(0)
            measure(notebook)
    finally:
        server.stop()


def measure(notebook: Notebook) -> None:
    times: dict[str, list[float]] = {kernel: [] for kernel in KERNELS}
    for _ in range(CLICKS):
        for cell, kernel in enumerate(KERNELS, start=1):
            times[kernel].append(click_to_start(notebook, cell))
    for kernel, taken in times.items():
        print(f"click to handler, kernel {kernel:9} {words(taken)}")
    every = [each for taken in times.values() for each in taken]
    print(f"click to handler, all {len(every)} clicks    {words(every)} (goal: median < 100 ms)")


def click_to_start(notebook: Notebook, cell: int) -> float:
    """Approve a call under `cell`; return the seconds from the click to the handler's start."""
    notebook.run_cell(cell, wait=False)
    expect_statuses(notebook, cell, "pending")
    button(cards(notebook, cell), "Approve").click()
    notebook.wait_for_cell(cell)
    clicked: float = notebook.page.evaluate("window.clicked")
    last = len(KERNELS) + 1
    notebook.run_cell(last)
    return float(notebook.text(last)) - clicked


def words(taken: list[float]) -> str:
    return f"median {1e3 * statistics.median(taken):.0f} ms, worst {1e3 * max(taken):.0f} ms"


if __name__ == "__main__":
    main()
