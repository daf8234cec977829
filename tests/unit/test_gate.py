"""The gate: no call passes without a decision on exactly what was shown, and none passes twice."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, field_validator

from llmkit import events
from llmkit.approval.gate import JUDGING_LIMIT, MAX_REFUSALS
from llmkit.approval.policy import ApprovalPolicy
from llmkit.approval.request import ApprovalRequest, digest_of
from llmkit.approval.rules import Rule, SessionRules
from llmkit.errors import ValidationError
from llmkit.tools.arguments import ToolArgumentsError
from llmkit.tools.calls import ToolCall
from llmkit.tools.define import tool_from
from tests.unit.gate_runs import TOKYO, WEATHER, Desk, call_of, decision, get_weather, run, turns

if TYPE_CHECKING:
    from llmkit.tools.context import ToolContext

CALL = call_of()
OTHER = tool_from(get_weather, name="other")


def test_a_tool_that_says_nothing_needs_approval() -> None:
    """CONTRACT 23: every tool needs approval unless it says otherwise."""

    async def work() -> None:
        desk = Desk()
        task = await desk.asked(CALL)
        assert [request.call.id for request in desk.requests] == ["call-1"]
        await turns()
        assert not task.done()
        assert desk.allow(CALL).accepted
        ruling = await task
        assert (ruling.verdict, ruling.by, ruling.arguments, ruling.edited) == ("allow", "panel", TOKYO, False)
        assert desk.gate.claim("call-1") == TOKYO
        assert desk.rulings == [ruling]
        assert desk.gate.pending == ()

    run(work)


def test_a_tool_that_needs_no_approval_is_allowed_by_itself() -> None:
    """CONTRACT 23, 30: needs_approval=False runs unasked; the record says who decided."""

    async def work() -> None:
        desk = Desk(audience=lambda: False)
        ruling = await desk.start(CALL, tool_from(get_weather, needs_approval=False))
        assert (ruling.verdict, ruling.by, ruling.waited) == ("allow", "tool", None)
        assert desk.requests == []
        assert desk.rulings == [ruling]

    run(work)


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(("days", "asks"), [(1, False), (9, True)])
def test_needs_approval_sees_coerced_arguments_and_the_context(kind: str, days: int, asks: bool) -> None:
    """CONTRACT 23: fn(arguments, context) sees only parsed, valid arguments."""
    seen: list[Any] = []

    def far(arguments: dict[str, Any], context: ToolContext) -> bool:
        seen.append(
            (arguments, context.call_id, context.context, threading.current_thread() is threading.main_thread())
        )
        return bool(arguments["days"] > 5)

    async def far_async(arguments: dict[str, Any], context: ToolContext) -> bool:
        return far(arguments, context)

    async def work() -> None:
        desk = Desk("pend", audience=lambda: False)
        call = call_of(1, {"city": "Tokyo", "days": days} if asks else TOKYO)
        tool = tool_from(get_weather, needs_approval=far if kind == "sync" else far_async)
        ruling = await desk.start(call, tool, context="mine")
        assert ruling.verdict == ("pend" if asks else "allow")
        assert seen == [({"city": "Tokyo", "days": days}, "call-1", "mine", kind == "async")]

    run(work, jumping=False)


async def _hang(*_: object) -> bool:
    await asyncio.Event().wait()
    return False


async def _cancelled(*_: object) -> bool:
    raise asyncio.CancelledError


async def _exit(*_: object) -> bool:
    raise SystemExit(1)


def _broken(*_: object) -> bool:
    raise ValueError("out of order")


@pytest.mark.parametrize(
    ("needs_approval", "told"),
    [
        (_broken, "needs_approval failed: ValueError: out of order"),
        (_exit, "needs_approval failed: SystemExit: 1"),
        (_cancelled, "what decides whether to ask gave up"),
        (lambda *_: None, "needs_approval returned NoneType, not True or False"),
        (lambda: False, "needs_approval failed: TypeError"),
    ],
)
def test_needs_approval_that_fails_means_ask(needs_approval: Any, told: str, caplog: pytest.LogCaptureFixture) -> None:
    """CONTRACT 23: if it raises, the answer is: ask, with the reason."""
    caplog.set_level(logging.CRITICAL)

    async def work() -> None:
        desk = Desk("pend")
        tool = tool_from(get_weather, needs_approval=needs_approval)
        task = await desk.asked(CALL, tool)
        assert desk.requests[0].reason.startswith(told)
        desk.gate.cancel()
        assert (await task).verdict == "cancel"

    run(work, jumping=False)


def test_needs_approval_that_never_answers_means_ask() -> None:
    """CONTRACT 3, 31: nothing waits for ever."""

    async def work() -> None:
        desk = Desk("pend", audience=lambda: False)
        ruling = await desk.start(CALL, tool_from(get_weather, needs_approval=_hang))
        assert ruling.verdict == "pend"
        assert desk.loop.time() == JUDGING_LIMIT
        assert desk.requests[0].reason == "what decides whether to ask didn't answer within 30 s"

    run(work)


def test_what_needs_approval_does_to_its_arguments_changes_nothing() -> None:
    """CONTRACT 26: what runs is what was shown."""

    def change(arguments: dict[str, Any], _: ToolContext) -> bool:
        arguments["city"] = "elsewhere"
        return False

    async def work() -> None:
        desk = Desk([Rule("x", "allow"), Rule("*", "allow", where=lambda arguments: change(arguments, None))])  # type: ignore[arg-type]
        assert (await desk.start(CALL, tool_from(get_weather, needs_approval=change))).arguments == TOKYO
        assert desk.gate.claim("call-1") == TOKYO

    run(work, jumping=False)


def test_nobody_is_asked_about_arguments_that_do_not_fit() -> None:
    """CONTRACT 24: a call is validated before a person is asked."""

    async def work() -> None:
        desk = Desk()
        with pytest.raises(ToolArgumentsError, match="city is missing"):
            await desk.start(call_of(1, {"days": 3}))
        assert desk.told == []
        with pytest.raises(ValidationError, match="isn't known"):
            desk.gate.claim("call-1")

    run(work)


@pytest.mark.parametrize("by", ["panel", "code"])
@pytest.mark.parametrize("edit", ['{"city": "Kyoto", "days": 2}', {"city": "Kyoto", "days": 2}])
def test_edited_arguments_are_validated_and_run_and_shown_as_edited(by: str, edit: Any) -> None:
    """CONTRACT 26: edited arguments are re-validated and shown as edited in the record."""

    async def work() -> None:
        desk = Desk()
        task = await desk.asked(CALL)
        assert desk.allow(CALL, arguments=edit, by=by).accepted
        ruling = await task
        assert (ruling.shown_arguments, ruling.arguments, ruling.edited) == (TOKYO, {"city": "Kyoto", "days": 2}, True)
        assert desk.gate.claim("call-1") == {"city": "Kyoto", "days": 2}

    run(work)


BAD_EDITS = ['{"city": 3}', "{", "[1]", {"city": None}, {"town": "Kyoto"}, {"city": object()}, 7, [["city", "Kyoto"]]]


@pytest.mark.parametrize("edit", BAD_EDITS)
def test_an_edit_that_does_not_fit_is_refused_and_the_call_stays_pending(edit: Any) -> None:
    """CONTRACT 26: code gets the error, the panel a refusal; both attempts are recorded."""

    async def work() -> None:
        desk = Desk()
        task = await desk.asked(CALL)
        ruling = desk.allow(CALL, arguments=edit)
        assert not ruling.accepted
        with pytest.raises(ToolArgumentsError) as caught:
            desk.allow(CALL, arguments=edit, by="code")
        assert caught.value.message == ruling.refusal
        await turns()
        assert not task.done()
        assert [refused.by for refused in desk.refused] == ["panel", "code"]
        assert desk.allow(CALL, arguments="").refusal.startswith("The arguments don't fit")
        assert desk.allow(CALL).accepted
        assert (await task).arguments == TOKYO

    run(work)


def test_an_edit_can_be_checked_before_it_is_sent() -> None:
    async def work() -> None:
        desk = Desk()
        await desk.asked(CALL)
        check = desk.gate.check
        assert check("call-1", '{"city": "Kyoto"}') == ()
        assert [problem.field for problem in check("call-1", '{"city": 3, "days": "x"}')] == ["city", "days"]
        assert "are no JSON" in str(check("call-1", "{")[0])
        assert "isn't known" in str(check("nonsense", "{}")[0])
        desk.gate.close()

    run(work)


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        ({"digest": digest_of(call_of(1, {"city": "Kyoto"}))}, "another call"),
        ({"digest": digest_of(call_of(1, name="other"))}, "another call"),
        ({"digest": digest_of(call_of(2))}, "another call"),
        ({"digest": ""}, "another call"),
        ({"digest": None}, "another call"),
        ({"digest": ["x"]}, "another call"),
        ({"call_id": "call-2"}, "No such call"),
        ({"call_id": {"a": 1}}, "No such call"),
        ({"call_id": "x" * 10_000_000}, "No such call"),
        ({"verdict": "yes"}, "A decision allows"),
        ({"verdict": ["allow"]}, "A decision allows"),
        ({"verdict": "cancel"}, "A decision allows"),
        ({"by": "rule"}, "from the panel or from code"),
        ({"always": "for ever"}, "for the run or for the session"),
        ({"always": ["run"]}, "for the run or for the session"),
    ],
)
def test_forged_and_mismatched_decisions_change_nothing_and_are_recorded(forged: dict[str, Any], why: str) -> None:
    """CONTRACT 26: a decision binds to call id + tool + exact arguments."""

    async def work() -> None:
        desk = Desk()
        task = await desk.asked(CALL)
        ruling = desk.gate.decide(replace(decision("allow", CALL), **forged))
        assert not ruling.accepted
        assert why in ruling.refusal
        assert len(ruling.call_id) <= 200
        await turns()
        assert not task.done()
        assert desk.rulings == [ruling]
        assert desk.gate.rules.in_force == ()
        with pytest.raises(ValidationError, match="isn't decided yet"):
            desk.gate.claim("call-1")
        desk.gate.close()

    run(work)


def test_two_approvals_execute_once_and_late_ones_are_recorded() -> None:
    """CONTRACT 26: late and repeated decisions change nothing and are recorded. Two approvals execute once."""

    async def work() -> None:
        desk = Desk()
        task = await desk.asked(CALL)
        assert desk.allow(CALL, always=None).accepted
        assert desk.allow(CALL).refusal == "The call was already allowed by panel."
        assert desk.deny(CALL, by="code", always="session").refusal == "The call was already allowed by panel."
        await task
        assert desk.gate.claim("call-1") == TOKYO
        with pytest.raises(ValidationError, match="handed out to run before"):
            desk.gate.claim("call-1")
        assert "runs or ran" in desk.allow(CALL, arguments={"city": "Kyoto"}).refusal
        await turns()
        assert [(ruling.verdict, ruling.accepted) for ruling in desk.rulings] == [
            ("allow", True),
            ("allow", False),
            ("deny", False),
            ("allow", False),
        ]
        assert desk.gate.rules.in_force == ()

    run(work)


def test_many_threads_that_approve_and_claim_get_through_once() -> None:
    """CONTRACT 26: two approvals execute once, from any thread."""

    async def work() -> None:
        desk = Desk()
        task = await desk.asked(CALL)
        barrier = threading.Barrier(4)
        claimed: list[Any] = []

        def click() -> bool:
            barrier.wait()
            accepted = desk.allow(CALL).accepted
            try:
                claimed.append(desk.gate.claim("call-1"))
            except ValidationError:
                return accepted
            return accepted

        answers = await asyncio.gather(*(asyncio.to_thread(click) for _ in range(4)))
        await task
        assert answers.count(True) == 1
        assert claimed == [TOKYO]
        assert len(desk.accepted) == 1
        assert len(desk.refused) == 3

    run(work, jumping=False)


def test_a_decision_that_comes_while_an_edit_is_validated_is_the_first() -> None:
    """CONTRACT 26: late decisions change nothing, however long they took to look at."""
    looking, go_on = threading.Event(), threading.Event()

    class Place(BaseModel):
        city: str

        @field_validator("city")
        @classmethod
        def check(cls, value: str) -> str:
            if value == "slow":
                looking.set()
                assert go_on.wait(10)
            return value

    async def work() -> None:
        desk = Desk()
        task = await desk.asked(CALL, tool_from(Place, name="get_weather", handler=lambda _: None))
        edit = asyncio.create_task(asyncio.to_thread(desk.allow, CALL, arguments={"city": "slow"}))
        assert await asyncio.to_thread(looking.wait, 10)
        assert desk.deny(CALL).accepted
        go_on.set()
        assert (await edit).refusal == "The call was already denied by panel."
        assert (await task).verdict == "deny"
        assert desk.rulings[0] is await task

    run(work, jumping=False)


def test_a_denial_carries_its_reason() -> None:
    """CONTRACT 27: denial and its reason reach the model as the tool's result."""

    async def work() -> None:
        desk = Desk()
        task = await desk.asked(CALL)
        desk.deny(CALL, reason="too far away", arguments={"city": "Kyoto"})
        ruling = await task
        assert (ruling.verdict, ruling.reason, ruling.arguments) == ("deny", "too far away", None)
        with pytest.raises(ValidationError, match="was denied"):
            desk.gate.claim("call-1")

    run(work)


