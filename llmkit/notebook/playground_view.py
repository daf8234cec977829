"""A live view of a playground: it keeps a page up to date, and does what the page's user asks for.

The state is JSON; ``widgets/playground/protocol.ts`` is the same thing in TypeScript::

    playground_id, kept               its id, and the class of the output that a saved notebook keeps
    controls                          {name, kind, slider, optional, help} of each setting, in order
    models, own                       names to choose from; {model, system, fields}: what holds where nothing is set
    form                              {prompt, system, model, fields}: what is filled in, as text
    edited                            {page, count}: whose edit the form has last, and the how-manieth of that page
    errors                            what is wrong, by the name of its control; "" is for what is no control's
    runs                              {id, prompt, changes, rate, status} each, the latest last
    shown                             id of the run whose answer is shown, or null
    code                              what asks for that run again
    answer                            in snapshots, and where ``shown`` changes: the state of that run, or null

A change is ``set``: the fields that have changed. The answer is a run view of its own: what it tells its pages travels
as ``{kind: "answer", run, message}``, and so does what pages tell it.

What pages say besides::

    hello, resync                     answered with the state
    edit: page, count, form           what was filled in, of each part that has changed
    run · stop · choose: run
    gone                              the page doesn't show the view any more
"""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from llmkit.errors import Error
from llmkit.notebook.answer_page import AnswerPage
from llmkit.notebook.budget import BUDGET, Budget
from llmkit.notebook.playground_words import changes_words, how_it_stands, how_it_was_told, kept_class
from llmkit.notebook.run_view import RunView
from llmkit.notebook.visible import one_line
from llmkit.playing.controls import controls
from llmkit.playing.form import own_texts
from llmkit.playing.playground import own_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.notebook.run_view import Page
    from llmkit.playing import Playground
    from llmkit.playing.playground import Try

MOST_LISTED = 200
"""So many runs can be chosen from."""

LONGEST_PROMPT = 120
"""So many characters tell which prompt it was."""

_logger = logging.getLogger("llmkit")


