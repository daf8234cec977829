"""Grammar masks for the MLX decoder, in plain array operations, so that they run on the CPU and on Metal alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.errors import EngineError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence


def grammar_tokenizer(source: str, vocabulary_size: int, end_ids: Sequence[int]) -> Any:
    """Return llguidance's view of a tokenizer (an ``LLTokenizer``); it takes a quarter of a second.

    Parameters
    ----------
    source : str
        Contents of ``tokenizer.json``.
    vocabulary_size : int
        Number of logits, which may be more than there are tokens.
    end_ids : sequence of int
        Token ids that may follow a complete text.
    """
    from llguidance import LLTokenizer

    return LLTokenizer(source, n_vocab=vocabulary_size, eos_token=list(end_ids))


class GrammarMask:
    """Lets only those tokens through that continue a text of the grammar; one object a request.

    When the text is complete and nothing can follow, only the end tokens are left.

    Parameters
    ----------
    tokenizer : LLTokenizer
        From :func:`grammar_tokenizer`.
    grammar : str
        A Lark grammar for llguidance.
    begun : sequence of int
        Tokens that the text has already.

    Raises
    ------
    ValidationError
        The grammar doesn't compile, or rules out what was begun.
    """

    def __init__(self, tokenizer: Any, grammar: str, begun: Sequence[int] = ()) -> None:
        import mlx.core as mx
        import numpy as np
        from llguidance import LLMatcher
        from llguidance.numpy import allocate_token_bitmask

        self._matcher = LLMatcher(tokenizer, grammar, log_level=0)
        if self._matcher.is_error():
            raise ValidationError(
                f"The grammar can't be used: {self._matcher.get_error()}. Simplify it.", field="grammar"
            )
        if begun and not self._matcher.consume_tokens(list(begun)):
            raise ValidationError(
                "The answer can't go on from there: its beginning doesn't fit what it is bound to (output=, or a tool "
                "that must be called). Branch to a token that does.",
                field="beginning",
            )
        self._words = allocate_token_bitmask(1, tokenizer.vocab_size)
        self._shifts = mx.array(np.arange(32, dtype=np.uint32))
        self._ends = [id_ for id_ in tokenizer.eos_tokens if id_ < tokenizer.vocab_size]
        self._started = False

    def __call__(self, tokens: Any, logits: Any) -> Any:
        """Return ``logits`` with −inf for the tokens that the grammar rules out after ``tokens``."""
        if self._started:
            self._consume(tokens[-1].item())
        self._started = True
        return self._apply(logits)

    def _consume(self, token: int) -> None:
        if not self._matcher.is_stopped():
            self._matcher.consume_token(token)
        self._check()

    def _apply(self, logits: Any) -> Any:
        import mlx.core as mx
        import numpy as np
        from llguidance.numpy import fill_next_token_bitmask

        if self._matcher.is_stopped():
            self._words.fill(0)
            for end in self._ends:
                self._words.view(np.uint32)[0, end // 32] |= np.uint32(1 << (end % 32))
        else:
            fill_next_token_bitmask(self._matcher, self._words)
            self._check()
        size = logits.shape[-1]
        bits = (mx.array(self._words.view(np.uint32)[0])[:, None] >> self._shifts) & 1
        allowed = bits.reshape(-1)[:size].astype(mx.bool_)
        return mx.where(allowed, logits, -mx.inf)

    def _check(self) -> None:
        if self._matcher.is_error():
            raise EngineError(f"The grammar broke off: {self._matcher.get_error()}. Simplify the grammar.")
