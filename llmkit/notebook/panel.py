"""What a page says about tool calls, read with care and passed on to the run's approvals.

A page's messages may come from anything that runs on it, so they are taken for what they are: claims. Whether a
decision takes effect is up to the approvals, which check that it is about what was shown::

    decide    call_id, digest, verdict (allow · deny), reason, arguments (JSON text), always (run · session)
              → ruled: call_id, accepted, refusal
    check     call_id, arguments (JSON text), request_id → checked: request_id, problems ({field, message} each)
    revoke    rule_id
    here      somebody could decide: a page shows what is pending
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeGuard

from llmkit.approval.decision import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llmkit.approval.decision import Ruling
    from llmkit.approval.rules import Scope
    from llmkit.tools.problems import Problem

LONGEST_REASON = 10_000
"""So many characters of a reason are passed on."""

MOST_PROBLEMS = 50

_logger = logging.getLogger("llmkit")


class Rules(Protocol):
    """The rules that decide without asking."""

    def revoke(self, rule_id: str) -> object:
        """Take a rule out of force."""


class Approvals(Protocol):
    """Where a run's tool calls are decided on; all methods may be called from any thread and return at once."""

    @property
    def rules(self) -> Rules:
        """The rules in force."""

    def decide(self, decision: Decision) -> Ruling:
        """Decide on a call; the ruling says whether that took effect, and why not."""

    def check(self, call_id: str, arguments: str) -> Iterable[Problem]:
        """Return what is wrong with edited arguments, given as JSON text."""

    def attended(self) -> object:
        """Take note that a page is there which shows what is pending."""


class Panel:
    """The kernel's end of the approval panel.

    Parameters
    ----------
    approvals : Approvals
        Decides.
    send : callable
        Sends a message to the pages.
    """

    def __init__(self, approvals: Approvals, send: Callable[[dict[str, Any]], None]) -> None:
        self._approvals = approvals
        self._send = send

    def receive(self, message: Mapping[str, Any]) -> bool:
        """Take a message from a page; return whether it is one of the panel's. Never raises."""
        try:
            return self._take(message)
        except Exception:
            _logger.exception("A message to the approval panel could not be dealt with: %.200r", message)
            return True

    def attended(self) -> None:
        """Take note that a page is there."""
        self.receive({"kind": "here"})

    def _take(self, message: Mapping[str, Any]) -> bool:
        match message:
            case {"kind": "here"}:
                self._approvals.attended()
            case {"kind": "decide", "call_id": str(), "digest": str()}:
                return self._decide(message)
            case {"kind": "check", "call_id": str(call_id), "arguments": str(text), "request_id": str(request_id)}:
                self._check(call_id, text, request_id[:100])
            case {"kind": "revoke", "rule_id": str(rule_id)}:
                self._approvals.rules.revoke(rule_id)
            case _:
                return False
        return True

    def _decide(self, message: Mapping[str, Any]) -> bool:
        verdict, always = message.get("verdict"), message.get("always")
        reason, arguments = message.get("reason", ""), message.get("arguments")
        if not (_is_verdict(verdict) and _is_scope(always) and isinstance(reason, str)):
            return False
        if not (arguments is None or isinstance(arguments, str)):
            return False
        decision = Decision(
            message["call_id"],
            message["digest"],
            verdict,
            by="panel",
            reason=reason[:LONGEST_REASON],
            arguments=arguments,
            always=always,
        )
        ruling = self._approvals.decide(decision)
        answer = {"call_id": decision.call_id, "accepted": ruling.accepted, "refusal": ruling.refusal}
        self._send({"kind": "ruled", **answer})
        return True

    def _check(self, call_id: str, text: str, request_id: str) -> None:
        problems = [
            {"field": problem.field, "message": problem.message} for problem in self._approvals.check(call_id, text)
        ]
        self._send({"kind": "checked", "request_id": request_id, "problems": problems[:MOST_PROBLEMS]})


def _is_verdict(value: object) -> TypeGuard[Literal["allow", "deny"]]:
    return value in ("allow", "deny")


def _is_scope(value: object) -> TypeGuard[Scope | None]:
    return value is None or value in ("run", "session")
