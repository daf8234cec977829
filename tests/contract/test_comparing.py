"""Comparisons with real weights, on llama.cpp: cells decode together, and what they share is read once."""

from __future__ import annotations

import llmkit as lk
from llmkit.events import Event, TextDelta

NOTES = " ".join(f"Item {number} costs {number * 37 % 90 + 10}." for number in range(36))


def first_and_last_token(events: list[Event]) -> tuple[float, float]:
    times = [event.time for event in events if isinstance(event, TextDelta)]
    return times[0], times[-1]


def test_cells_decode_together_and_a_beginning_that_they_share_is_read_once() -> None:
    """CONTRACT 9, 10: continuous batching, and prefixes that are reused."""
    with lk.Session(
        engine="llamacpp", show=False, ledger=None, temperature=0, max_output_tokens=24, context_length=1024
    ) as session:
        comparison = session.compare("Tell a long story about {what}.", what=[f"{number} fish" for number in range(8)])
        assert comparison.wait(120)
        assert comparison.frame["concurrency"].max() == 8
        spans = [first_and_last_token(cell.events) for cell in comparison]
        assert max(first for first, _ in spans) < min(last for _, last in spans)

        shared = session.compare("{notes} What costs {most}?", notes=NOTES, most=["most", "least", "as much"])
        assert shared.wait(120)
        read = shared.frame["input_tokens"] - shared.frame["cache_read_tokens"]
        assert (shared.frame["input_tokens"] > 300).all()
        assert (read < 20).all()
        alone = session.complete(f"{NOTES} What costs least?")
        assert shared[1].text == alone.text
