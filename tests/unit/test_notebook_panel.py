"""What pages say about calls: passed on when it makes sense, and never more than logged when it doesn't."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.approval.decision import Decision, Ruling
from llmkit.notebook.panel import LONGEST_REASON
from llmkit.tools.problems import Problem
from tests.unit.notebook_runs import FakeRun
from tests.unit.test_notebook_view import FakePage, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

DECIDE = {"kind": "decide", "call_id": "call-1", "digest": "d1", "verdict": "allow"}


def page_of(run: FakeRun) -> FakePage:
    _, page = opened(run)
    return page


def test_an_approval_is_passed_on_and_its_ruling_is_told() -> None:
    """CONTRACT 26: a decision binds to call id + tool + exact arguments."""
    run = FakeRun()
    page = page_of(run)
    page.receive(DECIDE)
    (decision,) = run.approvals.decisions
    assert decision == Decision("call-1", "d1", "allow", "panel", time=decision.time)
    assert page.sent == [{"kind": "ruled", "call_id": "call-1", "accepted": True, "refusal": ""}]


def test_reason_edit_and_rule_are_passed_on() -> None:
    run = FakeRun()
    page = page_of(run)
    page.receive({**DECIDE, "arguments": '{"city": "Osaka"}', "always": "session"})
    page.receive({**DECIDE, "verdict": "deny", "reason": "x" * (LONGEST_REASON + 1), "always": "run"})
    edited, denied = run.approvals.decisions
    assert (edited.arguments, edited.always) == ('{"city": "Osaka"}', "session")
    assert (denied.verdict, len(denied.reason), denied.always) == ("deny", LONGEST_REASON, "run")


def test_a_refusal_is_told_with_its_reason() -> None:
    run = FakeRun()
    run.approvals.refusal = "city must be a string"
    page = page_of(run)
    page.receive(DECIDE)
    assert page.sent == [{"kind": "ruled", "call_id": "call-1", "accepted": False, "refusal": "city must be a string"}]


def test_edited_arguments_are_checked() -> None:
    run = FakeRun()
    run.approvals.problems = (Problem("city", "must be a string, but is 3"),)
    page = page_of(run)
    page.receive({"kind": "check", "call_id": "call-1", "arguments": '{"city": 3}', "request_id": "r1"})
    assert run.approvals.checked == [("call-1", '{"city": 3}')]
    problems = [{"field": "city", "message": "must be a string, but is 3"}]
    assert page.sent == [{"kind": "checked", "request_id": "r1", "problems": problems}]


def test_a_rule_is_revoked() -> None:
    """CONTRACT 29: revocable in the panel."""
    run = FakeRun()
    page_of(run).receive({"kind": "revoke", "rule_id": "7"})
    assert run.approvals.rules.revoked == ["7"]


def test_a_page_that_says_hello_or_here_is_somebody_who_could_decide() -> None:
    run = FakeRun()
    page = page_of(run)
    page.receive({"kind": "hello"})
    page.receive({"kind": "here"})
    assert run.approvals.visits == 2


@pytest.fixture
def quiet() -> Iterator[None]:
    logger = logging.getLogger("llmkit")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "pend"},
        {"verdict": "cancel"},
        {"verdict": ["allow"]},
        {"call_id": 1},
        {"digest": None},
        {"reason": 1},
        {"arguments": {"city": "Osaka"}},
        {"always": "for ever"},
        {"always": True},
    ],
    ids=str,
)
def test_a_decision_that_makes_no_sense_is_none(change: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    run = FakeRun()
    page = page_of(run)
    page.receive({**DECIDE, **change})
    assert (run.approvals.decisions, page.sent) == ([], [])
    assert "doesn't know" in caplog.text


def test_approvals_that_fail_break_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(FakeRun):
        def __init__(self) -> None:
            super().__init__()
            self.approvals.decide = self._fail  # type: ignore[method-assign]

        def _fail(self, decision: Decision) -> Ruling:
            raise RuntimeError(decision.call_id)

    page = page_of(Failing())
    page.receive(DECIDE)
    assert page.sent == []
    assert "could not be dealt with" in caplog.text


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KINDS = ["decide", "check", "revoke", "here", "hello", "resync", "gone"]
FIELDS = ["call_id", "digest", "verdict", "reason", "arguments", "always", "rule_id", "request_id"]
VALUES = st.sampled_from(["allow", "deny", "run", "call-1"]) | anything


@pytest.mark.usefixtures("quiet")
@given(
    st.fixed_dictionaries({"kind": st.sampled_from(KINDS) | anything}, optional=dict.fromkeys(FIELDS, VALUES))
    | anything
)
def test_no_message_raises_and_each_decision_is_well_formed(message: Any) -> None:
    run = FakeRun()
    page_of(run).receive(message)
    for decision in run.approvals.decisions:
        assert decision.verdict in {"allow", "deny"}
        assert decision.by == "panel"
        assert decision.always in {None, "run", "session"}
        assert isinstance(decision.arguments, str | None)
