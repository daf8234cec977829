"""Samplers and penalties of the MLX decoder, one set a request.

Truncation goes in llama.cpp's order (top-k, top-p, min-p, then temperature), so that both local engines draw from the
same distribution. All functions run on the decode thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.engines.decoder import Sampling

# mlx ships no usable types: `Any` below stands for `mlx.core.array`.
Sampler: TypeAlias = "Callable[[Any], Any]"
LogitsStep: TypeAlias = "Callable[[Any, Any], Any]"

_GREEDY_BELOW = 1e-5  # a lower temperature overflows and would be greedy anyway


def make_sampler(sampling: Sampling) -> Sampler | None:
    """Return a function from log-probabilities (1, vocabulary) to a token id (1,); ``None`` is greedy.

    Each request draws from its own chain of random keys, so the same seed gives the same tokens whatever else runs.
    """
    if sampling.temperature < _GREEDY_BELOW or sampling.top_k == 1:
        return None
    import mlx.core as mx

    key = mx.random.key(sampling.seed)
    scale = 1.0 / sampling.temperature

    def sample(logprobs: Any) -> Any:
        nonlocal key
        key, now = mx.random.split(key)
        kept = truncate(logprobs.astype(mx.float32), sampling)
        return mx.random.categorical(kept * scale, key=now)

    return sample


def truncate(logprobs: Any, sampling: Sampling) -> Any:
    """Return ``logprobs`` with −inf for the tokens that top-k, top-p and min-p leave out."""
    import mlx.core as mx

    vocabulary = logprobs.shape[-1]
    if 0 < sampling.top_k < vocabulary:
        least = mx.min(mx.topk(logprobs, sampling.top_k, axis=-1), axis=-1, keepdims=True)
        logprobs = mx.where(logprobs < least, -mx.inf, logprobs)
    if sampling.top_p < 1:
        falling = -mx.sort(-logprobs, axis=-1)
        probabilities = mx.softmax(falling, axis=-1)
        # A token stays while the mass before it is below top_p; the likeliest always does.
        before = mx.cumsum(probabilities, axis=-1) - probabilities
        kept = mx.maximum(mx.sum(before < sampling.top_p, axis=-1, keepdims=True), 1)
        least = mx.take_along_axis(falling, kept - 1, axis=-1)
        logprobs = mx.where(logprobs < least, -mx.inf, logprobs)
    if sampling.min_p > 0:
        least = mx.max(logprobs, axis=-1, keepdims=True) + mx.log(mx.array(sampling.min_p))
        logprobs = mx.where(logprobs < least, -mx.inf, logprobs)
    return logprobs


def make_penalties(sampling: Sampling) -> list[LogitsStep]:
    """Return the changes to the logits that ``sampling`` asks for; neutral values give none.

    All penalties count the tokens of the prompt and of the output, as llama.cpp's do. Repetition is that of
    https://arxiv.org/abs/1909.05858, presence and frequency are those of OpenAI.
    """
    steps: list[LogitsStep] = []
    if sampling.logit_bias:
        steps.append(_bias(sampling.logit_bias))
    if sampling.repetition_penalty != 1:
        steps.append(_Repetition(sampling.repetition_penalty))
    if sampling.presence_penalty or sampling.frequency_penalty:
        steps.append(_Occurrence(sampling.presence_penalty, sampling.frequency_penalty))
    return steps


def _bias(pairs: tuple[tuple[int, float], ...]) -> LogitsStep:
    import mlx.core as mx

    ids = mx.array([id_ for id_, _ in pairs])
    values = mx.array([value for _, value in pairs])
    return lambda _, logits: logits.at[:, ids].add(values.astype(logits.dtype))


class _Repetition:
    """Divides the positive logits of seen tokens by the penalty and multiplies the negative ones."""

    def __init__(self, penalty: float) -> None:
        self._penalty = penalty
        self._seen: Any = None

    def __call__(self, tokens: Any, logits: Any) -> Any:
        import mlx.core as mx

        new = tokens if self._seen is None else tokens[-1:]
        if self._seen is None:
            self._seen = mx.zeros(logits.shape[-1], dtype=mx.bool_)
        self._seen[new] = True
        changed = mx.where(logits > 0, logits / self._penalty, logits * self._penalty)
        return mx.where(self._seen, changed, logits)


class _Occurrence:
    """Subtracts from a seen token's logit: once (presence) and for each time (frequency)."""

    def __init__(self, presence: float, frequency: float) -> None:
        self._presence = presence
        self._frequency = frequency
        self._counts: Any = None

    def __call__(self, tokens: Any, logits: Any) -> Any:
        import mlx.core as mx

        new = tokens if self._counts is None else tokens[-1:]
        counts = mx.zeros(logits.shape[-1]) if self._counts is None else self._counts
        self._counts = counts.at[new].add(1.0)
        penalty = self._counts * self._frequency + (self._counts > 0) * self._presence
        return logits - penalty.astype(logits.dtype)
