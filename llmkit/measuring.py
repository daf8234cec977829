"""What a step took: tokens and times."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from llmkit.results import Stats, Usage

if TYPE_CHECKING:
    from llmkit.engines.decoder import Done, Prefill


class Meter:
    """Counts a step's tokens and takes its times.

    Parameters
    ----------
    began : float
        ``time.perf_counter()`` when the step was asked for, queueing included.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._first_token_at: float | None = None
        self._last_token_at: float | None = None
        self._count = 0
        self._prefill: Prefill | None = None

    @property
    def started(self) -> bool:
        """Whether the first token has come."""
        return self._first_token_at is not None

    @property
    def elapsed(self) -> float:
        """Seconds since the step was asked for."""
        return time.perf_counter() - self._began

    def prefill(self, progress: Prefill) -> None:
        """Take the progress of reading the prompt."""
        self._prefill = progress

    def decoded(self, count: int) -> None:
        """Take ``count`` tokens that have come now."""
        self._last_token_at = time.perf_counter()
        self._first_token_at = self._first_token_at or self._last_token_at
        self._count += count

    def usage(self, done: Done) -> Usage:
        """Return the tokens, as far as they are known."""
        prompt, cached = self._prompt_counts(done)
        output = self._generated(done)
        thought = done.reasoning_tokens
        return Usage(
            input_tokens=prompt,
            output_tokens=output,
            total_tokens=prompt + output if prompt is not None and output is not None else None,
            no_cache_tokens=prompt - cached if prompt is not None and cached is not None else None,
            cache_read_tokens=cached,
            text_tokens=output - thought if output is not None and thought is not None else None,
            reasoning_tokens=thought,
        )

    def stats(self, done: Done, **known: Any) -> Stats:
        """Return the stats; ``known`` are those that it doesn't measure, ``queue_time`` and ``load_time`` too."""
        first, last = self._first_token_at, self._last_token_at
        prompt, cached = self._prompt_counts(done)
        to_first = first - self._began if first is not None else None
        prefill_time = done.prefill_time
        if prefill_time is None and to_first is not None:
            prefill_time = max(0.0, to_first - known["queue_time"] - (known["load_time"] or 0.0))
        decode_time = done.decode_time
        if decode_time is None and first is not None and last is not None:
            decode_time = last - first
        return Stats(
            prompt_tokens=prompt,
            cache_tokens=cached,
            generated_tokens=self._generated(done),
            time_to_first_token=to_first,
            prefill_time=prefill_time,
            decode_time=decode_time,
            total_time=self.elapsed,
            **known,
        )

    def _prompt_counts(self, done: Done) -> tuple[int | None, int | None]:
        """Return prompt and cached tokens; after a cancel the engine may know less than its progress told."""
        seen = self._prefill
        prompt = done.prompt_tokens if done.prompt_tokens is not None else seen.total if seen else None
        cached = done.cached_tokens if done.cached_tokens is not None else seen.cached if seen else None
        return prompt, cached

    def _generated(self, done: Done) -> int | None:
        """Return the count; of a server that doesn't tell, something may have come without being counted."""
        if done.generated_tokens is not None:
            return done.generated_tokens
        return None if self.started and not self._count else self._count
