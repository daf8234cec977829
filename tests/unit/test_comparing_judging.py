"""Votes on a comparison: which hold, what they add up to, a model that judges, a view that goes on."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

import llmkit as lk
from llmkit.background import loop_thread
from llmkit.errors import ValidationError
from llmkit.judging.judged import pairs_of
from llmkit.notebook.budget import Budget
from llmkit.notebook.grid_view import GridView
from tests.unit.test_grid_view import FakePage

STYLES = ["well", "badly"]


def answer(prompt: str) -> str:
    """Answer, or judge: what was said well is better, but for stones, where the first is."""
    if "impartial judge" not in prompt:
        return prompt.rpartition("<|user|>")[-1].removesuffix("<|end|><|assistant|>").strip()
    _, first, second = prompt.rsplit("<Answer ", 2)[-3:]
    winner = "A" if "stones" in first or "well" in first else "B"
    return json.dumps({"reason": f"Not {len(second)}.", "winner": winner}, separators=(",", ":"))


def compared(session: lk.Session, **factors: Any) -> Any:
    comparison = session.compare(
        "Speak {style} of {topic}.", style=STYLES, topic=["trees", "stones"], show=False, **factors
    )
    assert comparison.wait(20)
    return comparison


def test_a_model_judges_in_both_orders_and_its_votes_make_a_ranking() -> None:
    with lk.Session(engine=lk.Scripted([answer]), ledger=None, show=False) as session:
        comparison = compared(session)
        judged = comparison.judge("style", question="Which is kinder?").set_index("a_cell")
        assert judged.columns.tolist() == ["b_cell", "a_label", "b_label", "verdict", "flipped", "reason", "error"]
        assert judged.loc[0, ["b_cell", "a_label", "b_label", "verdict", "flipped"]].tolist() == [
            2, "well", "badly", "a", False,
        ]  # fmt: skip
        assert judged.loc[1, ["b_cell", "verdict", "flipped"]].tolist() == [3, "tie", True]
        name = session.resident(None).name
        assert set(comparison.votes["judge"]) == {name}
        ranking = comparison.ranking("style", judge=name, question="Which is kinder?")
        assert ranking.index.tolist() == STYLES
        assert ranking.index.name == "style"
        assert ranking[["wins", "losses", "ties"]].to_numpy().tolist() == [[1, 0, 1], [0, 1, 1]]
        assert comparison.ranking("topic").empty, "no vote was on two topics"
        assert len(comparison.judge("style", limit=1)) == 1


def test_a_judge_that_is_cut_off_is_an_error_of_its_pair_and_no_vote() -> None:
    with lk.Session(engine=lk.Scripted([answer]), ledger=None, show=False) as session:
        comparison = compared(session)
        judged = comparison.judge("style", max_output_tokens=2)
        assert judged["error"].notna().all()
        assert judged["verdict"].isna().all()
        assert comparison.votes.empty
        for wrong in ({"factor": "colour"}, {"factor": "style", "limit": 0}):
            with pytest.raises(ValidationError):
                comparison.judge(**wrong)


def test_the_last_word_of_a_judge_counts_and_only_on_what_is_there_now() -> None:
    with lk.Session(engine=lk.Scripted([answer]), ledger=None, show=False) as session:
        comparison = compared(session)
        for verdict in ("b", "a"):
            comparison.vote(0, 2, verdict)
        comparison.vote(2, 0, "tie", judge="Ada")
        comparison.vote(1, 3, "a")
        comparison.vote(0, 3, "b")  # another topic too: nothing about the style
        assert comparison.standing_votes["verdict"].tolist() == ["a", "tie", "a", "b"]
        assert comparison.ranking("style")[["wins", "losses", "ties"]].to_numpy().tolist() == [[2, 0, 1], [0, 2, 1]]
        comparison.cells[3].rerun()
        assert comparison.wait(20)
        assert comparison.standing_votes[["a_cell", "b_cell"]].to_numpy().tolist() == [[0, 2], [2, 0]]
        comparison.vote(1, 3, "b")
        assert comparison.ranking("style", judge="person")["wins"].to_dict() == {"well": 1, "badly": 1}


def test_a_new_view_goes_on_where_an_earlier_one_was_left() -> None:
    with lk.Session(engine=lk.Scripted([answer]), ledger=None, show=False) as session:
        comparison = compared(session)
        pair = pairs_of(comparison, "style")[0]
        comparison.vote(pair.a, pair.b, "tie", question="Which is kinder?")
        assert asked(comparison)["done"] == 0, "that was another question"
        comparison.vote(pair.a, pair.b, "tie")
        told = asked(comparison)
        assert (told["done"], told["total"]) == (1, 2)
        assert pair.a not in {cell.index for cell in comparison if cell.text == told["pair"]["left"]}


def asked(comparison: Any) -> dict[str, Any]:
    """Return what a new view asks first."""
    view = GridView(comparison, FakePage, budget=Budget())
    view.open()
    caught_up = threading.Event()
    loop_thread().call(caught_up.set)  # after the events of the past, which come on that thread too
    assert caught_up.wait(20)
    view.receive({"kind": "hello"})
    page: Any = view.page
    view.receive({"kind": "judge", "page": "p", "factor": "style"})
    view.close()
    told: dict[str, Any] = page.sent[-1]
    return told
