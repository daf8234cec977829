"""Eight cells through `session.compare` ÷ the raw engine's own batch of eight, and ÷ eight in turn.

On the embedded model, greedy, each answer of the same length; tokens of all answers by the wall clock. In turn with
it the raw engine decodes as many in a process of its own: xllamacpp with nothing of llmkit around it. Five pairs,
alternating; the median of the pairs' ratios.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import llmkit as lk
from llmkit.models.catalog import resolve
from llmkit.models.fetch import fetch

if TYPE_CHECKING:
    from pathlib import Path

PAIRS = 5
TOKENS = 128
CELLS = 8
AS_IT_COMES = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
ENDLESS = {0: -100.0, 2: -100.0}
"""Keeps the model from writing its two end tokens."""

ANIMALS = ["a cod", "a whale", "a crab", "a seal", "a gull", "an eel", "a shark", "a squid"]


def raw(model: Path, at_once: int) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.raw", str(model), str(TOKENS), str(at_once)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env=AS_IT_COMES).stdout.splitlines()
    return float(json.loads(lines[-1])["total_per_second"])


def compared(session: lk.Session) -> float:
    """Return the tokens per second of eight cells together."""
    began = time.perf_counter()
    comparison = session.compare(
        "Tell a long story about {animal}.", animal=ANIMALS, max_output_tokens=TOKENS, logit_bias=ENDLESS
    )
    comparison.wait()
    wall = time.perf_counter() - began
    assert comparison.frame["output_tokens"].tolist() == [TOKENS] * CELLS
    return CELLS * TOKENS / wall


def in_turn(session: lk.Session) -> float:
    """Return the tokens per second of the same one after the other."""
    began = time.perf_counter()
    for animal in ANIMALS:
        prompt = f"Tell a long story about {animal}."
        session.complete(prompt, max_output_tokens=TOKENS, logit_bias=ENDLESS).wait()
    return CELLS * TOKENS / (time.perf_counter() - began)


def main() -> None:
    model = fetch(resolve("embedded"), engine_format="gguf", progress=None)
    with lk.Session(show=False, ledger=None, temperature=0) as session:
        session.load()
        compared(session)
        rows = []
        for _ in range(PAIRS):
            rows.append((raw(model, CELLS), compared(session), in_turn(session), raw(model, 1)))
            print("  raw {:.0f}, compare {:.0f}, in turn {:.0f}, raw one {:.0f} tokens/s".format(*rows[-1]), flush=True)
    by_raw = statistics.median(cells / eight for eight, cells, _, _ in rows)
    by_turn = statistics.median(cells / turn for _, cells, turn, _ in rows)
    raw_by_one = statistics.median(eight / one for eight, _, _, one in rows)
    print(f"eight cells ÷ the raw engine's batch of eight, tokens per second: {by_raw:.3f} (goal: ≥ 0.95)")
    print(f"eight cells ÷ eight in turn: {by_turn:.2f} (goal: ≥ 2, or what the raw engine can: {raw_by_one:.2f})")


if __name__ == "__main__":
    main()
