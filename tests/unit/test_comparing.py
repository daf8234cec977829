from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmkit as lk
from llmkit.comparing.design import design_from, seed_of
from llmkit.comparing.diff import diff
from llmkit.comparing.factors import distinct
from llmkit.events import Finish, Start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = "<script>alert(1)</script> =1+1 | `x` \x1b[31m\n$5$ & more"


def asked(template: Any, data: Any = None, *, repeat: int = 1, **given: Any) -> list[str]:
    return [str(point.prompt) for point in design_from(template, data, given, repeat=repeat).points]


# -- the design ----------------------------------------------------------------------------------------------------


def test_the_cells_are_the_product_of_all_factors_the_last_one_fastest() -> None:
    design = design_from("{a}{b}", None, {"a": ["x", "y"], "b": ["1", "2"], "temperature": [0, 1]})
    assert [point.prompt for point in design.points] == ["x1", "x1", "x2", "x2", "y1", "y1", "y2", "y2"]
    assert [point.options["temperature"] for point in design.points] == [0, 1] * 4
    assert [(factor.name, factor.labels) for factor in design.factors] == [
        ("a", ("x", "y")),
        ("b", ("1", "2")),
        ("temperature", ("0", "1")),
    ]


def test_a_list_is_a_factor_unless_the_option_itself_takes_a_list() -> None:
    stops = design_from("hi", None, {"stop": ["a", "b"], "seed": [1, 2]})
    assert [factor.name for factor in stops.factors] == ["seed"]
    assert stops.points[0].options["stop"] == ["a", "b"]
    varied = design_from("hi", None, {"stop": [["a"], []], "logit_bias": [{}, {5: 1.0}], "metadata": {"mine": 1}})
    assert {factor.name: factor.labels for factor in varied.factors} == {
        "stop": ("a", "none"),
        "logit_bias": ("{}", "{5: 1.0}"),
    }
    assert varied.points[0].options["metadata"] == {"mine": 1}


def test_a_dict_gives_the_levels_names() -> None:
    design = design_from("hi", None, {"system": {"terse": "Be brief.", "none": None}})
    assert design.factors[0].labels == ("terse", "none")
    assert [point.options["system"] for point in design.points] == ["Be brief.", None]


def test_several_templates_are_a_factor_and_each_may_use_its_own_fields() -> None:
    assert asked(["Explain {x}.", "What is {x}?"], x=["A", "B"]) == [
        "Explain A.",
        "Explain B.",
        "What is A?",
        "What is B?",
    ]
    histories = design_from([[{"role": "user", "content": "a"}], [{"role": "user", "content": "b"}]], None, {})
    assert histories.factors[0].labels == ("a", "b")
    assert asked("{prompt}!", prompt=["a", "b"]) == ["a!", "b!"]


def test_a_frame_fills_the_template_row_by_row() -> None:
    frame = pd.DataFrame({"a": ["x", "y", "x"], "b": [1, 2, 3], "gold": ["p", "q", "r"]}, index=["r1", "r2", "r3"])
    design = design_from("{a}{b}", frame, {"temperature": [0, 1]})
    assert [point.prompt for point in design.points] == ["x1", "x1", "y2", "y2", "x3", "x3"]
    assert [factor.name for factor in design.factors] == ["a", "b", "temperature"]
    alike = design_from("{a}", frame, {})
    assert [factor.name for factor in alike.factors] == ["row", "a"]
    assert alike.factors[0].labels == ("r1", "r2", "r3")


def test_repeats_have_seeds_of_their_own_that_follow_from_the_base() -> None:
    seeds = [point.options["seed"] for point in design_from("hi", None, {"seed": 7}, repeat=3).points]
    assert seeds == [7, seed_of(7, 2), seed_of(7, 3)]
    assert len(set(seeds)) == 3
    assert "seed" not in design_from("hi", None, {}, repeat=2).points[0].options


