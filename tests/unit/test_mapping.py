"""Rows mapped: each answered once, in its place, whatever happens in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import llmkit as lk
from llmkit import waiting
from llmkit.mapping.answer import MAPPED
from llmkit.mapping.feed import AHEAD
from llmkit.mapping.progress import Progress
from llmkit.mapping.question import Questions
from llmkit.notebook.job_view import LiveJob, TerminalJob, job_bar, job_end
from llmkit.output import Output
from llmkit.resident import ScriptSource

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., lk.Session]

SLOW = {"tokens_per_second": 50}


class Mood(BaseModel):
    mood: str
    score: int


class Echo:
    """Answers with what was asked last, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, prompt: str) -> str:
        said = prompt.rpartition("<|user|>")[2].partition("<|end|>")[0]
        self.asked.append(said)
        return f"You said {said}"


@pytest.fixture
def echo() -> Echo:
    return Echo()


def rows(count: int) -> pd.DataFrame:
    return pd.DataFrame({"n": range(count)}, index=[f"row {number}" for number in range(count)])


def test_each_row_has_its_answer_in_its_place(scripted: Make, echo: Echo) -> None:
    job = scripted(echo).map(rows(40), "Number {n}")
    frame = job.frame
    assert frame["text"].tolist() == [f"You said Number {number}" for number in range(40)]
    assert frame.index.tolist() == rows(40).index.tolist()
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {each.name: each.dtype for each in MAPPED}
    assert set(frame["source"]) == {"decoded"}
    assert frame["run_id"].nunique() == 40
    assert job.joined["n"].tolist() == list(range(40))
    assert job.status == "done"


def test_what_the_ledger_has_isnt_decoded_again(scripted: Make, echo: Echo) -> None:
    session = scripted(echo)
    first = session.map(rows(8), "Number {n}").frame
    again = session.map(rows(12), "Number {n}")
    assert again.frame["source"].tolist() == ["ledger"] * 8 + ["decoded"] * 4
    assert again.frame["text"].tolist()[:8] == first["text"].tolist()
    assert len(echo.asked) == 12
    assert set(session.map(rows(8), "Number {n}", temperature=0.1).frame["source"]) == {"decoded"}
    assert set(session.map(rows(8), "Number {n}", resume=False).frame["source"]) == {"decoded"}


def test_another_sessions_answers_are_found_but_not_another_models(tmp_path: Path) -> None:
    table = ["a", "b"]
    for expected, system in (("decoded", None), ("ledger", None), ("decoded", "Be brief.")):
        with lk.Session(engine=lk.Scripted(["Yes."]), show=False, ledger=tmp_path / "l.sqlite3", system=system) as each:
            assert set(each.map(table, "{value}?").frame["source"]) == {expected}


def test_rows_that_ask_for_the_same_are_decoded_once(scripted: Make, echo: Echo) -> None:
    frame = scripted(echo).map(["a", "b", "a", "a"], "{value}").frame
    assert frame["source"].tolist() == ["decoded", "decoded", "same", "same"]
    assert sorted(echo.asked) == ["a", "b"]
    assert frame["text"].tolist() == [f"You said {each}" for each in "abaa"]


def test_a_row_keeps_its_seed_and_others_have_others(scripted: Make) -> None:
    session = scripted()
    parts = [Questions(session, rows(5), "Number {n}", {}, {}).part(0, 5) for _ in range(2)]
    seeds = [[each.request.seed for each in part if not isinstance(each, tuple)] for part in parts]
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 5
    given_one = Questions(session, rows(2), "Number {n}", {"seed": 3}, {}).part(0, 2)
    assert [each.request.seed for each in given_one if not isinstance(each, tuple)] == [3, 3]


def test_a_bad_row_is_an_error_in_its_row(scripted: Make) -> None:
    """A missing value, a prompt that is too long, an engine's failure: the others go on."""

    def answer(prompt: str) -> lk.Answer:
        return (
            lk.Answer("Half", error=lk.EngineError("The engine stumbled.")) if "bad" in prompt else lk.Answer("Fine.")
        )

    session = scripted(answer, context_length=100)
    frame = session.map({"value": ["good", None, "word " * 200, "bad", "good too"]}, "{value}").frame
    assert frame["text"].tolist()[0] == frame["text"].tolist()[4] == "Fine."
    errors = frame["error"].tolist()
    assert "no value" in errors[1]
    assert errors[2].startswith("ContextLengthError")
    assert "stumbled" in errors[3]
    assert frame["text"].tolist()[3] == "Half"
    assert frame["error"].isna().tolist() == [True, False, False, False, True]


