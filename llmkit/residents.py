"""The models that a session keeps, by name."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal, cast

from llmkit.engines.remote.config import Remote, is_remote, remote_from
from llmkit.engines.scripted import Scripted
from llmkit.models.catalog import resolve
from llmkit.resident import ModelSource, Resident, ScriptSource

if TYPE_CHECKING:
    from pathlib import Path

    from llmkit.resident import Source


class Residents:
    """The models of a session; asking for one that isn't there takes it in, without loading it.

    Parameters
    ----------
    default : str, Path or Remote
        The model that is meant when none is named.
    engine : str or Scripted
        What decodes.
    context_length : int, optional
        Tokens of prompt and output together.
    places : int
        How many runs of one model decode at once.
    reproducible : bool
        Whether the same seed gives the same text whatever else runs, where that takes time.
    dialect : str, optional
        How models write tool calls, where their templates tell it wrongly.
    **queue
        ``queue_limit`` and ``queue_timeout``.

    Raises
    ------
    ModelNotFound
        If there is no such model.
    """

    def __init__(
        self,
        default: str | Path | Remote,
        engine: Literal["auto", "llamacpp", "mlx"] | Scripted,
        *,
        context_length: int | None,
        places: int,
        reproducible: bool,
        dialect: str | None = None,
        **queue: Any,
    ) -> None:
        self._engine = engine
        self._context_length = context_length
        self._places = places
        self._reproducible = reproducible
        self._dialect = dialect
        self._queue = queue
        self._lock = threading.Lock()
        self._residents: dict[str, Resident] = {}
        self._default = self.get(default).name

    def get(self, model: str | Path | Remote | None = None) -> Resident:
        """Return the resident of that name, the default one without."""
        if model is None:
            return self._residents[self._default]
        known = self._residents.get(str(model))
        if known is not None:
            return known
        source = self._source(model)
        with self._lock:
            if source.name not in self._residents:
                self._residents[source.name] = Resident(source, places=self._places, **self._queue)
            return self._residents[source.name]

    def name(self, model: str | Path | Remote | None = None) -> str:
        """Return the name under which a model is kept, or would be."""
        if model is None:
            return self._default
        if is_remote(model):
            return remote_from(model).name  # type: ignore[arg-type]  # which is what is_remote says
        return ScriptSource.name if isinstance(self._engine, Scripted) else resolve(cast("str | Path", model)).name

    def renew(self, name: str) -> Resident | None:
        """Put a resident that isn't loaded in the place of the one of that name, and return the old one."""
        with self._lock:
            old = self._residents.get(name)
            if old is not None:
                self._residents[name] = old.renewed()
            return old

    def all(self) -> tuple[Resident, ...]:
        """Return all of them."""
        with self._lock:
            return tuple(self._residents.values())

    def knows(self, model: str) -> bool:
        """Whether a model of that name is kept already."""
        return model in self._residents

    def _source(self, model: str | Path | Remote) -> Source:
        if is_remote(model):
            from llmkit.engines.remote.source import RemoteSource

            return RemoteSource(model)  # type: ignore[arg-type]  # which is what is_remote says
        if isinstance(self._engine, Scripted):
            return ScriptSource(self._engine, dialect=self._dialect)
        return ModelSource(
            resolve(cast("str | Path", model)),
            self._engine,
            context_length=self._context_length,
            slots=self._places,
            reproducible=self._reproducible,
            dialect=self._dialect,
        )