def test_an_approved_call_goes_on_while_others_wait() -> None:
    """CONTRACT 28: of several calls in a step the approved run while others wait."""

    async def work() -> None:
        desk = Desk()
        first, second = [await desk.asked(call_of(number)) for number in (1, 2)]
        assert [request.call.id for request in desk.gate.pending] == ["call-1", "call-2"]
        desk.allow(call_of(2))
        assert (await second).verdict == "allow"
        assert not first.done()
        assert [request.call.id for request in desk.gate.pending] == ["call-1"]
        desk.gate.close()

    run(work)


@pytest.mark.parametrize(
    ("rules", "verdict", "by", "asked"),
    [
        ([("get_*", "allow")], "allow", "rule", False),
        ([("get_*", "deny"), ("*", "allow")], "deny", "rule", False),
        ([("*", "allow"), ("get_*", "deny")], "allow", "rule", False),
        ([("GET_*", "allow"), ("weather", "allow"), ("get_weathe?x", "allow")], "pend", "headless", True),
        ([("get_weather", "ask"), ("*", "allow")], "pend", "headless", True),
        ([Rule("*", "deny", where=lambda given: given["days"] > 1), ("*", "allow")], "allow", "rule", False),
        ([Rule("*", "deny", where=lambda given: given["days"] == 1), ("*", "allow")], "deny", "rule", False),
    ],
)
def test_the_first_rule_that_fits_decides(rules: Any, verdict: str, by: str, asked: bool) -> None:
    """CONTRACT 29: rules are ordered, by tool-name glob and a predicate on arguments."""

    async def work() -> None:
        desk = Desk(ApprovalPolicy(rules=rules, headless="pend"), audience=lambda: False)
        ruling = await desk.start(CALL)
        assert (ruling.verdict, ruling.by, bool(desk.requests)) == (verdict, by, asked)
        assert desk.accepted == [ruling]
        assert len(desk.rules_told) == 1

    run(work, jumping=False)


