"""The gate of one run: no call passes without a decision, and none passes twice.

What a call waits for is tied to it by a digest of its id, tool and arguments. Decisions may come from any thread, in
any order, twice, late or made up; what doesn't fit changes nothing and is recorded.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from llmkit import events
from llmkit.approval.case import AFTER, Case, objection, refused
from llmkit.approval.decision import clipped
from llmkit.approval.judging import Judgement, judge
from llmkit.approval.policy import ASK
from llmkit.approval.request import digest_of
from llmkit.approval.rules import Rule, RuleBook
from llmkit.background import loop_thread
from llmkit.errors import ValidationError
from llmkit.tools.arguments import ToolArgumentsError
from llmkit.tools.problems import Problem, shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from llmkit.approval.decision import DecidedBy, Decision, Ruling, Verdict
    from llmkit.approval.policy import ApprovalPolicy
    from llmkit.approval.request import ApprovalRequest
    from llmkit.approval.rules import Scope
    from llmkit.tools.context import ToolContext
    from llmkit.tools.tool import Tool

logger = logging.getLogger("llmkit")

JUDGING_LIMIT = 30.0
"""Seconds that rules' conditions and ``needs_approval`` have to answer; then somebody is asked."""

MAX_REFUSALS = 20
"""So many refused decisions are recorded a call, and for all unknown calls together; further ones are counted."""


async def _at_once() -> None:
    """Wait for nobody."""


