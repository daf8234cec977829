"""Structured output as views have it: in a run's state, in saved notebooks, in terminals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from llmkit import events
from llmkit.notebook import output_static, static
from llmkit.notebook.output_answer import Answer
from llmkit.notebook.run_state import RunState, in_order
from llmkit.output import MISSING, Output, OutputError, PartialJSON
from llmkit.terminal import Terminal
from tests.unit.notebook_runs import FakeRun
from tests.unit.test_notebook_static import Seen, harmless, hostile_text

if TYPE_CHECKING:
    from llmkit.output.spec import OutputSpec

CASES = json.loads(Path(__file__).with_name("partial_json_cases.json").read_text(encoding="utf-8"))
JSON = Output.json()
ROWS = [{"name": "Ada", "age": 36}, {"name": "<i>Bob</i>", "city": "Paris", "tags": ["a"]}]
HOSTILE = {"<img src=x onerror=alert(1)>": "</pre><script>alert(1)</script>", "a": ["$x$", "\u202e", {"`": "|"}]}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | hostile_text,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(hostile_text, inside, max_size=3),
    max_leaves=6,
)


def run_with(output: OutputSpec, *pieces: str, error: OutputError | None = None, reason: str = "stop") -> FakeRun:
    run = FakeRun()
    run.start()
    run.emit(events.StepStart, step=0, output=output)
    run.text(*pieces)
    run.finish("".join(pieces), output_error=error, finish_reason=reason)
    return run


def state_of(run: FakeRun) -> dict[str, Any]:
    state = RunState(run.id)
    run.subscribe(state.take)
    return state.to_dict()


def cut_run() -> FakeRun:
    text = '[{"name": "Ada"}, {"name": "Bo'
    error = OutputError("The answer was cut off before it was whole.", text=text, finish_reason="length")
    run = FakeRun()
    run.start(note="MLX is slow here.")
    run.emit(events.StepStart, step=0, output=JSON)
    run.text(text)
    run.emit(events.Noted, step=0, text=error.message)
    run.finish(text, output_error=error, finish_reason="length")
    return run


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"])
def test_beginnings_of_json_are_read_as_the_page_reads_them(case: dict[str, Any]) -> None:
    reader = PartialJSON()
    reader.feed(case["text"])
    assert reader.value == (MISSING if "missing" in case else case["value"])
    assert reader.broken == case.get("broken", False)


def test_a_state_tells_what_is_asked_and_where_the_last_steps_answer_begins() -> None:
    run = FakeRun()
    state = RunState(run.id)
    run.subscribe(state.take)
    run.start()
    run.emit(events.StepStart, step=0, output=JSON)
    assert state.to_dict()["output"] == {"kind": "json", "from": 0}
    run.text("I 😀 look.")
    run.end_call(run.call(), 1)
    run.emit(events.StepStart, step=1, output=JSON)
    run.emit(events.TextStart, step=1)
    run.text('{"a": 1}')
    assert state.to_dict()["output"] == {"kind": "json", "from": 12}
    text, card, between, answer = in_order(state.to_dict())
    assert (text, between, answer) == ("I 😀 look.", "\n\n", Answer("json", '{"a": 1}'))
    assert isinstance(card, dict)


def test_what_is_wrong_with_an_answer_is_told_once() -> None:
    """CONTRACT 49: cut by length raises with the partial text and finish reason."""
    state = state_of(cut_run())
    assert state["status"] == "done"
    assert state["note"] == "MLX is slow here."
    assert state["output_error"]["kind"] == "OutputError"
    for text in static.bundle(state).values():
        assert "Cut off" in text
        assert text.count("The answer was cut off before it was whole") == 1
        assert "Bo" in text


def test_an_array_of_objects_is_saved_as_a_table_with_the_whole_text_below() -> None:
    bundle = static.bundle(state_of(run_with(JSON, json.dumps(ROWS))))
    html = bundle["text/html"]
    assert {"table", "details", "pre"} <= Seen(html).tags
    assert [html.count(f">{name}</th>") for name in ("name", "age", "city", "tags")] == [1, 1, 1, 1]
    assert "&lt;i&gt;Bob&lt;/i&gt;" in html
    assert "2 rows" in html
    assert "&quot;age&quot;: 36" in html
    assert "| 0 | Ada | 36 |  |  |" in bundle["text/markdown"]
    assert json.loads(bundle["text/plain"].partition("\n\n[Done")[0]) == ROWS


def test_a_long_table_ends_with_how_much_more_there_is_and_the_text_has_all_of_it() -> None:
    rows = [{f"c{column}": f"r{row}" for column in range(30)} for row in range(1000)]
    html = static.html(state_of(run_with(JSON, json.dumps(rows))))
    assert html.count("<tr") == 31
    assert "… and 970 more rows and 10 more columns" in html
    assert "r999" in html


def test_another_value_is_saved_as_a_tree() -> None:
    value = {"title": "A <b>", "people": [{"name": "Ada", "tags": []}], "big": 12345678901234567890, "none": None}
    html = static.html(state_of(run_with(JSON, json.dumps(value))))
    harmless(html.replace("<details open>", "<details>"))
    for part in ("4 keys", "title", "&quot;A &lt;b&gt;&quot;", "1 item", "[]", "12345678901234567890", "null"):
        assert part in html


def test_a_large_or_deep_tree_is_cut_and_the_text_has_all_of_it() -> None:
    deep = "[" * 500 + "]" * 500
    for text in (json.dumps(list(range(5000))), deep, json.dumps({"a": "x" * 9000})):
        html = static.html(state_of(run_with(JSON, text)))
        shown, _, whole = html.partition("<pre")
        assert len(shown) < 60_000
        assert text.replace('"', "&quot;") in whole
    assert "… and 4,701 more" in static.html(state_of(run_with(JSON, json.dumps(list(range(5000))))))


def test_choices_patterns_and_grammars_are_letters() -> None:
    bundle = static.bundle(state_of(run_with(Output.choice(["**a**", "b"]), "**a**")))
    assert "<strong" not in bundle["text/html"]
    assert "**a**</pre>" in bundle["text/html"]
    assert "```\n**a**\n```" in bundle["text/markdown"]
    assert bundle["text/plain"].startswith("**a**\n\n[Done")


def test_what_should_be_json_and_isnt_shows_like_any_other_answer() -> None:
    html = static.html(state_of(run_with(JSON, "Sure, **here**")))
    assert "<strong>here</strong>" in html


@given(json_values, st.integers(0, 60))
def test_any_value_cut_anywhere_is_harmless(value: Any, cut: int) -> None:
    for text in (json.dumps(value, ensure_ascii=False), json.dumps(value)[:cut], json.dumps([{"a": value}])):
        answer = Answer("json", text)
        if not answer.is_json:
            continue
        harmless(output_static.html(answer).replace("<details open>", "<details>"))
        harmless(MarkdownIt("js-default", {"html": True, "linkify": False}).render(output_static.marked(answer)))


@pytest.mark.parametrize("value", [HOSTILE, [HOSTILE], [[HOSTILE]]])
def test_hostile_names_and_values_are_text(value: Any) -> None:
    bundle = static.bundle(state_of(run_with(JSON, json.dumps(value, ensure_ascii=False))))
    assert all("\u202e" not in text for text in bundle.values())
    harmless(bundle["text/html"].replace("<details open>", "<details>"))
    harmless(MarkdownIt("js-default", {"html": True}).render(bundle["text/markdown"]))


def test_a_terminal_prints_json_indented_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"items": ["a long text, so that it takes more than a line", "and another one of them"], "n": 1.5}
    text = json.dumps(value)
    run = FakeRun()
    Terminal().show(run)
    run.start()
    run.emit(events.StepStart, step=0, output=JSON)
    run.text(text[:20])
    assert capsys.readouterr().out == ""
    run.text(text[20:])
    run.finish(text)
    printed = capsys.readouterr().out
    assert json.loads(printed) == value
    assert printed.count("\n") > 3


def test_a_terminal_prints_what_there_is_of_json_that_was_cut(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().show(cut_run())
    out, err = capsys.readouterr()
    assert out == '[{"name": "Ada"}, {"name": "Bo\n'
    assert "OutputError: The answer was cut off before it was whole." in err
    assert "Cut off · SmolLM2" in err


def test_a_terminal_lets_go_of_what_another_step_follows(capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRun()
    Terminal().show(run)
    run.start()
    run.emit(events.StepStart, step=0, output=JSON)
    run.text("I look.")
    run.end_call(run.call(), 1)
    run.emit(events.StepStart, step=1, output=JSON)
    assert capsys.readouterr().out == "I look.\n"
    run.finish("")  # what a terminal shows is awaited when the interpreter ends


def test_a_number_that_python_cannot_hold_is_printed_as_it_was_written() -> None:
    assert Answer("json", "[1e999]").written() == "[1e999]"
