"""What runs leave in the ledger."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmkit.events import End
from llmkit.messages import Message
from llmkit.records import Ledger
from llmkit.records.record import STATUS_OF_END
from llmkit.records.writer import Writer
from llmkit.results import Usage
from tests.unit.ledger_runs import STATS, Story, record_run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records" / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    opened = Ledger(path)
    yield opened
    opened.close()


def only(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the one row that ``frame`` has."""
    assert len(frame) == 1
    return {str(name): frame[name].iloc[0] for name in frame}


def stored(path: Path, sql: str) -> Any:
    """Return the one value that ``sql`` finds in the file."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchone()[0]
    finally:
        connection.close()


def test_a_run_that_is_done_leaves_a_complete_row(ledger: Ledger) -> None:
    story = Story(ledger.recorder(), metadata={"topic": "skies"})
    story.say("Because.", reasoning="Hm.")
    step = story.finish_step("Because.")
    story.end("Because.", reasoning="Hm.", steps=(step,))
    row = only(ledger.runs())
    assert {name: row[name] for name in ("run_id", "session_id", "model", "engine", "status", "prompt")} == {
        "run_id": "run-1",
        "session_id": "session-1",
        "model": "small",
        "engine": "scripted",
        "status": "done",
        "prompt": "Why?",
    }
    assert (row["text"], row["reasoning"], row["finish_reason"], row["raw_finish_reason"]) == (
        "Because.",
        "Hm.",
        "stop",
        "eos",
    )
    assert (row["input_tokens"], row["cache_read_tokens"], row["requests"], row["step_count"]) == (12, 8, 1, 1)
    numbers = {name: value for name, value in STATS.to_dict().items() if value is not None}
    assert {name: row[name] for name in numbers} == pytest.approx(numbers)
    assert (row["temperature"], row["stream"], row["metadata"]) == (0.5, True, '{"topic": "skies"}')
    assert row["created"] <= row["ended"] <= pd.Timestamp.now("UTC")


def test_a_cancelled_run_says_so_and_by_what(ledger: Ledger) -> None:
    """CONTRACT 7: the ledger row says ``cancelled``."""
    story = Story(ledger.recorder())
    story.say("Beca")
    story.end("Beca", "cancelled")
    row = only(ledger.runs(status="cancelled"))
    assert (row["text"], row["finish_reason"], row["abort_reason"]) == ("Beca", "cancelled", "Stop was pressed")
    assert row["error_message"] is pd.NA


def test_a_failed_run_keeps_its_error(ledger: Ledger) -> None:
    Story(ledger.recorder()).end("", "failed")
    row = only(ledger.runs(status="failed"))
    assert (row["error_code"], row["error_message"]) == ("timeout", "It took too long. Raise timeout=.")


def test_a_run_is_there_from_its_start(ledger: Ledger) -> None:
    Story(ledger.recorder())
    row = only(ledger.runs())
    assert (row["status"], row["text"]) == ("running", "")
    assert row["ended"] is pd.NaT


def test_reading_sees_all_that_was_recorded_before(ledger: Ledger) -> None:
    story = Story(ledger.recorder())
    for text in ("One", "Two", "Three"):
        story.say(text)
        assert only(ledger.runs())["text"] == text


def test_text_that_streams_is_saved_without_being_asked_for(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmkit.records.writer.SAVE_INTERVAL", 0.01)
    written = Saved(monkeypatch)
    Story(ledger.recorder()).say("So far")
    written.until(lambda: stored(path, "SELECT text FROM runs") == "So far")


def test_a_finished_run_is_saved_without_being_asked_for(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Saved(monkeypatch)
    record_run(ledger.recorder())
    written.until(lambda: stored(path, "SELECT status FROM runs") == "done")


def test_unknown_numbers_are_na(ledger: Ledger) -> None:
    """CONTRACT 5: an unknown number is NA, never 0; a non-finite one is dropped; stats may be off."""
    Story(ledger.recorder()).end("", usage=Usage(input_tokens=10**40), stats=None)
    row = only(ledger.runs())
    assert all(row[name] is pd.NA for name in ("input_tokens", "output_tokens", "decode_time", "peak_memory", "seed"))
    assert pd.isna(row["device"])
    story = Story(ledger.recorder(), "run-2")
    story.finish_step("", response=None)
    assert only(ledger.steps(run_id="run-2"))["created"] is pd.NaT


def test_steps_leave_a_row_each_and_once(ledger: Ledger) -> None:
    story = Story(ledger.recorder())
    first = story.finish_step("One", step=0)
    second = story.finish_step("Two", step=1, warnings=("No seed.",), stats=None)
    story.end("Two", steps=(first, second))
    steps = ledger.steps(session_id="session-1")
    assert steps["step"].tolist() == [0, 1]
    assert steps["text"].tolist() == ["One", "Two"]
    assert steps["run_id"].tolist() == ["run-1", "run-1"]
    assert steps["decode_time"].isna().tolist() == [False, True]
    assert steps["warnings"].iloc[1] == '["No seed."]'
    assert only(ledger.runs())["step_count"] == 2


def test_a_step_that_only_the_end_tells_of_is_kept(ledger: Ledger) -> None:
    told: list[Any] = []
    result = Story(told.append).finish_step("Cut", finish_reason="cancelled")
    Story(ledger.recorder()).end("Cut", "cancelled", steps=(result,))
    assert only(ledger.steps())["text"] == "Cut"


def test_tokens_are_numbered_within_their_step(ledger: Ledger) -> None:
    story = Story(ledger.recorder())
    story.decode(0)
    story.decode(1)
    tokens = ledger.tokens("run-1")
    assert list(zip(tokens["step"], tokens["position"], strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert tokens["logprob"].tolist() == [-0.5, -0.25] * 2
    assert tokens["alternatives"].iloc[0] == [
        {"id": 7, "text": "Hel", "logprob": -0.5},
        {"id": 9, "text": "Hi", "logprob": -1.5},
    ]
    assert tokens["alternatives"].iloc[1] == []
    assert ledger.tokens("another").empty


def test_messages_and_settings_are_kept_as_json(ledger: Ledger, path: Path) -> None:
    messages = (Message("user", "Why \ud800?"), Message("assistant", "So.", reasoning="Hm"))
    Story(ledger.recorder(), messages=messages)
    ledger.flush()
    kept = json.loads(stored(path, "SELECT messages FROM runs"))
    assert [Message.from_dict(each) for each in kept] == list(messages)
    assert json.loads(stored(path, "SELECT settings FROM runs"))["temperature"] == 0.5


def test_runs_of_two_sessions_may_have_the_same_id(ledger: Ledger) -> None:
    record_run(ledger.recorder(), text="One")
    record_run(ledger.recorder(), text="Two", session_id="session-2")
    assert ledger.runs()["text"].tolist() == ["One", "Two"]
    assert only(ledger.steps("session-2"))["text"] == "Two"


HOSTILE = {
    "quotes": "'; DROP TABLE runs; -- \" ` \\",
    "nul": "before\x00after",
    "emoji": "👩‍👩‍👧‍👦 🇯🇵",
    "control": "\x1b[31m\r\n\t\x7f\u2028\u202e",
    "markup": "<img src=x onerror=alert(1)>",
    "long": "abcdefgh" * 131_072,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_survives_everywhere(ledger: Ledger, text: str) -> None:
    story = Story(
        ledger.recorder(), text, session_id=text, model=text, messages=(Message("user", text),), metadata={text: text}
    )
    story.say("x", reasoning=text)
    story.end(text, "failed", reasoning=text, steps=(story.finish_step(text),))
    row = only(ledger.runs(text, model=text))
    assert [row[name] for name in ("run_id", "session_id", "model", "prompt", "text", "reasoning")] == [text] * 6
    assert json.loads(row["metadata"]) == {text: text}
    assert only(ledger.steps(run_id=text))["text"] == text


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec=None, categories=None)))
def test_any_text_survives_but_for_lone_surrogates(ledger: Ledger, text: str) -> None:
    """What no file and no notebook can hold comes back as the replacement character."""
    story = Story(ledger.recorder(), metadata={"text": text})
    story.end(text)
    row = ledger.runs(limit=1).iloc[0]
    assert row["text"] == re.sub("[\ud800-\udfff]", "\ufffd", text)
    assert json.loads(row["metadata"]) == {"text": text}


def test_metadata_may_be_anything(ledger: Ledger) -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    loop: dict[str, Any] = {}
    loop["self"] = loop
    for number, value in enumerate(({"path": Path("x")}, {"rude": Rude()}, loop, {(1, 2): 3}, {"n": 10**5000})):
        Story(ledger.recorder(), f"run-{number}", metadata=value)
    runs = ledger.runs()
    assert len(runs) == 5
    assert all(isinstance(json.loads(text), dict | str) for text in runs["metadata"])


def test_one_record_that_cant_be_saved_takes_no_other_with_it(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    Story(ledger.recorder(), session_id=None)
    record_run(ledger.recorder(), "run-2")
    with caplog.at_level(logging.ERROR, "llmkit"):
        assert only(ledger.runs())["run_id"] == "run-2"
    assert "Run run-1 couldn't be recorded" in caplog.text


def test_events_before_a_start_leave_nothing(ledger: Ledger) -> None:
    story = Story(lambda _: None)
    story._take = ledger.recorder()
    story.say("x")
    story.end("x")
    assert ledger.runs().empty


def test_a_recorder_outlives_the_ledger(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    story = Story(ledger.recorder())
    ledger.close()
    with caplog.at_level(logging.WARNING, "llmkit"):
        story.say("late")
        story.end("late")
        record_run(ledger.recorder(), "run-2")
    assert "isn't recorded" in caplog.text
    assert only(ledger.runs())["status"] == "running"


def test_closing_saves_all_and_may_be_repeated(ledger: Ledger, path: Path) -> None:
    Story(ledger.recorder()).say("So far")
    ledger.close()
    ledger.close()
    assert stored(path, "SELECT text FROM runs") == "So far"
    assert not path.with_name(path.name + "-wal").exists()


def test_reading_works_after_closing(ledger: Ledger, path: Path) -> None:
    memory = Ledger(":memory:")
    for each in (ledger, memory):
        record_run(each.recorder())
        each.close()
        assert only(each.runs())["text"] == "Because."
    assert not path.with_name(path.name + "-wal").exists()


def test_a_ledger_in_memory_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = Ledger(":memory:")
    record_run(ledger.recorder())
    assert only(ledger.runs())["status"] == "done"
    ledger.close()
    assert list(tmp_path.iterdir()) == []
    assert ledger.path is None


def test_the_file_is_for_its_owner_alone(ledger: Ledger, path: Path) -> None:
    record_run(ledger.recorder())
    ledger.flush()
    assert [each.stat().st_mode & 0o077 for each in (path, path.with_name(path.name + "-wal"))] == [0, 0]


def test_the_environment_names_the_default(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKIT_LEDGER", str(path))
    ledger = Ledger()
    ledger.close()
    assert ledger.path == path
    assert path.exists()


def test_without_it_the_default_is_in_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import platformdirs

    monkeypatch.delenv("LLMKIT_LEDGER", raising=False)
    monkeypatch.setattr(platformdirs, "user_data_path", lambda name, **_: tmp_path / name)
    ledger = Ledger()
    ledger.close()
    assert ledger.path == tmp_path / "llmkit" / "ledger.sqlite3"


def test_every_ending_has_a_status() -> None:
    assert {kind.type for kind in STATUS_OF_END} == {kind.type for kind in End.__subclasses__()}


class Saved:
    """Waits for the writer to have written, by being told of each of its writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from queue import SimpleQueue

        self._writes: SimpleQueue[None] = SimpleQueue()
        write = Writer._write

        def telling(writer: Writer) -> None:
            write(writer)
            self._writes.put(None)

        monkeypatch.setattr(Writer, "_write", telling)

    def until(self, condition: Any) -> None:
        """Return when the condition holds; it is looked at after each write."""
        while True:
            self._writes.get(timeout=20)
            if condition():
                return
