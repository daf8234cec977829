"""Two resident models: what the second one costs the first.

The embedded model and a copy of it, on llama.cpp. The rate of the first: before the second is loaded, with the second
loaded and idle, and with both decoding at once (then the sum of both, as tokens over wall time). Medians of five,
the last two in turn. Also the longest that the kernel's event loop is held up while a model loads.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import llmkit as lk
from llmkit.background import loop_thread
from llmkit.models.catalog import resolve
from llmkit.models.fetch import fetch

TOKENS = 150
PROMPT = "Tell me a long story about a fisherman and the sea."


def together(session: lk.Session, models: list[str]) -> float:
    """Return tokens a second over all models, by the clock on the wall."""
    began = time.perf_counter()
    runs = [session.complete(PROMPT, model=model, max_output_tokens=TOKENS) for model in models]
    tokens = sum(run.usage.output_tokens or 0 for run in runs)
    return tokens / (time.perf_counter() - began)


async def longest_pause(stop: asyncio.Event) -> float:
    """Return the longest that the loop was held up beyond a tick of 5 ms."""
    longest = 0.0
    while not stop.is_set():
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        longest = max(longest, time.perf_counter() - before - 0.005)
    return longest


def main() -> None:
    original = fetch(resolve("embedded"), engine_format="gguf", progress=None)
    with tempfile.TemporaryDirectory() as folder, lk.Session(show=False, ledger=None, temperature=0) as session:
        copy = str(shutil.copy(original, Path(folder, "copy.gguf")))
        session.load()
        together(session, ["embedded"])
        before = statistics.median(together(session, ["embedded"]) for _ in range(5))
        stop = asyncio.Event()
        pause = loop_thread().start(lambda: longest_pause(stop))
        session.load(copy)
        loop_thread().call(stop.set)
        together(session, [copy])
        pairs = [(together(session, ["embedded"]), together(session, ["embedded", copy])) for _ in range(5)]
        idle = statistics.median(alone for alone, _ in pairs)
        both = statistics.median(sum_ / alone for alone, sum_ in pairs)
        print(f"alone, second model idle ÷ alone, no second model: {idle / before:.2f} (goal: ≥ 0.9)")
        print(f"both at once, sum of rates ÷ one alone: {both:.2f}")
        print(f"longest pause of the event loop while a model loads: {pause.result():.3f} s (goal: < 0.2 s)")


if __name__ == "__main__":
    main()
