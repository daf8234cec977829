"""What the token view says of tokens in words, and the levels of its colours; ``widgets/tokens/words.ts`` agrees."""

from __future__ import annotations

from typing import Any, Literal

By = Literal["probability", "entropy"]

PROBABILITY_LEVELS = (0.9, 0.5, 0.2, 0.05)
"""A token as likely as this, or likelier, is on level 0, 1, 2 or 3; one below all of them is on level 4."""

ENTROPY_LEVELS = (0.5, 1.5, 2.5, 3.5)
"""A place of less entropy than this, in bits, is on level 0, 1, 2 or 3."""

LEVEL_WORDS: dict[By, tuple[str, ...]] = {
    "probability": ("≥ 90 %", "≥ 50 %", "≥ 20 %", "≥ 5 %", "< 5 %"),
    "entropy": ("< 0.5 bits", "< 1.5", "< 2.5", "< 3.5", "≥ 3.5 bits"),
}


def level(token: dict[str, Any], by: By) -> int | None:
    """Return how strongly a token is coloured, 0 to 4; ``None`` if nothing is known of it."""
    if by == "probability":
        share = token["p"]
        return None if share is None else sum(share < bound for bound in PROBABILITY_LEVELS)
    bits = token["bits"]
    return None if bits is None else sum(bits >= bound for bound in ENTROPY_LEVELS)


def percent(share: float | None) -> str:
    """Return a probability in words; ``?`` if it isn't known."""
    if share is None:
        return "?"
    if share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def about(token: dict[str, Any], others: int = 5) -> str:
    """Return what a token's tooltip says: its probability, entropy and likeliest alternatives."""
    parts = [percent(token["p"])]
    if token["bits"] is not None:
        parts.append(f"{token['bits']:.2f} bits")
    listed = ", ".join(f"“{text}” {percent(share)}" for _, text, share in token["others"][:others])
    return " · ".join(parts) + (f" | {listed}" if listed else "")


def lane_title(lane: dict[str, Any]) -> str:
    """Return what a lane is called: the answer, or the token that it branched with."""
    if lane["parent"] is None:
        return str(lane["title"])
    if not lane["token"]:
        return f"drawn anew from token {lane['at']}"
    return f"token {lane['at']}: “{str(lane['token']).strip()}” {percent(lane['share'])}"
