"""One request on the MLX decoder: what it changes in the logits, and its tokens turned into reports."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

from llmkit.engines.decoder import Alternative, Done, Prefill, Token, Tokens
from llmkit.engines.mlx_tokenizer import TextStream
from llmkit.engines.stops import StopMatcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.engines.decoder import DecodeRequest, Report
    from llmkit.engines.mlx_sampling import LogitsStep
    from llmkit.engines.mlx_tokenizer import MLXTokenizer

_GATHER_TIME = 0.025  # seconds; more reports a second than this cost more than they show
logger = logging.getLogger("llmkit")


class LogitsChain:
    """The changes that a request makes to its logits, as one function that never raises.

    The batch is computed in one step for all requests, so an exception here would end them all. It is kept in
    ``failure`` instead, and the request ends by itself.
    """

    def __init__(self, steps: list[LogitsStep]) -> None:
        self._steps = steps
        self.failure: Exception | None = None

    def __call__(self, tokens: Any, logits: Any) -> Any:
        """Return the changed logits; unchanged ones once something failed."""
        if self.failure is not None:
            return logits
        try:
            for step in self._steps:
                logits = step(tokens, logits)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must end this request alone
            self.failure = error
        return logits


class LogprobRecorder:
    """Keeps the log-probabilities of the step before anything changes the logits."""

    def __init__(self) -> None:
        self._rows: deque[Any] = deque()

    def __call__(self, _tokens: Any, logits: Any) -> Any:
        """Keep a row and pass the logits on."""
        import mlx.core as mx

        logits32 = logits.astype(mx.float32)
        row = logits32 - mx.logsumexp(logits32, axis=-1, keepdims=True)
        mx.async_eval(row)  # type: ignore[no-untyped-call] # else it would be computed after the next step, and wait for it
        self._rows.append(row)
        return logits

    def take(self, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
        """Return the log-probability of the oldest step's ``token`` and the ``count`` likeliest ids with theirs."""
        import numpy as np

        return ranked(np.array(self._rows.popleft())[0], token, count)


def ranked(row: Any, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    """Return the log-probability of ``token`` in a row of all of them, and the ``count`` likeliest ids with theirs."""
    import numpy as np

    if not count:
        return float(row[token]), []
    count = min(count, len(row))
    likeliest = np.argpartition(-row, count - 1)[:count]
    order = likeliest[np.argsort(-row[likeliest], kind="stable")]
    return float(row[token]), [(int(id_), float(row[id_])) for id_ in order]


class ActiveRequest:
    """A request from its arrival to its end.

    Parameters
    ----------
    request : DecodeRequest
        What was asked.
    report : callable
        Takes the reports; an exception in it ends the request.
    tokenizer : MLXTokenizer
        Of the model.
    keep : callable, optional
        Instead of decoding, takes the tokens and the keys and values of the prompt once it is read.
    """

    def __init__(
        self,
        request: DecodeRequest,
        report: Callable[[Report], None],
        tokenizer: MLXTokenizer,
        keep: Callable[[list[int], list[Any]], None] | None = None,
    ) -> None:
        self.request = request
        self.keep = keep
        self.uid = -1
        self.cached = 0
        self.chain: LogitsChain | None = None
        self.recorder = LogprobRecorder() if request.logprobs is not None else None
        self.report_failure: Exception | None = None
        self._report = report
        self._tokenizer = tokenizer
        self._text = TextStream(tokenizer, special=request.special)
        self._stops = StopMatcher(request.stop)
        self._pending: list[Token] = []
        self._oldest_pending = 0.0
        self._count = 0
        self._started: float | None = None
        self._prefilled: float | None = None
        self._last: float | None = None

    @property
    def failure(self) -> Exception | None:
        """What ended this request alone, if anything did."""
        return (self.chain.failure if self.chain else None) or self.report_failure

    def start(self, cached: int) -> None:
        """Note that reading the prompt begins; ``cached`` tokens of it are there already."""
        self.cached = cached
        self._started = time.perf_counter()
        self.prefill(0)

    def prefill(self, read: int) -> None:
        """Report that ``read`` tokens beyond the cached ones have been read."""
        total = len(self.request.prompt)
        self._send(Prefill(done=min(self.cached + read, total), total=total, cached=self.cached))

    def prefilled(self) -> None:
        """Note that the whole prompt has been read."""
        self._prefilled = time.perf_counter()

    def add(self, token: int) -> bool:
        """Take a token; return whether a stop string is complete."""
        now = time.perf_counter()
        if not self._pending:
            self._oldest_pending = now
        self._last = now
        self._count += 1
        text = self._stops.feed(self._text.add(token))
        if self.recorder is None:
            self._pending.append(Token(token, text))
        else:
            logprob, likeliest = self.recorder.take(token, self.request.logprobs or 0)
            alternatives = tuple(Alternative(id_, self._tokenizer.detokenize([id_]), value) for id_, value in likeliest)
            self._pending.append(Token(token, text, logprob, alternatives))
        return self._stops.matched is not None

    def flush(self, *, step_time: float = 0.0, now: bool = False) -> None:
        """Report the gathered tokens if they are the first, or would be too old after another step."""
        if not self._pending:
            return
        age = time.perf_counter() - self._oldest_pending
        if now or self._count == len(self._pending) or age + step_time > _GATHER_TIME:
            tokens, self._pending = tuple(self._pending), []
            self._send(Tokens(tokens))

    def finish(
        self,
        reason: Literal["stop", "length", "cancelled", "error"],
        raw_reason: str,
        error: Exception | None = None,
    ) -> None:
        """Report what is left and the end."""
        self.flush(now=True)
        tail = self._stops.feed(self._text.finish()) + self._stops.flush()
        self._send(
            Done(
                reason,
                raw_reason=raw_reason,
                tail=tail,
                prompt_tokens=len(self.request.prompt),
                cached_tokens=None if self._started is None else self.cached,
                generated_tokens=self._count,
                prefill_time=_between(self._started, self._prefilled),
                decode_time=_between(self._prefilled, self._last),
                error=error,
            )
        )

    def _send(self, report: Report) -> None:
        try:
            self._report(report)
        except Exception as error:  # whatever it is, it must end this request alone
            logger.exception("The receiver of a decoder's reports failed.")
            self.report_failure = error


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start
