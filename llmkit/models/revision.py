"""Which weights a model's name stands for just now, so that results of other weights aren't taken for its own."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from llmkit.models.embedded import SHA256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmkit.models.catalog import ModelSpec

SAMPLE: Final = 1 << 18
"""Bytes that are read of a file: half at its start, where the metadata is, half at its end, in the last weights."""

_WEIGHTS: Final = (".gguf", ".safetensors", ".json", ".jinja", ".model")


def revision_of(spec: ModelSpec) -> str | None:
    """Return what tells a model's weights from others of the same name, without fetching or reading all of it.

    Parameters
    ----------
    spec : ModelSpec
        From :func:`llmkit.models.catalog.resolve`.

    Returns
    -------
    str or None
        Of the embedded model its file's hash, of a hub model the revision that was named, of files on disk a digest
        of their names, sizes, beginnings and ends. ``None`` if nothing is known.
    """
    if spec.kind == "embedded":
        return f"sha256:{SHA256}"
    if spec.kind == "hub":
        return spec.revision
    if spec.path is None or not spec.path.exists():
        return None
    digest = hashlib.sha256()
    for file in _files(spec.path):
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        digest.update(_sample(file))
    return f"sample:{digest.hexdigest()[:32]}"


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    yield from sorted(each for each in path.iterdir() if each.suffix in _WEIGHTS and each.is_file())


def _sample(file: Path) -> bytes:
    with file.open("rb") as opened:
        begin = opened.read(SAMPLE // 2)
        opened.seek(max(opened.tell(), file.stat().st_size - SAMPLE // 2))
        return begin + opened.read(SAMPLE // 2)
