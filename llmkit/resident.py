"""A model that a session keeps: loaded once, shared by its runs."""

from __future__ import annotations

import asyncio
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

from llmkit.admission import Admission
from llmkit.background import in_thread, loop_thread
from llmkit.engines.choice import choose, load_decoder
from llmkit.errors import SessionClosed, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.caches import NamedCaches
    from llmkit.engines.base import Engine, EngineInfo
    from llmkit.engines.decoder import Decoder
    from llmkit.engines.scripted import Scripted
    from llmkit.models.catalog import ModelSpec
    from llmkit.models.fetch import FetchProgress

State = Literal["new", "loading", "ready", "failed", "closed"]


class Listener(Protocol):
    """Told of a load's progress; the fields are those of :class:`llmkit.events.Load`."""

    def __call__(
        self,
        *,
        stage: Literal["fetch", "load"],
        downloaded: int | None = None,
        total: int | None = None,
        percentage: float | None = None,
        file: str = "",
    ) -> object:
        """Take a report."""


class Source(Protocol):
    """Where a resident's engine comes from."""

    name: str
    engine_name: str
    reason: str
    note: str

    def revision(self) -> str | None:
        """Return which weights the name stands for, where that is known; reads a little of the disk."""

    def load(self, tell: Listener, closed: Callable[[], bool]) -> Engine:
        """Return the loaded engine; blocks."""


class ModelSource:
    """A model by name, fetched if need be, on the engine that suits it.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    engine : str
        ``"auto"`` or an engine's name.
    context_length : int, optional
        Tokens of prompt and output together.
    slots : int
        How many runs may decode at once.
    reproducible : bool
        Whether the same seed gives the same text whatever else runs, where that takes time.
    dialect : str, optional
        How it writes tool calls, in place of what its template tells.
    """

    def __init__(
        self,
        spec: ModelSpec,
        engine: str,
        *,
        context_length: int | None,
        slots: int,
        reproducible: bool,
        dialect: str | None = None,
    ) -> None:
        self._spec = spec
        self._choice = choose(engine, spec.formats)
        self._context_length = context_length
        self._slots = slots
        self._reproducible = reproducible
        self._dialect = dialect
        self.name = spec.name
        self.engine_name = self._choice.engine
        self.reason = self._choice.reason
        self.note = self._choice.reason if self._choice.fallback else ""

    def revision(self) -> str | None:
        """Return which weights the name stands for, where that is known; reads a little of the disk."""
        from llmkit.models.revision import revision_of

        return revision_of(self._spec)

    def load(self, tell: Listener, closed: Callable[[], bool]) -> Engine:
        """Return the loaded engine; blocks."""
        from llmkit.models.fetch import fetch

        def on_fetch(progress: FetchProgress) -> None:
            tell(
                stage="fetch",
                downloaded=progress.downloaded,
                total=progress.total,
                percentage=progress.percentage,
                file=progress.file,
            )

        def on_load(fraction: float) -> None:
            tell(stage="load", percentage=100 * fraction, file=path.name)

        path = fetch(self._spec, engine_format=self._choice.format, progress=on_fetch, cancelled=closed)
        tell(stage="load", file=path.name)
        decoder = load_decoder(
            self._choice,
            path,
            context_length=self._context_length,
            slots=self._slots,
            progress=on_load,
            reproducible=self._reproducible,
        )
        return _local_engine(decoder, self.name, self._dialect)


class ScriptSource:
    """A script in place of a model.

    Parameters
    ----------
    script : Scripted
        What to answer.
    dialect : str, optional
        How it writes tool calls.
    """

    name = "scripted"
    engine_name = "scripted"
    reason = "a script was passed as engine"
    note = ""

    def __init__(self, script: Scripted, *, dialect: str | None = None) -> None:
        self._script = script
        self._dialect = dialect

    def revision(self) -> str | None:
        """Return ``None``: scripts have none."""
        return None

    def load(self, tell: Listener, closed: Callable[[], bool]) -> Engine:  # noqa: ARG002 - there is nothing to wait for
        """Return the engine."""
        from llmkit.engines.scripted import ScriptedDecoder

        return _local_engine(ScriptedDecoder(self._script), self.name, self._dialect)


