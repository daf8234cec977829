"""Ledgers that are new, old, damaged, or can't be written."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmkit.errors import LedgerError
from llmkit.events import ToolCallMade
from llmkit.records import Ledger, LedgerWarning, Vote, history, schema
from llmkit.records.database import PAGE_SIZE
from llmkit.records.schema import VERSION
from llmkit.records.writer import Writer
from llmkit.tools.calls import ToolCall
from tests.unit.ledger_runs import Story, record_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def old_runs(path: Path) -> Path:
    """Return the path of a ledger with ten runs."""
    ledger = Ledger(path)
    for number in range(10):
        record_run(ledger.recorder(), f"old-{number}", text="x" * 5000)
    ledger.close()
    return path


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    opened = Ledger(path)
    yield opened
    opened.close()


def execute(path: Path, sql: str) -> Any:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(sql).fetchone()
    finally:
        connection.close()


def aside(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.damaged-*"))


def test_a_new_ledger_has_this_version(ledger: Ledger, path: Path) -> None:
    assert execute(path, "PRAGMA user_version") == (VERSION,)
    assert execute(path, "PRAGMA journal_mode") == ("wal",)
    assert ledger.runs().empty


def test_an_older_ledger_is_migrated_with_its_runs(old_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = ("CREATE TABLE notes (run INTEGER NOT NULL REFERENCES runs (key), text TEXT)",)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, notes))
    monkeypatch.setattr(schema, "VERSION", VERSION + 1)
    ledger = Ledger(old_runs)
    record_run(ledger.recorder(), "new")
    assert ledger.runs()["run_id"].tolist() == [*(f"old-{number}" for number in range(10)), "new"]
    ledger.close()
    assert execute(old_runs, "PRAGMA user_version") == (VERSION + 1,)
    assert execute(old_runs, "SELECT count(*) FROM notes") == (0,)


def restored(path: Path, version: int) -> Path:
    """Return the path of a ledger that an earlier version wrote: a dump of it, read back."""
    connection = sqlite3.connect(path)
    connection.executescript(Path(__file__).with_name(f"ledger_v{version}.sql").read_text(encoding="utf-8"))
    connection.close()
    return path


@pytest.fixture
def version_1(path: Path) -> Path:
    """Return the path of a ledger of the first version."""
    return restored(path, 1)


def contents(path: Path, tables: Sequence[str] = ("runs", "steps", "tokens", "labels")) -> dict[str, list[Any]]:
    """Return the known values of all rows, by column; but for the images, which are made anew."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}  # noqa: S608
    connection.close()
    return {
        table: [{name: row[name] for name in row.keys() if name != "image" and row[name] is not None} for row in found]  # noqa: SIM118 - a Row iterates its values
        for table, found in rows.items()
    }


def test_a_ledger_of_version_1_loses_nothing_and_takes_tool_calls(version_1: Path) -> None:
    before = contents(version_1)
    assert execute(version_1, "PRAGMA user_version") == (1,)
    ledger = Ledger(version_1)
    assert contents(version_1) == before
    assert ledger.runs()["status"].tolist() == ["done", "cancelled", "failed"]
    assert ledger.runs()["model"].tolist() == ["small", "small", "lärge \"'\u202e"]
    assert ledger.tool_calls().empty
    assert ledger.approvals().empty
    story = Story(ledger.recorder(), "new")
    story.tell(ToolCallMade, step=0, call=ToolCall("1", "get_weather"))
    assert ledger.tool_calls()["tool"].tolist() == ["get_weather"]
    ledger.close()
    assert execute(version_1, "PRAGMA user_version") == (VERSION,)
    assert contents(version_1)["steps"] == before["steps"]


def test_a_ledger_of_version_2_loses_nothing_and_takes_votes(path: Path) -> None:
    tables = ("runs", "steps", "tokens", "labels", "tool_calls", "approvals")
    before = contents(restored(path, 2), tables)
    assert execute(path, "PRAGMA user_version") == (2,)
    ledger = Ledger(path)
    assert contents(path, tables) == before
    assert ledger.runs()["status"].tolist() == ["done", "failed"]
    assert ledger.tool_calls()["outcome"].tolist() == ["success"]
    assert ledger.approvals()["decided_by"].tolist() == ["panel"]
    assert ledger.runs()["build"].isna().all()
    assert ledger.votes().empty
    ledger.vote(Vote(comparison_id="c", a_cell=0, b_cell=1, verdict="tie"))
    record_run(ledger.recorder(), "new")
    assert ledger.votes()["verdict"].tolist() == ["tie"]
    ledger.close()
    assert execute(path, "PRAGMA user_version") == (VERSION,)
    known = "SELECT count(fingerprint), count(*) FROM runs"
    assert execute(path, known) == (1, 3)