def test_outputs_are_values_and_make_columns(scripted: Make) -> None:
    session = scripted('{"mood": "glad", "score": 3}')
    frame = session.map(rows(3), "Number {n}", output=Mood).frame
    assert frame["output"].tolist() == [Mood(mood="glad", score=3)] * 3
    again = session.map(rows(3), "Number {n}", output=Mood).frame
    assert again["output"].tolist() == frame["output"].tolist()
    assert set(again["source"]) == {"ledger"}
    wide = frame.llm.expand(prefix="the_")
    assert wide.columns.tolist()[:3] == ["text", "the_mood", "the_score"]
    assert wide["the_score"].tolist() == [3, 3, 3]
    with pytest.raises(lk.ValidationError, match="no column 'x'"):
        frame.llm.expand("x")


def test_an_answer_that_doesnt_fit_its_output_is_an_error_in_its_row(scripted: Make) -> None:
    choice = Output.choice(["yes, sir", "no"])
    job = scripted("yes, sir").map(rows(2), "Number {n}", output=choice, max_output_tokens=1)
    for frame in (job.frame, scripted("yes, sir").map(rows(2), "{n}", output=choice, max_output_tokens=1).frame):
        assert frame["output"].tolist() == [None, None]
        assert frame["error"].str.startswith("OutputError: The answer was cut off").all()
        assert frame["finish_reason"].tolist() == ["length", "length"]


def test_few_runs_are_in_flight(scripted: Make) -> None:
    session = scripted("One two three.", session={"concurrency": 3}, tokens_per_second=2000)
    seen: list[int] = []
    job = session.map(rows(60), "Number {n}")
    job.subscribe(lambda: seen.append(len(session._active)))
    assert len(job.frame) == 60
    assert 1 < max(seen) <= AHEAD * 3


def test_a_full_queue_delays_rows_and_fails_none(scripted: Make) -> None:
    session = scripted("One two.", session={"concurrency": 2, "queue_limit": 0}, tokens_per_second=500)
    assert session.map(rows(12), "Number {n}").frame["error"].isna().all()


def first_rows(job: lk.Job, count: int) -> waiting.Signal:
    """Return what is set once so many rows are done."""
    there = waiting.Signal()
    job.subscribe(lambda: there.set() if job.progress.done >= count else None)
    return there


def test_a_job_that_is_stopped_goes_on_when_asked_again(scripted: Make, echo: Echo) -> None:
    session = scripted(echo, tokens_per_second=200)
    job = session.map(rows(60), "Number {n}")
    assert waiting.wait(first_rows(job, 10), 10)
    assert job.cancel("enough")
    frame = job.frame
    assert job.status == "cancelled"
    answered = int(frame["error"].isna().sum())
    assert 10 <= answered < 60
    assert frame["error"].dropna().str.startswith("RunCancelled").all()
    rest = session.map(rows(60), "Number {n}")
    assert rest.frame["error"].isna().all()
    assert rest.progress.recorded == answered
    assert rest.progress.decoded == 60 - answered
    assert not job.cancel()


def test_an_interrupt_while_waiting_stops_the_job_and_loses_nothing(scripted: Make) -> None:
    class Interrupted(waiting.PlainWaiter):
        def wait(self, done: threading.Event, timeout: float | None) -> bool:
            if timeout == 0:
                return super().wait(done, timeout)
            raise KeyboardInterrupt

    session = scripted("One two three.", **SLOW)
    job = session.map(rows(30), "Number {n}")
    assert waiting.wait(first_rows(job, 8), 10)
    previous = waiting.use_waiter(Interrupted())
    try:
        with pytest.raises(KeyboardInterrupt):
            _ = job.frame
    finally:
        waiting.use_waiter(previous)
    assert job.wait(10)
    kept = int(job.frame_so_far["error"].isna().sum())
    assert job.status == "cancelled"
    assert kept >= 8
    assert session.map(rows(30), "Number {n}").frame["source"].value_counts()["ledger"] == kept


def test_cancelling_all_runs_stops_the_job(scripted: Make) -> None:
    session = scripted("One two three.", **SLOW)
    job = session.map(rows(100), "Number {n}")
    assert waiting.wait(first_rows(job, 1), 10)
    session.cancel()
    assert job.wait(10)
    assert job.status == "cancelled"


def test_a_closed_session_ends_the_job_with_its_error(scripted: Make) -> None:
    session = scripted("One two three.", **SLOW)
    job = session.map(rows(100), "Number {n}")
    assert waiting.wait(first_rows(job, 1), 10)
    session.close()
    assert job.wait(10)
    with pytest.raises(lk.SessionClosed):
        _ = job.frame
    assert job.status == "failed"
    assert job.frame_so_far["text"].notna().any()
    with pytest.raises(lk.SessionClosed):
        session.map(rows(2), "Number {n}")