def test_a_rule_that_asks_beats_a_tool_that_does_not_need_it() -> None:
    """CONTRACT 29: rules come before the tool's own word."""

    async def work() -> None:
        desk = Desk(ApprovalPolicy(rules=[Rule("*", "ask", reason="demo")]))  # type: ignore[arg-type]
        await desk.asked(CALL, tool_from(get_weather, needs_approval=False))
        assert desk.requests[0].reason == "demo"
        desk.gate.close()

    run(work)


async def _async_condition(_: dict[str, Any]) -> bool:
    return True


@pytest.mark.parametrize(
    ("where", "told"), [(lambda given: given["nothing"], "KeyError: 'nothing'"), (_async_condition, "TypeError")]
)
@pytest.mark.parametrize("action", ["allow", "deny"])
def test_a_condition_that_fails_means_ask(where: Any, told: str, action: Any, caplog: pytest.LogCaptureFixture) -> None:
    """CONTRACT 23, 29: a rule whose predicate raises decides nothing: somebody is asked, and told why."""
    caplog.set_level(logging.CRITICAL)

    async def work() -> None:
        desk = Desk([Rule("get_*", action, where=where), Rule("*", "allow")])
        await desk.asked(CALL)
        assert desk.requests[0].reason.startswith("the condition of the rule for get_* failed: " + told)
        desk.gate.close()

    run(work, jumping=False)


