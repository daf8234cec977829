"""A decision on a tool call: what was decided, by whom, and whether it took effect."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from llmkit.approval.request import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.approval.rules import Scope

MAX_REASON = 2_000
"""So many characters of a reason are kept."""

MAX_ID = 200
"""So many characters of an id are kept."""

Verdict = Literal["allow", "deny", "pend", "cancel"]
DecidedBy = Literal["panel", "code", "rule", "tool", "timeout", "headless", "cancel"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody or something says to a request.

    Parameters
    ----------
    call_id, digest : str
        What it is about: a request with another digest isn't decided by it.
    verdict : {"allow", "deny", "pend", "cancel"}
        ``pend`` leaves it open beyond the run's end; ``cancel`` comes with the run's.
    by : str
        ``panel``, ``code``, ``rule``, ``tool`` (it needs no approval), ``timeout``, ``headless`` or ``cancel``.
    reason : str
        Why; a denial's reaches the model.
    arguments : mapping or str, optional
        What to run it with instead: JSON values by parameter name, or JSON text.
    always : {"run", "session"}, optional
        Make a rule of it, for that long.
    time : float
        Unix time.
    """

    call_id: str
    digest: str
    verdict: Verdict
    by: DecidedBy
    reason: str = ""
    arguments: Mapping[str, Any] | str | None = None
    always: Scope | None = None
    time: float = field(default_factory=time.time)

    def bounded(self) -> Decision:
        """Return the decision as a gate takes it: an id that can be looked up, a reason that isn't long."""
        call_id = self.call_id if isinstance(self.call_id, str) else clipped(self.call_id, MAX_ID)
        return replace(self, call_id=call_id, reason=clipped(self.reason))


@dataclass(frozen=True, slots=True)
class Ruling:
    """What became of a decision; the record of it.

    Parameters
    ----------
    call_id, tool : str
        The call, and its tool as far as it is known.
    verdict : {"allow", "deny", "pend", "cancel"}
        What was decided.
    by : str
        Who or what decided.
    accepted : bool
        Whether it took effect. A late, repeated, forged or mismatched one didn't.
    reason : str
        The decision's own.
    refusal : str
        Why it took no effect.
    shown_arguments : dict, optional
        What whoever decided was shown; ``None`` if the call isn't known.
    arguments : dict, optional
        What the handler is given: as shown, or as edited; ``None`` if it doesn't run.
    waited : float, optional
        Seconds from request to decision.
    time : float
        Unix time of the decision.
    """

    call_id: str
    tool: str
    verdict: Verdict
    by: DecidedBy
    accepted: bool = True
    reason: str = ""
    refusal: str = ""
    shown_arguments: dict[str, Any] | None = None
    arguments: dict[str, Any] | None = None
    waited: float | None = None
    time: float = field(default_factory=time.time)

    @property
    def edited(self) -> bool:
        """Whether what runs differs from what the model asked for."""
        return self.arguments is not None and canonical_json(self.arguments) != canonical_json(self.shown_arguments)

    def to_dict(self) -> dict[str, Any]:
        """Return the ruling as JSON values."""
        return {
            "call_id": self.call_id,
            "tool": self.tool,
            "verdict": self.verdict,
            "by": self.by,
            "accepted": self.accepted,
            "reason": self.reason,
            "refusal": self.refusal,
            "shown_arguments": self.shown_arguments,
            "arguments": self.arguments,
            "edited": self.edited,
            "waited": self.waited,
            "time": self.time,
        }


def clipped(value: object, length: int = MAX_REASON) -> str:
    """Return a value as a text of at most ``length`` characters."""
    text = value if isinstance(value, str) else "" if value is None else repr(value)
    return text if len(text) <= length else text[: length - 1] + "…"
