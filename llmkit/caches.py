"""Named KV caches: a conversation's keys and values, kept under a name, saved to disk, used again in another kernel.

Prefixes are reused between all runs of a model anyway, as long as the engine still holds them. A name makes one last:
saved, it outlives the kernel; pinned, it is saved after every run that uses it, so that the engine may forget it.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from llmkit.errors import EngineError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from llmkit.engines.decoder import Decoder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class SavedCache:
    """What is written beside a saved cache.

    Parameters
    ----------
    name : str
        Its name.
    model : str
        The model's name.
    identity : str
        Digest of model, template, engine and build; another one can't read the cache.
    tokens : int
        How many tokens it holds.
    pinned : bool
        Whether it is saved anew after every run that uses it.
    format : int
        Version of this record.
    """

    name: str
    model: str
    identity: str
    tokens: int
    pinned: bool = False
    format: int = _FORMAT


def identity_of(decoder: Decoder, model: str) -> str:
    """Return the digest that binds a saved cache to its model, template, engine and build."""
    info = decoder.info
    parts = (model, info.chat_template or "", info.engine, info.build, str(info.vocabulary_size))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def caches_folder() -> Path:
    """Return the folder that holds saved caches, in the user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("llmkit") / "caches"


class NamedCaches:
    """The named caches of one model.

    Parameters
    ----------
    decoder : Decoder
        The model.
    model : str
        Its name.
    folder : Path
        Where saved ones are kept.
    """

    def __init__(self, decoder: Decoder, model: str, folder: Path) -> None:
        self._decoder = decoder
        self._model = model
        self._identity = identity_of(decoder, model)
        self._folder = folder / hashlib.sha256(model.encode()).hexdigest()[:16]
        self._lock = threading.RLock()
        self._ids: dict[str, tuple[int, ...]] = {}
        self._restored: set[str] = set()

    def use(self, name: str) -> None:
        """Bring a saved cache back into the engine, once a process; a new name is fine.

        Raises
        ------
        ValidationError
            For a name that can't be one, or a cache of another model, template or engine.
        """
        with self._lock:
            path = self._path(name)
            if name in self._restored or name in self._ids or not path.exists():
                return
            saved = self._read(name)
            if saved.identity != self._identity:
                raise ValidationError(
                    f"The cache {name!r} was saved by another model, chat template or engine build than {self._model} "
                    "has here. Delete it (session.caches().delete) or use another name.",
                    field="cache",
                )
            self._decoder.load_prefix(path)
            self._restored.add(name)

    def extended(self, name: str, ids: Sequence[int]) -> None:
        """Note what a run that used the cache has read and written by now; a pinned one is saved."""
        with self._lock:
            self._ids[name] = tuple(ids)
            pinned = self._record_path(name).exists() and self._read(name).pinned
        if pinned:
            self.save(name, pinned=True)

    def save(self, name: str, *, pinned: bool = False) -> SavedCache:
        """Write a cache to disk.

        Parameters
        ----------
        name : str
            As given to ``complete(cache=…)`` in this session.
        pinned : bool
            Whether to save it anew after every run that uses it.

        Raises
        ------
        ValidationError
            If no run of this session used the name.
        EngineError
            If it can't be written.
        """
        with self._lock:
            path = self._path(name)
            ids = self._ids.get(name)
            if ids is None:
                known = ", ".join(sorted(self._ids)) or "none yet"
                raise ValidationError(f"No run of this session used cache={name!r}. Used: {known}.", field="cache")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                tokens = self._decoder.save_prefix(ids, path)
                saved = SavedCache(name, self._model, self._identity, tokens, pinned=pinned)
                self._record_path(name).write_text(json.dumps(asdict(saved)), encoding="utf-8")
            except OSError as error:
                raise EngineError(f"The cache {name!r} can't be written to {path.parent}: {error}.") from error
            return saved

    def pin(self, name: str) -> SavedCache:
        """Save a cache, and again after every run that uses it."""
        return self.save(name, pinned=True)

    def delete(self, name: str) -> bool:
        """Delete a saved cache; return whether there was one."""
        with self._lock:
            self._ids.pop(name, None)
            self._restored.discard(name)
            there = self._path(name).exists()
            self._path(name).unlink(missing_ok=True)
            self._record_path(name).unlink(missing_ok=True)
            return there

    @property
    def names(self) -> tuple[str, ...]:
        """The names that runs of this session used."""
        with self._lock:
            return tuple(sorted(self._ids))

    @property
    def frame(self) -> pd.DataFrame:
        """The caches, a row each: name, tokens, size in bytes, whether saved and pinned."""
        import pandas as pd

        with self._lock:
            saved = {record.name: record for record in map(self._load_record, self._folder.glob("*.json"))}
            names = sorted({*saved, *self._ids})
            rows = [
                {
                    "name": name,
                    "tokens": saved[name].tokens if name in saved else len(self._ids[name]),
                    "size": self._path(name).stat().st_size if name in saved else None,
                    "saved": name in saved,
                    "pinned": name in saved and saved[name].pinned,
                }
                for name in names
            ]
        columns = {"name": "string", "tokens": "Int64", "size": "Int64", "saved": "boolean", "pinned": "boolean"}
        return pd.DataFrame(rows, columns=list(columns)).astype(columns)

    def __repr__(self) -> str:
        return f"Named caches of {self._model}:\n{self.frame.to_string(index=False)}"

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValidationError(
                f"cache={name!r} can't be a cache's name: letters, digits, space, '.', '_' and '-', at most 64, "
                "the first a letter or digit.",
                field="cache",
            )
        # A digest, because file systems differ in case and in which names they reserve.
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.cache"

    def _record_path(self, name: str) -> Path:
        return self._path(name).with_suffix(".json")

    def _read(self, name: str) -> SavedCache:
        return self._load_record(self._record_path(name))

    def _load_record(self, path: Path) -> SavedCache:
        try:
            return SavedCache(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ValidationError(
                f"The record of a saved cache, {path}, can't be read: {error}. Delete it and its .cache file.",
                field="cache",
            ) from error
