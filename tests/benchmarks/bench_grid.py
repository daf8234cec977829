"""Eight cells through the grid, in a browser that shows it, ÷ the raw engine's own batch of eight.

A real JupyterLab in a real browser shows the grid while the kernel compares; in turn with it, with the page still
open, the raw engine decodes as many in a process of its own, and the kernel the same comparison without a grid.
Tokens of all answers by the wall clock, greedy, each answer of the same length. Five rounds, alternating; the median
of the rounds' ratios. Then sixteen scripted cells at full speed, by the page's long tasks.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.models.catalog import resolve
from llmkit.models.fetch import fetch
from tests.benchmarks.bench_compare import ANIMALS, CELLS, ENDLESS, TOKENS, raw
from tests.browser.harness import Notebook, PageErrors, Server, launch_browser

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROUNDS = 5
SETUP = f"""
import time, json
import llmkit as lk
session = lk.Session(temperature=0, ledger=None)
session.load()
def compared(show):
    before, began = time.process_time(), time.perf_counter()
    comparison = session.compare("Tell a long story about {{animal}}.", animal={ANIMALS}, rows=[], columns="animal",
                                 max_output_tokens={TOKENS}, logit_bias={ENDLESS}, show=show)
    if show:
        display(comparison)
    comparison.wait()
    spent = time.process_time() - before
    print(json.dumps([{CELLS * TOKENS} / (time.perf_counter() - began), spent / {CELLS * TOKENS}]))
compared(False)
"""
SCRIPTED = """
script = " ".join(f"w{n}" + ("\\n\\n- **item** of `code`\\n" if n % 40 == 39 else "") for n in range(1600))
busy = lk.Session(engine=lk.Scripted([script], tokens_per_second=200, slots=16), ledger=None)
comparison = busy.compare("Say {this} and {that}.", this=list("abcd"), that=list("wxyz"))
comparison
"""
WATCH = """
window.longTasks = [];
new PerformanceObserver(list => {
    for (const entry of list.getEntries()) window.longTasks.push([entry.startTime, entry.duration]);
}).observe({type: "longtask", buffered: true});
"""


def main() -> None:
    model = fetch(resolve("embedded"), engine_format="gguf", progress=None)
    server = Server(Path(tempfile.mkdtemp(prefix="llmkit-bench-")))
    server.wait_until_running()
    try:
        with launch_browser() as browser:
            cells = [SETUP, *["compared(True)", "compared(False)"] * ROUNDS, SCRIPTED, "comparison.wait()"]
            server.write_notebook(
                "bench.ipynb", [*cells, "print({cell.text for cell in comparison.cells} == {script})"]
            )
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.add_init_script(WATCH)
            notebook = Notebook(server, page, "bench.ipynb", PageErrors())
            notebook.run_cell(0, timeout=300)
            with_model(notebook, model)
            at_full_speed(notebook, page, len(cells) - 2)
    finally:
        server.stop()


def with_model(notebook: Notebook, model: Path) -> None:
    by_raw, by_unseen, spent = [], [], []
    for number in range(ROUNDS):
        alone = raw(model, CELLS)
        (shown, seconds), (unseen, _) = (measured(notebook, 1 + 2 * number + index) for index in range(2))
        print(f"  raw {alone:.0f}, grid {shown:.0f}, without a grid {unseen:.0f} tokens/s", flush=True)
        by_raw.append(shown / alone)
        by_unseen.append(shown / unseen)
        spent.append(seconds)
    print(
        f"eight cells in a live grid ÷ the raw engine's batch of eight: {statistics.median(by_raw):.3f} (goal: ≥ 0.95)"
    )
    print(f"eight cells in a live grid ÷ the same without one: {statistics.median(by_unseen):.3f}")
    print(f"kernel processor time a token: {1e3 * statistics.median(spent):.2f} ms")


def measured(notebook: Notebook, cell: int) -> tuple[float, float]:
    notebook.run_cell(cell, timeout=300)
    rate, seconds = json.loads(notebook.text(cell).splitlines()[-1])
    return rate, seconds


def at_full_speed(notebook: Notebook, page: Page, cell: int) -> None:
    notebook.run_cell(cell)
    page.wait_for_selector(".llmkit-grid")
    began = page.evaluate("performance.now()")
    notebook.run_cell(cell + 1)
    ended = page.evaluate("performance.now()")
    tasks = [took for start, took in page.evaluate("window.longTasks") if began <= start <= ended]
    notebook.run_cell(cell + 2)
    assert notebook.text(cell + 2) == "True"
    share = sum(tasks) / (ended - began)
    print(f"sixteen cells at full speed: long tasks {share:.1%} of {(ended - began) / 1e3:.0f} s (goal: < 5 %)")


if __name__ == "__main__":
    main()
