"""A live view of a chat: it keeps a page up to date with the turns, and does what the page's user asks for.

The state is JSON; ``widgets/chat/protocol.ts`` is the same thing in TypeScript::

    chat_id, kept                     the chat's id, and the class of its saved transcript
    model, tools, system              who answers, the names of its tools, and what it is told first
    turns                             {id, parent, role, text} each, all branches; an answer's text is in its run
    path                              ids of the present path
    busy                              id of the answer that is being written, or null
    runs                              in snapshots: the state of each answer on the path, by its turn's id

A change is ``set`` (fields) and ``turns`` (that are new). Answers are run views of their own: what these tell their
pages travels as ``{kind: "turn", turn, message}``, and so does what pages tell them.

What pages say besides::

    hello, resync                     answered with the state
    send: text · edit: turn, text · regenerate: turn · select: turn · stop · system: text · export: format
                                      with an id → taken: id; then refused: text, if that can't be; told: text, when a
                                      file was written. One that isn't answered is said again, with the same id
    gone                              the page doesn't show the view any more
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from llmkit.background import loop_thread
from llmkit.errors import Error, ValidationError
from llmkit.notebook.answer_page import AnswerPage
from llmkit.notebook.budget import BUDGET, Budget
from llmkit.notebook.chat_answers import saved_state, state_of
from llmkit.notebook.chat_static import kept_class
from llmkit.notebook.run_view import RunView

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.chatting import Chat, Turn
    from llmkit.notebook.run_view import Page

FORMATS = ("ipynb", "md", "json")

_logger = logging.getLogger("llmkit")


class ChatView:
    """A subscriber of a chat that keeps a widget up to date.

    Parameters
    ----------
    chat : Chat
        The chat to show.
    page : callable
        Makes the widget, given a function that returns the state and one that takes the page's messages.
    on_idle : callable
        Called when nothing is being written any more, and when an idle chat has changed.
    budget : Budget
        Says when messages may go.
    """

    def __init__(
        self,
        chat: Chat,
        page: Callable[[Callable[[], dict[str, Any]], Callable[[Any], None]], Page],
        *,
        on_idle: Callable[[ChatView], None],
        budget: Budget = BUDGET,
    ) -> None:
        self._chat = chat
        self._on_idle = on_idle
        self._budget = budget
        self._answers: dict[int, RunView] = {}
        self._requests: deque[str] = deque(maxlen=100)
        self._told = 0  # so many turns are known to pages
        self._changed = False
        self._seq = 0
        self._greeted = False
        self._shown = False
        self._lock = threading.RLock()
        self._channel = budget.channel(self._flush)
        self.page = page(self.snapshot, self.receive)

    def open(self) -> None:
        """Begin to follow the chat."""
        self._chat.subscribe(self._take)
        self._show(shown=True)
        for turn in self._chat.turns:
            self._follow(turn)

    def release(self) -> None:
        """Nothing takes this view's place: its transcript stands beside it."""

    def state(self, turn: Turn) -> dict[str, Any]:
        """Return an answer's state as it is."""
        view = self._answers.get(turn.id)
        return state_of(turn) if view is None else view.state.to_dict()

    def snapshot(self) -> dict[str, Any]:
        """Return the state, with its number, as of the last message."""
        with self._lock:
            self._send_pending()
            turns = self._chat.turns
            runs = {str(turn.id): self._snapshot_of(turn) for turn in self._chat.path if turn.role == "assistant"}
            return {"seq": self._seq, **self._fields(), "turns": [_told(turn) for turn in turns], "runs": runs}

    def receive(self, message: Any) -> None:
        """Take a message from a page; it may hold anything."""
        match message:
            case {"kind": "hello" | "resync" as kind}:
                self._greeted = True
                if kind == "hello":
                    self._show(shown=True)
                self._send_snapshot()
            case {"kind": "turn", "turn": int(turn), "message": dict(content)}:
                self._receive_for(turn, content)
            case {"kind": "gone"}:
                self._show(shown=False)
            case {"kind": str(), "id": str(id_)}:
                self.page.send({"kind": "taken", "id": id_})
                if self._is_new(id_):
                    self._try(message)
            case _:
                _logger.warning("The chat widget got a message that it doesn't know: %.200r", message)

    # -- what pages ask for -------------------------------------------------------------------------------------

    def _is_new(self, id_: str) -> bool:
        """Take note of a request; return whether it comes for the first time."""
        with self._lock:
            new = id_ not in self._requests
            self._requests.append(id_)
            return new

    def _try(self, message: dict[str, Any]) -> None:
        try:
            self._do(message)
        except Error as error:
            self.page.send({"kind": "refused", "text": str(error)})
        except Exception as error:
            _logger.exception("What a chat's page asked for failed.")
            self.page.send({"kind": "refused", "text": f"{type(error).__name__}: {error}"})

    def _do(self, message: dict[str, Any]) -> None:
        chat = self._chat
        match message:
            case {"kind": "send", "text": str(text)}:
                chat.send(text)
            case {"kind": "edit", "turn": int(turn), "text": str(text)}:
                chat.edit(self._turn(turn), text)
            case {"kind": "regenerate", "turn": int(turn)}:
                chat.regenerate(self._turn(turn))
            case {"kind": "select", "turn": int(turn)}:
                chat.select(self._turn(turn))
            case {"kind": "stop"}:
                chat.stop()
            case {"kind": "system", "text": str(text)}:
                chat.system = text if text.strip() else None
            case {"kind": "export", "format": str(format_)} if format_ in FORMATS:
                self._export(format_)
            case _:
                _logger.warning("The chat widget got a message that it doesn't know: %.200r", message)

    def _turn(self, number: int) -> Turn:
        turns = self._chat.turns
        if not 0 <= number < len(turns):
            raise ValidationError(f"The chat has no turn {number}.", field="turn")
        return turns[number]

    def _export(self, format_: str) -> None:
        if self._chat.busy is not None:
            raise ValidationError("An answer is still being written; export the chat when it is there.", field="chat")
        path = self._chat.export(f"chat-{self._chat.id}.{format_}")
        self.page.send({"kind": "told", "text": f"Saved as {path}"})

    def _receive_for(self, number: int, content: dict[str, Any]) -> None:
        """Hand on what a page says to an answer."""
        turns = self._chat.turns
        turn = turns[number] if 0 <= number < len(turns) else None
        if number in self._answers:
            self._answers[number].receive(content)
        elif turn is not None and turn.role == "assistant" and content.get("kind") in {"hello", "resync"}:
            self._send_for(turn, {"kind": "snapshot", "state": saved_state(turn)})

    # -- what pages are told ------------------------------------------------------------------------------------

    def _take(self, turn: Turn | None) -> None:
        if turn is not None:
            self._follow(turn)
        with self._lock:
            self._changed = True
        self._channel.mark()
        if turn is None and self._chat.busy is None:
            self._on_idle(self)

    def _follow(self, turn: Turn) -> None:
        if turn.run is None:
            return

        def page(snapshot: Callable[[], dict[str, Any]], _receive: Callable[[Any], None]) -> AnswerPage:
            return AnswerPage(lambda message: self._send_for(turn, message), snapshot)

        view = RunView(turn.run, page, on_end=lambda _view: loop_thread().call(self._ended), budget=self._budget)
        self._answers[turn.id] = view
        view.open()

    def _ended(self) -> None:
        """Take note of a run's end; called when all who follow the run have heard of it, for until then it goes on."""
        with self._lock:
            self._changed = True
        self._channel.mark()
        if self._chat.busy is None:
            self._on_idle(self)

    def _show(self, *, shown: bool) -> None:
        if shown != self._shown:
            self._shown = shown
            self._chat.viewed(1 if shown else -1)

    def _fields(self) -> dict[str, Any]:
        chat, busy = self._chat, self._chat.busy
        return {
            "chat_id": chat.id,
            "kept": kept_class(chat.id),
            "model": chat.session.resident(chat.options.get("model")).name,
            "tools": [tool.name for tool in chat.tools],
            "system": chat.system or "",
            "path": [turn.id for turn in chat.path],
            "busy": None if busy is None else busy.id,
        }

    def _snapshot_of(self, turn: Turn) -> dict[str, Any]:
        view = self._answers.get(turn.id)
        return saved_state(turn) if view is None else view.snapshot()

    def _flush(self) -> None:
        with self._lock:
            if self._greeted:
                self._send_pending()

    def _send_pending(self) -> None:
        if not self._changed:
            return
        self._changed = False
        self._seq += 1
        turns = self._chat.turns
        new = [_told(turn) for turn in turns[self._told :]]
        self._told = len(turns)
        self.page.send({"kind": "patch", "seq": self._seq, "set": self._fields(), "turns": new})

    def _send_snapshot(self) -> None:
        with self._lock:
            state = self.snapshot()
            self._told = len(state["turns"])
            self.page.send({"kind": "snapshot", "state": state})

    def _send_for(self, turn: Turn, message: dict[str, Any]) -> None:
        self.page.send({"kind": "turn", "turn": turn.id, "message": message})


def _told(turn: Turn) -> dict[str, Any]:
    parent = None if turn.parent is None else turn.parent.id
    return {"id": turn.id, "parent": parent, "role": turn.role, "text": turn.text if turn.role == "user" else ""}
