"""Whatever comes, in whatever order: only what was allowed passes, once, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmkit import events
from llmkit.approval.gate import MAX_REFUSALS
from llmkit.approval.policy import ApprovalPolicy
from llmkit.approval.request import canonical_json
from llmkit.approval.rules import Rule, SessionRules
from llmkit.errors import ValidationError
from llmkit.tools.arguments import ToolArgumentsError
from llmkit.tools.calls import ToolCall
from llmkit.tools.define import tool_from
from tests.unit.gate_runs import Desk, decision, get_weather, run, turns

if TYPE_CHECKING:
    from llmkit.approval.decision import Decision, Ruling
    from llmkit.tools.context import ToolContext

HEADLESS = ("deny", "pend", "wait")
LONGEST = 100.0


async def _slowly(arguments: dict[str, Any], _: ToolContext) -> bool:
    await asyncio.sleep(arguments["days"])
    return bool(arguments["days"] % 2)


TOOLS = [
    tool_from(get_weather, name="asks"),
    tool_from(get_weather, name="asks_too"),
    tool_from(get_weather, name="never_asks", needs_approval=False),
    tool_from(get_weather, name="may_ask", needs_approval=_slowly),
]
EDITS = [{"city": "Kyoto"}, '{"city": "Oslo", "days": 3}', "{", {"city": 3}, {"town": "x"}, "[]"]
CALLS = st.integers(0, 3)


def _mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for a value that is the usual one in two of three cases."""
    return st.integers(0, 2).flatmap(lambda number: st.just(usual) if number else st.sampled_from(others))


DECISIONS = st.tuples(
    st.just("decide"),
    CALLS,
    _mostly("allow", "deny", "deny", "pend", "cancel", "maybe"),
    _mostly("right", "wrong", "of another", "unknown call"),
    _mostly(None, *EDITS),
    _mostly(None, "run", "session", "for ever"),
    _mostly("panel", "code", "rule"),
)
STEPS = st.one_of(
    st.tuples(st.just("request"), CALLS, st.sampled_from(TOOLS), st.integers(1, 60)),
    st.tuples(st.just("announce"), CALLS, st.sampled_from(TOOLS), st.integers(1, 60)),
    DECISIONS,
    DECISIONS,
    DECISIONS,
    DECISIONS,
    st.tuples(
        st.just("rule"),
        st.sampled_from(["asks", "asks*", "*", "never_asks", "may_ask"]),
        st.sampled_from(["allow", "ask", "deny"]),
        st.sampled_from(["run", "session"]),
    ),
    st.tuples(st.just("revoke"), st.integers(0, 5)),
    st.tuples(st.just("claim"), CALLS),
    st.tuples(st.just("pass time"), st.sampled_from([1.0, 7.0, 40.0, 90.0])),
    st.tuples(st.just("turns"), st.integers(1, 4)),
    st.tuples(st.just("attend")),
    st.tuples(st.just("audience"), st.booleans()),
    st.tuples(st.just("abandon"), CALLS),
    st.tuples(st.just("end"), st.sampled_from(["cancel", "close"])),
)
POLICIES = st.builds(
    ApprovalPolicy,
    headless=st.sampled_from(HEADLESS),
    timeout=st.sampled_from([5.0, 50.0]),
    absence=st.sampled_from([20.0, LONGEST]),
) | st.builds(ApprovalPolicy, headless=st.sampled_from(HEADLESS[:2]), absence=st.sampled_from([20.0, LONGEST]))