@pytest.mark.parametrize(
    ("verdict", "scope"), [("allow", "run"), ("allow", "session"), ("deny", "run"), ("deny", "session")]
)
def test_always_makes_a_rule_that_also_settles_what_waits(verdict: Any, scope: Any) -> None:
    """CONTRACT 25, 29: always allow and always deny, for the run or the session."""

    async def work() -> None:
        session = SessionRules()
        desk, neighbour = Desk(session=session), Desk(session=session)
        tasks = [await desk.asked(call_of(number)) for number in (1, 2)]
        other = await desk.asked(call_of(3, name="other"), OTHER)
        desk.gate.decide(decision(verdict, CALL, always=scope, reason="I said so", arguments={"city": "Kyoto"}))
        first, second = [await task for task in tasks]
        assert (first.verdict, first.by) == (verdict, "panel")
        assert (second.verdict, second.by, second.reason) == (verdict, "rule", "I said so")
        assert second.arguments == (TOKYO if verdict == "allow" else None)
        assert not other.done()
        assert (await desk.start(call_of(4))).by == "rule"
        assert desk.rules_told == [(f"get_weather {verdict} {scope}",)]
        in_neighbour = neighbour.start(call_of(1))
        await turns(10)
        assert in_neighbour.done() is (scope == "session")
        desk.gate.close()
        neighbour.gate.close()

    run(work)


