"""The log-probabilities of given tokens on MLX: the model reads them as it reads a prompt.

Only the decode thread uses this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.engines.decoder import Alternative, Token
from llmkit.engines.mlx_request import ranked
from llmkit.engines.mlx_tokenizer import TextStream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmkit.engines.mlx_model import LoadedModel
    from llmkit.engines.mlx_prefix import PrefixCache


class PromptReader:
    """Reads tokens and tells how likely each was.

    Parameters
    ----------
    loaded : LoadedModel
        The model.
    prefixes : PrefixCache
        What it has read before; it keeps what is read now.
    """

    def __init__(self, loaded: LoadedModel, prefixes: PrefixCache) -> None:
        self._loaded = loaded
        self._prefixes = prefixes

    def tokens(
        self, ids: Sequence[int], first: int, alternatives: int, *, chunk: int, cancelled: Callable[[], bool]
    ) -> list[Token]:
        """Return the tokens from the place ``first`` on, which is above 0; fewer if it was ``cancelled``.

        Parameters
        ----------
        ids : sequence of int
            The tokens, context first.
        first : int
            The place of the first one to score.
        alternatives : int
            How many of the likeliest to tell at each place.
        chunk : int
            So many tokens are read at a time.
        cancelled : Callable
            Asked before each chunk.
        """
        from mlx_lm.models.cache import make_prompt_cache

        cache, at = self._prefixes.fetch(list(ids[:first]))
        cache = cache or make_prompt_cache(self._loaded.model)
        found: list[Token] = []
        texts = TextStream(self._loaded.tokenizer, special=True)
        while at < len(ids) - 1 and not cancelled():
            end = min(at + chunk, len(ids) - 1)
            rows = self._read(ids[at:end], cache, skip=max(0, first - 1 - at))
            for place, row in enumerate(rows, start=max(at + 1, first)):
                found.append(self._token(row, ids[place], texts, alternatives))
            at = end
        self._prefixes.insert(list(ids[:at]), cache)
        return found

    def _read(self, ids: Sequence[int], cache: list[Any], *, skip: int) -> Any:
        """Read tokens; return the log-probabilities of all tokens after each, but for the first ``skip``."""
        import mlx.core as mx
        import numpy as np

        logits = self._loaded.model(mx.array([list(ids)]), cache=cache)[0, skip:]
        if not logits.shape[0]:
            mx.eval([layer.state for layer in cache])
            return ()
        logits = logits.astype(mx.float32)
        return np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True))

    def _token(self, row: Any, id_: int, texts: TextStream, count: int) -> Token:
        logprob, likeliest = ranked(row, id_, count)
        text = self._loaded.tokenizer.detokenize
        others = tuple(Alternative(each, text([each]), value) for each, value in likeliest)
        return Token(id_, texts.add(id_), logprob, others)
