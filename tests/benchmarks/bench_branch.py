"""Branching at token 500: its time to first token ÷ that of reading prompt and answer so far again.

Through `run.branch`, on the embedded model with llama.cpp. The median of five pairs: a branch to another alternative
at position 500, then the same one after a prompt that begins otherwise, so that nothing of it is in the cache.
"""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import llmkit as lk

POSITION = 500
PAIRS = 5
SETTINGS: dict[str, Any] = {"temperature": 0.8, "seed": 1, "logprobs": PAIRS + 1, "logit_bias": {2: -100}}
"""Token 2 ends an answer."""


def main() -> None:
    with lk.Session(show=False, ledger=None, engine="llamacpp") as session:
        session.load()
        run = session.complete("Tell a long story of a lighthouse.", max_output_tokens=POSITION + 20, **SETTINGS)
        assert len(run.tokens) > POSITION, len(run.tokens)
        ratios = []
        for rank in range(1, PAIRS + 1):
            branch = run.branch(POSITION, rank=rank, max_output_tokens=POSITION + 2)
            warm, cold = first_token_of(branch), first_token_of(again(session, branch, rank))
            ratios.append(warm / cold)
            print(f"  branch {warm:.3f} s, read again {cold:.2f} s")
    median = statistics.median(ratios)
    print(f"time to first token, branch at token {POSITION} ÷ reading it again: {median:.3f} (goal: ≤ 0.1)")


def again(session: lk.Session, branch: lk.Run, number: int) -> lk.Run:
    """Ask for the same branch after a prompt that begins otherwise."""
    asked = lk.Message("user", f"{number} times: Tell a long story of a lighthouse.")
    return session.start(replace(branch.request, run_id=f"again-{number}", messages=(asked,)), show=False)


def first_token_of(run: lk.Run) -> float:
    stats = run.stats
    assert stats is not None
    assert stats.time_to_first_token is not None
    assert stats.prompt_tokens is not None
    assert stats.prompt_tokens > POSITION
    return stats.time_to_first_token


if __name__ == "__main__":
    main()