def test_a_model_that_cant_be_loaded_ends_the_job_at_once(scripted: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> Any:
        raise lk.EngineError("No such engine here.")

    monkeypatch.setattr(ScriptSource, "load", load)
    job = scripted().map(rows(100), "Number {n}")
    with pytest.raises(lk.EngineError, match="No such engine"):
        _ = job.frame
    assert job.frame_so_far["error"].str.contains("No such engine").all()


def test_a_job_can_be_awaited(scripted: Make) -> None:
    async def wait() -> pd.DataFrame:
        return await scripted("Yes.").map(rows(3), "Number {n}")

    assert asyncio.run(wait())["text"].tolist() == ["Yes."] * 3


@pytest.mark.parametrize(
    ("table", "template", "field"),
    [
        (rows(2), "Number {m}", "template"),
        (rows(2), "Number {n", "template"),
        (rows(2), 7, "template"),
        (5, "Number {n}", "frame"),
        ("text", "{value}", "frame"),
        ({"a": [1], "b": [1, 2]}, "{a}", "frame"),
    ],
)
def test_what_cant_be_asked_is_refused_before_anything_is(
    scripted: Make, table: Any, template: Any, field: str
) -> None:
    with pytest.raises(lk.ValidationError) as caught:
        scripted().map(table, template)
    assert caught.value.field == field


def test_conversations_and_functions_are_templates_and_an_empty_table_is_none_to_ask(
    scripted: Make, echo: Echo
) -> None:
    session = scripted(echo)
    conversation = [{"role": "system", "content": "Of {n}"}, {"role": "user", "content": "Number {n}"}]
    assert session.map(rows(2), conversation).frame["text"].tolist() == ["You said Number 0", "You said Number 1"]
    assert session.map(rows(2), lambda n: f"f{n}").frame["text"].tolist() == ["You said f0", "You said f1"]
    assert session.map(rows(0), "Number {n}").frame.empty


@pytest.fixture(scope="module")
def parrot() -> Any:
    with lk.Session(engine=lk.Scripted([Echo()]), show=False, ledger=None) as session:
        yield session


_SAID = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(
    lambda text: "<|" not in text and text.strip() == text
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_SAID, min_size=1, max_size=6))
def test_hostile_text_is_filled_in_as_it_is(parrot: lk.Session, texts: list[str]) -> None:
    """Braces, field names, markup: what is in a row is never read as a template."""
    assert parrot.map(texts, "Say {value}").frame["text"].tolist() == [f"You said Say {text}" for text in texts]


def test_what_is_shown_of_a_job_is_no_markup(scripted: Make) -> None:
    session = scripted("<img src=x onerror=alert(1)>\x1b[2J")
    job = session.map(rows(3), "Number {n}", show=False)
    job.wait()
    ended = job_end(job)
    assert "<img" not in ended["text/html"]
    assert "&lt;img" in ended["text/html"]
    assert "\x1b" not in ended["text/plain"]
    assert "3 rows" in ended["text/plain"]
    assert 'role="progressbar"' in job_bar(job)["text/html"]
    assert "done · 3 rows" in repr(job)


def test_a_script_says_in_the_end_what_came_of_a_job(scripted: Make, capsys: pytest.CaptureFixture[str]) -> None:
    job = scripted("Yes.").map({"n": [1, None]}, "Number {n}", show=False)
    TerminalJob(job).wait()
    assert "2 rows · 1 with an error" in capsys.readouterr().err


def test_a_live_job_shows_a_bar_and_in_its_place_what_came_of_it(
    scripted: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    ended = waiting.Signal()

    class Handle:
        def update(self, data: dict[str, str], **_: Any) -> None:
            shown.append(data["text/plain"])
            if shown[-1].startswith("✗"):
                ended.set()

    def display(data: dict[str, str], **_: Any) -> Handle:
        shown.append(data["text/plain"])
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    job = scripted("One two three.", **SLOW).map(rows(40), "Number {n}")
    LiveJob(job)
    assert waiting.wait(first_rows(job, 8), 10)
    job.cancel("enough")
    assert waiting.wait(ended, 10)
    assert shown[0].startswith("Mapping · ")
    assert shown[-1].startswith("✗ Stopped: ")
    assert "left" not in shown[-1]
    assert "error" not in shown[-1].splitlines()[0]


def test_progress_says_how_fast_and_how_long_in_words() -> None:
    progress = Progress(total=2000, decoded=100, recorded=20, same=3, failed=1, done=123, elapsed=400.0)
    assert progress.rows_per_second == 0.25
    words = "123 of 2,000 rows · 20 from the ledger · 3 like an earlier row · 1 with an error · 15.0 rows/min"
    assert str(progress) == f"{words} · 2 h 5 min left"
    assert Progress(total=5).time_left is None