def test_processes_of_the_older_version_keep_their_records_until_told_why(version_1: Path) -> None:
    """Whoever has the file open when a newer process migrates it writes no row that it would get wrong."""
    older = Ledger(version_1)
    assert len(older.runs()) == 3
    execute(version_1, f"PRAGMA user_version = {VERSION + 1}")
    record_run(older.recorder(), "late")
    known = f"has version {VERSION + 1}; this llmkit knows versions up to {VERSION}. Upgrade"
    with pytest.warns(LedgerWarning, match=known):
        older.flush()
    with pytest.warns(LedgerWarning, match="are lost"):
        older.close()
    assert execute(version_1, "SELECT count(*) FROM runs") == (3,)


def test_a_migration_that_fails_changes_nothing(old_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE a (b)", "CREATE TABLE a (b)")))
    monkeypatch.setattr(schema, "VERSION", VERSION + 1)
    with pytest.raises(LedgerError, match=r"can't be opened: table a already exists\. Pass another path"):
        Ledger(old_runs)
    assert execute(old_runs, "PRAGMA user_version") == (VERSION,)
    assert execute(old_runs, "SELECT count(*) FROM sqlite_schema WHERE name = 'a'") == (0,)


def test_a_newer_ledger_is_refused_by_name_of_both_versions(old_runs: Path) -> None:
    execute(old_runs, "PRAGMA user_version = 7")
    before = old_runs.read_bytes()
    with pytest.raises(LedgerError, match=rf"version 7; .* up to {VERSION}\. Upgrade llmkit .* ledger="):
        Ledger(old_runs)
    with pytest.raises(LedgerError, match="version 7"):
        history(old_runs)
    assert old_runs.read_bytes() == before


def test_a_ledger_that_becomes_newer_is_written_no_more(
    ledger: Ledger, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    execute(path, "PRAGMA user_version = 7")
    with caplog.at_level(logging.WARNING, "llmkit"):
        record_run(ledger.recorder())
        with pytest.warns(LedgerWarning, match="version 7"):
            ledger.flush()
    assert "can't be written" in caplog.text
    assert execute(path, "SELECT count(*) FROM runs") == (0,)
    execute(path, f"PRAGMA user_version = {VERSION}")
    assert ledger.runs()["status"].tolist() == ["done"]


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    execute(path, "CREATE TABLE bookmarks (url)")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="another program's database"):
        Ledger(path)
    assert path.read_bytes() == before


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="is a folder"):
        Ledger(tmp_path)


@pytest.mark.parametrize("start", [0, PAGE_SIZE], ids=["no database", "malformed"])
def test_a_damaged_ledger_is_set_aside_and_a_new_one_begun(old_runs: Path, start: int) -> None:
    content = bytearray(old_runs.read_bytes())
    content[start : start + 20_000] = b"\xa5" * 20_000
    old_runs.write_bytes(content)
    old_runs.with_name(old_runs.name + "-wal").write_bytes(b"log")
    with pytest.warns(LedgerWarning, match=r"damaged \(.*\.damaged-.*recover"):
        ledger = Ledger(old_runs)
    record_run(ledger.recorder(), "new")
    assert ledger.runs()["run_id"].tolist() == ["new"]
    ledger.close()
    assert bytes(content) in [each.read_bytes() for each in aside(old_runs)]


def test_a_truncated_ledger_is_set_aside(old_runs: Path) -> None:
    with old_runs.open("r+b") as file:
        file.truncate(30_000)
    with pytest.warns(LedgerWarning, match="damaged"):
        Ledger(old_runs).close()
    assert [each.stat().st_size for each in aside(old_runs)] == [30_000]


def test_two_damaged_ledgers_of_one_second_are_both_kept(path: Path) -> None:
    for content in (b"one" * 1000, b"two" * 1000):
        path.write_bytes(content)
        with pytest.warns(LedgerWarning, match="damaged"):
            Ledger(path).close()
    assert {each.read_bytes() for each in aside(path)} == {b"one" * 1000, b"two" * 1000}