class World:
    """A gate, what was done to it, and what came of that; checked against each other at the end."""

    def __init__(self, policy: ApprovalPolicy) -> None:
        self.session = SessionRules()
        self.present = True
        self.desk = Desk(policy, audience=lambda: self.present, session=self.session)
        self.gate = self.desk.gate
        self.calls: dict[int, ToolCall] = {}
        self.tasks: list[asyncio.Task[Ruling]] = []
        self.decided: list[tuple[Decision, Ruling]] = []
        self.rules: list[Rule] = []
        self.claimed: list[tuple[str, dict[str, Any]]] = []
        self.cancelled = False
        self._guard = threading.Lock()

    def call(self, number: int, tool: Any = None, days: int = 1) -> ToolCall:
        """Return the call of that number, which stays the same once it is made."""
        name = (tool or TOOLS[0]).name
        return self.calls.setdefault(number, ToolCall(f"call-{number}", name, {"city": "Tokyo", "days": days}))

    async def step(self, kind: str, *with_: Any) -> None:
        match kind:
            case "request":
                call = self.call(*with_)
                self.tasks.append(self.desk.start(call, _tool(call)))
            case "announce":
                call = self.call(*with_)
                self.desk.announce(call, _tool(call))
            case "pass time":
                await asyncio.sleep(with_[0])
            case "turns":
                await turns(with_[0])
            case "audience":
                self.present = with_[0]
            case "abandon" if self.tasks:
                self.tasks[with_[0] % len(self.tasks)].cancel()
            case "end":
                getattr(self.gate, with_[0])()
                self.cancelled |= with_[0] == "cancel"
            case _:
                self.act(kind, *with_)

    def act(self, kind: str, *with_: Any) -> None:
        """Do one of the things that any thread may do."""
        match kind:
            case "decide":
                self._decide(*with_)
            case "rule":
                pattern, action, scope = with_
                self._add(Rule(pattern, action, scope=scope))
            case "revoke" if self.gate.rules.in_force:
                rules = self.gate.rules.in_force
                self.gate.rules.revoke(rules[with_[0] % len(rules)].id)
            case "claim":
                self._claim(f"call-{with_[0]}")
            case "attend":
                self.gate.attended()

    def _decide(self, number: int, verdict: str, digest: str, edit: Any, always: Any, by: str) -> None:
        call = self.calls.get(number)
        target = call if call is not None else ToolCall(f"call-{number}", "asks", {})
        changes: dict[str, Any] = {"arguments": edit, "always": always, "by": by}
        if digest == "wrong":
            changes["digest"] = "0" * 64
        elif digest == "of another":
            changes["digest"] = decision("allow", ToolCall(target.id, target.name, {"city": "Kyoto"})).digest
        elif digest == "unknown call":
            changes["call_id"] = f"strange-{number}"
        made = decision(verdict, target, **changes)
        try:
            ruling = self.gate.decide(made)
        except ToolArgumentsError:
            assert by == "code"
            ruling = None
        with self._guard:
            self.decided.append((made, ruling))  # type: ignore[arg-type]

    def _add(self, rule: Rule) -> None:
        added = self.gate.rules.add(rule)
        with self._guard:
            self.rules.append(added)

    def _claim(self, call_id: str) -> None:
        gone = self.cancelled
        try:
            arguments = self.gate.claim(call_id)
        except ValidationError:
            return
        assert not gone, "claimed after the run was cancelled"
        with self._guard:
            self.claimed.append((call_id, arguments))

    async def finish(self) -> None:
        """See that all that waits comes to an end by itself, then end the run."""
        if self.tasks:
            _, waiting = await asyncio.wait(self.tasks, timeout=10 * LONGEST)
            assert not waiting, "something waits for ever"
        for number in range(4):
            self._claim(f"call-{number}")
        self.gate.close()
        await turns()
        assert self.gate.pending == ()
        self.check()

    def check(self) -> None:
        self._check_endings()
        self._check_claims()
        self._check_records()

    def _check_endings(self) -> None:
        """Every call that came to the gate has exactly one ruling in force, and whoever waited got that one."""
        accepted = Counter(ruling.call_id for ruling in self.desk.accepted)
        assert set(accepted.values()) <= {1}
        for call in self.calls.values():
            ruling = self.gate.ruling(call.id)
            if call.id not in self.gate._cases:  # what should have brought it was stopped before it began
                assert ruling is None
                continue
            assert ruling is not None
            assert ruling.verdict in {"allow", "deny", "pend", "cancel"}
            assert accepted[call.id] == 1
        for task in self.tasks:
            if not task.cancelled():
                assert task.result() is self.gate.ruling(task.result().call_id)

    def _check_claims(self) -> None:
        """See that claims came once, with the arguments that were shown or the valid edit that was accepted."""
        assert len({call_id for call_id, _ in self.claimed}) == len(self.claimed)
        for call_id, arguments in self.claimed:
            ruling = self.gate.ruling(call_id)
            call = next(call for call in self.calls.values() if call.id == call_id)
            assert ruling is not None
            assert ruling.verdict == "allow"
            assert canonical_json(arguments) == canonical_json(ruling.arguments)
            expected = call.arguments
            if ruling.by in {"panel", "code"}:
                [made] = [made for made, result in self.decided if result is ruling]
                assert (made.call_id, made.verdict, made.by) == (call_id, "allow", ruling.by)
                assert made.digest == decision("allow", call).digest
                if made.arguments is not None:
                    expected = json.loads(made.arguments) if isinstance(made.arguments, str) else dict(made.arguments)
                    assert _tool(call).validate(expected)
            elif ruling.by == "rule":
                assert any(rule.action == "allow" and fnmatchcase(call.name, rule.tool) for rule in self.rules) or any(
                    (made.verdict, self._named(made)) == ("allow", call.name)
                    for made, result in self.decided
                    if made.always and result and result.accepted
                )
            else:
                assert ruling.by == "tool"
                assert call.name == "never_asks" or (call.name == "may_ask" and call.arguments["days"] % 2 == 0)
            assert canonical_json(arguments) == canonical_json(expected)

    def _check_records(self) -> None:
        """Every decision left one record, floods apart; a request comes before its decision."""
        told = self.desk.told
        refused = len(self.desk.refused) + self.gate.unrecorded
        assert refused == sum(ruling is None or not ruling.accepted for _, ruling in self.decided)
        assert all(ruling.refusal for ruling in self.desk.refused)
        assert max(Counter(ruling.call_id for ruling in self.desk.refused).values(), default=0) <= MAX_REFUSALS
        settled: set[str] = set()
        asked: Counter[str] = Counter()
        for event in told:
            if isinstance(event, events.ApprovalRequested):
                assert event.request.call.id not in settled
                asked[event.request.call.id] += 1
            elif isinstance(event, events.ApprovalDecided) and event.ruling.accepted:
                settled.add(event.ruling.call_id)
        assert set(asked.values()) <= {1}

    def _named(self, made: Decision) -> str:
        return next(call.name for call in self.calls.values() if call.id == made.call_id)