def test_always_waits_behind_a_rule_that_comes_first() -> None:
    """CONTRACT 29: rules are ordered; an earlier one of the run's own keeps its say."""

    async def work() -> None:
        desk = Desk()
        desk.gate.rules.add(Rule("*", "ask", scope="run"))
        first, second = [await desk.asked(call_of(number)) for number in (1, 2)]
        desk.allow(CALL, always="session")
        assert (await first).verdict == "allow"
        await turns()
        assert not second.done()
        desk.gate.close()

    run(work)


def test_a_revoked_rule_no_longer_decides() -> None:
    """CONTRACT 29: rules are revocable; the run tells what is in force."""

    async def work() -> None:
        desk = Desk([("get_*", "allow")])
        assert (await desk.start(call_of(1))).verdict == "allow"
        [rule] = desk.gate.rules.in_force
        assert desk.gate.rules.revoke(rule.id)
        assert not desk.gate.rules.revoke(rule.id)
        await desk.asked(call_of(2))
        assert desk.rules_told == [("get_* allow run",), ()]
        desk.gate.close()

    run(work)


def test_a_rule_that_comes_while_a_call_is_looked_at_still_decides_on_it() -> None:
    async def work() -> None:
        desk = Desk()
        looked = asyncio.Event()

        async def slow(*_: object) -> bool:
            looked.set()
            await asyncio.sleep(1)
            return True

        task = desk.start(CALL, tool_from(get_weather, needs_approval=slow))
        await looked.wait()
        desk.gate.rules.add(Rule("get_weather", "deny", reason="no more", scope="run"))
        ruling = await task
        assert (ruling.verdict, ruling.by, ruling.reason) == ("deny", "rule", "no more")
        assert desk.requests == []

    run(work)


@pytest.mark.parametrize("when", ["announced", "looked at"])
def test_a_decision_on_the_call_itself_beats_every_rule(when: str) -> None:
    """CONTRACT 29: a per-call decision beats a rule."""

    async def work() -> None:
        desk = Desk("deny")
        tool = WEATHER
        if when == "announced":
            desk.gate.announce(ApprovalRequest(CALL), tool)
            assert desk.allow(CALL, by="code").accepted
            task = desk.start(CALL)
        else:
            desk = Desk()
            tool = tool_from(get_weather, needs_approval=_hang)
            task = desk.start(CALL, tool)
            await turns()
            assert desk.allow(CALL, by="code").accepted
        ruling = await task
        assert (ruling.verdict, ruling.by) == ("allow", "code")
        assert desk.requests == []
        assert desk.loop.time() == 0

    run(work)


