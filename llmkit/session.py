"""Session: what is resident in the kernel."""

from __future__ import annotations

import atexit
import os
import secrets
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Literal, Self

from llmkit import waiting
from llmkit.approval.gate import Gate
from llmkit.approval.policy import policy_from
from llmkit.approval.rules import RuleBook, SessionRules
from llmkit.asking import request_from, resumed_from
from llmkit.background import loop_thread
from llmkit.cancellation import CancelToken
from llmkit.errors import Error, SessionClosed, ValidationError
from llmkit.invocations import Invocations
from llmkit.lifecycle import Lifecycle, callbacks_in
from llmkit.log import EventLog
from llmkit.loop import StepLoop
from llmkit.models.catalog import EMBEDDED
from llmkit.presenting import presenter
from llmkit.records.ledger import Ledger
from llmkit.residents import Residents
from llmkit.run import Run
from llmkit.settings import Settings, settings_from
from llmkit.studies import Studies

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from llmkit.approval.pending import PendedRun
    from llmkit.approval.policy import ApprovalPolicy
    from llmkit.caches import NamedCaches
    from llmkit.engines.base import Engine, EngineInfo
    from llmkit.engines.remote.config import Remote
    from llmkit.engines.scripted import Scripted
    from llmkit.messages import Prompt
    from llmkit.preparing import PrepareStep
    from llmkit.request import RunRequest
    from llmkit.resident import Resident
    from llmkit.tools.repair import Repair
    from llmkit.tracing.otel import Telemetry