class PlaygroundView:
    """A subscriber of a playground that keeps a widget up to date.

    Parameters
    ----------
    playground : Playground
        The playground to show.
    page : callable
        Makes the widget, given a function that returns the state and one that takes the page's messages.
    on_change : callable
        Called when a run has ended, and when nothing runs and another one is shown.
    budget : Budget
        Says when messages may go.
    """

    def __init__(
        self,
        playground: Playground,
        page: Callable[[Callable[[], dict[str, Any]], Callable[[Any], None]], Page],
        *,
        on_change: Callable[[PlaygroundView], None],
        budget: Budget = BUDGET,
    ) -> None:
        self._playground = playground
        self._on_change = on_change
        self._budget = budget
        self._answers: dict[str, RunView] = {}
        self._shown: Try | None = playground.tries[-1] if playground.tries else None
        self._known = len(playground.tries)
        self._edited: dict[str, Any] = {"page": "", "count": 0}
        self._refused: dict[str, str] = {}
        self._names = {"prompt", "system", "model", *(control.name for control in controls())}
        self._models = _models(playground)
        self._sent: dict[str, Any] = {}
        self._seq = 0
        self._lock = threading.RLock()
        self._channel = budget.channel(self._flush)
        self._sent = self._fields()
        self.page = page(self.snapshot, self.receive)

    def open(self) -> None:
        """Begin to follow the playground."""
        self._playground.subscribe(self._take)
        for each in self._playground.tries:
            if each is self._shown or not each.run.ended:
                self._follow(each)

    def release(self) -> None:
        """Nothing takes this view's place: what is kept of it stands beside it."""

    @property
    def shown(self) -> Try | None:
        """The run whose answer is shown."""
        return self._shown

    def answer(self) -> dict[str, Any] | None:
        """Return the state of the run that is shown."""
        return None if self._shown is None else self._view_of(self._shown).state.to_dict()

    def snapshot(self) -> dict[str, Any]:
        """Return the state, with its number, as of the last message."""
        with self._lock:
            self._send_pending()
            told = [control.to_dict() for control in controls()]
            return {"seq": self._seq, **self._sent, "controls": told, "answer": self._answer()}

    def receive(self, message: Any) -> None:
        """Take a message from a page; it may hold anything."""
        match message:
            case {"kind": "hello" | "resync"}:
                self._models = _models(self._playground)
                with self._lock:
                    self.page.send({"kind": "snapshot", "state": self.snapshot()})
            case {"kind": "answer", "run": str(run_id), "message": dict(content)} if run_id in self._answers:
                self._answers[run_id].receive(content)
            case {"kind": "edit", "page": str(page), "count": int(count), "form": dict(changes)}:
                self._edit(page[:40], count, changes)
            case {"kind": "run"}:
                self._try(self._playground.ask)
            case {"kind": "stop"} if self._shown is not None:
                self._shown.run.cancel("stopped in the playground")
            case {"kind": "choose", "run": str(run_id)}:
                self._try(lambda: self._choose(run_id))
            case {"kind": "gone" | "stop"}:
                pass
            case _:
                _logger.warning("The playground got a message that it doesn't know: %.200r", message)

    # -- what pages ask for -------------------------------------------------------------------------------------

    def _edit(self, page: str, count: int, changes: dict[str, Any]) -> None:
        self._playground.fill(self._playground.form.edited(changes))
        with self._lock:
            self._edited = {"page": page, "count": count}  # after the form: pages take an older one for what it is
            self._refused = {}
        self._channel.mark()

    def _try(self, act: Callable[[], object]) -> None:
        with self._lock:
            self._refused = {}
        try:
            act()
        except Error as error:
            with self._lock:
                self._refused = {own_name(error, self._names): error.message}
        self._channel.mark()

    def _choose(self, run_id: str) -> None:
        chosen = self._playground.choose(run_id)
        with self._lock:
            self._shown = chosen
            self._edited = {"page": "", "count": self._edited["count"] + 1}
        if all(run.ended for run in self._playground.runs):
            self._on_change(self)

    # -- what pages are told ------------------------------------------------------------------------------------

    def _take(self) -> None:
        with self._lock:
            tries = self._playground.tries
            new, self._known = tries[self._known :], len(tries)
            if new:
                self._shown = new[-1]
        for each in new:
            self._follow(each)
        self._channel.mark()

    def _follow(self, each: Try) -> None:
        """Follow a run, if that isn't done already."""
        self._view_of(each)
        self._channel.mark()

    def _view_of(self, each: Try) -> RunView:
        with self._lock:
            known = self._answers.get(each.run.id)
            if known is not None:
                return known

            def send(message: dict[str, Any]) -> None:
                self.page.send({"kind": "answer", "run": each.run.id, "message": message})

            view = RunView(
                each.run,
                lambda snapshot, _receive: AnswerPage(send, snapshot),
                on_end=lambda _view: self._ended(),
                budget=self._budget,
            )
            self._answers[each.run.id] = view
        view.open()
        return view

    def _ended(self) -> None:
        self._channel.mark()
        self._on_change(self)

    def _answer(self) -> dict[str, Any] | None:
        return None if self._shown is None else self._view_of(self._shown).snapshot()

    def _fields(self) -> dict[str, Any]:
        playground, shown = self._playground, self._shown
        session = playground.session
        edited, form = self._edited, playground.form  # in this order
        return {
            "playground_id": playground.id,
            "kept": kept_class(playground),
            "models": self._models,
            "own": {
                "model": session.resident().name,
                "system": session.system or "",
                "fields": own_texts(session.settings),
            },
            "form": asdict(form),
            "edited": edited,
            "errors": {**form.problems(), **self._refused},
            "runs": [self._entry(each) for each in playground.tries[-MOST_LISTED:]],
            "shown": None if shown is None else shown.run.id,
            "code": "" if shown is None else shown.code,
        }

    def _entry(self, each: Try) -> dict[str, Any]:
        view = self._answers.get(each.run.id)
        # What a view was told of a run comes before the run itself says that it is over.
        status, rate = how_it_stands(each.run) if view is None else how_it_was_told(view.state.to_dict())
        return {
            "id": each.run.id,
            "prompt": one_line(each.form.prompt, LONGEST_PROMPT),
            "changes": changes_words(each),
            "rate": rate,
            "status": status,
        }

    def _flush(self) -> None:
        with self._lock:
            self._send_pending()

    def _send_pending(self) -> None:
        fields = self._fields()
        change = {name: value for name, value in fields.items() if self._sent[name] != value}
        if not change:
            return
        self._sent = fields
        self._seq += 1
        if "shown" in change:
            change["answer"] = self._answer()
        self.page.send({"kind": "patch", "seq": self._seq, "set": change})


def _models(playground: Playground) -> list[str]:
    """Return the names of models to choose from: those that the session keeps, then those on this machine."""
    from llmkit.models.cache import cached_models
    from llmkit.models.catalog import EMBEDDED

    resident = playground.session.models
    names = [*resident["model"], *filter(None, [playground.form.model])]
    if "scripted" not in set(resident["engine"]):  # a script answers by whatever name
        names += [EMBEDDED, *(model.name for model in cached_models())]
    return list(dict.fromkeys(map(str, names)))
