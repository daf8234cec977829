"""How sure a model was of a token, from the log-probabilities that were kept."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmkit.engines.decoder import Token


def probability(token: Token) -> float | None:
    """Return a token's probability before sampling, ``None`` if it isn't known."""
    return None if token.logprob is None else math.exp(min(token.logprob, 0.0))


def entropy(token: Token) -> float | None:
    """Return the entropy of a token's place in bits, as far as it is known; ``None`` without alternatives.

    With pᵢ the probabilities of the alternatives that were kept and of the token itself, and r = 1 − Σ pᵢ what is left
    for all others, it is −Σ pᵢ log₂ pᵢ − r log₂ r. Taking the others as one makes it a lower bound of the entropy
    (Shannon's grouping property), and the nearer to it the more alternatives were kept.
    """
    if not token.alternatives:
        return None
    known = {each.id: math.exp(min(each.logprob, 0.0)) for each in token.alternatives}
    own = probability(token)
    if own is not None:
        known.setdefault(token.id, own)
    rest = max(0.0, 1.0 - math.fsum(known.values()))
    return max(0.0, -math.fsum(share * math.log2(share) for share in (*known.values(), rest) if share > 0))


def rank(token: Token) -> int | None:
    """Return a token's place among its alternatives, 0 the likeliest; ``None`` if it is none of them."""
    return next((place for place, each in enumerate(token.alternatives) if each.id == token.id), None)
