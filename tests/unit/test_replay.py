"""Replays: the same is asked again, and what differs is told."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

import llmkit as lk
from llmkit.output import Output
from llmkit.replaying.account import Difference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., lk.Session]

DICE = lk.Answer(tuple(f"You rolled {number}, which is fair." for number in range(50)))


def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def test_a_run_asked_again_says_the_same(scripted: Make) -> None:
    session = scripted(DICE, session={"system": "Be fair."})
    run = session.complete("Roll.", metadata={"topic": "dice"})
    replay = run.replay()
    assert replay.same
    assert (replay.position, replay.differences, bool(replay.diff)) == (None, (), False)
    assert (replay.run.id, replay.run.text) != (run.id, "")
    assert replay.run.request.seed == run.request.seed
    assert replay.run.request.metadata == {"topic": "dice", "replay_of": run.id}
    assert str(replay) == "The same text."
    assert session.replay(run.id).same


def test_a_run_of_another_session_is_replayed_from_the_ledger(tmp_path: Path) -> None:
    """With all that was asked: settings, output, conversation; and without this session's own system message."""
    path = tmp_path / "ledger.sqlite3"
    conversation = [
        {"role": "user", "content": "Roll."},
        {"role": "assistant", "content": "I rolled 3."},
        {"role": "user", "content": "Again."},
    ]
    kinds = [Output.choice(["heads", "tails"]), Output.regex("heads|tails"), Output.json({"enum": ["heads", "tails"]})]
    answer = lk.Answer(("heads", "tails", '"heads"'))
    with lk.Session(engine=lk.Scripted([answer]), show=False, ledger=path) as session:
        runs = [
            session.complete(conversation, output=kind, seed=seed, stop=["x"], top_k=3)
            for seed, kind in enumerate(kinds)
        ]
        texts = [run.text for run in runs]
    with lk.Session(engine=lk.Scripted([answer]), show=False, ledger=path, system="Be fair.", top_p=0.5) as later:
        for run, text in zip(runs, texts, strict=True):
            replay = later.replay(run.id)
            assert (replay.differences, replay.run.text, replay.same) == ((), text, True)
            assert replay.now.fingerprint == replay.original.fingerprint


def test_what_differs_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with lk.Session(engine=lk.Scripted(["One two three."]), show=False, ledger=path) as session:
        run = session.complete("Count.")
        run.wait()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE runs SET build = '0', engine = 'other'")
    connection.commit()
    connection.close()
    with lk.Session(engine=lk.Scripted(["One two four."]), show=False, ledger=path) as later:
        replay = later.replay(run.id)
        assert not replay.same
        assert replay.position == len("One two ")
        assert str(replay.diff) == "One two [-three-]{+four+}."
        assert replay.differences == (Difference("engine", "other", "scripted"), Difference("build", "0", "1"))
        said = str(replay).splitlines()
        assert said == [
            "Another text from character 8 on: 'three.' became 'four.'.",
            "engine: other → scripted",
            "build: 0 → 1",
        ]
        assert "other → scripted" in repr(replay)


def test_a_difference_that_nothing_explains_is_said_to_be_one(scripted: Make) -> None:
    run = scripted("One.", "Two.").complete("Count.")
    run.wait()
    assert "Nothing is known to differ" in str(run.replay())


def test_a_run_that_didnt_end_well_is_compared_with_what_there_was(scripted: Make) -> None:
    session = scripted(lk.Answer("Half", error=lk.EngineError("It stumbled.")), "Half and half.")
    run = session.complete("Say.")
    run.wait()
    replay = run.replay()
    assert (replay.same, replay.position) == (False, 4)
    assert replay.differences == (Difference("status", "failed", "done"),)


def test_tools_are_needed_again_since_what_they_do_isnt_recorded(scripted: Make) -> None:
    session = scripted(lk.Answer(tool_calls=[("weather", {"city": "Rome"})]), "Sunny.")
    tool = lk.tool_from(weather)
    run = session.complete("Rome?", tools=[tool], approval="allow", stop_when=lk.step_count_is(3))
    assert run.text == "Sunny."
    with pytest.raises(lk.ValidationError, match="tools weather, and what a tool does isn't recorded: pass tools="):
        session.replay(run.id)
    other = lk.tool_from(weather, description="Something else.")
    changed = session.replay(run.id, tools=[other])
    assert [each.what for each in changed.differences] == ["tools"]
    again = run.replay()
    assert again.same
    assert [step.tool_results[0].output for step in again.run.steps[:1]] == ["sunny in Rome"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"prepare_step": lambda **_: None}, "prepare_step"),
        ({"stop_when": lambda _: True}, "stop_when"),
        ({"repair": lambda **_: None}, "repair"),
    ],
)
def test_functions_are_needed_again(scripted: Make, options: dict[str, Any], field: str) -> None:
    session = scripted()
    run = session.complete("Hello.", **options)
    run.wait()
    with pytest.raises(lk.ValidationError, match=f"isn't recorded: pass {field}=") as caught:
        session.replay(run.id)
    assert caught.value.field == field
    assert session.replay(run.id, **options).same


def test_what_isnt_there_cant_be_replayed(scripted: Make) -> None:
    session = scripted()
    run = session.complete("Hello.")
    run.wait()
    with pytest.raises(lk.ValidationError, match="has no run 'nothing'"):
        session.replay("nothing")
    session.close()
    with pytest.raises(lk.SessionClosed, match=run.id):
        run.replay()


def test_a_run_that_an_earlier_version_recorded_is_replayed_as_far_as_is_known(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with lk.Session(engine=lk.Scripted([DICE]), show=False, ledger=path) as session:
        run = session.complete("Roll.", temperature=0.3)
        run.wait()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE runs SET build = NULL, fingerprint = NULL, extras = NULL, revision = NULL")
    old = json.loads(connection.execute("SELECT settings FROM runs").fetchone()[0])
    connection.execute("UPDATE runs SET settings = ?", (json.dumps({**old, "setting_of_old": 1}),))
    connection.commit()
    connection.close()
    with lk.Session(engine=lk.Scripted([DICE]), show=False, ledger=path) as later:
        replay = later.replay(run.id)
        assert replay.same
        assert [each.what for each in replay.differences] == ["setting_of_old"]


def test_a_replay_can_be_awaited_and_tells_of_itself_meanwhile(scripted: Make) -> None:
    session = scripted("One two three.", tokens_per_second=50)
    run = session.complete("Count.")
    replay = run.replay()
    assert f"Replay of {run.id}" in repr(replay)

    async def wait() -> lk.Replayed:
        return await replay

    assert asyncio.run(wait()).same