class Session(Studies):
    """What is resident in the kernel: models, their runs, and the record of all of it.

    Parameters
    ----------
    model : str, Path or Remote
        The default model: the embedded one, a Hugging Face repo id, a folder, a ``.gguf`` file, or one on a server:
        :class:`llmkit.Remote` or ``"http://host:8000/v1#model"``. It begins to load at once, in the background.
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
    approval : str, list or ApprovalPolicy, optional
        What is decided about tool calls without asking, and when nobody is there to ask: ``"ask"`` (the default),
        ``"allow"``, ``"deny"``, ``"pend"``, a list of rules, or a policy.
    dialect : str, optional
        How the model writes tool calls (``"hermes"``, ``"mistral"``, ``"generic"``, …), where its template tells it
        wrongly.
    telemetry : bool, TracerProvider or Telemetry, optional
        Export every run as OpenTelemetry spans; needs ``pip install llmkit[otel]``.
    **settings
        Settings of every run (:class:`llmkit.settings.Settings`); a call's own come on top. Also lifecycle callbacks
        (``on_start=``, ``on_finish=``, … :data:`llmkit.lifecycle.CALLBACKS`), which come before a call's own.

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

    def __init__(  # noqa: PLR0913 - what can be set, in one call
        self,
        model: str | Path | Remote = EMBEDDED,
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
        approval: Any = None,
        telemetry: Any = None,
        dialect: str | None = None,
        **settings: Any,
    ) -> None:
        callbacks, settings = callbacks_in(settings)
        _check_positive(concurrency=concurrency, context_length=context_length, queue_timeout=queue_timeout)
        self.id = secrets.token_hex(6)
        self.start_time = time.time()
        self.system = system
        self.profiling = profiling
        self.settings: Settings = settings_from(settings)
        self.approval: ApprovalPolicy = policy_from(approval)
        self.rules = SessionRules()
        self._telemetry = _telemetry(telemetry)
        self.callbacks = callbacks
        self._show = show
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._active: dict[str, Run] = {}
        self._residents = Residents(
            model,
            engine,
            context_length=context_length,
            places=concurrency,
            reproducible=reproducible,
            dialect=dialect,
            queue_limit=queue_limit,
            queue_timeout=queue_timeout,
        )
        self._ledger = Ledger(None if ledger is True else ledger or ":memory:")
        _open_sessions.add(self)
        presenter()  # puts in place how cells wait here, also if nothing is ever shown
        self._start_loading(self._residents.get(), quiet=show is False)

    # -- asking -------------------------------------------------------------------------------------------------

    def complete(  # noqa: PLR0913 - all of it can be asked for in one call, and completed by an editor
        self,
        prompt: Prompt,
        *,
        model: str | Path | Remote | None = None,
        system: str | None = None,
        stream: bool = True,
        profiling: bool | None = None,
        cache: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        show: bool | None = None,
        output: Any = None,
        tools: Any = None,
        tool_choice: Any = None,
        active_tools: Sequence[str] | None = None,
        approval: Any = None,
        stop_when: Any = None,
        prepare_step: PrepareStep | None = None,
        repair: Repair | None = None,
        context: Any = None,
        function_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        provider_options: Mapping[str, Any] | None = None,
        include: Sequence[str] | None = None,
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
            Whether to show the run now, in place of the session's choice. With ``False`` nobody can be asked about its
            tool calls.
        output : type, dict, Output or re.Pattern, optional
            What the answer must be: a pydantic model, dataclass, TypedDict or other type; a JSON schema; a compiled
            regular expression; or what :class:`llmkit.Output` makes, such as ``Output.array(Person)``. Local models
            are bound to it while they decode; ``run.output`` is its value.
        tools : sequence, optional
            What the model may call: typed functions, what :func:`llmkit.tool` makes, pydantic models, JSON schemas.
        tool_choice : str, tool or mapping, optional
            ``"auto"``, ``"none"``, ``"required"``, or the tool that must be called.
        active_tools : sequence of str, optional
            The names of those that are offered.
        approval : str, list or ApprovalPolicy, optional
            In place of the session's.
        stop_when : condition, int or list of conditions, optional
            When the loop of answers and tool calls ends: after one answer by default. See
            :func:`llmkit.step_count_is`, :func:`llmkit.has_tool_call`.
        prepare_step : Callable, optional
            Called before each step with ``step_number``, ``steps``, ``messages``, ``model``, ``context``; returns what
            to change for it: ``model``, ``tool_choice``, ``active_tools``, ``system``, ``messages``, ``settings``,
            ``context``.
        repair : Callable, optional
            Called with a call that is wrong, its error, the tools and the messages; may return a call in its place.
        context : Any, optional
            Yours, for tools, callbacks and ``prepare_step``.
        function_id : str, optional
            Your name for what this run does, for records and telemetry.
        headers, provider_options : Mapping, optional
            For remote engines.
        include : sequence of str, optional
            Which bulky parts steps' results keep, of ``"request"`` and ``"raw_text"``; all by default.
        **settings
            Settings of this run, on top of the session's: ``temperature``, ``max_output_tokens``, ``stop``, ``seed``,
            ``timeout``, … (:class:`llmkit.settings.Settings`). Also lifecycle callbacks: ``on_start=``,
            ``on_step_finish=``, ``on_finish=``, … (:data:`llmkit.lifecycle.CALLBACKS`).

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
        options = {
            "model": model,
            "system": system,
            "stream": stream,
            "profiling": profiling,
            "cache": cache,
            "metadata": metadata,
            "output": output,
            "tools": tools,
            "tool_choice": tool_choice,
            "active_tools": active_tools,
            "approval": approval,
            "stop_when": stop_when,
            "prepare_step": prepare_step,
            "repair": repair,
            "context": context,
            "function_id": function_id,
            "headers": headers,
            "provider_options": provider_options,
            "include": include,
        }
        request = request_from(self, prompt, {**settings, **options})
        return self.start(request, show=show)

    def resume(
        self,
        pended: Run | PendedRun | str | Path,
        *,
        tools: Any,
        show: bool | None = None,
        **options: Any,
    ) -> Run:
        """Go on with a run whose approvals were left open: ask about them, run what is allowed, and ask the model.

        Parameters
        ----------
        pended : Run, PendedRun, str or Path
            The run, what ``run.pended`` gave, its JSON text, or a file of it.
        tools : sequence
            The tools of the run; their schemas must be those that its calls were checked against.
        show : bool, optional
            Whether to show the run now, in place of the session's choice.
        **options
            As for :meth:`complete`. Without ``stop_when`` the model is asked once.

        Raises
        ------
        ValidationError
            For a JSON text that can't be read or is of another version, for a tool that is missing or has changed,
            and for arguments that don't fit any more.
        """
        return self.start(resumed_from(self, pended, tools, options), show=show)

    def cancel(self, run_id: str | None = None, *, model: str | Path | Remote | None = None) -> int:
        """Cancel a run by its id, all runs of a model, or with neither all runs.

        Returns
        -------
        int
            How many were stopped by this call.
        """
        name = None if model is None else self._residents.name(model)
        runs = [
            run
            for run in tuple(self._active.values())
            if run_id in (None, run.id) and name in (None, run.request.model)
        ]
        return sum(run.cancel() for run in runs)

    # -- models -------------------------------------------------------------------------------------------------

    def load(
        self, model: str | Path | Remote | None = None, *, progress: Callable[..., object] | None = None
    ) -> EngineInfo:
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
        return _result_of(self._start_loading(self._residents.get(model), progress=progress)).info

    def caches(self, model: str | Path | Remote | None = None) -> NamedCaches:
        """Return a model's named KV caches: to save, pin, delete and list them; loads the model if need be.

        Parameters
        ----------
        model : str or Path, optional
            The session's own by default.
        """
        return _result_of(self._start_loading(self._residents.get(model))).caches

    def unload(self, model: str | Path | Remote | None = None) -> None:
        """Cancel a model's runs and free its memory. The next run loads it anew.

        Parameters
        ----------
        model : str or Path, optional
            The session's own by default.
        """
        name = self._residents.name(model)
        resident = self._residents.renew(name)
        if resident is not None:
            self._end_runs(name, "the model was unloaded")
            resident.close()

    @property
    def models(self) -> pd.DataFrame:
        """The session's models, a row each: state, engine and why, device, memory, runs and queue."""
        from llmkit.records.frames import models_frame

        return models_frame(self._residents.all())

    def resident(self, model: str | Path | Remote | None = None) -> Resident:
        """Return a model that the session keeps, taken in if it wasn't."""
        return self._residents.get(model)

    def knows(self, model: str) -> bool:
        """Return whether the session keeps a model of that name."""
        return self._residents.knows(model)

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
    def tool_calls(self) -> pd.DataFrame:
        """The tool calls of this session's runs, a row each."""
        return self._ledger.tool_calls(session_id=self.id)

    @property
    def approvals(self) -> pd.DataFrame:
        """Every decision on a tool call of this session's runs, a row each; those that took no effect too."""
        return self._ledger.approvals(session_id=self.id)

    @property
    def shows(self) -> bool | None:
        """Whether runs show themselves when they are made; ``None``: wherever there is a place for it."""
        return self._show

    @property
    def ledger(self) -> Ledger:
        """Where its runs are recorded."""
        return self._ledger

    @property
    def votes(self) -> pd.DataFrame:
        """The votes on this session's comparisons, a row each."""
        return self._ledger.votes(session_id=self.id)

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
        _open_sessions.discard(self)
        self._end_runs(None, "the session was closed")
        for resident in self._residents.all():
            resident.close()
        self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self.closed:
            return f"<Session {self.id} · closed>"
        residents = self._residents.all()
        lines = [f"<Session {self.id} · {len(self._active)} running>", *(f"  {resident}" for resident in residents)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from llmkit.notebook.displays.session import html

        return html(self, self._residents.all(), tuple(self._active.values()))

    # -- inside -------------------------------------------------------------------------------------------------

    def start(
        self,
        request: RunRequest,
        *,
        show: bool | None = None,
        shown: bool = False,
        residents: Callable[[Any], Resident] | None = None,
    ) -> Run:
        """Start a run that was asked for in all detail; :meth:`complete` is the simple way.

        Parameters
        ----------
        request : RunRequest
            What is asked.
        show : bool, optional
            Whether to show the run now, in place of the session's choice.
        shown : bool
            Whether a view of the caller's shows the run, and asks about its tool calls.
        residents : Callable, optional
            Returns the model of a name as this run is to see it; by default as it is.

        Raises
        ------
        SessionClosed
            If the session was closed.
        """
        cancel, log = CancelToken(), EventLog()
        lifecycle = Lifecycle(request.callbacks)
        policy = request.approval or self.approval
        rules = RuleBook(policy.rules, session=self.rules)
        here = presenter()
        show = self._show if show is None else show

        def audience() -> bool:
            return (shown or show is not False) and here.audience()

        gate = Gate(tell=log.emit, rules=rules, policy=policy, audience=audience, heard=lifecycle.heard)
        desk = Invocations(gate, log, cancel, lifecycle.heard, echo=not audience())
        run = Run(request, log, cancel, gate, lifecycle, self)
        with self._lock:
            if self._closed.is_set():
                raise SessionClosed("The session was closed. Make a new one: llmkit.Session().")
            self._active[run.id] = run
        log.subscribe(self._ledger.recorder())
        if self._telemetry is not None:
            log.subscribe(self._telemetry.recorder())
        models = residents or self._residents.get
        loop = StepLoop(request, models, log, cancel, desk, lifecycle, on_end=lambda: self._forget(run))
        loop_thread().start(loop.run)
        if show is not False:
            here.show(run, asked=show is True)
        return run

    def _forget(self, run: Run) -> None:
        self._active.pop(run.id, None)

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


def _telemetry(value: Any) -> Telemetry | None:
    if not value:
        return None
    from llmkit.tracing.otel import telemetry_from

    return telemetry_from(value)


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


def open_sessions() -> tuple[Session, ...]:
    """Return the sessions of this process that aren't closed."""
    return tuple(_open_sessions)


@atexit.register
def _close_all() -> None:
    for session in tuple(_open_sessions):
        session.close()
