"""A tree of runs, or a score, as lanes of tokens: what a page or a saved notebook needs to show them, and no more.

The state is JSON; ``widgets/tokens/protocol.ts`` is the same thing in TypeScript::

    by                        "probability" or "entropy": what colours the tokens at first
    lanes                     one a run, the one that the others come from first

    lane
      id, title               the run's id; what it is called
      parent, at, own         the lane that it left, at which of that one's tokens, and which of its own comes there:
                              another number if it goes on from a later step; null for the first lane
      token, share            the token that was put there, and its probability; "" and null if it was drawn anew
      status                  running · done · cancelled · failed
      error                   why it failed
      branching               whether it can branch now
      tokens                  its tokens, in order
      changed                 of its tokens from the branch on, those that its parent hasn't, as ranges [from, to)

    token
      text                    what it says, nothing hidden: a line break as ⏎ and a line break
      p, bits                 its probability, and the entropy of its place; null if unknown
      rank                    its place among the alternatives, from 0; null if it is none of them
      id, others              its id; alternatives as [id, text, p], likeliest first
"""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING, Any

from llmkit.notebook.visible import one_line, visible
from llmkit.uncertainty import entropy, probability, rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.engines.decoder import Token

MOST_OTHERS = 20
"""So many alternatives are shown."""

_PART = "◌"
"""Stands for a token that only begins a character, or whose text is held back."""

_MOST_COMPARED = 2_000


def shown(text: str) -> str:
    """Return a token's text such that all of it can be seen."""
    if not text:
        return _PART
    if not text.strip(" "):
        return "␣" * len(text)
    return visible(text).replace("\n", "⏎\n").replace("\t", "⇥\t")


def token_state(token: Token) -> dict[str, Any]:
    """Return a token's state."""
    return {
        "text": shown(token.text),
        "p": rounded(probability(token)),
        "bits": rounded(entropy(token)),
        "rank": rank(token),
        "id": token.id,
        "others": [
            [each.id, shown(each.text).strip("\n"), rounded(math.exp(min(each.logprob, 0.0)))]
            for each in token.alternatives[:MOST_OTHERS]
        ],
    }


def lane_state(id_: str, title: str) -> dict[str, Any]:
    """Return the state of a lane that has no tokens yet."""
    return {
        "id": id_,
        "title": one_line(title, 80),
        "parent": None,
        "at": None,
        "own": None,
        "token": "",
        "share": None,
        "status": "running",
        "error": "",
        "branching": False,
        "tokens": [],
        "changed": [],
    }


def changed_ranges(tokens: Sequence[Token], origin: Sequence[Token], first: int) -> list[list[int]]:
    """Return which of ``tokens``, counted from ``first``, aren't in ``origin``: ranges [from, to)."""
    if len(tokens) > _MOST_COMPARED or len(origin) > _MOST_COMPARED:
        return [[first, first + len(tokens)]] if tokens else []
    one, other = [token.id for token in origin], [token.id for token in tokens]
    codes = difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    return [[first + begin, first + end] for tag, _, _, begin, end in codes if tag != "equal" and end > begin]


def rounded(value: float | None) -> float | None:
    """Return a number with four digits, ``None`` for what is no number."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.4g}")
