"""Rules and policies: checked when they are made, in order when they are used."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.approval.decision import Decision, Ruling, clipped
from llmkit.approval.policy import ASK, ApprovalPolicy, policy_from
from llmkit.approval.request import ApprovalRequest, canonical_json, digest_of
from llmkit.approval.rules import Rule, RuleBook, SessionRules, match_rules, rule_from
from llmkit.errors import ValidationError
from llmkit.tools.calls import ToolCall


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tool": ""}, "tool"),
        ({"tool": " "}, "tool"),
        ({"tool": None}, "tool"),
        ({"action": "maybe"}, "action"),
        ({"action": ["allow"]}, "action"),
        ({"where": "city"}, "where"),
        ({"reason": None}, "reason"),
        ({"scope": "for ever"}, "scope"),
    ],
)
def test_a_rule_that_can_not_be_is_refused_by_field(changes: dict[str, Any], field: str) -> None:
    """CONTRACT 29: rules are by tool-name glob, action and predicate."""
    with pytest.raises(ValidationError) as caught:
        Rule(**{"tool": "get_*", "action": "allow", **changes})
    assert caught.value.field == field


def test_a_rule_tells_what_it_is() -> None:
    rule = Rule("get_*", "deny", where=lambda _: True, reason="no", scope="run", id="rule-7")
    assert rule.to_dict() == {
        "id": "rule-7",
        "tool": "get_*",
        "action": "deny",
        "scope": "run",
        "reason": "no",
        "conditional": True,
    }
    assert Rule("get_*", "deny").told_reason == "a rule says deny for get_*"


def test_pairs_stand_for_rules() -> None:
    assert rule_from(("get_*", "allow")) == Rule("get_*", "allow")
    assert rule_from(["get_*", "deny"]) == Rule("get_*", "deny")
    for wrong in ("get_*", ("get_*",), {"get_*": "allow"}, None):
        with pytest.raises(ValidationError, match="pair of a pattern and an action"):
            rule_from(wrong)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rules": "allow"}, "rules"),
        ({"rules": [("x", "maybe")]}, "action"),
        ({"headless": "ignore"}, "headless"),
        ({"headless": "wait"}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": "9"}, "timeout"),
        ({"absence": None}, "absence"),
        ({"absence": -1.0}, "absence"),
        ({"absence": float("nan")}, "absence"),
    ],
)
def test_a_policy_that_can_not_be_is_refused_by_field(changes: dict[str, Any], field: str) -> None:
    """CONTRACT 31: the policy says what happens; one by which a run could hang isn't one."""
    with pytest.raises(ValidationError) as caught:
        ApprovalPolicy(**changes)
    assert caught.value.field == field


def test_words_and_lists_stand_for_policies() -> None:
    """CONTRACT 31: deny is the default when headless."""
    assert policy_from(None) is ASK
    assert policy_from("ask") == ApprovalPolicy(rules=(), headless="deny", timeout=None, absence=600.0)
    assert policy_from("pend").headless == "pend"
    assert [(rule.tool, rule.action) for rule in policy_from("allow").rules] == [("*", "allow")]
    assert [(rule.tool, rule.action) for rule in policy_from("deny").rules] == [("*", "deny")]
    assert policy_from([("get_*", "allow"), Rule("x", "deny")]).rules == (Rule("get_*", "allow"), Rule("x", "deny"))
    made = ApprovalPolicy(timeout=3)
    assert policy_from(made) is made
    for wrong in ("allowed", True, 3, {"get_*": "allow"}, object()):
        with pytest.raises(ValidationError) as caught:
            policy_from(wrong)
        assert caught.value.field == "approval"


def test_a_calls_own_policy_replaces_its_sessions_as_a_whole() -> None:
    session = ApprovalPolicy(rules=(Rule("x", "allow"),), headless="pend", timeout=5)
    assert policy_from(None, session) is session
    assert policy_from("ask", session) is ASK
    assert policy_from([("y", "deny")], session) == ApprovalPolicy(rules=(Rule("y", "deny"),))


def told(book: RuleBook | SessionRules) -> list[str]:
    return [f"{rule.tool} {rule.action} {rule.scope}" for rule in book.in_force]


def test_a_runs_own_rules_come_first_then_the_sessions_then_the_policys() -> None:
    """CONTRACT 29: ordered; per-tool, session and run scope."""
    session = SessionRules([("s1", "allow")])
    book = RuleBook([("p1", "deny"), Rule("p2", "ask")], session=session)
    book.add(Rule("s2", "deny"))
    book.add(Rule("r1", "allow", scope="run"))
    book.add(Rule("r2", "allow", scope="run"))
    assert told(book) == [
        "r2 allow run",
        "r1 allow run",
        "s2 deny session",
        "s1 allow session",
        "p1 deny run",
        "p2 ask run",
    ]
    assert told(session) == told(RuleBook(session=session)) == ["s2 deny session", "s1 allow session"]
    assert len({rule.id for rule in book.in_force}) == 6


