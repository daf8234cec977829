"""The DataFrames: their columns, what is unknown in them, what they come to."""

from __future__ import annotations

import inspect
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmkit.errors import LedgerError, ValidationError
from llmkit.records import Ledger, Vote, aggregate, export_json, frames, history
from llmkit.records.columns import APPROVALS, MODELS, RUNS, STEPS, TOKENS, TOOL_CALLS, VOTES, Column, column_table
from llmkit.records.image import IMAGE
from llmkit.results import Stats, Usage
from tests.unit.ledger_runs import TOKENS as DECODED
from tests.unit.ledger_runs import Story, record_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DECLARED = {
    "runs": RUNS,
    "steps": STEPS,
    "tokens": TOKENS,
    "tool_calls": TOOL_CALLS,
    "approvals": APPROVALS,
    "votes": VOTES,
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite3")
    yield opened
    opened.close()


def frame_of(ledger: Ledger, table: str) -> pd.DataFrame:
    read: dict[str, Callable[[], pd.DataFrame]] = {
        "runs": ledger.runs,
        "steps": ledger.steps,
        "tokens": lambda: ledger.tokens("run-1"),
        "tool_calls": ledger.tool_calls,
        "approvals": ledger.approvals,
        "votes": ledger.votes,
    }
    return read[table]()


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


@pytest.mark.parametrize("table", DECLARED)
def test_a_frame_has_the_declared_columns_and_dtypes_also_when_empty(ledger: Ledger, table: str) -> None:
    declared = {column.name: column.dtype for column in DECLARED[table]}
    empty = frame_of(ledger, table)
    assert (len(empty), dtypes(empty)) == (0, declared)
    story = Story(ledger.recorder())
    story.decode()
    story.call("1", "get_weather", city="Tokyo")
    story.ask("1", "get_weather", city="Tokyo")
    story.finish_step("Because.", stats=None, usage=Usage())
    story.end("Because.")
    ledger.vote(Vote(comparison_id="c", a_cell=0, b_cell=1, verdict="a"))
    full = frame_of(ledger, table)
    assert (len(full) > 0, dtypes(full)) == (True, declared)


@pytest.mark.parametrize("table", DECLARED)
def test_every_column_is_in_the_table_and_described(ledger: Ledger, table: str) -> None:
    ledger.flush()
    connection = sqlite3.connect(ledger.path or "")
    names = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    connection.close()
    declared = [column for column in DECLARED[table] if table == "runs" or column.name not in {"run_id", "session_id"}]
    assert {column.name for column in declared} <= names
    assert all(column.description for column in DECLARED[table])


@pytest.mark.parametrize(
    ("function", "columns"),
    [
        (frames.runs_frame, RUNS),
        (frames.steps_frame, STEPS),
        (frames.tokens_frame, TOKENS),
        (frames.tool_calls_frame, TOOL_CALLS),
        (frames.approvals_frame, APPROVALS),
        (frames.tokens_frame_of, TOKENS),
        (frames.models_frame, MODELS),
        (Ledger.runs, RUNS),
        (Ledger.steps, STEPS),
        (Ledger.tokens, TOKENS),
        (Ledger.tool_calls, TOOL_CALLS),
        (Ledger.approvals, APPROVALS),
        (frames.votes_frame, VOTES),
        (Ledger.votes, VOTES),
        (history, RUNS),
    ],
)
def test_a_docstring_shows_every_column_with_dtype_and_unit(
    function: Callable[..., Any], columns: tuple[Column, ...]
) -> None:
    text = inspect.getdoc(function) or ""
    assert "\n".join(column_table(columns)) in text
    for column in columns:
        line = next(line for line in text.splitlines() if line.split()[:1] == [column.name])
        assert column.dtype in line
        assert column.unit in line
        assert column.description in line


def test_every_number_of_usage_and_stats_has_a_column() -> None:
    stats = set(Stats().to_dict())
    usage = set(Usage.__dataclass_fields__) - {"steps"}
    for columns in (RUNS, STEPS):
        assert stats | usage <= {column.name for column in columns}


numbers = st.one_of(
    st.none(), st.floats(allow_nan=True, allow_infinity=True), st.integers(min_value=-(2**70), max_value=2**70)
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=numbers, seconds=numbers, word=st.one_of(st.none(), st.text(min_size=1, max_size=9)))
def test_a_frame_says_what_the_table_says(ledger: Ledger, count: Any, seconds: Any, word: str | None) -> None:
    """Frames are read from images of the rows, which must not differ from them."""
    story = Story(ledger.recorder(), model=word)
    story.end("", stats=Stats(prompt_tokens=count, decode_time=seconds, device=word))
    row = ledger.runs(limit=1).iloc[0]
    connection = sqlite3.connect(ledger.path or "")
    names = [column.name for column in RUNS if not column.dtype.startswith("datetime")]
    connection.row_factory = sqlite3.Row
    stored = connection.execute("SELECT * FROM runs ORDER BY key DESC LIMIT 1").fetchone()
    connection.close()
    assert {name: None if pd.isna(row[name]) else row[name] for name in names} == {name: stored[name] for name in names}


def test_a_frame_follows_changes_made_by_hand(ledger: Ledger) -> None:
    record_run(ledger.recorder())
    assert ledger.runs()["model"].tolist() == ["small"]
    connection = sqlite3.connect(ledger.path or "", isolation_level=None)
    connection.execute("UPDATE runs SET model = 'renamed', decode_time = 42")
    connection.close()
    runs = ledger.runs()
    assert (runs["model"].tolist(), runs["decode_time"].tolist()) == (["renamed"], [42.0])


def test_an_image_holds_what_is_no_text() -> None:
    assert [column.name for column in IMAGE] == sorted(column.name for column in RUNS if column.dtype != "string")


def test_times_are_in_utc_to_the_microsecond(ledger: Ledger) -> None:
    began = datetime(2026, 11, 22, 9, 30, 15, 123456, tzinfo=UTC)
    Story(ledger.recorder(), time=began.timestamp())
    assert ledger.runs()["created"].tolist() == [pd.Timestamp(began)]


def test_categories_are_the_words_that_occur(ledger: Ledger) -> None:
    def words(frame: pd.DataFrame) -> list[str]:
        return list(frame["model"].cat.categories)

    for model in ("small", "large", "small"):
        record_run(ledger.recorder(), model=model)
    assert words(ledger.runs()) == ["large", "small"]
    assert words(ledger.runs(model="large")) == ["large"]
    assert ledger.runs().groupby("model", observed=True).size().to_dict() == {"large": 1, "small": 2}


def test_tokens_of_results_are_a_frame_without_a_ledger(ledger: Ledger) -> None:
    story = Story(ledger.recorder())
    story.decode()
    step = story.finish_step("Hello", tokens=DECODED)
    pd.testing.assert_frame_equal(frames.tokens_frame_of([step]), ledger.tokens("run-1"))


def test_models_are_a_frame() -> None:
    class Admission:
        inside, waiting = 2, 1

    class Resident:
        name, state, engine_name, reason, info, load_time = "small", "loading", "llamacpp", "no Metal here", None, None
        admission = Admission()

    frame = frames.models_frame([Resident()])
    assert dtypes(frame) == {column.name: column.dtype for column in MODELS}
    row = {name: frame[name].iloc[0] for name in frame}
    assert (row["model"], row["state"], row["running"], row["waiting"]) == ("small", "loading", 2, 1)
    assert pd.isna(row["memory"])
    assert frames.models_frame([]).empty


def test_aggregates_are_of_each_measure(ledger: Ledger) -> None:
    """CONTRACT 6: count, min, max, mean, sum, last as a DataFrame; what is unknown doesn't count."""
    for number, seconds in enumerate((1.0, 4.0, None)):
        Story(ledger.recorder(), f"run-{number}").end("", stats=Stats(decode_time=seconds, generated_tokens=number))
    table = aggregate(ledger.runs())
    assert list(table.columns) == ["count", "min", "max", "mean", "sum", "last"]
    assert list(table.loc["decode_time"]) == [2, 1.0, 4.0, 2.5, 5.0, 4.0]
    assert list(table.loc["generated_tokens"]) == [3, 0.0, 2.0, 1.0, 3.0, 2.0]
    assert table.loc["load_time", "count"] == 0
    assert table.loc["load_time", ["min", "max", "mean", "sum", "last"]].isna().all()
    assert set(table.index) == {column.name for column in RUNS if column.unit}
    assert (aggregate(ledger.runs(limit=0))["count"] == 0).all()


def test_json_holds_runs_and_aggregates_with_null_for_na(ledger: Ledger, tmp_path: Path) -> None:
    """CONTRACT 6: export to JSON."""
    story = Story(ledger.recorder(), time=1.75e9)
    story.end("„Because“ \x00 👩‍👩‍👧 </script>", stats=Stats(decode_time=0.1))
    text = export_json(ledger.runs(), tmp_path / "runs.json")
    assert (tmp_path / "runs.json").read_text(encoding="utf-8") == text
    document = json.loads(text)
    [run] = document["runs"]
    assert list(run) == [column["name"] for column in document["columns"]] == [column.name for column in RUNS]
    assert (run["text"], run["decode_time"], run["load_time"]) == ("„Because“ \x00 👩‍👩‍👧 </script>", 0.1, None)
    assert run["created"].startswith("2025-06-15T15:06:40")
    assert document["aggregates"]["decode_time"]["sum"] == 0.1
    assert document["aggregates"]["load_time"] == {
        "count": 0,
        "min": None,
        "max": None,
        "mean": None,
        "sum": None,
        "last": None,
    }


def test_conditions_choose_runs_and_a_limit_the_latest(ledger: Ledger) -> None:
    for number in range(6):
        Story(
            ledger.recorder(),
            f"run-{number}",
            time=1.75e9 + number,
            session_id=f"session-{number % 2}",
            model="m' OR 1",
        ).end("", "done" if number < 4 else "failed")

    def ids(**conditions: Any) -> list[str]:
        return [run.removeprefix("run-") for run in ledger.runs(**conditions)["run_id"]]

    assert ids(session_id="session-1") == ["1", "3", "5"]
    assert ids(status="failed") == ["4", "5"]
    assert ids(limit=2) == ["4", "5"]
    assert ids(limit=0) == []
    assert ids(session_id="session-0", status="done", limit=1) == ["2"]
    assert ids(model="m' OR 1") == ["0", "1", "2", "3", "4", "5"]
    assert ids(model="' OR 1=1 --") == []
    since = datetime.fromtimestamp(1.75e9 + 4, tz=UTC)
    assert ids(since=since) == ids(since=since.isoformat()) == ids(since=pd.Timestamp(since)) == ["4", "5"]
    assert ids(since=since.astimezone().replace(tzinfo=None)) == ["4", "5"]
    assert ids(since=timedelta(days=1)) == []
    assert ids(since="2020-01-01", limit=1) == ["5"]


@pytest.mark.parametrize(
    "condition",
    [
        {"status": "finished"},
        {"limit": -1},
        {"limit": 1.5},
        {"limit": True},
        {"limit": 2**63},
        {"since": "yesterday"},
        {"since": 5},
        {"since": pd.NaT},
        {"since": timedelta.max},
    ],
    ids=str,
)
def test_a_condition_that_cant_be_used_is_named(ledger: Ledger, condition: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        ledger.runs(**condition)
    assert caught.value.field == next(iter(condition))


def test_history_reads_all_sessions_without_a_ledger_open(ledger: Ledger) -> None:
    record_run(ledger.recorder(), "one")
    record_run(ledger.recorder(), "two", session_id="session-2")
    open_now = history(ledger.path)
    ledger.close()
    closed = history(ledger.path)
    pd.testing.assert_frame_equal(open_now, closed)
    assert closed["run_id"].tolist() == ["one", "two"]
    assert history(ledger.path, session="session-2")["run_id"].tolist() == ["two"]
    assert history(ledger.path, model="large").empty


def test_history_sees_a_default_ledger_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKIT_LEDGER", ":memory:")
    assert history().empty
    ledger = Ledger()
    record_run(ledger.recorder())
    assert history()["run_id"].tolist() == ["run-1"]
    ledger.close()


def test_history_makes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "none.sqlite3"
    with pytest.raises(LedgerError, match="There is no ledger at"):
        history(path)
    monkeypatch.setenv("LLMKIT_LEDGER", str(path))
    assert dtypes(history()) == {column.name: column.dtype for column in RUNS}
    assert list(tmp_path.iterdir()) == []
