"""What models are on this machine, and removing them."""

from __future__ import annotations

import datetime as dt
import logging
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llmkit.errors import ModelError, ModelFileError, ModelNotFound, ValidationError
from llmkit.models.choice import gguf_models
from llmkit.models.embedded import ALIAS, EMBEDDED, FILE, LICENCE, WHEEL, find_embedded
from llmkit.models.gguf import read_gguf
from llmkit.models.gguf_split import part_names
from llmkit.models.location import hub_folder, models_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger("llmkit")


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A model on this machine.

    Parameters
    ----------
    name : str
        The name to load it by.
    path : Path
        Its file or folder.
    size : int
        Bytes on disk, those of an interrupted fetch included.
    licence : str, optional
        As its metadata states it; ``None`` is unknown.
    format : str, optional
        ``"gguf"`` or ``"mlx"``; ``None`` if its fetch was interrupted before anything arrived whole.
    last_used : datetime
        When it was last read, as far as the file system keeps count.
    source : str
        ``"embedded"``, ``"hub"``, or ``"own"``: a file that somebody put into the models folder, or installed.
    """

    name: str
    path: Path
    size: int
    licence: str | None
    format: Literal["gguf", "mlx"] | None
    last_used: dt.datetime
    source: Literal["embedded", "hub", "own"]


def cached_models() -> list[CachedModel]:
    """Return the models on this machine, by name: llmkit's own and those in huggingface_hub's cache."""
    models = [*_embedded(), *_own(), *_hub()]
    return sorted(models, key=lambda model: model.name.casefold())


def remove(name: str) -> int:
    """Remove a fetched model from the cache.

    Parameters
    ----------
    name : str
        As :func:`cached_models` names it, in any case.

    Returns
    -------
    int
        Bytes freed.

    Raises
    ------
    ModelNotFound
        No such model is cached.
    ValidationError
        It isn't llmkit's to remove: a file of the user's own.
    ModelError
        It can't be removed now, for instance because it's in use.
    """
    wanted = EMBEDDED if name.casefold() == ALIAS else name.casefold()
    found = [model for model in cached_models() if model.name.casefold() == wanted]
    if not found:
        from llmkit.models.catalog import shorten, suggestions

        raise ModelNotFound(f"No model {shorten(name)} is cached. {suggestions(name)}`llmkit models` lists them.")
    model = found[0]
    if model.source == "own":
        raise ValidationError(f"{model.path} is a file of your own; delete it yourself if you want to.", field="name")
    try:
        if model.source == "hub":
            # Not by huggingface_hub's `delete_revisions`: it takes every repository with the same commit.
            shutil.rmtree(model.path)
        else:
            for path in _embedded_files():
                path.unlink()
    except OSError as error:
        raise ModelError(f"{model.name} can't be removed: {error}. Close what uses it and try again.") from error
    return model.size


def _embedded() -> Iterator[CachedModel]:
    path = find_embedded()
    if path is None:
        return
    fetched = path.parent == models_folder()
    size = _size(_embedded_files() if fetched else [path])
    yield CachedModel(EMBEDDED, path, size, LICENCE, "gguf", _last_used(path), "embedded" if fetched else "own")


def _embedded_files() -> list[Path]:
    """Return everything in the models folder that fetching the embedded model may have left."""
    names = (FILE, f"{FILE}.part", WHEEL, f"{WHEEL}.part")
    return [path for name in names if (path := models_folder() / name).is_file()]


def _own() -> Iterator[CachedModel]:
    folder = models_folder()
    files = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    for file in gguf_models(files):
        path = folder / file
        size = _size([part for name in part_names(file) if (part := folder / name).is_file()])
        if file != FILE:
            yield CachedModel(file, path, size, _gguf_licence(path), "gguf", _last_used(path), "own")


def _hub() -> Iterator[CachedModel]:
    repositories = {repo.repo_path: repo for repo in _hub_repositories() if repo.repo_type == "model"}
    for folder, repo in repositories.items():
        paths = {file.file_name: file.file_path for revision in repo.revisions for file in revision.files}
        weights = [path for name, path in sorted(paths.items()) if name.endswith((".gguf", ".safetensors"))]
        if weights:
            gguf = [path for path in weights if path.suffix == ".gguf"]
            licence = _gguf_licence(gguf[0]) if gguf else _card_licence(paths.get("README.md"))
            size = repo.size_on_disk + _size(_parts(folder))
            used = dt.datetime.fromtimestamp(repo.last_accessed, dt.UTC)
            yield CachedModel(repo.repo_id, folder, size, licence, "gguf" if gguf else "mlx", used, "hub")
    for folder in hub_folder().glob("models--*"):
        if folder not in repositories and (parts := _parts(folder)):
            name = folder.name.removeprefix("models--").replace("--", "/")
            yield CachedModel(name, folder, _size(parts), None, None, _last_used(parts[0]), "hub")


def _parts(folder: Path) -> list[Path]:
    """Return what interrupted fetches left of a hub model."""
    return list((folder / "blobs").glob("*.part"))


def _size(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _hub_repositories() -> frozenset[Any]:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        return scan_cache_dir(hub_folder()).repos
    except (CacheNotFound, ValueError) as error:
        logger.debug("no hub cache to list: %s", error)
        return frozenset()


def _gguf_licence(path: Path) -> str | None:
    try:
        return read_gguf(path, max_array=0).text("general.license")
    except ModelFileError as error:
        logger.info("listing models: %s", error)
        return None


def _card_licence(card: Path | None) -> str | None:
    """Read ``license:`` from the YAML block in front of a model card."""
    if card is None:
        return None
    front = re.match(r"---\r?\n(.*?)\r?\n---", card.read_text(encoding="utf-8", errors="replace")[:20_000], re.DOTALL)
    found = re.search(r"^license:\s*[\"']?([\w.+-]+)", front[1], re.MULTILINE) if front else None
    return found[1] if found else None


def _last_used(path: Path) -> dt.datetime:
    stat = path.stat()
    return dt.datetime.fromtimestamp(max(stat.st_atime, stat.st_mtime), dt.UTC)
