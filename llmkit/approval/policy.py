"""What a run does about approval: its rules, how long it waits, and what it does when nobody is there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from llmkit.approval.rules import Rule, rule_from
from llmkit.errors import ValidationError
from llmkit.tools.problems import shown

SHORTEST_ABSENCE = 6.0
"""Seconds of absence that can be told from a page between two of its reports."""

Headless = Literal["deny", "pend", "wait"]


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """What a run does about approval.

    Parameters
    ----------
    rules : sequence of Rule, or of pairs of pattern and action
        Looked at in order, after the run's and the session's own.
    headless : {"deny", "pend", "wait"}
        What happens to a call that must be asked about when nobody is there: it is denied, or left open for
        ``session.resume``, or it waits for code to decide, which needs a ``timeout``.
    timeout : float, optional
        Seconds a request may wait; then the call is denied.
    absence : float
        Seconds without anybody who could see a request, after which nobody counts as there. At least
        :data:`SHORTEST_ABSENCE`: pages report that somebody is there every 5 seconds.

    Raises
    ------
    ValidationError
        For a value that can't be used; names the field.
    """

    rules: tuple[Rule, ...] = ()
    headless: Headless = "deny"
    timeout: float | None = None
    absence: float = 600.0

    def __post_init__(self) -> None:
        if not isinstance(self.rules, list | tuple):
            raise ValidationError("rules= is a list of rules, like [('get_*', 'allow')].", field="rules")
        object.__setattr__(self, "rules", tuple(rule_from(rule) for rule in self.rules))
        if self.headless not in get_args(Headless):
            raise ValidationError(
                f"headless= is 'deny', 'pend' or 'wait', not {shown(self.headless)}.", field="headless"
            )
        if self.timeout is not None:
            _check_duration("timeout", self.timeout)
        _check_duration("absence", self.absence)
        if self.absence < SHORTEST_ABSENCE:
            raise ValidationError(
                f"absence= is at least {SHORTEST_ABSENCE:g} s: pages report that somebody is there every 5 s.",
                field="absence",
            )
        if self.headless == "wait" and self.timeout is None:
            raise ValidationError("headless='wait' needs timeout=…, or a run could wait for ever.", field="timeout")


def _check_duration(field: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise ValidationError(f"{field}= is seconds above 0, not {shown(value)}.", field=field)


ASK = ApprovalPolicy()
"""Ask about every call; deny it when nobody is there."""

_WORDS = {
    "ask": ASK,
    "allow": ApprovalPolicy(rules=(Rule("*", "allow", reason="the approval policy allows every call"),)),
    "deny": ApprovalPolicy(rules=(Rule("*", "deny", reason="the approval policy denies every call"),)),
    "pend": ApprovalPolicy(headless="pend"),
}


def policy_from(value: Any, default: ApprovalPolicy = ASK) -> ApprovalPolicy:
    """Return the policy that ``approval=`` stands for.

    Parameters
    ----------
    value : ApprovalPolicy, str, list or None
        A policy; ``"ask"``, ``"allow"``, ``"deny"`` or ``"pend"`` (leave open what nobody is there to be asked about);
        or rules, each a Rule or a pair of pattern and action.
    default : ApprovalPolicy
        What ``None`` stands for. For a call it is its session's policy: one of the call's own replaces that as a whole,
        and only the rules that were added to the session still come first.

    Raises
    ------
    ValidationError
        For anything else; names the field.
    """
    match value:
        case None:
            return default
        case ApprovalPolicy():
            return value
        case str() if value in _WORDS:
            return _WORDS[value]
        case list() | tuple():
            return ApprovalPolicy(rules=tuple(value))
    raise ValidationError(
        f"approval= is 'ask', 'allow', 'deny', 'pend', a list of rules or an ApprovalPolicy, not {shown(value)}.",
        field="approval",
    )