class Gate:
    """Decides about a run's calls, or has them decided.

    All methods but :meth:`announce`, :meth:`settle` and :meth:`close` may be called from any thread.

    Parameters
    ----------
    tell : Callable
        Emits an event: ``tell(kind, **fields)``. Called on the loop's thread only, and in order.
    rules : RuleBook
        The rules in force.
    policy : ApprovalPolicy
        What happens when nobody is there, and how long a request may wait.
    audience : Callable
        Returns whether anybody is there to ask.
    heard : Callable
        Awaited after a request, until everybody who is told of events has heard of it.
    loop : asyncio.AbstractEventLoop, optional
        Where the run lives, if not on llmkit's own loop.
    """

    def __init__(
        self,
        *,
        tell: Callable[..., object],
        rules: RuleBook | None = None,
        policy: ApprovalPolicy = ASK,
        audience: Callable[[], bool] = lambda: False,
        heard: Callable[[], Awaitable[None]] = _at_once,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.rules = rules if rules is not None else RuleBook(policy.rules)
        self._tell = tell
        self._policy = policy
        self._audience = audience
        self._heard = heard
        self._loop = loop or loop_thread().loop
        self._lock = threading.Lock()
        self._cases: dict[str, Case] = {}
        self._outbox: deque[Callable[[], object]] = deque()
        self._over = ""
        self._rules_told: tuple[Rule, ...] = ()
        self._attended_at = float("-inf")
        self._strange = 0
        self._unrecorded = 0
        self.rules.subscribe(self._rules_changed)

    @property
    def pending(self) -> tuple[ApprovalRequest, ...]:
        """The requests that wait for a decision, in order."""
        with self._lock:
            return tuple(case.request for case in self._cases.values() if case.state == "asked")

    @property
    def left_open(self) -> tuple[ApprovalRequest, ...]:
        """The requests that the run leaves open when it ends, in order."""
        with self._lock:
            return tuple(case.request for case in self._cases.values() if case.state == "pended")

    @property
    def unrecorded(self) -> int:
        """How many refused decisions were counted only."""
        return self._unrecorded

    def ruling(self, call_id: str) -> Ruling | None:
        """Return the ruling on a call, ``None`` while there is none."""
        with self._lock:
            case = self._cases.get(call_id)
            return case.ruling if case is not None else None

    def announce(self, request: ApprovalRequest, tool: Tool) -> None:
        """Take decisions on a call from now on, before rules and policy are asked about it. Loop thread only.

        Raises
        ------
        ToolArgumentsError
            If the call's arguments don't fit the tool: nobody is asked about a call that could never run.
        ValidationError
            If another call has the same id.
        """
        self._case(request, tool)

    async def settle(self, request: ApprovalRequest, tool: Tool, context: ToolContext) -> Ruling:
        """Return what is decided on a call, by the first that has something to say.

        These are, in this order: a decision that is already there; the rules; the tool's ``needs_approval``; the
        policy, if nobody is there; and whoever decides on the request, or the policy's time limits. On the loop only.

        Parameters
        ----------
        request : ApprovalRequest
            What to ask.
        tool : Tool
            What is called.
        context : ToolContext
            What a ``needs_approval`` function is given.

        Raises
        ------
        ToolArgumentsError, ValidationError
            As :meth:`announce` does.
        """
        case = self._case(request, tool)
        try:
            if not case.judged:
                case.judged = True
                await self._judge(case, context)
                self._flush()
            return await asyncio.shield(case.decided)
        except BaseException:
            with self._lock:
                if case.is_open():
                    self._accept(case, "cancel", "cancel", "the run stopped waiting for it")
            self._flush()
            raise

    def decide(self, decision: Decision) -> Ruling:
        """Decide on a call, at once.

        Parameters
        ----------
        decision : Decision
            Of a person or of code.

        Returns
        -------
        Ruling
            ``accepted``, or with a ``refusal``: then nothing has changed.

        Raises
        ------
        ToolArgumentsError
            If code gives arguments that don't fit the tool; the call stays undecided.
        """
        decision = decision.bounded()
        try:
            return self._decide(decision)
        finally:
            self._loop.call_soon_threadsafe(self._flush)

    def claim(self, call_id: str) -> dict[str, Any]:
        """Return the arguments to run an allowed call with, once.

        Raises
        ------
        ValidationError
            If the call isn't allowed, or was claimed before.
        """
        with self._lock:
            case = self._cases.get(call_id)
            if case is None or case.state != "allowed":
                why = "isn't known here" if case is None else case.blocked_words
                raise ValidationError(f"The call {shown(call_id)} can't run: it {why}.", field="call")
            case.state = "claimed"
            return case.arguments

    def check(self, call_id: str, arguments: str | Mapping[str, Any]) -> tuple[Problem, ...]:
        """Return what is wrong with edited arguments, field by field; nothing if they fit."""
        with self._lock:
            case = self._cases.get(call_id)
        if case is None:
            return (Problem("", "are of a call that isn't known here"),)
        try:
            case.edited(arguments)
        except ToolArgumentsError as error:
            told = error.message.removeprefix("The arguments ").removesuffix(".")
            return error.problems or (Problem("", told),)
        return ()

    def attended(self) -> None:
        """Note that somebody can see the pending requests, now."""
        self._attended_at = self._loop.time()

    def cancel(self, reason: str = "the run was cancelled") -> None:
        """Let nothing pass from now on: what is undecided is cancelled, what is allowed but hasn't begun won't run."""
        self._end("The run was cancelled.", reason)
        with self._lock:
            for case in self._cases.values():
                if case.state == "allowed":
                    case.state = "cancelled"
        self._loop.call_soon_threadsafe(self._flush)

    def close(self) -> None:
        """Take no further decisions; the run is over. What is allowed can still be claimed. Loop thread only."""
        self._end("The run is over.", "the run is over")
        self._flush()
        self.rules.leave()

    def _case(self, request: ApprovalRequest, tool: Tool) -> Case:
        """Return the call's case, a new one if it has none."""
        call = request.call
        with self._lock:
            case = self._cases.get(call.id)
        if case is not None:
            if case.digest != digest_of(call):
                raise ValidationError(f"Two calls have the id {shown(call.id)}.", field="call")
            return case
        tool.validate(call.arguments)
        case = Case(request, tool, self._loop.create_future())
        with self._lock:
            if not self._cases:
                self._outbox.append(self._tell_rules)
            self._cases[call.id] = case
            if self._over:
                self._accept(case, "cancel", "cancel", self._over)
        return case

    async def _judge(self, case: Case, context: ToolContext) -> None:
        """Decide by rules, tool or policy, or ask."""
        while case.is_open():
            rules = self.rules.in_force
            judgement = await self._judgement(case, context, rules)
            present = judgement.action != "ask" or self._present()
            with self._lock:
                if not case.is_open():
                    return
                if self.rules.in_force != rules:  # meanwhile somebody decided about this tool for always
                    continue
                if judgement.action != "ask":
                    self._accept(case, judgement.action, judgement.by, judgement.reason)
                    return
                self._ask(case, judgement.reason)
            self._flush()  # a subscriber may decide right there
            if present or self._policy.headless == "wait":
                self._wait(case, present=present)
            else:
                await self._heard()  # a callback that is told of the request may decide
                self._nobody(case, "nobody was there to approve it")
            return

    async def _judgement(self, case: Case, context: ToolContext, rules: tuple[Rule, ...]) -> Judgement:
        """Return what rules and tool say, unless they take too long or a decision comes first."""
        judged = asyncio.ensure_future(judge(case.tool, case.arguments, context, rules))
        either: set[asyncio.Future[Any]] = {judged, case.decided}
        try:
            await asyncio.wait(either, timeout=JUDGING_LIMIT, return_when=asyncio.FIRST_COMPLETED)
            if judged.done() and not judged.cancelled():
                return judged.result()
            why = "gave up" if judged.done() else f"didn't answer within {JUDGING_LIMIT:g} s"
            return Judgement("ask", "tool", f"what decides whether to ask {why}")
        finally:
            judged.cancel()

    def _ask(self, case: Case, reason: str) -> None:
        case.state = "asked"
        case.asked_at = self._loop.time()
        if reason:
            case.request = replace(case.request, reason=clipped(reason))
        self._say(events.ApprovalRequested, step=case.request.step, request=case.request)

    def _present(self) -> bool:
        try:
            return bool(self._audience())
        except Exception:
            logger.exception("Whether anybody is there to approve a call couldn't be found out; nobody is, then.")
            return False

    def _wait(self, case: Case, *, present: bool) -> None:
        """Start the policy's clocks. Loop thread only."""
        if not case.is_open():
            return
        if self._policy.timeout is not None:
            case.timers.append(self._loop.call_later(self._policy.timeout, self._timed_out, case))
        if present and self._policy.headless != "wait":
            case.timers.append(self._loop.call_later(self._policy.absence, self._look_round, case))

    def _timed_out(self, case: Case) -> None:
        with self._lock:
            if case.is_open():
                reason = f"nobody decided on it within {self._policy.timeout:g} s"
                self._accept(case, "deny", "timeout", reason)
        self._flush()

    def _look_round(self, case: Case) -> None:
        """Give the headless answer if nobody was there for as long as the policy waits; else look again later."""
        if not case.is_open() or case.asked_at is None:
            return
        left = max(case.asked_at, self._attended_at) + self._policy.absence - self._loop.time()
        if left > 0:
            case.timers[-1] = self._loop.call_later(left, self._look_round, case)
        else:
            self._nobody(case, f"nobody was there to approve it for {self._policy.absence:g} s")

    def _nobody(self, case: Case, reason: str) -> None:
        with self._lock:
            if case.is_open():
                self._accept(case, "pend" if self._policy.headless == "pend" else "deny", "headless", reason)
        self._flush()

    def _decide(self, decision: Decision) -> Ruling:
        with self._lock:
            case = self._cases.get(decision.call_id)
            refusal = objection(case, decision, self._over)
            if refusal or case is None:
                return self._refuse(case, decision, refusal)
        arguments = None
        if decision.verdict == "allow" and decision.arguments is not None:
            try:
                arguments = case.edited(decision.arguments)
            except ToolArgumentsError as error:
                with self._lock:
                    ruling = self._refuse(case, decision, error.message)
                if decision.by == "code":
                    raise
                return ruling
        with self._lock:
            refusal = objection(case, decision, self._over)  # somebody else may have been faster
            if refusal:
                return self._refuse(case, decision, refusal)
            if arguments is not None:
                case.arguments = arguments
            ruling = self._accept(case, decision.verdict, decision.by, decision.reason)
            if decision.always is not None and decision.verdict in {"allow", "deny"}:
                self._always(case, ruling, decision.always)
            return ruling

    def _refuse(self, case: Case | None, decision: Decision, refusal: str) -> Ruling:
        """Record a decision that changes nothing, unless there were too many of them."""
        seen = case.refusals if case is not None else self._strange
        last = " Further ones are counted, not recorded." if seen == MAX_REFUSALS - 1 else ""
        ruling = refused(case, decision, refusal + last)
        if seen >= MAX_REFUSALS:
            self._unrecorded += 1
        else:
            self._say(events.ApprovalDecided, step=case.request.step if case is not None else 0, ruling=ruling)
        if case is not None:
            case.refusals += 1
        else:
            self._strange += 1
        return ruling

    def _accept(self, case: Case, verdict: Verdict, by: DecidedBy, reason: str) -> Ruling:
        """Settle an open case, record it, and wake whoever waits."""
        ruling = case.settle(verdict, by, reason, self._loop.time())
        self._say(events.ApprovalDecided, step=case.request.step, ruling=ruling)
        self._outbox.append(case.wake)
        return ruling

    def _always(self, case: Case, ruling: Ruling, scope: Scope) -> None:
        """Make a rule of a decision, and let it decide on the calls that wait, where it comes first."""
        action: Literal["allow", "deny"] = "allow" if ruling.verdict == "allow" else "deny"
        words = ruling.reason or f"always {AFTER[action]} by {ruling.by}"
        made = self.rules.add(Rule(case.tool.name, action, reason=words, scope=scope))
        first = next((rule for rule in self.rules.in_force if fnmatchcase(case.tool.name, rule.tool)), None)
        if first is None or first.id != made.id:
            return
        for other in self._cases.values():
            if other.state == "asked" and other.tool.name == case.tool.name:
                self._accept(other, action, "rule", words)

    def _end(self, over: str, reason: str) -> None:
        with self._lock:
            self._over = self._over or over
            for case in self._cases.values():
                if case.is_open():
                    self._accept(case, "cancel", "cancel", reason)

    def _say(self, kind: type[events.Event], **fields: Any) -> None:
        """Have an event told once the lock is free, after all that came before."""
        self._outbox.append(partial(self._tell, kind, **fields))

    def _rules_changed(self) -> None:
        """Have the rules told; from any thread, and also while the lock is held."""
        self._outbox.append(self._tell_rules)
        self._loop.call_soon_threadsafe(self._flush)

    def _tell_rules(self) -> None:
        rules = self.rules.in_force
        if rules != self._rules_told:
            self._rules_told = rules
            self._tell(events.RulesChanged, rules=rules)

    def _flush(self) -> None:
        """Tell what is to be told, and wake who waits for it. Loop thread only."""
        while self._outbox:
            post = self._outbox.popleft()
            try:
                post()
            except Exception:
                logger.exception("Telling of a decision failed; the run goes on.")
