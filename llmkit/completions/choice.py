"""One choice of a completion in the making: a run's events become its text, tokens and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.completions.alignment import Alignment, joined
from llmkit.completions.completion import CompletionChoice, CompletionLogprobs
from llmkit.errors import Error, RunCancelled
from llmkit.events import Abort, End, Failure, Noted, TextDelta, TokensDecoded
from llmkit.results import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.engines.decoder import Token
    from llmkit.engines.raw import Echo
    from llmkit.events import Event
    from llmkit.settings import FinishReason


class ChoiceInMaking:
    """Takes a run's events as they come.

    Parameters
    ----------
    index : int
        Which choice.
    logprobs : bool
        Whether tokens were asked for.
    stops : bool
        Whether stop strings were given.
    stream : bool
        Whether the text comes in pieces; without, it comes with the run's end.

    Attributes
    ----------
    run_id : str
        The run that makes it; "" before it began.
    usage : Usage
        Tokens, once it has ended.
    warnings : list of str
        What couldn't be done.
    error : Error or None
        Why it came to nothing.
    ended : bool
        Whether its run has ended.
    """

    def __init__(self, index: int, *, logprobs: bool, stops: bool, stream: bool) -> None:
        self.index = index
        self.run_id = ""
        self.usage = Usage()
        self.warnings: list[str] = []
        self.error: Error | None = None
        self.ended = False
        self._stream = stream
        self._reason: FinishReason | None = None
        self._echoed = False
        self._alignment = Alignment(stops=stops) if logprobs else None
        self._tokens: list[Token] = []
        self._texts: list[str] = []
        self._logprobs: list[CompletionLogprobs] = []

    def echo(self, echo: Echo) -> CompletionChoice | None:
        """Take the prompt; return it as a piece, the first time it comes."""
        if self._echoed:
            return None
        self._echoed = True
        piece = self._piece(echo.text, echo.tokens, whole=True)
        if self._alignment is not None:
            self._alignment.offset = len(echo.text)
        return piece

    def take(self, event: Event) -> CompletionChoice | None:
        """Take an event; return the piece that it brings."""
        match event:
            case TokensDecoded(tokens=tokens) if self._stream:
                self._tokens += tokens
            case TextDelta(text=text):
                fresh, self._tokens = self._tokens, []
                return self._piece(text, fresh)
            case Noted(text=text):
                self.warnings.append(text)
            case End():
                return self._end(event)
        return None

    @property
    def whole(self) -> CompletionChoice:
        """All of it, as far as it has come."""
        return self._choice("".join(self._texts), joined(self._logprobs))

    def _end(self, end: End) -> CompletionChoice | None:
        self.ended = True
        if isinstance(end, Failure):
            self.error = end.error
        elif isinstance(end, Abort):
            self.error = RunCancelled(
                f"The completion was cancelled: {end.reason}." if end.reason else "The completion was cancelled.",
                text="".join(self._texts) if self._stream else end.text,
                stats=end.stats,
            )
        else:
            self._reason = end.finish_reason
        if end.steps:
            self.usage = end.steps[-1].usage
        if self.error is not None:
            return None
        if self._stream:
            return self._piece("", self._tokens, whole=True)
        return self._piece(end.text, end.steps[-1].tokens, whole=True)

    def _piece(self, text: str, tokens: Sequence[Token], *, whole: bool = False) -> CompletionChoice:
        """Keep a piece and return it; with ``whole`` nothing follows that its tokens might wait for."""
        placed = CompletionLogprobs()
        if self._alignment is not None:
            placed = self._alignment.feed(tokens, text)
            if whole:
                placed = joined([placed, self._alignment.finish()])
        self._texts.append(text)
        self._logprobs.append(placed)
        return self._choice(text, placed)

    def _choice(self, text: str, logprobs: CompletionLogprobs) -> CompletionChoice:
        return CompletionChoice(text, self.index, self._reason, logprobs if logprobs.tokens else None, self.run_id)