def _tool(call: ToolCall) -> Any:
    return next(tool for tool in TOOLS if tool.name == call.name)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(policy=POLICIES, steps=st.lists(STEPS, max_size=30))
def test_only_what_was_allowed_passes_once_and_nothing_waits_for_ever(
    policy: ApprovalPolicy, steps: list[tuple[Any, ...]]
) -> None:
    """CONTRACT 23-31: requests, decisions, rules, cancels, timeouts and claims in any order."""

    async def work() -> None:
        world = World(policy)
        for number, tool in enumerate(TOOLS[:2]):
            await world.step("request", number, tool, 1)
        await turns()
        for step in steps:
            await world.step(*step)
        await world.finish()

    run(work)


FROM_ANY_THREAD = ("decide", "rule", "revoke", "claim", "attend")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(policy=POLICIES, steps=st.lists(STEPS, min_size=10, max_size=40), seed=st.integers(0, 2**16))
def test_and_so_from_several_threads_at_once(policy: ApprovalPolicy, steps: list[tuple[Any, ...]], seed: int) -> None:
    """CONTRACT 26: two approvals execute once, also when they come from different threads."""

    async def work() -> None:
        world = World(policy)
        for number in range(4):
            await world.step("request", number, TOOLS[number % len(TOOLS)], 2 * number + 1)
        await turns()
        outside = [step for step in steps if step[0] in FROM_ANY_THREAD] * 3
        random.Random(seed).shuffle(outside)  # noqa: S311 - an order, not a secret
        barrier = threading.Barrier(3)
        threads = [asyncio.to_thread(_act_all, world, barrier, outside[number::3]) for number in range(3)]
        others = asyncio.gather(*threads)
        for step in steps:
            if step[0] not in FROM_ANY_THREAD:
                await world.step(*step)
            await asyncio.sleep(0)
        await others
        await world.finish()

    run(work)


def _act_all(world: World, barrier: threading.Barrier, steps: list[tuple[Any, ...]]) -> None:
    barrier.wait()
    for step in steps:
        world.act(*step)
