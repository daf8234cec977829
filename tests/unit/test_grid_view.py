"""The grid's kernel side: what a page is told of a comparison, and what it can ask for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.errors import LedgerError, RunCancelled, ValidationError
from llmkit.notebook.budget import Budget
from llmkit.notebook.grid_comparison import places
from llmkit.notebook.grid_progress import Progress
from llmkit.notebook.grid_view import GridView
from tests.unit.grid_comparisons import FakeComparison

if TYPE_CHECKING:
    from collections.abc import Callable

TOPICS = {"topic": ("gravity", "DNA"), "temperature": ("0", "0.8")}


class FakePage:
    """The widget's part, and a page's: it keeps a state as the front end does."""

    def __init__(self, snapshot: Callable[[], dict[str, Any]], receive: Callable[[Any], None]) -> None:
        self.snapshot = snapshot
        self.receive = receive
        self.sent: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {"seq": 0}
        self.pushed = 0
        self.closed = 0
        self.deaf = False

    def send(self, content: dict[str, Any]) -> None:
        if self.deaf:
            return
        self.sent.append(content)
        if content["kind"] == "snapshot":
            self.state = content["state"]
        elif content["kind"] == "patch" and content["seq"] == self.state["seq"] + 1:
            self.state |= content.get("set", {}) | {"seq": content["seq"]}
            for change in content.get("cells", ()):
                cell = self.state["cells"][change["cell"]]
                cell |= change.get("set", {})
                cell["text"] += change.get("text", "")
                cell["reasoning"] += change.get("reasoning", "")
        elif content["kind"] == "patch" and content["seq"] > self.state["seq"]:
            self.receive({"kind": "resync"})

    def push_state(self) -> None:
        self.pushed += 1

    def mimebundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {}

    def close(self) -> None:
        self.closed += 1


def opened(comparison: FakeComparison, **options: Any) -> tuple[GridView, FakePage]:
    view = GridView(comparison, FakePage, budget=Budget(), **options)
    page = view.page
    assert isinstance(page, FakePage)
    view.open()
    return view, page


def kinds(page: FakePage) -> set[str]:
    return {message["kind"] for message in page.sent}


def test_until_a_page_says_hello_messages_are_whole_states() -> None:
    comparison = FakeComparison(**TOPICS)
    view, page = opened(comparison)
    comparison.answer()
    assert kinds(page) == {"snapshot"}
    assert page.state == view.snapshot()
    assert [cell["place"] for cell in page.state["cells"]] == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert [prompt["text"] for prompt in page.state["prompts"]] == ["Tell me about gravity.", "Tell me about DNA."]


def test_all_cells_share_the_messages_which_hold_only_what_changed() -> None:
    comparison = FakeComparison(**TOPICS)
    view, page = opened(comparison)
    page.receive({"kind": "hello"})
    page.sent.clear()
    for index in range(4):
        comparison.run(index).start()
        comparison.run(index).text("one ", "two ")
    view._flush()
    comparison.answer()
    assert kinds(page) == {"patch"}
    assert [message["seq"] for message in page.sent] == list(range(page.sent[0]["seq"], page.sent[-1]["seq"] + 1))
    assert len(page.sent) < 8
    assert page.state == view.snapshot()


def test_a_page_that_missed_messages_catches_up() -> None:
    comparison = FakeComparison(**TOPICS)
    view, page = opened(comparison)
    page.receive({"kind": "hello"})
    page.deaf = True
    comparison.run(0).start()
    comparison.run(0).text("lost ")
    view._flush()
    page.deaf = False
    comparison.run(0).text("found")
    comparison.answer()
    assert page.state == view.snapshot()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=8), st.booleans()), max_size=40))
def test_no_text_is_lost_whenever_messages_go(pieces: list[tuple[int, str, bool]]) -> None:
    comparison = FakeComparison(**TOPICS)
    view, page = opened(comparison)
    page.receive({"kind": "hello"})
    said = [""] * 4
    for index, piece, flush in pieces:
        comparison.run(index).text(piece)
        said[index] += piece
        if flush:
            view._flush()
    view._flush()
    assert [cell["text"] for cell in page.state["cells"]] == said


def test_a_cell_that_is_asked_again_forgets_what_it_had_and_the_end_is_told_again() -> None:
    comparison = FakeComparison(**TOPICS)
    ends: list[int] = []
    view, page = opened(comparison, on_end=lambda view: ends.append(len(view.state.cells)))
    page.receive({"kind": "hello"})
    comparison.answer(lambda index: f"first {index}")
    assert ends == [4]
    page.receive({"kind": "rerun", "cell": 2})
    assert not view.state.is_over
    comparison.run(2).answer("second 2")
    assert ends == [4, 4]
    assert page.state == view.snapshot()
    assert [cell["text"] for cell in page.state["cells"]] == ["first 0", "first 1", "second 2", "first 3"]
    assert page.state["progress"]["done"] == 4


def test_what_a_page_asks_for_reaches_the_cells_and_nothing_else_does() -> None:
    comparison = FakeComparison(**TOPICS)
    _, page = opened(comparison)
    for message in ({"kind": "stop", "cell": 1}, {"kind": "rerun", "cell": 3}, {"kind": "stop-all"}):
        page.receive(message)
    assert [cell.asked for cell in comparison.cells] == [[], ["cancel"], [], ["rerun"]]
    assert comparison.cancelled == 1
    unknown: list[Any] = [None, [], {"kind": "stop"}, {"kind": "stop", "cell": 4}, {"kind": "stop", "cell": -1}]
    for message in (*unknown, {"kind": 3}):
        page.receive(message)
    assert [cell.asked for cell in comparison.cells] == [[], ["cancel"], [], ["rerun"]]


def test_an_error_stays_in_its_cell() -> None:
    comparison = FakeComparison(**TOPICS)
    _, page = opened(comparison)
    page.receive({"kind": "hello"})
    comparison.cells[0].fail(ValidationError("temperature must be at least 0.", field="temperature"))
    comparison.cells[1].fail(RunCancelled("never asked"))
    comparison.run(2).start()
    comparison.run(2).fail()
    comparison.answer()
    assert [cell["status"] for cell in page.state["cells"]] == ["error", "cancelled", "error", "done"]
    assert page.state["cells"][0]["error"]["message"] == "temperature must be at least 0."
    assert page.state["cells"][1]["error"] is None
    progress = page.state["progress"]
    assert (progress["done"], progress["failed"], progress["total"]) == (4, 2, 4)


def test_scores_come_when_they_are_there() -> None:
    comparison = FakeComparison(**TOPICS)
    view, page = opened(comparison)
    page.receive({"kind": "hello"})
    comparison.answer()
    comparison.score(length={0: 12.0, 3: 0.5})
    assert [cell["scores"] for cell in page.state["cells"]] == [{"length": 12.0}, {}, {}, {"length": 0.5}]
    assert page.state == view.snapshot()


def test_a_grid_that_is_in_use_is_not_replaced_until_it_is_let_go() -> None:
    comparison = FakeComparison(**TOPICS)
    ends: list[GridView] = []
    view, page = opened(comparison, on_end=ends.append)
    page.receive({"kind": "hello"})
    page.receive({"kind": "hold", "held": True})
    comparison.answer()
    assert ends == []
    page.receive({"kind": "hold", "held": False})
    assert ends == [view]
    view.release()
    page.receive({"kind": "gone"})
    assert page.closed == 1


def test_a_comparison_that_could_not_begin_is_over_at_once() -> None:
    comparison = FakeComparison(topic=("gravity",))
    comparison.cells[0].fail(ValidationError("No such model.", field="model"))
    ends: list[GridView] = []
    view, _ = opened(comparison, on_end=ends.append)
    assert ends == [view]


def test_the_rate_and_the_time_left_are_those_of_all_cells_together() -> None:
    now = [100.0]
    progress = Progress(4, lambda: now[0])
    for _ in range(10):
        progress.count(20)
        now[0] += 0.5
        told = progress.take(done=2, failed=0, tokens_done=100, tokens_open=30)
    assert told["rate"] == 40
    assert told["left"] == round((100 / 2 * 2 - 30) / 40, 1)
    told = progress.take(done=4, failed=0, tokens_done=200, tokens_open=0)
    assert (told["time"], told["rate"], told["left"]) == (5.0, 40.0, None)


def begin_judging(comparison: FakeComparison) -> FakePage:
    _, page = opened(comparison)
    page.receive({"kind": "hello"})
    comparison.answer(lambda index: f"text {index}")
    page.sent.clear()
    page.receive({"kind": "judge", "page": "p", "factor": "temperature"})
    return page


def test_judging_is_blind_and_each_verdict_goes_to_the_comparison() -> None:
    comparison = FakeComparison(**TOPICS)
    page = begin_judging(comparison)
    seen: list[dict[str, Any]] = []
    while page.sent[-1]["kind"] == "pair":
        asked = page.sent[-1]
        assert asked["pair"].keys() == {"id", "left", "right", "prompt", "same"}
        assert asked["pair"]["same"].keys() == {"topic"}
        seen.append(asked["pair"])
        page.receive({"kind": "vote", "page": "p", "pair": asked["pair"]["id"], "verdict": "left"})
        page.receive({"kind": "vote", "page": "p", "pair": asked["pair"]["id"], "verdict": "right"})  # a second press
    assert len(comparison.votes) == len(seen) == 2
    for vote, pair in zip(comparison.votes, seen, strict=True):
        first = vote[vote["first"]]
        assert pair["left"] == f"text {first}"
        assert vote[vote["verdict"]] == first
        assert {vote["a"], vote["b"]} in ({0, 1}, {2, 3})
    tally = page.sent[-1]
    assert tally["total"] == 2
    assert sum(level["wins"] for level in tally["levels"]) == sum(level["losses"] for level in tally["levels"]) == 2


def test_a_pair_that_was_skipped_comes_last_and_a_refused_vote_can_be_cast_again() -> None:
    comparison = FakeComparison(**TOPICS)
    page = begin_judging(comparison)
    first = page.sent[-1]["pair"]
    page.receive({"kind": "skip", "page": "p", "pair": first["id"]})
    second = page.sent[-1]["pair"]
    assert {first["left"], first["right"]} != {second["left"], second["right"]}
    comparison.refusal = LedgerError("The ledger is from a newer version.")
    page.receive({"kind": "vote", "page": "p", "pair": second["id"], "verdict": "tie"})
    assert page.sent[-1] == {"kind": "problem", "page": "p", "message": "The ledger is from a newer version."}
    comparison.refusal = None
    page.receive({"kind": "vote", "page": "p", "pair": second["id"], "verdict": "tie"})
    assert [vote["verdict"] for vote in comparison.votes] == ["tie"]
    assert {page.sent[-1]["pair"]["left"], page.sent[-1]["pair"]["right"]} == {first["left"], first["right"]}


def test_many_cells_at_full_speed_cost_little_and_stay_within_the_budget() -> None:
    """400 cells: an event costs the same as in a grid of two."""
    comparison = FakeComparison(topic=tuple(map(str, range(20))), temperature=tuple(map(str, range(20))))
    _, page = opened(comparison)
    page.receive({"kind": "hello"})
    page.sent.clear()
    began, spent = time.perf_counter(), time.process_time()
    for piece in range(10):
        for index in range(400):
            comparison.run(index).text(f"w{piece} ")
    assert len(page.sent) <= 2 + (time.perf_counter() - began) / 0.04
    assert time.process_time() - spent < 2


def test_another_arrangement_is_told_and_a_vote_alone_sends_nothing() -> None:
    comparison = FakeComparison(**TOPICS)
    ends: list[GridView] = []
    view, page = opened(comparison, on_end=ends.append)
    page.receive({"kind": "hello"})
    comparison.answer()
    sent, pushed = len(page.sent), page.pushed
    comparison.tell(None, None)
    assert (len(page.sent), page.pushed, len(ends)) == (sent, pushed, 1)
    comparison.rows, comparison.columns = (), ("topic", "temperature")
    comparison.tell(None, None)
    assert page.state["columns"] == ["topic", "temperature"]
    assert page.state == view.snapshot()
    assert len(ends) == 2


def test_cells_stand_where_their_labels_say_whatever_their_order() -> None:
    comparison = FakeComparison(**TOPICS)
    for cell, topic in zip(comparison.cells, ("DNA", "gravity", "DNA", "gravity"), strict=True):
        cell.labels["topic"] = topic
    assert places(comparison) == [(1, 0), (0, 1), (1, 0), (0, 1)]
    alike = FakeComparison(prompt=("the same…", "the same…"), temperature=("0", "1"))
    assert places(alike) == [(0, 0), (0, 1), (1, 0), (1, 1)]