def test_a_subscriber_may_decide_as_soon_as_it_is_told() -> None:
    """CONTRACT 25, 31: the same decisions exist in code, also where nobody is there."""

    async def work() -> None:
        def decide(event: events.Event) -> None:
            if isinstance(event, events.ApprovalRequested):
                assert desk.allow(event.request.call, by="code").accepted

        desk = Desk(audience=lambda: False, on_tell=decide)
        assert (await desk.start(CALL)).by == "code"
        assert [type(event) for event in desk.told] == [events.ApprovalRequested, events.ApprovalDecided]

    run(work)


@pytest.mark.parametrize(("policy", "verdict"), [("ask", "deny"), ("pend", "pend")])
def test_headless_the_policy_answers_at_once(policy: str, verdict: str) -> None:
    """CONTRACT 31: nobody there to ask: deny by default, and the reason says so; or pend."""

    async def work() -> None:
        desk = Desk(policy, audience=lambda: False)
        ruling = await desk.start(CALL)
        assert (ruling.verdict, ruling.by, ruling.reason) == (verdict, "headless", "nobody was there to approve it")
        assert desk.loop.time() == 0
        assert desk.gate.pending == ()
        assert [request.call.id for request in desk.gate.left_open] == ["call-1"] * (verdict == "pend")
        assert not desk.allow(CALL).accepted

    run(work)


def test_headless_and_told_to_wait_code_has_until_the_timeout() -> None:
    """CONTRACT 31: or a timeout."""

    async def work() -> None:
        desk = Desk(ApprovalPolicy(headless="wait", timeout=5.0), audience=lambda: False)
        first, second = [await desk.asked(call_of(number)) for number in (1, 2)]
        desk.allow(CALL, by="code")
        assert (await first).verdict == "allow"
        ruling = await second
        assert (ruling.verdict, ruling.by, ruling.waited) == ("deny", "timeout", 5.0)
        assert ruling.reason == "nobody decided on it within 5 s"

    run(work)


def test_a_request_waits_no_longer_than_the_timeout() -> None:
    """CONTRACT 31, 43: approval has its own limit."""

    async def work() -> None:
        desk = Desk(ApprovalPolicy(timeout=20.0))
        task = await desk.asked(CALL)
        desk.gate.attended()
        assert (await task).by == "timeout"
        assert desk.loop.time() == 20.0
        assert desk.allow(CALL).refusal == "The call was already denied by timeout."

    run(work)


@pytest.mark.parametrize(("headless", "verdict"), [("deny", "deny"), ("pend", "pend")])
def test_a_page_that_went_away_counts_as_nobody_there(headless: Any, verdict: str) -> None:
    """CONTRACT 31: a closed tab: the run never hangs."""

    async def work() -> None:
        desk = Desk(ApprovalPolicy(headless=headless, absence=60.0))
        task = await desk.asked(CALL)
        for _ in range(10):
            await asyncio.sleep(50)
            desk.gate.attended()
        assert not task.done()
        ruling = await task
        assert (ruling.verdict, ruling.by, ruling.waited) == (verdict, "headless", 560.0)
        assert ruling.reason == "nobody was there to approve it for 60 s"

    run(work)


def test_an_audience_that_cannot_be_found_out_counts_as_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        desk = Desk(audience=lambda: bool(1 / 0))
        assert (await desk.start(CALL)).by == "headless"

    run(work)
    assert "Whether anybody is there" in caplog.text


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_the_runs_end_settles_what_waits(how: str) -> None:
    """CONTRACT 7, 26: after the end decisions change nothing and are recorded."""

    async def work() -> None:
        desk = Desk()
        task = await desk.asked(CALL)
        getattr(desk.gate, how)()
        ruling = await task
        assert (ruling.verdict, ruling.by) == ("cancel", "cancel")
        assert desk.gate.pending == ()
        late = desk.allow(CALL)
        assert not late.accepted
        assert late.refusal == "The call was cancelled."
        later = await desk.start(call_of(2))
        assert later.verdict == "cancel"
        assert "over" in desk.allow(call_of(7)).refusal or how == "cancel"
        await turns()
        assert len(desk.refused) == 2

    run(work)