def test_every_rule_in_force_can_be_revoked_for_as_long_as_its_scope_says() -> None:
    """CONTRACT 29: revocable in the panel."""
    session = SessionRules([("s", "allow")])
    policy = [Rule("p", "deny")]
    book, other = RuleBook(policy, session=session), RuleBook(policy, session=session)
    book.add(Rule("r", "allow", scope="run"))
    for rule in book.in_force:
        assert book.revoke(rule.id)
        assert not book.revoke(rule.id)
    assert told(book) == []
    assert told(other) == ["p deny run"]
    assert not book.revoke("rule-0")
    assert not book.revoke(["rule-1"])  # type: ignore[arg-type]


def test_a_new_rule_takes_the_place_of_one_it_would_hide() -> None:
    session = SessionRules()
    session.add(("x", "deny"))
    session.add(Rule("x", "ask", where=lambda _: True))
    session.add(("x", "allow"))
    assert [(rule.action, rule.where is not None) for rule in session.in_force] == [("allow", False), ("ask", True)]


def test_whoever_listens_hears_of_every_change() -> None:
    session = SessionRules()
    book = RuleBook([("p", "deny")], session=session)
    heard: list[list[str]] = []
    book.subscribe(lambda: heard.append(told(book)))
    kept = session.add(("s", "allow"))
    book.revoke(book.in_force[-1].id)
    book.leave()
    session.add(("later", "allow"))
    assert heard == [["s allow session", "p deny run"], ["s allow session"]]
    book.revoke(kept.id)
    assert heard[-1] == ["later allow session"]
    calls: list[int] = []
    forget = session.subscribe(lambda: calls.append(1))
    forget()
    forget()
    session.add(("again", "allow"))
    assert calls == []


def test_rules_may_be_changed_from_many_threads() -> None:
    session = SessionRules()
    books = [RuleBook(session=session) for _ in range(4)]
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        barrier.wait()
        for turn in range(50):
            rule = books[number].add((f"tool-{number}-{turn}", "allow"))
            if turn % 2:
                assert books[-number].revoke(rule.id)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(session.in_force) == 100
    assert len({rule.id for rule in session.in_force}) == 100


PATTERNS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "a*", "?", "*", "[ab]"]), st.sampled_from(["allow", "ask", "deny"])),
    max_size=6,
)


@given(rules=PATTERNS, name=st.sampled_from(["a", "b", "ab", "c"]))
def test_the_first_rule_whose_pattern_fits_decides(rules: Any, name: str) -> None:
    """CONTRACT 29: rules are ordered, by tool-name glob."""
    fits = {"a": {"a"}, "b": {"b"}, "a*": {"a", "ab"}, "?": {"a", "b", "c"}, "[ab]": {"a", "b"}}
    expected = next((action for pattern, action in rules if pattern == "*" or name in fits.get(pattern, ())), None)
    match = match_rules([rule_from(rule) for rule in rules], name, dict)
    assert (match.action if match else None) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(first=st.dictionaries(st.text(), JSON), second=st.dictionaries(st.text(), JSON))
def test_two_calls_have_one_digest_only_if_they_are_the_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    """CONTRACT 26: a decision binds to call id + tool + exact arguments."""
    one, two = ToolCall("1", "tool", first), ToolCall("1", "tool", second)
    assert (digest_of(one) == digest_of(two)) is (canonical_json(first) == canonical_json(second))
    assert digest_of(one) not in {digest_of(ToolCall("2", "tool", first)), digest_of(ToolCall("1", "other", first))}
    assert ApprovalRequest(one).to_dict()["digest"] == digest_of(one)


def test_true_and_one_are_not_the_same_arguments() -> None:
    """CONTRACT 26: exact arguments."""
    digests = {digest_of(ToolCall("1", "tool", {"x": value})) for value in (1, 1.0, True, "1", None)}
    assert len(digests) == 5


def test_words_from_outside_are_bounded() -> None:
    hostile: Any = {"nested": "x" * 5_000}
    made = Decision(hostile, hostile, "allow", "panel", reason=hostile).bounded()
    assert isinstance(made.call_id, str)
    assert len(made.call_id) == 200
    assert len(made.reason) == 2_000
    assert clipped(None) == ""
    assert clipped("short") == "short"


def test_a_ruling_as_json_values() -> None:
    """CONTRACT 30: who decided, when, and shown vs. executed arguments."""
    ruling = Ruling("1", "tool", "allow", "code", shown_arguments={"x": 1}, arguments={"x": 2}, waited=0.5, time=7.0)
    assert ruling.to_dict() == {
        "call_id": "1",
        "tool": "tool",
        "verdict": "allow",
        "by": "code",
        "accepted": True,
        "reason": "",
        "refusal": "",
        "shown_arguments": {"x": 1},
        "arguments": {"x": 2},
        "edited": True,
        "waited": 0.5,
        "time": 7.0,
    }
