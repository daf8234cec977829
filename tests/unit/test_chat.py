"""Chats: a tree of turns, what of it a model reads, and files of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmkit as lk
from llmkit.notebook import chat_static

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmkit.chatting import Chat

HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) $a$ ![i](https://e.org/i.png)"


def said(prompt: str) -> str:
    """Answer with what was said last."""
    return "You said: " + prompt.rsplit("<|user|>", 1)[-1].partition("<|end|>")[0]


@pytest.fixture
def make() -> Iterator[Callable[..., Chat]]:
    """Make a chat whose model answers from a script; ends its session."""
    sessions = []

    def make(*answers: Any, speed: float | None = None, **options: Any) -> Chat:
        script = lk.Scripted(answers or (said,), tokens_per_second=speed)
        session = lk.Session(engine=script, show=False, ledger=None)
        sessions.append(session)
        return session.chat(**options)

    yield make
    for session in sessions:
        session.close()


def texts(chat: Chat) -> list[str]:
    return [message.text for message in chat.messages]


@lk.tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


def test_a_message_and_its_answer_are_turns_and_the_model_reads_all_before(make: Callable[..., Chat]) -> None:
    chat = make(system="Be brief.")
    chat.send("one").wait()
    run = chat.send("two")
    assert run.text == "You said: two"
    assert [message.text for message in run.request.messages] == ["Be brief.", "one", "You said: one", "two"]
    assert [turn.role for turn in chat] == ["user", "assistant"] * 2
    assert (len(chat), chat[-1].text, chat[-1].run) == (4, "You said: two", run)
    assert texts(chat) == ["Be brief.", "one", "You said: one", "two", "You said: two"]
    assert run.request.metadata == {"chat": chat.id}
    chat.system = "Be long."
    assert chat.regenerate().request.messages[0].text == "Be long."
    assert "4 turns · 2 branches" in repr(chat)


def test_editing_and_regenerating_make_branches_that_are_kept(make: Callable[..., Chat]) -> None:
    chat = make(seed=7)
    for text in ("one", "two"):
        chat.send(text).wait()
    chat.edit(0, "uno").wait()
    assert texts(chat) == ["uno", "You said: uno"]
    again = chat.regenerate()
    again.wait()
    assert again.request.seed == 8
    assert [turn.id for turn in chat.siblings(0)] == [0, 4]
    assert [turn.id for turn in chat.siblings()] == [5, 6]
    chat.select(0, 0)
    assert texts(chat) == ["one", "You said: one", "two", "You said: two"]
    chat.select(chat.branches[-2])
    assert chat.path[-1].id == 5
    with pytest.raises(lk.ValidationError, match="is an answer"):
        chat.edit(-1, "no")
    with pytest.raises(lk.ValidationError, match="none at 9"):
        chat.regenerate(9)
    with pytest.raises(lk.ValidationError, match="another chat"):
        chat.select(lk.Turn(0, "user", None))


def test_nothing_is_said_while_an_answer_is_being_written(make: Callable[..., Chat]) -> None:
    chat = make("word " * 1000, speed=200)
    run = chat.send("go")
    assert chat.busy is chat[-1]
    acts: list[Callable[[], Any]] = [lambda: chat.send("more"), chat.regenerate, lambda: chat.edit(0, "x")]
    for act in acts:
        with pytest.raises(lk.ValidationError, match=r"still being written.*chat.stop"):
            act()
    next(iter(run.token_stream))
    assert chat.stop()
    assert chat.wait(5)
    assert not chat.stop()
    assert len(chat.turns) == 2
    assert chat.messages[-1].text.startswith("word")
    with pytest.raises(lk.ValidationError, match="nothing in the message"):
        chat.send(" \n")


def test_a_question_that_got_no_answer_is_asked_with_the_next(make: Callable[..., Chat]) -> None:
    chat = make(lk.Answer(error=lk.EngineError("broken")), said)
    chat.send("one").wait()
    assert chat.send("two").text == "You said: one\n\ntwo"
    assert [message.role for message in chat.messages] == ["user", "assistant"]


def test_tools_take_steps_and_what_they_came_to_stays_in_the_conversation(make: Callable[..., Chat]) -> None:
    chat = make(lk.Answer(tool_calls=[("double", {"number": 4})]), "It is 8.", tools=[double], approval="allow")
    assert chat.send("double 4").text == "It is 8."
    assert [message.role for message in chat.messages] == ["user", "assistant", "tool", "assistant"]
    assert "✓ double(number: 4) → 8" in chat_static.plain(chat)


def test_a_call_that_waits_is_named_by_what_is_said_before_it_is_decided(make: Callable[..., Chat]) -> None:
    """CONTRACT 33: a new message to a conversation with a pending approval is an error that names the call."""
    chat = make(lk.Answer(tool_calls=[("double", {"number": 4})]), "It is 8.", said, tools=[double], approval="pend")
    chat.send("double 4").wait()
    with pytest.raises(lk.ValidationError, match=r"call of 'double' \(\w+\) waits for a decision: chat.resume"):
        chat.send("and then?")
    assert len(chat) == 2
    resumed = chat.resume(approval="allow", show=False)
    assert resumed.text == "It is 8."
    assert [message.role for message in chat.messages] == ["user", "assistant", "tool", "assistant"]
    assert len(chat.siblings()) == 2
    assert chat.send("thanks").text == "You said: thanks"
    with pytest.raises(lk.ValidationError, match="left no approval open"):
        chat.resume()


def test_nothing_is_said_past_a_call_that_is_being_asked_about(make: Callable[..., Chat]) -> None:
    """CONTRACT 33: a new message to a conversation with a pending approval is an error that names the call."""
    refused: list[str] = []

    def decide(event: Any) -> None:
        try:
            chat.send("and then?")
        except lk.ValidationError as error:
            refused.append(str(error))
        chat[-1].run.pending_approvals[0].call.approve()  # type: ignore[union-attr]

    answers = (lk.Answer(tool_calls=[("double", {"number": 4})]), "It is 8.")
    chat = make(*answers, tools=[double], on_approval_request=decide)
    assert chat.send("double 4").text == "It is 8."
    assert "waits for a decision on the call of 'double'" in refused[0]


def test_a_saved_chat_goes_on_in_another_session(make: Callable[..., Chat], tmp_path: Path) -> None:
    answer = lk.Answer("Look.", tool_calls=[("double", {"number": 4})])
    chat = make(answer, "\ud800 **8**", said, system="Be brief.", tools=[double], approval="allow")
    chat.send(HOSTILE).wait()
    chat.send("two").wait()
    chat.regenerate().wait()
    chat.select(-1, 0)
    path = chat.export(tmp_path / "chat.json")
    loaded = make(resume=path)
    assert [message.to_dict() for message in loaded.messages] == [message.to_dict() for message in chat.messages]
    assert [turn.text for turn in loaded.branches] == [turn.text for turn in chat.branches]
    assert "✓ double(number: 4) → 8" in chat_static.plain(loaded)
    assert loaded.send("three").text == "You said: three"
    assert loaded[1].seed == chat[1].seed


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": 2}, "version 2"),
        ({"kind": "other"}, "kind"),
        ({"present": 0}, "without an answer"),
        ({"present": 7}, "no turn 7"),
        ({"turns": [{"parent": 0, "role": "user", "messages": []}], "present": None}, "no turn 0 before turn 0"),
        ({"turns": [{"parent": None, "role": "assistant", "messages": []}], "present": 0}, "can't follow"),
        (
            {"turns": [{"parent": None, "role": "user", "messages": [{"role": "system", "content": "x"}]}]},
            "can't hold",
        ),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_file_that_is_no_chat_is_refused(
    make: Callable[..., Chat], tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    chat = make("a")
    chat.send("b").wait()
    path = chat.export(tmp_path / "chat.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(lk.ValidationError, match=why):
        make(resume=path)


def test_files_that_cant_be_read_or_written_are_errors(make: Callable[..., Chat], tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    for name, why in (("none.json", "can't be read"), ("x.json", "isn't JSON")):
        with pytest.raises(lk.ValidationError, match=why):
            make(resume=tmp_path / name)
    with pytest.raises(lk.ValidationError, match=r"ends in .ipynb"):
        make().export(tmp_path / "chat.html")
    with pytest.raises(lk.ValidationError, match="can't be written"):
        make().export(tmp_path / "no" / "chat.md")


def test_an_exported_notebook_reads_well_and_its_code_asks_for_the_same(
    make: Callable[..., Chat], tmp_path: Path
) -> None:
    chat = make(lk.Answer(["a", "b", "c", "d", "e"]), system="It's {x}", temperature=1)
    for text in (HOSTILE, 'say "two"\n'):
        chat.send(text).wait()
    notebook = json.loads(chat.export(tmp_path / "chat.ipynb").read_text())
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    assert kinds == ["markdown"] * 5 + ["code"]
    assert "<script" not in "".join(cell["source"] for cell in notebook["cells"][:-1])
    code = notebook["cells"][-1]["source"].replace("lk.Session('scripted')", "given")
    scope: dict[str, Any] = {"given": chat.session}
    exec(compile(code, "cell", "exec"), scope)  # noqa: S102 - the code is what is tested
    assert scope["chat"].messages == chat.messages
    markdown = chat.export(tmp_path / "chat.md").read_text()
    assert "<script" not in markdown
    assert "> **You**" in markdown


@settings(max_examples=40, deadline=None)
@given(text=st.text(min_size=1).filter(str.strip))
def test_whatever_was_said_is_text_in_a_transcript(text: str) -> None:
    turn = lk.Turn(0, "user", None, said=(lk.Message("user", f"<b>{text}</b>"),))
    marked = chat_static.marked_turn(turn)
    assert "<b>" not in marked
    assert all(line.startswith(">") for line in marked.split("\n"))
