"""The token view: each token coloured by how likely it was, with its alternatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from llmkit.errors import ValidationError
from llmkit.presenting import Displayed
from llmkit.uncertainty import entropy, probability, rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from llmkit.engines.decoder import Token
    from llmkit.run import Run
    from llmkit.scoring import Score

By = Literal["probability", "entropy"]


class TokenView(Displayed):
    """A view of the tokens of a run and its branches, or of a score; see :meth:`llmkit.run.Run.token_view`.

    Attributes
    ----------
    by : {"probability", "entropy"}
        What colours the tokens at first.
    """

    def __init__(self, by: By, *, run: Run | None = None, score: Score | None = None) -> None:
        self.by = by
        self._run = run
        self._score = score

    @classmethod
    def of(cls, source: Run | Score, by: By = "probability") -> TokenView:
        """Return the view of a run or a score.

        Raises
        ------
        ValidationError
            If ``by`` is neither of the two.
        """
        from llmkit.scoring import Score

        if by not in {"probability", "entropy"}:
            raise ValidationError(f"by={by!r} can't be used: 'probability' or 'entropy'.", field="by")
        return cls(by, score=source) if isinstance(source, Score) else cls(by, run=source)

    @property
    def frame(self) -> pd.DataFrame:
        """A row a token of the run or score: step, position, text, probability, entropy in bits, rank; waits.

        ``rank`` is the token's place among the alternatives that were kept, 0 the likeliest; ``likeliest`` is the text
        of that one. What isn't known is NA.
        """
        import pandas as pd

        steps = self._steps()
        rows = [
            (
                step,
                position,
                token.text,
                probability(token),
                entropy(token),
                rank(token),
                token.alternatives[0].text if token.alternatives else None,
            )
            for step, tokens in steps.items()
            for position, token in enumerate(tokens)
        ]
        dtypes = {
            "step": "Int64",
            "position": "Int64",
            "text": "string",
            "probability": "Float64",
            "entropy": "Float64",
            "rank": "Int64",
            "likeliest": "string",
        }
        return pd.DataFrame(rows, columns=list(dtypes)).astype(dtypes)

    @property
    def html(self) -> str:
        """The static form, as a saved notebook keeps it; waits for the runs to end."""
        from llmkit.notebook.tokens_static import html

        return html(self._state())

    def show(self) -> None:
        """Show it: live in a notebook with a browser, else as it is when the runs have ended."""
        from llmkit.notebook import tokens_display

        if self._run is not None:
            tokens_display.show_runs(self._root(self._run), self.by)
        else:
            tokens_display.show_static(self._state())

    def __repr__(self) -> str:
        from llmkit.notebook.tokens_static import plain

        return plain(self._state())

    def _ipython_display_(self) -> None:
        self.show()

    def _steps(self) -> dict[int, Sequence[Token]]:
        if self._score is not None:
            return {0: self._score.scored_tokens}
        return {step.step_number: step.tokens for step in self._run.steps} if self._run is not None else {}

    def _state(self) -> dict[str, Any]:
        from llmkit.notebook.tokens_display import runs_state
        from llmkit.notebook.tokens_state import lane_state, token_state

        if self._run is not None:
            return runs_state(self._root(self._run), self.by)
        assert self._score is not None  # noqa: S101 - a view has one or the other
        score = self._score
        lane = lane_state("score", f"{score.model} · perplexity {score.perplexity:,.4g}")
        lane |= {"status": "done", "tokens": [token_state(token) for token in score.scored_tokens]}
        return {"by": self.by, "lanes": [lane]}

    @staticmethod
    def _root(run: Run) -> Run:
        from llmkit.branching import RunTree

        return RunTree(run).root