@pytest.mark.parametrize(
    ("template", "given", "words"),
    [
        ("Explain {topic}", {}, r"\{topic\}.*topic="),
        ("Explain", {"topic": ["a"]}, "topic= is neither a field"),
        ("Explain", {"temprature": [0, 1]}, "temprature= is neither"),
        ("Explain", {"temperature": 9}, "temperature=9 can't be used"),
        ("{x}", {"x": []}, "x= is empty"),
        ("{x}", {"x": ["a", "a"]}, "'a' twice"),
        ("{x}", {"x": {"a", "b"}}, "no order"),
        ("{repeat}", {"repeat": ["a"]}, "call it something else"),
        ([], {}, "no prompt"),
    ],
)
def test_what_cant_be_compared_is_refused_by_name(template: Any, given: dict[str, Any], words: str) -> None:
    with pytest.raises(lk.ValidationError, match=words):
        design_from(template, None, given)


@given(st.lists(st.sampled_from(["a", "a (2)", "a (3)", "b", ""])))
def test_labels_are_made_distinct(labels: list[str]) -> None:
    made = distinct(labels)
    assert len(set(made)) == len(labels)
    assert all(own.startswith(label) for own, label in zip(made, labels, strict=True))


# -- running -------------------------------------------------------------------------------------------------------


def echo(prompt: str) -> str:
    return f"You said: {prompt.rsplit('<|user|>', 1)[-1].split('<|end|>', 1)[0]}"


@pytest.fixture
def session(scripted: Callable[..., lk.Session]) -> lk.Session:
    return scripted(echo)


def test_every_cell_is_answered_and_the_frame_says_how(session: lk.Session) -> None:
    comparison = session.compare("{text} for {who}", text=["A", "B"], who=["me", "you"], temperature=[0, 0.5])
    assert comparison.wait(10)
    frame = comparison.frame
    assert len(frame) == len(comparison) == 8
    assert frame["text_factor"].dtype == pd.CategoricalDtype(pd.Index(["A", "B"], dtype="str"), ordered=True)
    assert frame["temperature"].cat.categories.tolist() == [0, 0.5]
    assert frame["text"].tolist()[:2] == ["You said: A for me"] * 2
    assert set(frame["status"]) == {"done"}
    assert frame["output_tokens"].dtype == "Int64"
    assert frame["error"].isna().all()
    assert comparison.rows == ("text", "who")
    assert comparison.columns == ("temperature",)
    assert "8 done" in repr(comparison)


def test_a_frame_keeps_the_datas_index_and_other_columns(session: lk.Session) -> None:
    data = pd.DataFrame({"q": ["x", None, "z"], "text": ["p", "q", "r"]}, index=pd.Index([10, 20, 30], name="id"))
    comparison = session.compare("Say {q}", data)
    assert comparison.wait(10)
    frame = comparison.frame
    assert frame.index.tolist() == [10, 20, 30]
    assert frame.index.name == "id"
    assert frame["text_factor"].tolist() == ["p", "q", "r"]
    assert frame["status"].tolist() == ["done", "failed", "done"]
    assert "{q}" in frame["error"].iloc[1]


def test_errors_stay_in_their_cell(scripted: Callable[..., lk.Session]) -> None:
    session = scripted(lk.Answer("so far", error=lk.EngineError("it broke")), "fine")
    comparison = session.compare("{x}", x=["a", "b"], temperature=[0, 99])
    assert comparison.wait(10)
    frame = comparison.frame
    assert frame["status"].tolist() == ["failed", "failed", "done", "failed"]
    assert frame["error_code"].tolist()[:2] == ["server_error", "invalid_request"]
    assert frame["text"].iloc[0] == "so far"
    assert isinstance(comparison[1].error, lk.ValidationError)
    assert comparison[0].error is None


def test_a_run_that_goes_on_has_na_for_what_isnt_known(scripted: Callable[..., lk.Session]) -> None:
    go_on = threading.Event()

    def held(_: str) -> str:
        go_on.wait(10)
        return "there"

    comparison = scripted(held).compare("{x}", x=["a", "b"])
    assert comparison.frame["tokens_per_second"].isna().all()
    assert not comparison.ended
    go_on.set()
    assert asyncio.run(awaited(comparison)) is comparison
    assert comparison.frame["text"].tolist() == ["there", "there"]


