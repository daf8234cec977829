"""Playground: one prompt, asked again and again with other settings."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.asking import request_from
from llmkit.errors import ModelError, ValidationError
from llmkit.playing.code import code_for
from llmkit.playing.form import Form, fields_of
from llmkit.presenting import Displayed, presenter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmkit.engines.remote.config import Remote
    from llmkit.run import Run
    from llmkit.session import Session


@dataclass(frozen=True, slots=True)
class Try:
    """A run of a playground, and what was filled in for it.

    Parameters
    ----------
    run : Run
        The run.
    form : Form
        What was filled in.
    code : str
        What asks for the same again.
    """

    run: Run
    form: Form
    code: str


class Playground(Displayed):
    """A prompt and its settings, to be changed and run; :meth:`llmkit.Session.playground` makes it.

    Attributes
    ----------
    id : str
        Its id.
    session : Session
        What answers.

    Examples
    --------
    >>> import llmkit as lk
    >>> session = lk.Session(engine=lk.Scripted(["Like this."]), show=False, ledger=None)
    >>> playground = session.playground("How?", temperature=0.2, seed=3)
    >>> playground.ask().text
    'Like this.'
    >>> playground.code
    "session.complete('How?', temperature=0.2, seed=3)"
    """

    def __init__(
        self,
        session: Session,
        prompt: str = "",
        *,
        system: str | None = None,
        model: str | Path | Remote | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(prompt, str):
            raise ValidationError(f"A playground's prompt is a text, not {type(prompt).__name__}.", field="prompt")
        self.id = secrets.token_hex(6)
        self.session = session
        name = str(model) if isinstance(model, str | Path) else session.resident(model).name if model else ""
        self._form = Form(prompt, system or "", name, fields_of(settings or {}, session.settings))
        self._tries: list[Try] = []
        self._lock = threading.RLock()
        self._watchers: list[Callable[[], None]] = []

    # -- what is filled in --------------------------------------------------------------------------------------

    @property
    def form(self) -> Form:
        """What is filled in now."""
        return self._form

    @property
    def prompt(self) -> str:
        """The prompt that is filled in."""
        return self._form.prompt

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are set, by field; :meth:`llmkit.Session.complete` takes them.

        Raises
        ------
        ValidationError
            For a text that can't be read; names the control.
        """
        return self._form.settings(self.session.settings)

    def fill(self, form: Form) -> None:
        """Replace what is filled in."""
        with self._lock:
            self._form = form
        self._tell()

    # -- runs ---------------------------------------------------------------------------------------------------

    def ask(self) -> Run:
        """Run what is filled in; return at once.

        Raises
        ------
        ValidationError
            If there is no prompt, and for a setting that can't be used; names the control.
        ModelError
            If there is no such model, or its file can't be read.
        SessionClosed
            If the session was closed.
        """
        form = self._form
        if not form.prompt:
            raise ValidationError("There is nothing to ask: write a prompt.", field="prompt")
        for name, message in form.problems().items():
            raise ValidationError(message, field=name)
        options = {**form.settings(self.session.settings), "model": form.model or None, "system": form.system or None}
        request = request_from(self.session, form.prompt, options)
        code = code_for(
            self.session,
            form.prompt,
            settings=request.settings,
            seed=request.seed,
            system=form.system,
            model=form.model,
        )
        run = self.session.start(request, show=False)
        with self._lock:
            self._tries.append(Try(run, form, code))
        self._tell()
        return run

    @property
    def run(self) -> Run | None:
        """The latest run, if there is one."""
        return self._tries[-1].run if self._tries else None

    @property
    def runs(self) -> tuple[Run, ...]:
        """Its runs, the first one first."""
        return tuple(each.run for each in self._tries)

    @property
    def tries(self) -> tuple[Try, ...]:
        """Its runs with what was filled in for each."""
        return tuple(self._tries)

    @property
    def code(self) -> str:
        """What asks for the latest run again; before the first one, for what is filled in."""
        if self._tries:
            return self._tries[-1].code
        form, own = self._form, self.session.settings
        settings = own.merged(form.settings(own))
        return code_for(self.session, form.prompt, settings=settings, system=form.system, model=form.model)

    def choose(self, run: Run | str) -> Try:
        """Fill in again what a run was asked with; return that.

        Parameters
        ----------
        run : Run or str
            One of this playground's runs, or its id.

        Raises
        ------
        ValidationError
            If it isn't one of them.
        """
        wanted = run if isinstance(run, str) else run.id
        chosen = next((each for each in self._tries if each.run.id == wanted), None)
        if chosen is None:
            raise ValidationError(f"The playground has no run {wanted[:40]!r}.", field="run")
        self.fill(chosen.form)
        return chosen

    # -- showing ------------------------------------------------------------------------------------------------

    def show(self) -> None:
        """Show it: a live view in a notebook with a browser, else the latest answer and how to go on."""
        presenter().show_playground(self, asked=True)

    def subscribe(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` when there is a new run, and when something else is filled in; in any thread."""
        self._watchers.append(watcher)

    def _tell(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()

    def __repr__(self) -> str:
        from llmkit.notebook.playground_static import plain

        return plain(self)

    def _ipython_display_(self) -> None:
        here = presenter()
        if not here.shown_here(self):
            here.show_playground(self, asked=False)


def own_name(error: Exception, names: set[str]) -> str:
    """Return the name of the control that an error is about; "" if it is about none.

    Parameters
    ----------
    error : Exception
        What asking raised.
    names : set of str
        The names of what can be filled in.
    """
    if isinstance(error, ModelError):
        return "model"
    field = str(getattr(error, "field", None) or "")
    return field if field in names else field.partition(".")[0] if field.partition(".")[0] in names else ""
