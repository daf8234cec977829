"""Scores: how likely a model finds a given text, token by token."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING, Any

from llmkit import waiting
from llmkit.background import loop_thread
from llmkit.cancellation import CancelToken
from llmkit.engines.score import ScoreRequest
from llmkit.errors import SessionClosed, ValidationError
from llmkit.messages import messages_from
from llmkit.presenting import Displayed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from llmkit.engines.decoder import Token
    from llmkit.engines.remote.config import Remote
    from llmkit.messages import Prompt
    from llmkit.session import Session

MOST_ALTERNATIVES = 100


class Score(Displayed):
    """How likely a model finds a text; prints in a line, and in a notebook shows its tokens, coloured.

    Parameters
    ----------
    model : str
        The model's name.
    tokens : tuple of Token
        The text's tokens. The first has no log-probability if nothing came before it.

    Attributes
    ----------
    model : str
        The model's name.
    scored_tokens : tuple of Token
        The tokens as they were scored.
    """

    def __init__(self, model: str, tokens: Sequence[Token]) -> None:
        self.model = model
        self.scored_tokens = tuple(tokens)
        self._logprobs = [token.logprob for token in tokens if token.logprob is not None]

    @property
    def text(self) -> str:
        """The text, as its tokens spell it."""
        return "".join(token.text for token in self.scored_tokens)

    @property
    def tokens(self) -> pd.DataFrame:
        """The tokens, a row each, with the columns of ``run.tokens``."""
        from llmkit.records.frames import frame_of_tokens

        return frame_of_tokens({0: self.scored_tokens})

    @property
    def count(self) -> int:
        """How many tokens have a log-probability."""
        return len(self._logprobs)

    @property
    def logprob(self) -> float:
        """The natural log of the whole text's probability: the sum over its tokens."""
        return math.fsum(self._logprobs)

    @property
    def mean_logprob(self) -> float:
        """The mean over the tokens that have a log-probability, in nats a token."""
        return self.logprob / self.count

    @property
    def perplexity(self) -> float:
        """How many equally likely tokens the model wavers between on average: exp(−mean_logprob)."""
        return math.exp(min(-self.mean_logprob, 700.0))

    def token_view(self, by: Any = "probability") -> Any:
        """Return a view of the tokens, coloured; see :meth:`llmkit.run.Run.token_view`."""
        from llmkit.tokenview import TokenView

        return TokenView.of(self, by)

    def __repr__(self) -> str:
        from llmkit.notebook.visible import one_line

        return f"<Score “{one_line(self.text, 60)}” · {self.count} tokens · perplexity {self.perplexity:,.4g}>"

    def _ipython_display_(self) -> None:
        self.token_view().show()


def score(
    session: Session,
    text: str | Sequence[int],
    *,
    prompt: Prompt | None = None,
    after: str = "",
    system: str | None = None,
    model: str | Path | Remote | None = None,
    alternatives: int = 5,
) -> Score:
    """Return a text's score; see :meth:`llmkit.Session.score`."""
    if (
        isinstance(alternatives, bool)
        or not isinstance(alternatives, int)
        or not 0 <= alternatives <= MOST_ALTERNATIVES
    ):
        raise ValidationError(
            f"alternatives={alternatives!r} can't be used: a whole number from 0 to {MOST_ALTERNATIVES}.",
            field="alternatives",
        )
    if prompt is None and system is not None:
        raise ValidationError("system= needs a prompt=: a text that stands alone answers nobody.", field="system")
    messages = () if prompt is None else messages_from(prompt, system=system, default_system=session.system)
    request = ScoreRequest(
        id=f"score-{secrets.token_hex(6)}",
        text=text if isinstance(text, str) else tuple(text),
        messages=messages,
        after=after,
        alternatives=alternatives,
    )
    if session.closed:
        raise SessionClosed("The session was closed. Make a new one: llmkit.Session().")
    resident = session.resident(model)
    cancel, done = CancelToken(), waiting.Signal()

    async def work() -> tuple[Token, ...]:
        async with resident.admission.place(cancel, lambda _: None):
            engine = await cancel.guard(resident.loaded(None))
            return await engine.score(request, cancel)

    future = loop_thread().start(work)
    future.add_done_callback(lambda _: done.set())
    try:
        waiting.wait(done)
    except BaseException:
        cancel.cancel("interrupted")
        raise
    return Score(resident.name, future.result())
