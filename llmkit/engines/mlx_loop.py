"""Continuous batching on MLX: many requests advance together, a step at a time.

Everything here runs on the one decode thread, because mlx's unevaluated arrays can't leave the thread that made them.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

from llmkit.engines.mlx_constraint import GrammarMask, grammar_tokenizer
from llmkit.engines.mlx_prefix import PrefixCache
from llmkit.engines.mlx_request import ActiveRequest, LogitsChain
from llmkit.engines.mlx_sampling import make_penalties, make_sampler
from llmkit.engines.mlx_score import PromptReader
from llmkit.errors import ContextLengthError, EngineError, Error, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from llmkit.engines.decoder import DecodeRequest, Token
    from llmkit.engines.mlx_model import LoadedModel
    from llmkit.engines.mlx_sampling import LogitsStep

# Tokens of a prompt read in one step, for which a cancel may have to wait: about a second.
_CHUNK_CPU = 16
_CHUNK_ACCELERATED = 512
_SCORED_CPU = 64
_SHARED_PREFIX = 16  # tokens two prompts must share before one waits for the other's values to be copied


class DecodeLoop:
    """The requests of one model and the generator that advances them.

    Parameters
    ----------
    loaded : LoadedModel
        The model.
    slots : int
        How many requests decode at once; more wait, in order.
    prefix_bytes : int
        At most so much memory for the keys and values of earlier prompts.
    """

    def __init__(self, loaded: LoadedModel, *, slots: int, prefix_bytes: int) -> None:
        self._loaded = loaded
        self._slots = slots
        self._prefixes = PrefixCache(loaded.model, max_bytes=prefix_bytes, fingerprint=loaded.fingerprint)
        self._generator = self._new_generator()
        self._waiting: deque[ActiveRequest] = deque()
        self._active: dict[int, ActiveRequest] = {}
        self._prefilling: ActiveRequest | None = None
        self._grammar_tokenizer: Any = None
        self._step_time = 0.0
        self.memory = loaded.weight_bytes

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._waiting or self._active)

    def start(self, active: ActiveRequest) -> None:
        """Take a request; it waits for its turn."""
        try:
            self._check(active.request, keeping=active.keep is not None)
        except Exception as error:  # noqa: BLE001 - it ends this request alone
            active.finish("error", type(error).__name__, _as_error(error))
        else:
            self._waiting.append(active)

    def cancel(self, request_id: str) -> None:
        """End a request; an unknown id is ignored."""
        for active in list(self._requests()):
            if active.request.id == request_id:
                self._end(active, "cancelled", "cancelled")

    def step(self) -> None:
        """Advance all requests by a token, or by a chunk of their prompt."""
        self._admit()
        if not self._active:
            return
        started = time.perf_counter()
        prompts, tokens = self._generator.next()
        self._step_time = time.perf_counter() - started
        for response in tokens:
            self._token(self._active[response.uid], response)
        for response in prompts:
            if response.uid in self._active:
                self._prompt(self._active[response.uid], response)
        for active in list(self._active.values()):
            if active.failure is not None:
                self._end(active, "error", "failed", active.failure)
            else:
                active.flush(step_time=self._step_time, now=self._prefilling is not None)

    def fail(self, error: Exception) -> None:
        """Recover from a failed step: end what was in it, whose keys and values may be half written."""
        failed, self._active, self._prefilling = list(self._active.values()), {}, None
        for active in failed:
            active.finish("error", type(error).__name__, _as_error(error))
        self._generator.close()
        self._generator = self._new_generator()

    def load_prefix(self, path: Path) -> int:
        """Read a saved prefix; return how many tokens it holds."""
        return self._prefixes.load(path)

    def save_prefix(self, tokens: list[int], cache: list[Any], path: Path) -> None:
        """Write the keys and values of ``tokens``."""
        self._prefixes.save(tokens, cache, path)

    def score(
        self, context: Sequence[int], ids: Sequence[int], alternatives: int, cancelled: Callable[[], bool]
    ) -> list[Token]:
        """Return the tokens ``ids`` after ``context`` with their log-probabilities."""
        read = PromptReader(self._loaded, self._prefixes)
        chunk = _SCORED_CPU if self._loaded.device == "cpu" else _CHUNK_ACCELERATED
        return read.tokens([*context, *ids], len(context), alternatives, chunk=chunk, cancelled=cancelled)

    def close(self) -> None:
        """End all requests and let go of the model."""
        for active in list(self._requests()):
            self._end(active, "cancelled", "closed")
        self._generator.close()
        del self._generator, self._prefixes, self._loaded, self._grammar_tokenizer
        self.memory = 0

    def _new_generator(self) -> Any:
        import mlx.core as mx
        from mlx_lm.generate import BatchGenerator

        return BatchGenerator(
            self._loaded.model,
            completion_batch_size=self._slots,
            prefill_batch_size=1,
            prefill_step_size=_CHUNK_CPU if self._loaded.device == "cpu" else _CHUNK_ACCELERATED,
            stream=mx.default_stream(mx.default_device()),
        )

    def _requests(self) -> list[ActiveRequest]:
        return [*self._active.values(), *self._waiting]

    def _check(self, request: DecodeRequest, *, keeping: bool) -> None:
        loaded = self._loaded
        length, limit = len(request.prompt), loaded.context_length
        if not length:
            raise ValidationError("The prompt has no tokens; give it some text.", field="prompt")
        if length + (not keeping) > limit:
            raise ContextLengthError(
                f"The prompt has {length:,} tokens and the model's context {limit:,}. Shorten the prompt.",
                prompt_tokens=length,
                context_length=limit,
            )
        if any(not 0 <= token < loaded.vocabulary_size for token in request.prompt):
            raise ValidationError("The prompt holds token ids that the model doesn't have.", field="prompt")
        if any(not 0 <= token < loaded.vocabulary_size for token, _ in request.sampling.logit_bias):
            raise ValidationError("logit_bias names a token id that the model doesn't have.", field="logit_bias")
        if any(active.request.id == request.id for active in self._requests()):
            raise ValidationError(f"There is a request {request.id!r} already; use another id.", field="id")

    def _admit(self) -> None:
        """Let the next request in: one prompt is read at a time, so that the others can reuse what it shares."""
        while self._waiting and self._prefilling is None and len(self._active) < self._slots:
            active = self._waiting.popleft()
            try:
                self._insert(active)
            except Exception as error:  # noqa: BLE001 - a bad grammar or no memory ends this request alone
                active.finish("error", type(error).__name__, _as_error(error))

    def _insert(self, active: ActiveRequest) -> None:
        from mlx_lm.generate import StopSequences

        request = active.request
        prompt = list(request.prompt)
        steps = self._logits_steps(active)
        active.chain = LogitsChain(steps) if steps else None
        cache, cached = self._prefixes.fetch(prompt) if request.reuse_prefix else (None, 0)
        ends = StopSequences([(token,) for token in self._loaded.end_ids])
        (active.uid,) = self._generator.insert(
            [prompt[cached:]],
            [max(1, min(request.max_tokens, self._loaded.context_length - len(prompt)))],
            caches=[cache],
            all_tokens=[prompt[:cached]],
            samplers=[make_sampler(request.sampling)],
            logits_processors=[[active.chain] if active.chain else []],
            stop_sequences=[ends],
        )
        self._active[active.uid] = self._prefilling = active
        active.start(cached)

    def _logits_steps(self, active: ActiveRequest) -> list[LogitsStep]:
        request, loaded = active.request, self._loaded
        steps: list[LogitsStep] = [active.recorder] if active.recorder else []
        steps += make_penalties(request.sampling)
        if request.grammar is not None:
            if self._grammar_tokenizer is None:
                size = max(loaded.vocabulary_size, loaded.tokenizer.size)
                self._grammar_tokenizer = grammar_tokenizer(loaded.tokenizer.source, size, loaded.end_ids)
            begun = request.prompt[len(request.prompt) - request.begun :]
            steps.append(GrammarMask(self._grammar_tokenizer, request.grammar, begun))
        return steps

    def _prompt(self, active: ActiveRequest, response: Any) -> None:
        active.prefill(response.progress[0])
        if not response.end_of_prompt:
            return
        active.prefilled()
        self._prefilling = None
        shared = any(self._shares(active.request, waiting.request) for waiting in self._waiting)
        if active.keep is None and not shared:
            return
        cache, tokens = self._generator.extract_cache([active.uid])[active.uid]
        if active.keep is None:
            self._prefixes.insert(tokens, cache)
            return
        try:
            active.keep(list(tokens), cache)
        except Exception as error:  # noqa: BLE001 - it belongs to the one who asked
            self._end(active, "error", type(error).__name__, error)
        else:
            self._end(active, "length", "kept")

    @staticmethod
    def _shares(first: DecodeRequest, second: DecodeRequest) -> bool:
        """Whether the second request could reuse what was read for the first."""
        if not (first.reuse_prefix and second.reuse_prefix):
            return False
        return first.prompt[:_SHARED_PREFIX] == second.prompt[:_SHARED_PREFIX]

    def _token(self, active: ActiveRequest, response: Any) -> None:
        ended = response.finish_reason == "stop"
        stopped = not ended and active.add(response.token)
        if response.finish_reason is not None:
            # The generator has let go of it, and hands its keys and values over.
            del self._active[active.uid]
            raw_reason = "stop_string" if stopped else response.finish_reason
            try:
                self._remember(active, response.all_tokens, response.prompt_cache)
            finally:
                active.finish("stop" if stopped or ended else "length", raw_reason)
        elif stopped:
            self._end(active, "stop", "stop_string")

    def _end(
        self,
        active: ActiveRequest,
        reason: Literal["stop", "cancelled", "error", "length"],
        raw_reason: str,
        error: Exception | None = None,
    ) -> None:
        """Take a request out of the queue or the batch, and report its end."""
        try:
            if active in self._waiting:
                self._waiting.remove(active)
            else:
                self._take_out(active)
        finally:
            active.finish(reason, raw_reason, _as_error(error) if error is not None else None)

    def _take_out(self, active: ActiveRequest) -> None:
        """Take a request out of the batch and keep what has been read for it."""
        del self._active[active.uid]
        if self._prefilling is active:
            self._prefilling = None
        removed = self._generator.remove([active.uid], return_prompt_caches=True)
        cache, tokens = removed.get(active.uid, ([], []))
        if len(tokens) > active.cached:
            self._remember(active, tokens, cache)

    def _remember(self, active: ActiveRequest, tokens: list[int], cache: list[Any]) -> None:
        if active.request.reuse_prefix:
            self._prefixes.insert(tokens, cache)
        self.memory = self._loaded.weight_bytes + self._prefixes.memory + int(self._generator.prompt_cache_nbytes)


def _as_error(error: Exception) -> Error:
    """Return ``error`` as one of llmkit's own, its cause kept."""
    if isinstance(error, Error):
        return error
    wrapped = EngineError(f"MLX failed while decoding: {type(error).__name__}: {error}. Try a shorter prompt.")
    wrapped.__cause__ = error
    return wrapped