def _local_engine(decoder: Decoder, name: str, dialect: str | None) -> Engine:
    from llmkit.engines.local import LocalEngine
    from llmkit.prompting.prompt import tool_dialect

    return LocalEngine(decoder, name, dialect=None if dialect is None else tool_dialect(dialect))


class Resident:
    """A model of a session.

    Parameters
    ----------
    source : Source
        Where its engine comes from.
    places : int
        How many runs share it at once.
    queue_limit : int, optional
        How many may wait for a place.
    queue_timeout : float, optional
        Seconds one may wait for a place.
    """

    def __init__(
        self, source: Source, *, places: int, queue_limit: int | None = None, queue_timeout: float | None = None
    ) -> None:
        self.name = source.name
        self.engine_name = source.engine_name
        self.reason = source.reason
        self.note = source.note
        self._limits: dict[str, Any] = {
            "places": places,
            "queue_limit": queue_limit,
            "queue_timeout": queue_timeout,
        }
        self.admission = Admission(places, queue_limit=queue_limit, queue_timeout=queue_timeout)
        self._state: State = "new"
        self.load_time: float | None = None
        self.build: str | None = None
        self._source = source
        self._engine: Engine | None = None
        self._listeners: list[Listener] = []
        self._task: asyncio.Task[Engine] | None = None

    @property
    def state(self) -> State:
        """Where it is in its life."""
        return self._state

    @property
    def info(self) -> EngineInfo | None:
        """What is known of the loaded model; ``None`` while it isn't."""
        return self._engine.info if self._engine is not None else None

    @property
    def caches(self) -> NamedCaches | None:
        """The loaded model's named KV caches; ``None`` while it isn't loaded, and where a server keeps them."""
        try:
            return self._engine.caches if self._engine is not None else None
        except ValidationError:  # a server's: it keeps its own
            return None

    @cached_property
    def revision(self) -> str | None:
        """Which weights the name stands for, where that is known."""
        return self._source.revision()

    def renewed(self) -> Resident:
        """Return a resident for the same model that isn't loaded yet."""
        return Resident(self._source, **self._limits)

    def __str__(self) -> str:
        info = self.info
        where = f" on {info.device}" if info is not None else ""
        loaded = f" in {self.load_time:.1f} s" if self.load_time is not None else ""
        return f"{self.name} · {self.engine_name}{where} ({self.reason}) · {self.state}{loaded}"

    async def loaded(self, listener: Listener | None = None) -> Engine:
        """Return the engine, loading it if it isn't.

        Parameters
        ----------
        listener : Listener, optional
            Told of the progress, on the event loop thread.

        Raises
        ------
        ModelError, EngineError
            If it can't be loaded. The next call tries again.
        SessionClosed
            If it was closed.
        """
        if self.state == "closed":
            raise SessionClosed(f"The model {self.name} was unloaded. Ask again to load it anew.")
        if self._engine is not None:
            return self._engine
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._load())
        if listener is not None:
            self._listeners.append(listener)
        try:
            return await asyncio.shield(self._task)
        finally:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def close(self) -> None:
        """Free the model; blocks. From any thread but the event loop's; a second call does nothing."""
        self._state = "closed"
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    async def _load(self) -> Engine:
        self._state = "loading"
        began = time.perf_counter()
        try:
            engine = await in_thread(self._source.load, self._tell_from_thread, lambda: self.state == "closed")
        except BaseException:
            if self.state == "loading":
                self._state = "failed"
            raise
        if self.state == "closed":
            await in_thread(engine.close)
            raise SessionClosed(f"The model {self.name} was unloaded while it loaded.")
        self._engine = engine
        self.admission.places = min(self.admission.places, engine.info.slots)
        self.load_time = time.perf_counter() - began
        self.build = engine.info.build
        self._state = "ready"
        return engine

    def _tell_from_thread(self, **progress: Any) -> None:
        loop_thread().call(self._tell, progress)

    def _tell(self, progress: dict[str, Any]) -> None:
        for listener in tuple(self._listeners):
            listener(**progress)
