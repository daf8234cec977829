"""Session: what is resident in the kernel."""

from __future__ import annotations

import atexit
import os
import secrets
import threading
import weakref
from typing import TYPE_CHECKING, Any, Literal, Self

from llmkit import waiting
from llmkit.agent import StepLoop
from llmkit.background import loop_thread
from llmkit.cancellation import CancelToken
from llmkit.engines.scripted import Scripted
from llmkit.errors import Error, SessionClosed, ValidationError
from llmkit.log import EventLog
from llmkit.messages import messages_from
from llmkit.models.catalog import EMBEDDED, resolve
from llmkit.presenting import presenter
from llmkit.records.ledger import Ledger
from llmkit.request import RunRequest
from llmkit.resident import ModelSource, Resident, ScriptSource, Source
from llmkit.run import Run
from llmkit.settings import Settings, settings_from

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pandas as pd

    from llmkit.caches import NamedCaches
    from llmkit.engines.base import Engine, EngineInfo
    from llmkit.messages import Prompt


class Session:
    """What is resident in the kernel: models, their runs, and the record of all of it.

    Parameters
    ----------
    model : str or Path
        The default model: the embedded one, a Hugging Face repo id, a folder, or a ``.gguf`` file. It begins to load
        at once, in the background.
    engine : {"auto", "llamacpp", "mlx"} or Scripted
        What decodes. ``"auto"``: MLX on Apple Silicon, llama.cpp elsewhere; ``session.models`` says why.
    system : str, optional
        The system message of every conversation that has none of its own.
    context_length : int, optional
        Tokens of prompt and output together; ``None`` lets the engine choose.
    concurrency : int
        How many runs of one model decode at once; more wait in order.
    queue_limit : int, optional
        How many runs may wait; one more raises :class:`llmkit.errors.QueueFull`.
    queue_timeout : float, optional
        Seconds that a run may wait for its turn, the loading of the model by those ahead included.
    reproducible : bool
        Whether the same seed gives the same text whatever else runs, also after long prompts. On the CPU that takes
        time: with ``False``, prompts of 2,000 tokens are read about twice as fast, and rounding may change a word.
    profiling : bool
        Whether runs keep stats.
    ledger : bool, str, Path or None
        Where runs are recorded: ``True`` in the user's data folder, a path, ``None`` only in memory.
    show : bool, optional
        Whether runs show themselves when they are made. ``None``: in notebooks and scripts, yes.
    **settings
        Settings of every run (:class:`llmkit.settings.Settings`); a call's own come on top.

    Raises
    ------
    ValidationError
        For a setting that doesn't exist or is out of range.
    ModelNotFound
        If there is no such model.

    Examples
    --------
    >>> import llmkit as lk
    >>> session = lk.Session(engine=lk.Scripted(["Because of Rayleigh scattering."]), show=False, ledger=None)
    >>> session.complete("Why is the sky blue?").text
    'Because of Rayleigh scattering.'
    """

    def __init__(
        self,
        model: str | Path = EMBEDDED,
        *,
        engine: Literal["auto", "llamacpp", "mlx"] | Scripted = "auto",
        system: str | None = None,
        context_length: int | None = None,
        concurrency: int = 8,
        queue_limit: int | None = None,
        queue_timeout: float | None = None,
        reproducible: bool = True,
        profiling: bool = True,
        ledger: bool | str | Path | None = True,
        show: bool | None = None,
        **settings: Any,
    ) -> None:
        _check_positive(concurrency=concurrency, context_length=context_length, queue_timeout=queue_timeout)
        self.id = secrets.token_hex(6)
        self.system = system
        self.profiling = profiling
        self.settings: Settings = settings_from(settings)
        self._engine = engine
        self._context_length = context_length
        self._concurrency = concurrency
        self._reproducible = reproducible
        self._queue: dict[str, Any] = {"queue_limit": queue_limit, "queue_timeout": queue_timeout}
        self._show = show
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._residents: dict[str, Resident] = {}
        self._active: dict[str, Run] = {}
        self._default = self._resident(model)
        self._ledger = Ledger(None if ledger is True else ledger or ":memory:")
        _open_sessions.add(self)
        presenter()  # puts in place how cells wait here, also if nothing is ever shown
        self._start_loading(self._default, quiet=show is False)

    # -- asking -------------------------------------------------------------------------------------------------

    def complete(
        self,
        prompt: Prompt,
        *,
        model: str | Path | None = None,
        system: str | None = None,
        stream: bool = True,
        profiling: bool | None = None,
        cache: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        show: bool | None = None,
        **settings: Any,
    ) -> Run:
        """Ask a model; return at once.

        Parameters
        ----------
        prompt : str, Message, dict, or a sequence of the latter two
            What to answer: a text, or a conversation.
        model : str or Path, optional
            Another model than the session's; it is loaded if it isn't resident.
        system : str, optional
            A system message in place of the session's, or of the conversation's own.
        stream : bool
            Whether pieces stream. The settled values come either way.
        profiling : bool, optional
            Whether to keep stats, in place of the session's choice.
        cache : str, optional
            The named KV cache to reuse and extend.
        metadata : Mapping, optional
            Your own notes, kept in the ledger.
        show : bool, optional
            Whether to show the run now, in place of the session's choice.
        **settings
            Settings of this run, on top of the session's: ``temperature``, ``max_output_tokens``, ``stop``, ``seed``,
            ``timeout``, … (:class:`llmkit.settings.Settings`).

        Returns
        -------
        Run
            Its id is known at once; reading it waits.

        Raises
        ------
        ValidationError
            For a prompt, message or setting that can't be used; names the field.
        ModelNotFound
            If there is no such model.
        SessionClosed
            If the session was closed.
        """
        merged = self.settings.merged(settings)
        resident = self._default if model is None else self._resident(model)
        request = RunRequest(
            run_id=secrets.token_hex(6),
            session_id=self.id,
            model=resident.name,
            messages=messages_from(prompt, system=system, default_system=self.system),
            settings=merged,
            seed=merged.seed if merged.seed is not None else secrets.randbits(32),
            stream=stream,
            profiling=self.profiling if profiling is None else profiling,
            cache=cache,
            metadata=dict(metadata or {}),
        )
        return self._start(request, resident, show=self._show if show is None else show)

    def cancel(self, run_id: str | None = None, *, model: str | Path | None = None) -> int:
        """Cancel a run by its id, all runs of a model, or with neither all runs.

        Returns
        -------
        int
            How many were stopped by this call.
        """
        name = None if model is None else self._name(model)
        runs = [
            run
            for run in tuple(self._active.values())
            if run_id in (None, run.id) and name in (None, run.request.model)
        ]
        return sum(run.cancel() for run in runs)

    # -- models -------------------------------------------------------------------------------------------------

    def load(self, model: str | Path | None = None, *, progress: Callable[..., object] | None = None) -> EngineInfo:
        """Load a model and wait until it is there.

        Parameters
        ----------
        model : str or Path, optional
            The session's own by default.
        progress : Callable, optional
            Called with ``stage``, ``downloaded``, ``total``, ``percentage`` and ``file``, on llmkit's event loop
            thread, in place of the progress bar.

        Returns
        -------
        EngineInfo
            What is known of the model.

        Raises
        ------
        ModelError, EngineError
            If it can't be had, read or loaded; names the cause and the remedy.
        """
        resident = self._default if model is None else self._resident(model)
        return _result_of(self._start_loading(resident, progress=progress)).info

    def caches(self, model: str | Path | None = None) -> NamedCaches:
        """Return a model's named KV caches: to save, pin, delete and list them; loads the model if need be.

        Parameters
        ----------
        model : str or Path, optional
            The session's own by default.
        """
        resident = self._default if model is None else self._resident(model)
        return _result_of(self._start_loading(resident)).caches

    def unload(self, model: str | Path | None = None) -> None:
        """Cancel a model's runs and free its memory. The next run loads it anew.

        Parameters
        ----------
        model : str or Path, optional
            The session's own by default.
        """
        name = self._default.name if model is None else self._name(model)
        with self._lock:
            resident = self._residents.get(name)
            if resident is None:
                return
            self._residents[name] = resident.renewed()
            if resident is self._default:
                self._default = self._residents[name]
        self._end_runs(name, "the model was unloaded")
        resident.close()

    @property
    def models(self) -> pd.DataFrame:
        """The session's models, a row each: state, engine and why, device, memory, runs and queue."""
        from llmkit.records.frames import models_frame

        with self._lock:
            residents = tuple(self._residents.values())
        return models_frame(residents)

    # -- records ------------------------------------------------------------------------------------------------

    @property
    def runs(self) -> pd.DataFrame:
        """The runs of this session, a row each; see :func:`llmkit.history` for all sessions."""
        return self._ledger.runs(session_id=self.id)

    @property
    def steps(self) -> pd.DataFrame:
        """The steps of this session's runs, a row each."""
        return self._ledger.steps(session_id=self.id)

    @property
    def profile(self) -> pd.DataFrame:
        """Count, min, max, mean, sum and last of every stat of this session's runs."""
        from llmkit.records.frames import aggregate

        return aggregate(self.runs)

    # -- life ---------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed.is_set()

    def close(self) -> None:
        """End all runs and free everything. From any thread; a second call does nothing."""
        with self._lock:
            if self._closed.is_set() or os.getpid() != self._pid:
                return
            self._closed.set()
            residents = tuple(self._residents.values())
        _open_sessions.discard(self)
        self._end_runs(None, "the session was closed")
        for resident in residents:
            resident.close()
        self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self.closed:
            return f"<Session {self.id} · closed>"
        with self._lock:
            residents = tuple(self._residents.values())
        lines = [f"<Session {self.id} · {len(self._active)} running>", *(f"  {resident}" for resident in residents)]
        return "\n".join(lines)

    # -- inside -------------------------------------------------------------------------------------------------

    def _start(self, request: RunRequest, resident: Resident, *, show: bool | None) -> Run:
        cancel, log = CancelToken(), EventLog()
        run = Run(request, log, cancel)
        with self._lock:
            if self._closed.is_set():
                raise SessionClosed("The session was closed. Make a new one: llmkit.Session().")
            self._active[run.id] = run
        log.subscribe(self._ledger.recorder())
        loop_thread().start(StepLoop(request, resident, log, cancel, on_end=lambda: self._forget(run)).run)
        if show is not False:
            presenter().show(run, asked=show is True)
        return run

    def _forget(self, run: Run) -> None:
        self._active.pop(run.id, None)

    def _name(self, model: str | Path) -> str:
        return "scripted" if isinstance(self._engine, Scripted) else resolve(model).name

    def _resident(self, model: str | Path) -> Resident:
        source: Source
        if isinstance(self._engine, Scripted):
            source = ScriptSource(self._engine)
        else:
            source = ModelSource(
                resolve(model),
                self._engine,
                context_length=self._context_length,
                slots=self._concurrency,
                reproducible=self._reproducible,
            )
        with self._lock:
            resident = self._residents.get(source.name)
            if resident is None:
                resident = Resident(source, places=self._concurrency, **self._queue)
                self._residents[source.name] = resident
            return resident

    def _start_loading(
        self, resident: Resident, *, progress: Callable[..., object] | None = None, quiet: bool = False
    ) -> concurrent.futures.Future[Engine]:
        view = None if quiet or progress is not None else presenter().loading(resident.name)
        listener = progress if progress is not None else view.update if view is not None else None

        async def load() -> Engine:
            try:
                engine = await resident.loaded(listener)
            except Error as error:
                if view is not None:
                    view.fail(error)
                raise
            if view is not None:
                view.finish(str(resident))
            return engine

        return loop_thread().start(load)

    def _end_runs(self, model: str | None, reason: str) -> None:
        runs = [run for run in tuple(self._active.values()) if model in (None, run.request.model)]
        for run in runs:
            run.cancel(reason)
        if threading.current_thread().name != "llmkit-loop":
            for run in runs:
                run.wait()


def _check_positive(**values: float | None) -> None:
    for field, value in values.items():
        if value is not None and not value > 0:
            raise ValidationError(f"{field}={value!r} can't be used: it must be above 0.", field=field)


def _result_of(future: concurrent.futures.Future[Engine]) -> Engine:
    """Return the future's result, waiting so that widgets and interrupts get through."""
    done = waiting.Signal()
    future.add_done_callback(lambda _: done.set())
    waiting.wait(done)
    return future.result()


_open_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for session in tuple(_open_sessions):
        session.close()
