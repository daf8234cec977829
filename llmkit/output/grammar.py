"""Whether a grammar can be used for decoding."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llguidance import LLTokenizer


@lru_cache(maxsize=256)
def grammar_problem(grammar: str) -> str | None:
    """Return why llguidance can't use a grammar in Lark; ``None`` if it can.

    A matcher is made of it, because some limits, like that of the states of its texts, are only found out then.
    llama.cpp goes on without a grammar that it can't use.
    """
    from llguidance import LLMatcher

    read = LLMatcher.grammar_from_lark(grammar)
    message: str = LLMatcher.validate_grammar(read)
    if not message or message.startswith("WARNING"):
        matcher = LLMatcher(byte_tokenizer(), read, log_level=0)
        if not matcher.is_error():
            return None
        message = matcher.get_error()
    return message.partition("failed to compile JSON schema: ")[2].partition("\n   ")[0].strip() or message


@cache
def byte_tokenizer() -> LLTokenizer:
    """Return a tokenizer of single bytes."""
    from llguidance import LLTokenizer

    return LLTokenizer("byte")
