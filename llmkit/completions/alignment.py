"""Where in a choice's text each of its tokens stands."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmkit.completions.completion import CompletionLogprobs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.engines.decoder import Token


@dataclass(slots=True)
class Alignment:
    """Lays tokens along the text that they make up, as both come.

    Tokens and text come apart: text is held back where it may become a stop string, tokens that end within a character
    have no text of their own yet, and servers tell such tokens in words of their own. Joined, the tokens that are told
    are always the text.

    Parameters
    ----------
    offset : int
        Where in the choice's text the tokens begin, in characters.
    stops : bool
        Whether stop strings are looked for: then the end of a token's text may be held back, and come after it.
    """

    offset: int = 0
    stops: bool = False
    _tokens: list[Token] = field(default_factory=list)
    _text: str = ""

    def feed(self, tokens: Iterable[Token], text: str) -> CompletionLogprobs:
        """Take what has come; return the tokens whose place is certain by now."""
        self._tokens += tokens
        self._text += text
        return self._told(self._placed(leave=1 if self.stops else 0))

    def finish(self) -> CompletionLogprobs:
        """Return the tokens that are left: what is left of the text is theirs."""
        placed = self._placed(leave=0)
        shown = self._first_shown()
        owner = len(placed) + (len(self._tokens) - 1 if shown is None else shown)
        placed += [(token, "") for token in self._tokens]
        if placed:
            placed[owner] = (placed[owner][0], placed[owner][1] + self._text)
        self._tokens, self._text = [], ""
        return self._told(placed)

    def _placed(self, *, leave: int) -> list[tuple[Token, str]]:
        """Take the tokens that are found in the text, but the last so many."""
        placed: list[tuple[Token, str]] = []
        while (shown := self._first_shown()) is not None and shown < len(self._tokens) - leave:
            place = self._text.find(self._tokens[shown].text)
            if place < 0:
                break
            placed += self._take(shown, place)
        return placed

    def _first_shown(self) -> int | None:
        """Return the place of the first token with a text to look for."""
        return next((at for at, token in enumerate(self._tokens) if _is_plain(token.text)), None)

    def _take(self, shown: int, place: int) -> list[tuple[Token, str]]:
        """Take the tokens up to one that is found at a place in the text; what stands before it is the others'."""
        *before, found = self._tokens[: shown + 1]
        skipped, end = self._text[:place], place + len(found.text)
        taken = [(token, "") for token in before]
        if before:
            taken[-1] = (before[-1], skipped)
            taken.append((found, found.text))
        else:
            taken.append((found, skipped + found.text))
        del self._tokens[: shown + 1]
        self._text = self._text[end:]
        return taken

    def _told(self, placed: list[tuple[Token, str]]) -> CompletionLogprobs:
        offsets = []
        for _, text in placed:
            offsets.append(self.offset)
            self.offset += len(text)
        return CompletionLogprobs(
            tokens=tuple(text for _, text in placed),
            token_logprobs=tuple(_finite(token.logprob) for token, _ in placed),
            top_logprobs=tuple(_likeliest(token) for token, _ in placed),
            text_offset=tuple(offsets),
        )


def joined(parts: Iterable[CompletionLogprobs]) -> CompletionLogprobs:
    """Return several as one."""
    parts = tuple(parts)
    return CompletionLogprobs(
        tokens=tuple(item for part in parts for item in part.tokens),
        token_logprobs=tuple(item for part in parts for item in part.token_logprobs),
        top_logprobs=tuple(item for part in parts for item in part.top_logprobs),
        text_offset=tuple(item for part in parts for item in part.text_offset),
    )


def _is_plain(text: str) -> bool:
    r"""Return whether a token's text stands in the text as it is; vLLM writes ``bytes:\xf0`` for half a character."""
    return bool(text) and "\ufffd" not in text and not text.startswith("bytes:\\x")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _likeliest(token: Token) -> dict[str, float] | None:
    """Return the alternatives by their text; of several with the same, as halves of characters are, the likeliest."""
    if token.logprob is None and not token.alternatives:
        return None
    likeliest: dict[str, float] = {}
    for each in token.alternatives:
        if math.isfinite(each.logprob):
            likeliest[each.text] = max(each.logprob, likeliest.get(each.text, -math.inf))
    return likeliest