@pytest.mark.parametrize("first", ["write", "read"])
def test_damage_that_comes_while_the_ledger_is_open_loses_no_later_run(
    old_runs: Path, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(old_runs)
    story = Story(ledger.recorder(), "in flight")
    ledger.flush()
    warned: list[str] = []
    monkeypatch.setattr("llmkit.records.database.warnings.warn", lambda text, *_, **__: warned.append(text))
    spoil(ledger, old_runs)
    if first == "write":
        story.say("Because.")
    else:
        assert "in flight" not in ledger.runs()["run_id"].tolist()
    story.end("Because.")
    assert ledger.runs()["text"].tolist() == ["Because."]
    ledger.close()
    assert len(warned) == len(aside(old_runs)) == 1


def spoil(ledger: Ledger, path: Path) -> None:
    """Overwrite all of the file but its first page, and have SQLite forget what it read."""
    connection = ledger._writer._connection
    assert connection is not None
    with ledger._writer._connected:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(PAGE_SIZE)
            file.write(b"\xa5" * (path.stat().st_size - PAGE_SIZE))
        connection.execute("PRAGMA shrink_memory")


def test_a_large_ledger_is_not_read_throughout_when_it_is_opened(
    old_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmkit.records.database.FULL_CHECK_LIMIT", 0)
    statements: list[str] = []
    connect = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr("llmkit.records.database.sqlite3.connect", traced)
    ledger = Ledger(old_runs)
    assert len(ledger.runs()) == 10
    ledger.close()
    assert not any("quick_check" in statement for statement in statements)
    monkeypatch.undo()
    content = bytearray(old_runs.read_bytes())
    content[PAGE_SIZE:] = b"\xa5" * (len(content) - PAGE_SIZE)
    old_runs.write_bytes(content)
    monkeypatch.setattr("llmkit.records.database.FULL_CHECK_LIMIT", 0)
    with pytest.warns(LedgerWarning, match="damaged"):
        Ledger(old_runs).close()


def test_a_full_disk_delays_records_and_loses_none(
    ledger: Ledger, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connection = ledger._writer._connection
    assert connection is not None
    record_run(ledger.recorder(), "before")
    ledger.flush()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with caplog.at_level(logging.WARNING, "llmkit"):
        for name in ("one", "two"):
            record_run(ledger.recorder(), name, text="x" * 100_000)
            with pytest.warns(LedgerWarning, match="disk is full"):
                assert ledger.runs(status="done")["run_id"].tolist() == ["before"]
        assert caplog.text.count("can't be written") == 1
        connection.execute("PRAGMA max_page_count = 1000000")
        assert ledger.runs(status="done")["run_id"].tolist() == ["before", "one", "two"]
        assert "can be written again" in caplog.text


def test_another_programs_lock_delays_records_and_loses_none(old_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmkit.records.database.BUSY_TIMEOUT", 0.05)
    other = sqlite3.connect(old_runs, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger = Ledger(old_runs)
    record_run(ledger.recorder(), "new")
    with pytest.warns(LedgerWarning, match="locked"):
        assert len(ledger.runs()) == 10
    other.close()
    assert len(ledger.runs()) == 11
    ledger.close()


def test_a_failed_write_is_tried_again_by_itself(ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmkit.records.writer.RETRY_INTERVAL", 0.01)
    saved, failed = threading.Event(), threading.Event()
    write, fail = Writer._write, Writer._failed

    def telling_fail(writer: Writer, error: Exception) -> None:
        fail(writer, error)
        failed.set()

    def telling_write(writer: Writer) -> None:
        write(writer)
        if writer.failure is None:
            saved.set()

    monkeypatch.setattr(Writer, "_failed", telling_fail)
    monkeypatch.setattr(Writer, "_write", telling_write)
    connection = ledger._writer._connection
    assert connection is not None
    connection.execute("PRAGMA max_page_count = 1")
    record_run(ledger.recorder(), text="x" * 100_000)
    assert failed.wait(20)
    saved.clear()
    connection.execute("PRAGMA max_page_count = 1000000")
    assert saved.wait(20)
    assert execute(path, "SELECT status FROM runs") == ("done",)


def test_what_is_lost_in_the_end_is_told(path: Path) -> None:
    ledger = Ledger(path)
    connection = ledger._writer._connection
    assert connection is not None
    connection.execute("PRAGMA max_page_count = 1")
    record_run(ledger.recorder(), text="x" * 100_000)
    with pytest.warns(LedgerWarning, match="1 runs couldn't be written .* lost: database or disk is full"):
        ledger.close()
    ledger.close()


def test_where_no_file_can_be_made_runs_are_recorded_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(LedgerWarning, match="can't be written .* in memory until this process ends"):
        ledger = Ledger(tmp_path / "file" / "ledger.sqlite3")
    record_run(ledger.recorder())
    assert ledger.runs()["status"].tolist() == ["done"]
    ledger.close()


def test_a_read_only_ledger_can_still_be_read(old_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal is simulated, since tests may run as root, whom no file mode stops."""

    def refuse(*_: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    before = old_runs.read_bytes()
    with pytest.warns(LedgerWarning, match="Permission denied"):
        ledger = Ledger(old_runs)
    record_run(ledger.recorder(), "new")
    assert len(ledger.runs()) == 11
    ledger.close()
    assert len(ledger.runs()) == 11
    with pytest.warns(LedgerWarning, match="Permission denied"):
        assert len(history(old_runs)) == 10
    assert old_runs.read_bytes() == before


def test_a_path_may_hold_characters_that_urls_reserve(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c %20" / "ledger.sqlite3"
    ledger = Ledger(path)
    record_run(ledger.recorder())
    ledger.close()
    assert execute(path, "SELECT count(*) FROM runs") == (1,)
