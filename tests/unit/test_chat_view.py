"""The chat's kernel side: what a page is told, what it can ask for, and the transcript that is saved."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import llmkit as lk
from llmkit.notebook import chat_static
from llmkit.notebook.chat_view import ChatView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOSTILE = '<img src=x onerror="alert(1)">'


class Page:
    """The widget's part, and a page's: it keeps a state as the front end does."""

    def __init__(self, snapshot: Callable[[], dict[str, Any]], receive: Callable[[Any], None]) -> None:
        self.snapshot = snapshot
        self.receive = receive
        self.sent: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {"seq": 0, "turns": []}
        self.runs: dict[int, dict[str, Any]] = {}

    def send(self, content: dict[str, Any]) -> None:
        self.sent.append(content)
        if content["kind"] == "snapshot":
            self.state = content["state"]
        elif content["kind"] == "patch" and content["seq"] == self.state["seq"] + 1:
            known = len(self.state["turns"])
            turns = [*self.state["turns"], *(turn for turn in content["turns"] if turn["id"] >= known)]
            self.state |= {**content["set"], "seq": content["seq"], "turns": turns}
        elif content["kind"] == "turn" and content["message"]["kind"] == "snapshot":
            self.runs[content["turn"]] = content["message"]["state"]

    def push_state(self) -> None:
        self.send({"kind": "snapshot", "state": self.snapshot()})

    def mimebundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {}

    def close(self) -> None:
        """Nothing to take from anywhere."""

    def told(self, kind: str) -> list[str]:
        return [message["text"] for message in self.sent if message["kind"] == kind]


class Shown:
    """A chat with a view, and a page that does what a person does."""

    def __init__(self, *answers: Any, **options: Any) -> None:
        self.session = lk.Session(engine=lk.Scripted(answers or [HOSTILE]), show=False, ledger=None)
        self.chat = self.session.chat(**options)
        self.idle = threading.Event()
        self.view = ChatView(self.chat, Page, on_idle=lambda _view: self.idle.set())
        self.view.open()
        self.page: Page = self.view.page  # type: ignore[assignment]
        self.requests = 0
        self.page.receive({"kind": "hello"})

    def ask(self, kind: str, **fields: Any) -> None:
        """Ask as a page does, and wait until the chat is idle."""
        self.idle.clear()
        self.requests += 1
        self.page.receive({"kind": kind, "id": str(self.requests), **fields})
        assert self.idle.wait(5)


@pytest.fixture
def show() -> Iterator[Callable[..., Shown]]:
    """Make chats with views; ends their sessions."""
    made: list[Shown] = []

    def show(*answers: Any, **options: Any) -> Shown:
        made.append(Shown(*answers, **options))
        return made[-1]

    yield show
    for each in made:
        each.session.close()


def test_a_page_leads_the_chat_and_is_told_of_every_turn(show: Callable[..., Shown]) -> None:
    shown = show(system="Be brief.")
    shown.ask("send", text="one")
    shown.ask("edit", turn=0, text="uno")
    shown.ask("regenerate", turn=3)
    shown.ask("select", turn=1)
    assert shown.page.snapshot()["path"] == [0, 1]
    shown.page.receive({"kind": "resync"})
    state = shown.page.state
    assert [(turn["id"], turn["parent"], turn["text"]) for turn in state["turns"]] == [
        (0, None, "one"),
        (1, 0, ""),
        (2, None, "uno"),
        (3, 2, ""),
        (4, 2, ""),
    ]
    assert (state["busy"], state["system"], list(state["runs"])) == (None, "Be brief.", ["1"])
    assert state["runs"]["1"]["text"] == HOSTILE
    assert shown.page.runs[4]["status"] == "done"
    shown.ask("system", text="Be long.")
    assert shown.chat.system == "Be long."


def test_patches_alone_lead_to_the_same_state_as_a_snapshot(show: Callable[..., Shown]) -> None:
    shown = show()
    shown.ask("send", text="one")
    shown.ask("regenerate", turn=1)
    shown.page.snapshot()  # sends what was held back
    patched = {name: value for name, value in shown.page.state.items() if name != "runs"}
    whole = {name: value for name, value in shown.page.snapshot().items() if name != "runs"}
    assert patched == whole


def test_what_is_said_twice_is_done_once_and_what_cant_be_is_refused_in_words(show: Callable[..., Shown]) -> None:
    shown = show()
    shown.ask("send", text="one")
    shown.page.receive({"kind": "send", "id": "1", "text": "one"})
    assert len(shown.chat.turns) == 2
    assert [message["id"] for message in shown.page.sent if message["kind"] == "taken"] == ["1", "1"]
    shown.page.receive({"kind": "send", "id": "x", "text": "  "})
    shown.page.receive({"kind": "select", "id": "y", "turn": 99})
    assert shown.page.told("refused") == ["There is nothing in the message.", "The chat has no turn 99."]


@pytest.mark.parametrize(
    "message",
    [
        None,
        {"kind": 1},
        {"kind": "send"},
        {"kind": "send", "id": "a", "text": 1},
        {"kind": "export", "id": "c", "format": "../x"},
        {"kind": "turn", "turn": 7, "message": {"kind": "stop"}},
    ],
)
def test_anything_else_that_a_page_says_changes_nothing(show: Callable[..., Shown], message: Any) -> None:
    shown = show()
    shown.page.receive(message)
    assert shown.chat.turns == ()


def test_the_runs_of_a_chat_that_is_shown_dont_show_themselves(show: Callable[..., Shown]) -> None:
    shown = show()
    asked: list[dict[str, Any]] = []
    start = shown.session.start

    def watched(request: Any, **options: Any) -> Any:
        asked.append(options)
        return start(request, **options)

    shown.session.start = watched  # type: ignore[method-assign]
    shown.ask("send", text="one")
    shown.page.receive({"kind": "gone"})
    shown.chat.send("two", show=False).wait()
    shown.page.receive({"kind": "hello"})
    shown.chat.send("three").wait()
    assert [options["shown"] for options in asked] == [True, False, True]


def test_a_chat_is_saved_from_its_page_under_its_own_name(
    show: Callable[..., Shown], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = show()
    shown.ask("send", text="one")
    shown.page.receive({"kind": "export", "id": "e", "format": "json"})
    name = f"chat-{shown.chat.id}.json"
    assert shown.page.told("told") == [f"Saved as {name}"]
    loaded = show(resume=name)
    assert loaded.page.state["runs"]["1"]["text"] == HOSTILE
    loaded.page.receive({"kind": "turn", "turn": 1, "message": {"kind": "hello"}})
    assert loaded.page.runs[1]["status"] == "done"


def test_the_transcript_holds_the_path_and_nothing_of_it_is_markup(show: Callable[..., Shown]) -> None:
    shown = show(HOSTILE, system=HOSTILE)
    shown.ask("send", text=f"{HOSTILE}\n**bold**")
    bundle = chat_static.bundle(shown.chat, shown.view.state)
    assert "<img" not in bundle["text/html"] + bundle["text/markdown"]
    assert bundle["text/html"].count("&lt;img") == 3
    assert f"> {HOSTILE}\n> **bold**" in bundle["text/plain"]
    assert f'class="{chat_static.kept_class(shown.chat.id)} ' in bundle["text/html"]
