"""An answer that goes on from tokens which were decoded before: a branch of another answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from llmkit.background import in_thread
from llmkit.cancellation import CancelToken
from llmkit.engines.base import Begun
from llmkit.engines.decoder import Done, Tokens
from llmkit.engines.stops import StopMatcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from llmkit.engines.decoder import Decoder, Report, Token

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
_LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8 at most, and so the most tokens that it can take."""


class Beginning:
    """The tokens that an answer begins with, with the texts that they have in it.

    The texts that come with a token depend on what came before it: a character that it completes, a stop string that
    it might have begun. The last one was another token's alternative, so all of that is worked out anew.

    Parameters
    ----------
    decoder : Decoder
        The model.
    prompt : sequence of int
        The ids before the answer.
    tokens : sequence of Token
        What the answer begins with.
    stop : tuple of str
        The texts that end an answer.
    limit : int, optional
        So many tokens it may have.

    Attributes
    ----------
    tokens : tuple of Token
        Those that the answer shows: without an end token, and up to a stop string.
    end : Done or None
        Set if the beginning is the whole answer.
    """

    def __init__(
        self,
        decoder: Decoder,
        prompt: Sequence[int],
        tokens: Sequence[Token],
        *,
        stop: tuple[str, ...] = (),
        limit: int | None = None,
    ) -> None:
        ended = bool(tokens) and tokens[-1].id in decoder.info.end_ids
        self.tokens = tuple(tokens[:-1] if ended else tokens)
        self.ids = tuple(token.id for token in self.tokens)
        self._decoder = decoder
        self._before = tuple(prompt[-1:])
        self._skipped = len(decoder.detokenize(self._before)) if self._before else 0
        self._stops = StopMatcher(stop)
        self._said = ""
        self._unfinished: list[int] = []
        if self.tokens:
            self._spell()
        self.end: Done | None = None
        if ended or self.stopped or (limit is not None and len(self.ids) >= limit):
            raw = "stop_string" if self.stopped else "eos" if ended else "limit"
            reason: Literal["stop", "length"] = "length" if raw == "limit" else "stop"
            self.end = Done(reason, raw, prompt_tokens=len(prompt) + len(self.ids), generated_tokens=0)

    @property
    def stopped(self) -> bool:
        """Whether a stop string is complete."""
        return self._stops.matched is not None

    @property
    def unfinished(self) -> bool:
        """Whether the tokens so far end inside a character; then :meth:`take` asks the decoder, and may block."""
        return bool(self._unfinished)

    def take(self, token: Token) -> Token:
        """Return the next token with the text that it has after the beginning."""
        text = token.text
        if self._unfinished:
            self._unfinished.append(token.id)
            text = self._completed()
        return replace(token, text=self._stops.feed(text))

    def finish(self, done: Done) -> Done:
        """Return the end with all text that was held back."""
        tail = self._stops.feed(done.tail) + self._stops.flush()
        if self.stopped:
            return replace(done, reason="stop", raw_reason="stop_string", tail=tail)
        return replace(done, tail=tail)

    def _spell(self) -> None:
        """Give the last token what the others leave of the text, and cut all of it at a stop string."""
        *others, last = self.tokens
        known = "".join(token.text for token in others)
        whole = self._text(self.ids)
        spelled = known + last.text
        if whole.startswith(known):
            spelled = whole.rstrip(_UNFINISHED)
            if len(spelled) < len(known):  # what looks unfinished was said so
                spelled = known
            if whole != spelled:
                self._unfinished = list(self.ids)
        self._said = spelled
        shown = self._stops.feed(spelled)
        texts = [*(token.text for token in others), spelled[len(known) :]]
        self.tokens = tuple(
            replace(token, text=text) for token, text in zip(self.tokens, _cut(texts, len(shown)), strict=True)
        )

    def _completed(self) -> str:
        whole = self._text(self._unfinished)
        text = whole.rstrip(_UNFINISHED)
        if text != whole and len(self._unfinished) - len(self.ids) < _LONGEST_CHARACTER:
            whole = text
        else:
            self._unfinished = []
        new, self._said = whole[len(self._said) :], max(self._said, whole, key=len)
        return new

    def _text(self, ids: Sequence[int]) -> str:
        # With the token before: of an answer's first token some tokenizers would leave out the space.
        return self._decoder.detokenize([*self._before, *ids])[self._skipped :]


async def go_on(
    decode: Callable[[CancelToken], AsyncIterator[Report]], beginning: Beginning, cancel: CancelToken
) -> AsyncIterator[Report | Begun]:
    """Yield the reports of an answer that goes on from ``beginning``, which comes just before the first token.

    Parameters
    ----------
    decode : Callable
        Starts the request and yields its reports.
    beginning : Beginning
        What the answer begins with.
    cancel : CancelToken
        Ends it.
    """
    if beginning.end is not None:
        yield Begun(beginning.tokens)
        yield beginning.finish(beginning.end)
        return
    enough = CancelToken()
    forget = cancel.on_cancel(enough.cancel)
    told = over = False
    try:
        async for report in decode(enough):
            if isinstance(report, Tokens | Done) and not told:
                told = True
                yield Begun(beginning.tokens)
            if isinstance(report, Done):
                yield beginning.finish(report)
            elif not isinstance(report, Tokens):
                yield report
            elif not over:
                yield Tokens(tuple([await _taken(beginning, token) for token in report.tokens]))
                over = beginning.stopped
                if over:
                    enough.cancel("a stop string is complete")
    finally:
        forget()


async def _taken(beginning: Beginning, token: Token) -> Token:
    return await in_thread(beginning.take, token) if beginning.unfinished else beginning.take(token)


def _cut(texts: Sequence[str], length: int) -> list[str]:
    """Return the texts, shortened at their end to ``length`` characters in all."""
    cut = []
    for text in texts:
        cut.append(text[: max(0, length)])
        length -= len(text)
    return cut