async def awaited(comparison: lk.Comparison) -> lk.Comparison:
    return await comparison


def test_the_sessions_queue_limit_is_no_limit_of_a_comparison(scripted: Callable[..., lk.Session]) -> None:
    session = scripted(echo, session={"concurrency": 2, "queue_limit": 0}, tokens_per_second=4000)
    other = session.complete("in between")
    comparison = session.compare("{x}", x=[str(number) for number in range(60)])
    assert comparison.wait(20)
    assert set(comparison.frame["status"]) == {"done"}
    assert comparison.frame["concurrency"].max() <= 2
    assert other.result().text == "You said: in between"


def test_cancelling_stops_what_runs_and_begins_nothing_more(scripted: Callable[..., lk.Session]) -> None:
    session = scripted("a word " * 500, session={"concurrency": 2}, tokens_per_second=200)
    comparison = session.compare("{x}", x=["a", "b", "c", "d"])
    begun = threading.Event()
    comparison.subscribe(lambda cell, event: begun.set() if event is not None and event.type == "text-delta" else None)
    assert begun.wait(10)
    comparison.cancel()
    assert comparison.wait(10)
    assert set(comparison.frame["status"]) == {"cancelled"}
    assert comparison[3].run is None
    assert isinstance(comparison[3].error, lk.RunCancelled)


def test_a_cell_asked_again_begins_anew_for_all_who_follow(session: lk.Session) -> None:
    comparison = session.compare("{x}", x=["a", "b"])
    assert comparison.wait(10)
    comparison.score(len, name="length")
    seen: list[tuple[int | None, str]] = []
    ended = threading.Event()

    def take(cell: Any, event: Any) -> None:
        seen.append((None if cell is None else cell.index, "anew" if event is None else event.type))
        if len([each for each in seen if each[1] == "finish"]) == 3:
            ended.set()

    comparison.subscribe(take)
    first = comparison[1].run
    comparison[1].rerun()
    assert ended.wait(10)
    assert comparison.wait(10)
    assert comparison[1].run is not first
    after = seen[seen.index((1, "anew")) :]
    assert [kind for index, kind in after][:2] == ["anew", Start.type]
    assert after[-1] == (1, Finish.type)
    assert comparison.frame["length"].notna().tolist() == [True, False]


def test_cells_are_picked_by_number_level_or_factor(session: lk.Session) -> None:
    comparison = session.compare("{x} {y}", x=["a", "b"], y=["a", "c"], temperature=[0, 1])
    assert comparison[0] is comparison.cells[0]
    assert [cell.index for cell in comparison["b", 1]] == [5, 7]
    assert [cell.index for cell in comparison[{"x": "a", "y": ["c"]}]] == [2, 3]
    assert comparison.select(x="b", temperature=0) == comparison["b", 0]
    with pytest.raises(lk.ValidationError, match="x and y both"):
        comparison["a"]
    with pytest.raises(lk.ValidationError, match="x has no level 'q'"):
        comparison.select(x="q")
    comparison.arrange(rows="temperature")
    assert (comparison.rows, comparison.columns) == (("temperature",), ("x", "y"))
    comparison.wait()


# -- what is made of it --------------------------------------------------------------------------------------------


def test_scores_are_of_text_run_row_or_output_and_their_errors_a_warning(session: lk.Session) -> None:
    comparison = session.compare("{x}", x=["a", "bb"])

    def unsure(row: Any) -> float:
        if row["prompt"] == "a":
            raise ZeroDivisionError
        return float(row["characters"])

    with pytest.warns(lk.ScoreWarning, match="'unsure' is unknown for 1 of 2 cells; cell 0: ZeroDivisionError"):
        scores = comparison.score({"length": len, "tokens": lambda run: run.usage.output_tokens, "unsure": unsure})
    assert scores["length"].tolist() == [11, 12]
    assert scores["unsure"].isna().tolist() == [True, False]
    assert comparison.frame["tokens"].dtype == "Float64"
    assert comparison.scores["length"] == {0: 11, 1: 12}
    with pytest.raises(lk.ValidationError, match="column 'text' already"):
        comparison.score(len, name="text")


