"""Time to first token with a warm prefix ÷ a cold one, at 2,000 prompt tokens; and eight at once ÷ eight in turn.

Through `session.complete`, on the embedded model. The median of five pairs, cold and warm in turn; each pair has a
prompt of its own.
"""

from __future__ import annotations

import statistics
import time

import llmkit as lk


def main() -> None:
    with lk.Session(show=False, ledger=None, temperature=0) as session:
        session.load()
        session.complete("Hello", max_output_tokens=4).result()
        warm_by_cold(session)
        together_by_turns(session)


def warm_by_cold(session: lk.Session) -> None:
    ratios = []
    for number in range(5):
        text = f"Note {number}. " + " ".join(
            f"Item {index} costs {(index * 37 + number) % 90 + 10}." for index in range(215)
        )
        cold, warm = (first_token_of(session, text) for _ in range(2))
        ratios.append(warm / cold)
        print(f"  cold {cold:.2f} s, warm {warm:.3f} s")
    print(f"time to first token, warm ÷ cold: {statistics.median(ratios):.3f} (goal: ≤ 0.1)")


def first_token_of(session: lk.Session, text: str) -> float:
    stats = session.complete(text, max_output_tokens=1).stats
    assert stats is not None
    assert stats.time_to_first_token is not None
    assert stats.prompt_tokens is not None
    assert 1900 <= stats.prompt_tokens <= 2100, stats.prompt_tokens
    return stats.time_to_first_token


def together_by_turns(session: lk.Session) -> None:
    prompts = [f"Tell a story about the number {number}." for number in range(8)]
    ratios = []
    for _ in range(3):
        began = time.perf_counter()
        for prompt in prompts:
            session.complete(prompt, max_output_tokens=64).wait()
        turns = time.perf_counter() - began
        began = time.perf_counter()
        for run in [session.complete(prompt, max_output_tokens=64) for prompt in prompts]:
            run.wait()
        ratios.append(turns / (time.perf_counter() - began))
    print(f"eight at once ÷ eight in turn, tokens per second: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
