"""Chat: a conversation as a tree of turns; the present path through it is what the model reads."""

from __future__ import annotations

import logging
import secrets
import threading
from typing import TYPE_CHECKING, Any

from llmkit.asking import request_from, resumed_from
from llmkit.chatting.answers import alternating
from llmkit.chatting.export import write
from llmkit.chatting.refusals import check_decided, still
from llmkit.chatting.saved import read
from llmkit.chatting.turn import Turn
from llmkit.errors import ValidationError
from llmkit.lifecycle import callbacks_in
from llmkit.messages import Message
from llmkit.presenting import Displayed, presenter
from llmkit.stopping import step_count_is
from llmkit.tools.choice import tools_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from llmkit.messages import Content
    from llmkit.request import RunRequest
    from llmkit.run import Run
    from llmkit.session import Session
    from llmkit.tools.tool import Tool

SEEDS = 1 << 32
"""There are so many seeds."""

STEPS = 20
"""So many steps an answer takes at most, if nothing else is said."""

_logger = logging.getLogger("llmkit")


class Chat(Displayed):
    """A conversation that goes on; :meth:`llmkit.Session.chat` makes it.

    Each message of the user and each answer is a turn in a tree. Regenerating an answer or editing a message makes a
    branch beside it; the present path is the conversation. ``len``, indices and iteration are those of the path.

    Attributes
    ----------
    id : str
        Its id.
    session : Session
        Whose models answer.
    tools : tuple of Tool
        What its models may call.
    options : dict
        What every answer is asked with, as for :meth:`llmkit.Session.complete`.
    """

    def __init__(
        self, session: Session, *, system: str | None = None, options: Mapping[str, Any], show: bool | None = None
    ) -> None:
        self.id = secrets.token_hex(4)
        self.session = session
        self._system = system
        self.tools: tuple[Tool, ...] = tools_from(options.get("tools"))
        self.options = {"stop_when": step_count_is(STEPS), **options, "tools": self.tools}
        self._show = show
        self._turns: list[Turn] = []
        self._present: Turn | None = None
        self._lock = threading.RLock()
        self._watchers: list[Callable[[Turn | None], None]] = []
        self._views = 0
        self._request((Message("user", "…"),), {})  # so that what can't be used is said now

    # -- talking ------------------------------------------------------------------------------------------------

    def send(self, text: Content, **options: Any) -> Run:
        """Say something; return the run that answers at once.

        Parameters
        ----------
        text : str, or tuple of str and Image
            The message.
        **options
            For this answer alone, on top of the chat's: those of :meth:`llmkit.Session.complete`.

        Raises
        ------
        ValidationError
            If an answer is still being written, if a call on the path waits for approval (names it), if there is
            nothing in the message, and for options that can't be used.
        """
        with self._lock:
            return self._say(self._present, text, options)

    def edit(self, turn: Turn | int, text: Content, **options: Any) -> Run:
        """Say something else in place of an earlier message: a branch beside it; return the run that answers at once.

        Parameters
        ----------
        turn : Turn or int
            The message, or its place on the present path.
        text : str, or tuple of str and Image
            What to say instead.
        **options
            As for :meth:`send`.

        Raises
        ------
        ValidationError
            As :meth:`send` does; and if the turn is an answer.
        """
        with self._lock:
            turn = self._turn(turn)
            if turn.role != "user":
                raise ValidationError(
                    f"Turn {turn.id} is an answer. Edit the message before it, or chat.regenerate() the answer.",
                    field="turn",
                )
            return self._say(turn.parent, text, options)

    def regenerate(self, turn: Turn | int = -1, **options: Any) -> Run:
        """Have a message answered once more: a branch beside the answer; return its run at once.

        Where the settings have a ``seed``, the n-th branch has that seed and n − 1 more.

        Parameters
        ----------
        turn : Turn or int
            The answer, or its place on the present path; the last by default.
        **options
            As for :meth:`send`.

        Raises
        ------
        ValidationError
            As :meth:`send` does; and in a chat without an answer.
        """
        with self._lock:
            turn = self._turn(turn)
            asked = turn if turn.role == "user" else turn.parent
            assert asked is not None  # noqa: S101 - an answer has a question
            run = self._ask(asked.path, options, again=len(asked.children))
            self._add(Turn(len(self._turns), "assistant", asked, run=run))
            self._tell(self._turns[-1])
        return run

    def resume(self, turn: Turn | int = -1, **options: Any) -> Run:
        """Go on with an answer whose approvals were left open: a branch beside it; return its run at once.

        Parameters
        ----------
        turn : Turn or int
            The answer, or its place on the present path; the last by default.
        **options
            As for :meth:`send`; such as ``approval``, where nobody can be asked.

        Raises
        ------
        ValidationError
            As :meth:`llmkit.Session.resume` does; and if an answer is still being written.
        """
        with self._lock:
            self._check_idle()
            turn = self._turn(turn)
            if turn.run is None:
                raise ValidationError("The turn left no approval open here: it has no run.", field="turn")
            pended = turn.run.pended
            own = {name: value for name, value in self.options.items() if name not in {"tools", "system"}}
            show = options.pop("show", self._show)
            request = resumed_from(self.session, pended, self.tools, {**own, **options})
            run = self._start(request, show)
            before = pended.messages[len(turn.run.request.messages) :]
            self._add(Turn(len(self._turns), "assistant", turn.parent, said=before, run=run))
            self._tell(self._turns[-1])
        return run

    def stop(self) -> bool:
        """Stop the answer that is being written; return whether there was one."""
        turn = self.busy
        return turn is not None and turn.run is not None and turn.run.cancel("stopped in the chat")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no answer is being written; return whether that came within ``timeout`` seconds."""
        turn = self.busy
        return turn is None or turn.run is None or turn.run.wait(timeout)

    # -- branches -----------------------------------------------------------------------------------------------

    @property
    def branches(self) -> tuple[Turn, ...]:
        """The last turn of each branch, in the order in which they began."""
        return tuple(turn for turn in tuple(self._turns) if not turn.children)

    def siblings(self, turn: Turn | int = -1) -> tuple[Turn, ...]:
        """Return the turns that stand in one place, in the order in which they were made: this one and its like."""
        turn = self._turn(turn)
        return tuple(each for each in tuple(self._turns) if each.parent is turn.parent)

    def select(self, turn: Turn | int, branch: int | None = None) -> None:
        """Make the present path go through a turn, and on as it did when it last did.

        Parameters
        ----------
        turn : Turn or int
            A turn of any branch; or a place on the present path.
        branch : int, optional
            Which of the turns that stand in that place, from 0; negative from the end.

        Raises
        ------
        ValidationError
            If there is no such turn.
        """
        with self._lock:
            turn = self._turn(turn)
            if branch is not None:
                siblings = self.siblings(turn)
                if not -len(siblings) <= branch < len(siblings):
                    raise ValidationError(f"There are {len(siblings)} branches here, not a {branch}.", field="branch")
                turn = siblings[branch]
            for each in turn.path:
                if each.parent is not None:
                    each.parent.chosen = each
            while turn.chosen is not None:
                turn = turn.chosen
            self._present = turn
        self._tell(None)

    # -- what is said -------------------------------------------------------------------------------------------

    @property
    def system(self) -> str | None:
        """What the model is told before the conversation. It can be set, and holds from the next answer on."""
        return self._system if self._system is not None else self.session.system

    @system.setter
    def system(self, text: str | None) -> None:
        self._system = text
        self._tell(None)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The present path as a conversation; waits for an answer that is being written."""
        system = () if self.system is None else (Message("system", self.system),)
        return (*system, *_messages(self.path))

    @property
    def path(self) -> tuple[Turn, ...]:
        """The turns of the conversation as it is now."""
        return () if self._present is None else self._present.path

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns of all branches, in the order in which they were made."""
        return tuple(self._turns)

    @property
    def busy(self) -> Turn | None:
        """The answer that is being written; ``None`` if there is none."""
        return next((turn for turn in reversed(tuple(self._turns)) if not turn.is_over), None)

    def export(self, path: str | Path) -> Path:
        """Write the chat to a file, and return its path.

        Parameters
        ----------
        path : str or Path
            ``.ipynb``: the present path as a notebook, with a cell that asks for it anew; ``.md``: the same to read;
            ``.json``: all branches, which ``session.chat(resume=path)`` goes on with.

        Raises
        ------
        ValidationError
            For another kind of file, and one that can't be written.
        """
        self.wait()
        return write(self, path)

    # -- showing ------------------------------------------------------------------------------------------------

    def subscribe(self, watch: Callable[[Turn | None], None]) -> Callable[[], None]:
        """Call ``watch`` with each turn that is made from now on, and with ``None`` when something else changes.

        Parameters
        ----------
        watch : Callable
            Must be quick and thread-safe; it is called in the thread that changes the chat. What it raises is logged.

        Returns
        -------
        Callable
            Ends it.
        """
        self._watchers.append(watch)
        return lambda: self._watchers.remove(watch)

    def viewed(self, views: int) -> None:
        """Take note that so many more (or fewer) views show the chat's answers, and ask about their tool calls."""
        with self._lock:
            self._views = max(0, self._views + views)

    def show(self) -> None:
        """Show it: live in a notebook, as text elsewhere."""
        presenter().show_chat(self, asked=True)

    def _ipython_display_(self) -> None:
        if not presenter().shown_here(self):
            presenter().show_chat(self, asked=False)

    def __len__(self) -> int:
        return len(self.path)

    def __iter__(self) -> Iterator[Turn]:
        return iter(self.path)

    def __getitem__(self, place: int) -> Turn:
        return self.path[place]

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        branches = f"{len(self.branches)} branches · " if len(self.branches) > 1 else ""
        busy = "answering" if self.busy is not None else "idle"
        model = self.session.resident(self.options.get("model")).name
        return f"<Chat {self.id} · {len(self)} turns · {branches}{model} · {busy}>"

    # -- inside -------------------------------------------------------------------------------------------------

    def restore(self, path: str | Path) -> None:
        """Take over the turns of a file that :meth:`export` wrote; its system message too, unless this chat has one."""
        saved = read(path)
        self._turns, self._present = saved.turns, saved.present
        if self._system is None:
            self._system = saved.system

    def _say(self, parent: Turn | None, text: Content, options: Mapping[str, Any]) -> Run:
        if not (text.strip() if isinstance(text, str) else text):
            raise ValidationError("There is nothing in the message.", field="text")
        asked = Turn(len(self._turns), "user", parent, said=(Message("user", text),))
        run = self._ask(asked.path, options)
        self._add(asked)
        self._add(Turn(len(self._turns), "assistant", asked, run=run))
        self._tell(asked)
        self._tell(self._turns[-1])
        return run

    def _ask(self, path: Sequence[Turn], options: Mapping[str, Any], again: int = 0) -> Run:
        self._check_idle()
        given = dict(options)
        show = given.pop("show", self._show)
        messages = _messages(path)
        check_decided(messages)
        request = self._request(messages, given)
        if again and request.settings.seed is not None and "seed" not in given:
            request = self._request(messages, {**given, "seed": (request.settings.seed + again) % SEEDS})
        return self._start(request, show)

    def _start(self, request: RunRequest, show: bool | None) -> Run:
        viewed = self._views > 0
        return self.session.start(request, show=False if viewed else show, shown=viewed)

    def _check_idle(self) -> None:
        if self.busy is not None:
            raise ValidationError(still(self.busy), field="chat")

    def _request(self, messages: tuple[Message, ...], given: Mapping[str, Any]) -> RunRequest:
        callbacks, own = callbacks_in(self.options)
        asked = {"system": self._system, **own, **given}
        asked["metadata"] = {"chat": self.id, **(own.get("metadata") or {}), **(given.get("metadata") or {})}
        return request_from(self.session, messages, asked, callbacks=(callbacks,))

    def _add(self, turn: Turn) -> None:
        self._turns.append(turn)
        if turn.parent is not None:
            turn.parent.children.append(turn)
            turn.parent.chosen = turn
        self._present = turn

    def _turn(self, turn: Turn | int) -> Turn:
        if isinstance(turn, Turn):
            if turn.id < len(self._turns) and self._turns[turn.id] is turn:
                return turn
            raise ValidationError(f"{turn!r} is a turn of another chat.", field="turn")
        path = self.path
        if not -len(path) <= turn < len(path):
            raise ValidationError(f"The present path has {len(path)} turns, none at {turn}.", field="turn")
        return path[turn]

    def _tell(self, turn: Turn | None) -> None:
        for watch in tuple(self._watchers):
            try:
                watch(turn)
            except Exception:
                _logger.exception("A subscriber of a chat raised.")


def start_chat(
    session: Session,
    *,
    system: str | None,
    resume: str | Path | None,
    show: bool | None,
    options: Mapping[str, Any],
) -> Chat:
    """Return a new chat of a session, or one that goes on where a file of it ended; show it where there is a page."""
    show = session.shows if show is None else show
    chat = Chat(session, system=system, options=options, show=show)
    if resume is not None:
        chat.restore(resume)
    if show is not False:
        presenter().show_chat(chat, asked=show is True)
    return chat


def _messages(path: Sequence[Turn]) -> tuple[Message, ...]:
    return alternating(message for turn in path for message in turn.messages)
