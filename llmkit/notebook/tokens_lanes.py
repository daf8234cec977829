"""The lanes of a tree of runs, kept up to date as their events come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmkit.events import Abort, End, Failure, TokensDecoded
from llmkit.notebook.tokens_state import changed_ranges, lane_state, rounded, shown, token_state
from llmkit.uncertainty import probability

if TYPE_CHECKING:
    from llmkit.engines.decoder import Token
    from llmkit.events import Event
    from llmkit.run import Run


@dataclass(slots=True)
class Lane:
    """One run's lane.

    Attributes
    ----------
    run : Run
        The run.
    state : dict
        What pages are told of it; see :mod:`llmkit.notebook.tokens_state`.
    tokens : list of Token
        All its tokens, step after step.
    starts : dict
        Of each step with tokens, where its first one is.
    """

    run: Run
    state: dict[str, Any]
    tokens: list[Token] = field(default_factory=list)
    starts: dict[int, int] = field(default_factory=dict)

    def place(self, index: int) -> tuple[int, int]:
        """Return the step and the position in it of the token at ``index``."""
        step = max((step for step, start in self.starts.items() if start <= index), default=0)
        return step, index - self.starts.get(step, 0)

    def take(self, event: Event, origin: Lane | None) -> bool:
        """Take the run's next event; return whether the lane changed."""
        match event:
            case TokensDecoded(step=step, tokens=tokens):
                self.starts.setdefault(step, len(self.tokens))
                self.tokens += tokens
                self.state["tokens"] += [token_state(token) for token in tokens]
            case End():
                self._end(event)
                if origin is not None:
                    own, at = self.state["own"], self.state["at"]
                    before = [token for step in origin.run.steps for token in step.tokens]
                    self.state["changed"] = changed_ranges(self.tokens[own:], before[at:], own)
            case _:
                return False
        return True

    def _end(self, event: End) -> None:
        self.state["status"] = {Abort: "cancelled", Failure: "failed"}.get(type(event), "done")
        self.state["error"] = event.error.message if isinstance(event, Failure) else ""
        self.state["branching"] = bool(self.tokens)
        if not self.tokens and not self.state["error"]:
            self.state["error"] = "The run kept no tokens: ask with logprobs=5, or another number of alternatives."


def lane_of(run: Run, lanes: list[Lane]) -> tuple[Lane, Lane | None]:
    """Return the lane of a run that has none yet, and the one that it left."""
    origin = next((lane for lane in lanes if lane.run is run.parent), None)
    point = run.branch_point
    if origin is None or point is None:
        return Lane(run, lane_state(run.id, run.request.model)), None
    state = lane_state(run.id, run.request.model)
    state |= {"parent": lanes.index(origin), "own": point.position}
    state["at"] = sum(len(step.tokens) for step in origin.run.steps[: point.step]) + point.position
    if point.token is not None:
        state |= {"token": shown(point.token.text), "share": rounded(probability(point.token))}
    return Lane(run, state), origin
