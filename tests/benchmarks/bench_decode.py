"""Decode rate through `session.complete` with a live widget ÷ the raw engine's.

A real JupyterLab in a real browser shows the widget; the kernel runs `session.complete`. In turn with it, on the same
machine and with the page still open, the raw engine decodes in a process of its own: xllamacpp with nothing of llmkit
around it. Both are the engine's own measure of decode, greedy, 200 tokens. Nine pairs, alternating; the median of the
pairs' ratios. Also the processor time that the kernel spends a token.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from llmkit.models.catalog import resolve
from llmkit.models.fetch import fetch
from tests.browser.harness import Notebook, PageErrors, Server, launch_browser

PAIRS = 9
AS_IT_COMES = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
TOKENS = 400
SETUP = """
import time, json
import llmkit as lk
session = lk.Session(temperature=0, ledger=None)
session.load()
session.complete("Hello", max_output_tokens=4, show=False).wait()
"""
# An answer longer than what is measured of it.
MEASURE = f"""
before = time.process_time()
run = session.complete("Tell me a long story about a fisherman and the sea.", max_output_tokens={TOKENS})
run.wait()
spent = time.process_time() - before
stats = run.stats
print(json.dumps([stats.tokens_per_second, stats.generated_tokens, spent]))
"""


def raw(model: Path, at_once: int = 1) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.raw", str(model), str(TOKENS), str(at_once)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=AS_IT_COMES).stdout.splitlines()[
        -1
    ]
    return float(json.loads(answer)["tokens_per_second"])


def main() -> None:
    model = fetch(resolve("embedded"), engine_format="gguf", progress=None)
    server = Server(Path(tempfile.mkdtemp(prefix="llmkit-bench-")))
    server.wait_until_running()
    try:
        with launch_browser() as browser:
            server.write_notebook("bench.ipynb", [SETUP, *[MEASURE] * PAIRS])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            notebook = Notebook(server, page, "bench.ipynb", PageErrors())
            notebook.run_cell(0)
            measure(notebook, model)
    finally:
        server.stop()


def measure(notebook: Notebook, model: Path) -> None:
    ratios, spent = [], []
    for pair in range(PAIRS):
        alone = raw(model)
        notebook.run_cell(1 + pair)
        rate, tokens, seconds = json.loads(notebook.text(1 + pair).splitlines()[-1])
        print(f"  raw {alone:.1f}, live {rate:.1f} tokens/s, {tokens} tokens", flush=True)
        ratios.append(rate / alone)
        spent.append(seconds / tokens)
    print(f"decode rate, live widget ÷ raw engine: {statistics.median(ratios):.3f} (goal: ≥ 0.97)")
    print(f"kernel processor time a token: {1e3 * statistics.median(spent):.2f} ms")


if __name__ == "__main__":
    main()