def test_a_pivot_has_factors_at_both_sides_and_means_of_repeats(session: lk.Session) -> None:
    comparison = session.compare("{x}{y}", x=["a", "b"], y=["c", "d"], repeat=2)
    assert comparison.wait(10)
    texts = comparison.pivot("text", rows="x", columns="y")
    assert texts.loc["b", "c"] == "You said: bc"
    assert comparison.pivot("characters", rows="x").shape == (2, 4)
    assert comparison.pivot("characters", rows="x", columns=()).to_numpy().tolist() == [[12.0], [12.0]]
    with pytest.raises(lk.ValidationError, match="no factor 'z'"):
        comparison.pivot("text", rows="z")


def test_a_saved_comparison_comes_back_from_the_ledger(tmp_path: Path) -> None:
    with lk.Session(engine=lk.Scripted([echo]), show=False, ledger=tmp_path / "ledger.sqlite3") as session:
        comparison = session.compare("{x}", x=["b", "a"], temperature=[0, 0.5], metadata={"mine": True})
        assert comparison.wait(10)
        comparison[0].rerun()
        assert comparison.wait(10)
        before = comparison.frame
        comparison.vote(0, 2, "a", first="b")
        assert comparison.votes["a_label"].tolist() == ["b · 0"]
        assert json.loads(session.runs["metadata"].iloc[0])["mine"] is True
    again = lk.comparison(comparison.id, tmp_path / "ledger.sqlite3")
    pd.testing.assert_frame_equal(again[["x", "temperature"]], before[["x", "temperature"]], check_index_type=False)
    assert again["run_id"].tolist() == before["run_id"].tolist()
    assert list(again.columns) == list(before.columns)
    with pytest.raises(lk.LedgerError, match="no run of a comparison"):
        lk.comparison("nonsense", tmp_path / "ledger.sqlite3")


@given(a=st.text(), b=st.text() | st.just(HOSTILE))
def test_a_diff_holds_both_texts_whole_and_its_html_is_text(a: str, b: str) -> None:
    found = diff(a, b)
    assert "".join(part.text for part in found if part.kind != "insert") == a
    assert "".join(part.text for part in found if part.kind != "delete") == b
    assert bool(found) == (a != b)
    html = found._repr_html_()
    assert "<script" not in html
    assert html.count("<") == 2 + 2 * sum(part.kind != "equal" for part in found)


def test_a_diff_marks_words() -> None:
    assert str(diff("the old man", "the young man")) == "the [-old -]{+young +}man"
    assert diff("a b", "a b").similarity == 1


def test_exports_keep_hostile_text_text(session: lk.Session, tmp_path: Path) -> None:
    comparison = session.compare("{x}", x=[HOSTILE, "=cmd()"])
    assert comparison.wait(10)
    comparison.score(lambda text: -len(text), name="minus")
    page = comparison.export(tmp_path / "it.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    table = comparison.export(tmp_path / "it.md").read_text(encoding="utf-8")
    assert len(table.splitlines()) == 4
    assert "<script" not in table
    safe = pd.read_csv(comparison.export(tmp_path / "it.csv"))
    assert safe["prompt"].tolist()[1] == "'=cmd()"
    assert (safe["minus"] < 0).all()
    plain = pd.read_csv(comparison.export(tmp_path / "plain.csv", escape_formulas=False), keep_default_na=False)
    assert plain["prompt"].tolist() == [HOSTILE, "=cmd()"]
    with pytest.raises(lk.ValidationError, match=r"\.xlsx can't be written"):
        comparison.export(tmp_path / "it.xlsx")


def test_parquet_without_pyarrow_names_the_extra(
    session: lk.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = session.compare("hi")
    assert comparison.wait(10)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(lk.Error, match=r"llmkit\[parquet\]"):
        comparison.export(tmp_path / "it.parquet")
