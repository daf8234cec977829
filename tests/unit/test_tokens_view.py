"""The token view: what pages are told of a tree of runs, what they may ask for, and what a saved notebook keeps."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmkit as lk
from llmkit.engines.decoder import Alternative, Token
from llmkit.notebook import tokens_static
from llmkit.notebook.budget import Budget
from llmkit.notebook.tokens_state import changed_ranges, lane_state, shown, token_state
from llmkit.notebook.tokens_view import TokensView
from llmkit.notebook.tokens_words import about, level, percent

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., lk.Session]

FOXES = lk.Answer(["The red fox ran off.", "The red dog sat down.", "The blue fox ran on."])


class FakePage:
    """The widget's part, and a page's: it keeps the lanes as the front end does."""

    def __init__(self, snapshot: Callable[[], dict[str, Any]], receive: Callable[[Any], None]) -> None:
        self.receive = receive
        self.state = snapshot()
        self.refused: list[str] = []
        self.closed = 0
        self._changed = threading.Condition()

    def send(self, content: dict[str, Any]) -> None:
        with self._changed:
            self._take(content)
            self._changed.notify_all()

    def until(self, texts: list[str]) -> None:
        """Wait until the lanes say this and are over."""

        def there() -> bool:
            lanes = self.state["lanes"]
            return self.texts == texts and all(lane["status"] == "done" for lane in lanes)

        with self._changed:
            assert self._changed.wait_for(there, 20), self.texts

    @property
    def texts(self) -> list[str]:
        return ["".join(token["text"] for token in lane["tokens"]) for lane in self.state["lanes"]]

    def push_state(self) -> None:
        pass

    def mimebundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {}

    def close(self) -> None:
        self.closed += 1

    def _take(self, content: dict[str, Any]) -> None:
        match content:
            case {"kind": "snapshot", "state": state}:
                self.state = state
            case {"kind": "refused", "text": text}:
                self.refused.append(text)
            case {"kind": "patch", "seq": seq, "lanes": lanes}:
                assert seq == self.state["seq"] + 1
                self.state["seq"] = seq
                for lane in lanes:
                    self._change(lane)

    def _change(self, lane: dict[str, Any]) -> None:
        known = self.state["lanes"]
        before = known[lane["number"]]["tokens"] if lane["number"] < len(known) else []
        known[lane["number"] : lane["number"] + 1] = [{**lane, "tokens": before[: lane["sent"]] + lane["tokens"]}]


def opened(run: lk.Run) -> tuple[TokensView[FakePage], FakePage, list[str]]:
    kept: list[str] = []
    view = TokensView(
        run, "probability", FakePage, on_keep=lambda view: kept.append(view.state()["by"]), budget=Budget()
    )
    view.open()
    view.page.receive({"kind": "hello"})
    return view, view.page, kept


def test_a_page_follows_a_run_and_branches_that_it_or_anyone_makes(scripted: Make) -> None:
    run = scripted(FOXES, tokens_per_second=200).complete("Hi", logprobs=5, temperature=0)
    _, page, _ = opened(run)
    page.until(["The red fox ran off."])
    assert page.state["lanes"][0]["branching"]
    dog = run.steps[0].tokens[2].alternatives[1].id
    page.receive({"kind": "branch", "lane": 0, "token": 2, "id": dog})
    page.until(["The red fox ran off.", "The red dog sat down."])
    run.branches[0].branch(1, " blue")
    page.until(["The red fox ran off.", "The red dog sat down.", "The blue fox ran on."])
    first, second = page.state["lanes"][1:]
    assert [first[name] for name in ("parent", "at", "own", "token", "share")] == [0, 2, 2, " dog", 0.5]
    assert (second["parent"], first["changed"], second["changed"]) == (1, [[2, 5]], [[1, 5]])


def test_what_a_page_may_say_is_checked(scripted: Make, caplog: pytest.LogCaptureFixture) -> None:
    run = scripted(FOXES).complete("Hi", logprobs=5, temperature=0)
    view, page, kept = opened(run)
    page.until(["The red fox ran off."])
    page.receive({"kind": "branch", "lane": 7, "token": 0, "id": 1})
    page.receive({"kind": "branch", "lane": 0, "token": 1, "id": 10**9})
    page.receive({"kind": "branch", "lane": 0, "token": 1, "id": "<b>"})
    page.receive({"kind": "stop", "lane": 99})
    assert len(page.refused) == 2
    assert "no alternative" in page.refused[1]
    assert not run.branches
    assert "doesn't know" in caplog.text
    page.receive({"kind": "keep", "by": "entropy"})
    page.receive({"kind": "keep", "by": "<b>"})
    assert kept == ["entropy", "entropy"]
    view.release()
    page.receive({"kind": "gone"})
    assert page.closed == 1


def test_a_view_shows_the_whole_tree_from_any_of_its_runs(scripted: Make) -> None:
    run = scripted(FOXES).complete("Hi", logprobs=5, temperature=0)
    deep = run.branch(2, " dog").branch(1, " blue")
    assert deep.token_view().html == run.token_view().html
    assert "token 1: “blue” 33 %" in repr(deep.token_view("entropy"))
    frame = run.token_view().frame
    assert frame["rank"].tolist() == [0] * 6
    assert frame.entropy.round(2).tolist() == [0.0, 0.92, 1.0, 0.0, 0.0, 0.0]
    with pytest.raises(lk.ValidationError, match="by="):
        run.token_view("rank")  # type: ignore[arg-type]


def test_a_run_without_tokens_says_what_it_takes(scripted: Make) -> None:
    assert "logprobs=5" in scripted("a b").complete("Hi").token_view().html


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "◌"),
        ("  ", "␣␣"),
        (" a", " a"),
        ("\n\n", "⏎\n⏎\n"),
        ("\t", "⇥\t"),
        ("\u202e", "\\u202e"),
        ("\x00", "\\u0000"),
    ],
)
def test_nothing_in_a_token_hides(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_words_and_levels() -> None:
    token = token_state(Token(1, "a", -0.1, (Alternative(1, "a", -0.1), Alternative(2, "\n", -3.0))))
    assert about(token) == "90 % · 0.55 bits | “a” 90 %, “⏎” 5.0 %"
    shares = {0.95: 0, 0.5: 1, 0.3: 2, 0.1: 3, 0.01: 4, None: None}
    assert {p: level({"p": p, "bits": None}, "probability") for p in shares} == shares
    assert [percent(share) for share in (None, 1.0, 0.9999, 0.00001, 0.123)] == [
        "?",
        "100 %",
        "> 99.9 %",
        "< 0.1 %",
        "12 %",
    ]


def test_what_a_branch_has_of_its_own_is_marked() -> None:
    tokens = [Token(id_, "") for id_ in range(6)]
    other = [*tokens[:2], Token(9, ""), *tokens[3:5], Token(8, "")]
    assert changed_ranges(other, tokens, 10) == [[12, 13], [15, 16]]
    assert changed_ranges(tokens, tokens, 0) == []


@given(st.lists(st.text(max_size=6), max_size=8), st.sampled_from(["probability", "entropy"]))
def test_hostile_tokens_stay_text_in_a_saved_notebook(texts: list[str], by: str) -> None:
    """Names of lanes, too; and what a token says is what is between the tags."""
    lane = lane_state("x", "<script>alert(1)</script>")
    tokens = [Token(place, text, -1.0, (Alternative(place, text, -1.0),)) for place, text in enumerate(texts)]
    lane |= {"tokens": [token_state(token) for token in tokens]}
    html = tokens_static.html({"by": by, "lanes": [lane]})
    assert set(re.findall(r"<(\w+)", html)) <= {"div", "span"}
    assert not re.search(r"\son\w+=", re.sub(r'"[^"]*"', "", html))


def test_a_saved_notebook_stays_small() -> None:
    """20,000 tokens with twenty alternatives each take less than half a megabyte."""
    alternatives = tuple(Alternative(place, f" word{place}", -2.0) for place in range(20))
    lane = lane_state("x", "model")
    lane |= {"tokens": [token_state(Token(1, " word", -3.0, alternatives))] * 20_000}
    html = tokens_static.html({"by": "probability", "lanes": [lane, {**lane, "parent": 0, "at": 5, "own": 5}]})
    assert len(html) < 500_000
    assert "18,000 more tokens" in html
