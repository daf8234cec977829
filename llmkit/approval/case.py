"""One call at the gate: what is known of it, and how far it has come."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from llmkit.approval.decision import MAX_ID, DecidedBy, Decision, Ruling, Verdict, clipped
from llmkit.approval.request import digest_of
from llmkit.approval.rules import Scope
from llmkit.tools.arguments import misfit, read_arguments
from llmkit.tools.problems import Problem

if TYPE_CHECKING:
    import asyncio

    from llmkit.approval.request import ApprovalRequest
    from llmkit.tools.tool import Tool

State = Literal["announced", "asked", "allowed", "claimed", "denied", "pended", "cancelled"]

OPEN: frozenset[State] = frozenset({"announced", "asked"})
AFTER: dict[Verdict, State] = {"allow": "allowed", "deny": "denied", "pend": "pended", "cancel": "cancelled"}

_SETTLED = {
    "allowed": "The call was already allowed",
    "claimed": "The call was already allowed, and runs or ran",
    "denied": "The call was already denied",
    "pended": "The call was left open for a later run",
    "cancelled": "The call was cancelled",
}
_NOT_TO_RUN = {
    "announced": "isn't decided yet",
    "asked": "isn't decided yet",
    "claimed": "was handed out to run before",
    "denied": "was denied",
    "pended": "was left open for a later run",
    "cancelled": "was cancelled",
}


@dataclass(slots=True, eq=False)
class Case:
    """One call at the gate.

    Parameters
    ----------
    request : ApprovalRequest
        What is asked.
    tool : Tool
        What is called.
    decided : asyncio.Future
        Holds the ruling once it has been told.
    """

    request: ApprovalRequest
    tool: Tool
    decided: asyncio.Future[Ruling]
    state: State = "announced"
    judged: bool = False
    """Whether rules, tool and policy were or are being looked at."""
    ruling: Ruling | None = None
    asked_at: float | None = None
    refusals: int = 0
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    arguments: dict[str, Any] = field(init=False)
    """As asked; nobody outside has a hand on it."""
    shown: dict[str, Any] = field(init=False)
    """The same, for the record."""
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        self.arguments = read_arguments(self.request.call.arguments)
        self.shown = copy.deepcopy(self.arguments)
        self.digest = digest_of(self.request.call)

    def is_open(self) -> bool:
        """Return whether it can still be decided."""
        return self.state in OPEN

    def settle(self, verdict: Verdict, by: DecidedBy, reason: str, now: float) -> Ruling:
        """Make an open case a decided one and return the record of it; ``now`` is the loop's time."""
        self.state = AFTER[verdict]
        self.ruling = Ruling(
            call_id=self.request.call.id,
            tool=self.tool.name,
            verdict=verdict,
            by=by,
            reason=clipped(reason),
            shown_arguments=self.shown,
            arguments=copy.deepcopy(self.arguments) if verdict == "allow" else None,
            waited=now - self.asked_at if self.asked_at is not None else None,
        )
        return self.ruling

    def edited(self, arguments: object) -> dict[str, Any]:
        """Return edited arguments as JSON values, if the tool can be called with them.

        Raises
        ------
        ToolArgumentsError
            If it can't.
        """
        if not isinstance(arguments, str | Mapping):
            raise misfit([Problem("", "must be JSON text, or values by parameter name")])
        values = read_arguments(arguments)
        self.tool.validate(values)
        return values

    @property
    def settled_words(self) -> str:
        """Why another decision comes too late."""
        by = f" by {self.ruling.by}" if self.ruling is not None and self.state != "cancelled" else ""
        return f"{_SETTLED[self.state]}{by}."

    @property
    def blocked_words(self) -> str:
        """Why it can't be handed out to run."""
        return _NOT_TO_RUN[self.state]

    def wake(self) -> None:
        """Give the ruling to whoever waits for it. Loop thread only."""
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()
        if self.ruling is not None and not self.decided.done():
            self.decided.set_result(self.ruling)


def objection(case: Case | None, decision: Decision, over: str) -> str:
    """Return why a decision can't count, nothing if it can.

    Parameters
    ----------
    case : Case, optional
        The call it is about, if it is known.
    decision : Decision
        What was decided.
    over : str
        Why nothing can be decided any more, if so.
    """
    if decision.verdict not in ("allow", "deny", "pend") or decision.by not in ("panel", "code"):
        why = "A decision allows, denies or leaves open, and comes from the panel or from code."
    elif decision.always is not None and decision.always not in get_args(Scope):
        why = "A rule holds for the run or for the session."
    elif case is None:
        why = over or "No such call is known here."
    elif not case.is_open():
        why = case.settled_words
    elif over:
        why = over
    elif decision.digest != case.digest:
        why = "The decision is on another call: its digest of id, tool and arguments doesn't fit this one."
    else:
        why = ""
    return why


def refused(case: Case | None, decision: Decision, refusal: str) -> Ruling:
    """Return the record of a decision that changes nothing."""
    return Ruling(
        call_id=clipped(decision.call_id, MAX_ID),
        tool=case.tool.name if case is not None else "",
        verdict=decision.verdict if decision.verdict in get_args(Verdict) else "deny",
        by=decision.by if decision.by in get_args(DecidedBy) else "panel",
        accepted=False,
        reason=decision.reason,
        refusal=clipped(refusal),
        shown_arguments=case.shown if case is not None else None,
    )
