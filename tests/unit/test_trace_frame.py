"""A run's spans as a DataFrame."""

from __future__ import annotations

import inspect
from typing import Any

import pandas as pd
import pytest

from llmkit.records.columns import column_table
from llmkit.tracing import TRACE, Trace, spans_frame, trace_frame
from tests.unit.trace_runs import BEGAN, troubles, two_steps


@pytest.mark.parametrize("events", [[], two_steps().events, troubles().events], ids=["none", "two steps", "troubles"])
def test_a_frame_has_the_declared_columns_and_dtypes(events: Any) -> None:
    frame = trace_frame(events)
    assert {str(name): str(dtype) for name, dtype in frame.dtypes.items()} == {each.name: each.dtype for each in TRACE}
    assert len(frame) == len(Trace(events))


def test_a_row_tells_what_its_span_does() -> None:
    frame = trace_frame(two_steps().events).set_index("span")
    tool = frame[frame["kind"] == "tool"].iloc[0]
    assert (tool["name"], tool["step"], tool["status"], tool["decided_by"]) == ("get_weather", 0, "ok", "panel")
    assert (tool["start"], tool["duration"]) == (pytest.approx(1.8), pytest.approx(0.4))
    assert (tool["arguments"], tool["output"]) == ('{"city": "Tokyo"}', '{"temperature": 22}')
    assert frame.loc[tool["parent"], "name"] == "step 0"
    assert tool["started"] == pd.Timestamp(BEGAN + 1.8, unit="s", tz="UTC").round("us")
    prefill = frame[frame["kind"] == "prefill"].iloc[0]
    assert (prefill["input_tokens"], prefill["cache_tokens"]) == (36, 12)
    decode = frame[frame["kind"] == "decode"].iloc[0]
    assert (decode["output_tokens"], decode["tokens_per_second"]) == (8, pytest.approx(20))


def test_errors_and_reasons_are_in_one_column() -> None:
    frame = trace_frame(troubles().events).set_index("name")
    assert frame.loc["count", "error"] == "ValueError: three is too many"
    assert frame.loc["fly", "error"] == "There is no tool fly."
    assert frame.loc["run", "error"] == "Stop was pressed"


def test_what_goes_on_has_no_duration() -> None:
    begun = [event for event in two_steps().events if event.time < BEGAN + 1.5]
    frame = trace_frame(begun)
    assert frame.loc[frame["status"] == "open", "duration"].isna().all()
    assert frame.loc[frame["kind"] == "approval", "status"].tolist() == ["open", "open"]


def test_both_docstrings_hold_the_table() -> None:
    for function in (trace_frame, spans_frame):
        assert "\n".join(column_table(TRACE)) in (inspect.getdoc(function) or "")
