"""What the agent loop costs: a loop of 1,000 scripted steps, each with a call that runs, in time and memory.

How it is taken: one run with ``stop_when=1000`` and a tool that needs no approval, on the scripted engine at full
speed.
``prepare_step`` keeps the prompt short, so that what grows is the loop's own: events, results, the conversation. Time
and memory (``tracemalloc``, in a second run because it slows everything) are read at the end of each hundredth of the
steps. A straight line means that the last quarter of the steps costs what the second one did; that ratio is printed.

Run it with ``python tests/benchmarks/bench_loop.py``.
"""

from __future__ import annotations

import itertools
import time
import tracemalloc
from typing import TYPE_CHECKING

import llmkit as lk
from llmkit.tools.define import tool_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.events import StepFinish

STEPS = 1_000


def main() -> int:
    """Print the figures."""
    times = measured(time.perf_counter)
    tracemalloc.start()
    sizes = measured(lambda: float(tracemalloc.get_traced_memory()[0]))
    tracemalloc.stop()
    print(f"steps            {STEPS:,} in {times[-1] - times[0]:.2f} s, {(sizes[-1] - sizes[0]) / 1e6:.1f} MB kept")
    print(
        f"a step           {(times[-1] - times[0]) / STEPS * 1e3:.2f} ms, {(sizes[-1] - sizes[0]) / STEPS / 1e3:.1f} KB"
    )
    print(f"last ÷ second    {last_to_second(times):.2f} of the time, {last_to_second(sizes):.2f} of the memory")
    return 0


def measured(read: Callable[[], float]) -> list[float]:
    """Return a hundred readings taken while a loop of :data:`STEPS` steps runs."""
    numbers = itertools.count()
    answers = [lambda _: lk.Answer(tool_calls=[("look", {"number": next(numbers)})])]
    readings: list[float] = []

    def look(number: int) -> str:
        """Look."""
        return f"seen {number}"

    def note(event: StepFinish) -> None:
        if event.step % (STEPS // 100) == 0:
            readings.append(read())

    with lk.Session(engine=lk.Scripted(answers), show=False, ledger=None) as session:
        run = session.complete(
            "Look at everything.",
            tools=[tool_from(look, needs_approval=False)],
            stop_when=STEPS,
            prepare_step=lambda messages: {
                "messages": [messages[0], *messages[-2:]] if len(messages) > 2 else messages
            },
            on_step_finish=note,
        )
        run.result()
    return readings


def last_to_second(readings: list[float]) -> float:
    """Return how much the last quarter added, as a ratio to the second quarter."""
    quarter = len(readings) // 4
    return (readings[-1] - readings[-1 - quarter]) / (readings[2 * quarter] - readings[quarter])


if __name__ == "__main__":
    raise SystemExit(main())
