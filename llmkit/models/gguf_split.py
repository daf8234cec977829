"""Models that are split over several GGUF files, and the check every GGUF passes before an engine sees it.

The names of the parts (``name-00001-of-00003.gguf``) are those of the GGUF specification, the metadata
(``split.no``, ``split.count``, ``split.tensors.count``) those of llama.cpp's ``gguf-split``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmkit.models.gguf import GGUFHeader, read_gguf, reject

if TYPE_CHECKING:
    import os

PART_NAME: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE | re.DOTALL)


def part_number(name: str) -> tuple[int, int] | None:
    """Return which part of how many a file name says it is, counted from 1; ``None`` if it's a whole model."""
    match = PART_NAME.fullmatch(name)
    if match is None:
        return None
    number, count = int(match["number"]), int(match["count"])
    return (number, count) if 1 <= number <= count else None


def part_names(name: str) -> list[str]:
    """Return the names of all parts of the model that the file ``name`` belongs to; just ``name`` if it's whole."""
    part, match = part_number(name), PART_NAME.fullmatch(name)
    if part is None or match is None:
        return [name]
    start, end = match.start("number"), match.end("number")
    return [f"{name[:start]}{number:05}{name[end:]}" for number in range(1, part[1] + 1)]


def gguf_parts(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Return the files of the model that a GGUF file belongs to, in order; just the file itself if it's whole.

    Parameters
    ----------
    path : path
        The file, or any part of a split model.

    Raises
    ------
    ModelFileError
        Parts are missing; the message names them.
    """
    path = Path(path)
    names = part_names(path.name)
    if len(names) == 1 and not path.is_file():
        reject(path, "there is no such file", "Check the path.")
    present = _files(path.parent) if len(names) > 1 else {path.name}
    missing = [name for name in names if name not in present]
    if missing:
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        reject(path, f"of its {len(names)} parts these are missing: {named}", f"Put them into {path.parent}.")
    return tuple(path.parent / name for name in names)


def _files(folder: Path) -> set[str]:
    """Return the names of a folder's files: quicker than asking for each of the parts that a name claims."""
    return {file.name for file in folder.iterdir() if file.is_file()} if folder.is_dir() else set()


def check_gguf(path: str | os.PathLike[str], *, max_array: int | None = None) -> GGUFHeader:
    """Check a GGUF model, all its parts included, and return what an engine needs to know of it.

    Parameters
    ----------
    path : path
        The file, or any part of a split model.
    max_array : int, optional
        As for :func:`llmkit.models.gguf.read_gguf`.

    Returns
    -------
    GGUFHeader
        The header of the first part, whose ``path`` is the one to load, with the tensors of that part.

    Raises
    ------
    ModelFileError
        A part is missing or damaged, the parts don't belong together, or it's no language model.
    """
    parts = gguf_parts(path)
    first, *others = (read_gguf(part, max_array=max_array) for part in parts)
    for number, header in enumerate((first, *others), start=1):
        if header.split != ((number, len(parts)) if len(parts) > 1 else None):
            said = "a whole model" if header.split is None else "part {} of {}".format(*header.split)
            reject(header.path, f"its metadata says it is {said}, which its file name doesn't", "Rename it back.")
    count = sum(len(header.tensors) for header in (first, *others))
    expected = first.integer("split.tensors.count") if others else None
    if expected is not None and expected != count:
        reject(first.path, f"its parts hold {count} tensors and should hold {expected}", "Fetch all parts again.")
    kind = first.text("general.type") or "model"
    if first.architecture is None or kind != "model" or count == 0:
        cause = f"it holds no language model but {_what(kind, count)}"
        reject(first.path, cause, "Name the file with the model's weights.")
    return first


def _what(kind: str, tensors: int) -> str:
    if kind != "model":
        return f"data of the kind {kind[:40]!r}"
    return "tensors of an unnamed architecture" if tensors else "metadata alone"