def test_what_was_allowed_runs_after_a_close_but_not_after_a_cancel() -> None:
    """CONTRACT 7, 19: a call can be invoked when the run is over; nothing starts once it was cancelled."""

    async def work() -> None:
        for how in ("close", "cancel"):
            desk = Desk("allow")
            await desk.start(CALL)
            getattr(desk.gate, how)()
            if how == "close":
                assert desk.gate.claim("call-1") == TOKYO
            else:
                with pytest.raises(ValidationError, match="was cancelled"):
                    desk.gate.claim("call-1")
            await turns()

    run(work)


def test_a_settling_that_is_abandoned_is_settled() -> None:
    """CONTRACT 3: nothing waits for ever."""

    async def work() -> None:
        desk = Desk()
        task = await desk.asked(CALL)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [ruling.verdict for ruling in desk.rulings] == ["cancel"]
        assert not desk.allow(CALL).accepted

    run(work)


def test_changing_a_calls_arguments_after_it_was_shown_changes_nothing_that_runs() -> None:
    """CONTRACT 26: what runs is what was shown."""

    async def work() -> None:
        desk = Desk()
        call = call_of(1)
        digest = digest_of(call)
        task = await desk.asked(call)
        call.arguments["city"] = "elsewhere"
        assert "another call" in desk.allow(call).refusal
        assert desk.allow(call, digest=digest).accepted
        ruling = await task
        assert ruling.arguments is not None
        ruling.arguments["city"] = "elsewhere"
        assert desk.gate.claim("call-1") == TOKYO

    run(work)


def test_one_call_is_one_case_and_two_of_one_id_are_refused() -> None:
    async def work() -> None:
        desk = Desk()
        task = await desk.asked(CALL)
        again = desk.start(call_of(1))
        with pytest.raises(ValidationError, match="Two calls have the id"):
            await desk.start(call_of(1, {"city": "Kyoto"}))
        desk.allow(CALL)
        assert await task is await again
        assert len(desk.requests) == 1
        assert desk.gate.ruling("call-1") is await task
        assert desk.gate.ruling("call-9") is None

    run(work)


def test_floods_and_long_words_are_bounded() -> None:
    """CONTRACT 26: late and forged decisions are recorded, up to a bound; then they are counted."""

    async def work() -> None:
        desk = Desk()
        await desk.asked(CALL)
        for number in range(100):
            desk.allow(CALL, digest="wrong", reason="x" * 100_000)
            desk.allow(CALL, call_id=f"unknown-{number}")
        await turns()
        assert len(desk.refused) == 2 * MAX_REFUSALS
        assert desk.gate.unrecorded == 200 - 2 * MAX_REFUSALS
        assert max(len(ruling.reason) for ruling in desk.refused) == 2_000
        assert desk.refused[-1].refusal.endswith("Further ones are counted, not recorded.")
        assert desk.deny(CALL, reason="y" * 100_000).accepted
        await turns()
        assert len(desk.accepted[-1].reason) == 2_000

    run(work)


def test_one_who_fails_to_listen_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        def fail(_: events.Event) -> None:
            raise ValueError("not listening")

        desk = Desk(on_tell=fail)
        task = await desk.asked(CALL)
        desk.allow(CALL)
        assert (await task).verdict == "allow"

    run(work)
    assert "Telling of a decision failed" in caplog.text


def test_rules_changed_after_the_end_are_told_if_changed_through_this_run() -> None:
    async def work() -> None:
        session = SessionRules()
        desk = Desk(session=session)
        desk.gate.close()
        session.add(("a", "allow"))
        kept = desk.gate.rules.add(("b", "allow"))
        await turns()
        assert desk.gate.rules.revoke(kept.id)
        await turns()
        assert desk.rules_told == [("b allow session", "a allow session"), ("a allow session",)]

    run(work)


def test_a_ruling_tells_numbers_from_truth() -> None:
    """CONTRACT 26: an edit that only looks equal in Python is an edit."""

    async def work() -> None:
        tool = tool_from({"name": "raw", "parameters": {"type": "object", "additionalProperties": True}})
        desk = Desk()
        call = ToolCall("call-1", "raw", {"flag": True})
        task = await desk.asked(call, tool)
        desk.allow(call, arguments={"flag": 1})
        ruling = await task
        assert ruling.edited
        assert ruling.to_dict()["edited"]
        assert not replace(ruling, arguments={"flag": True}).edited

    run(work)
