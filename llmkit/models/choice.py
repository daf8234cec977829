"""Choose one model among several GGUF files."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from llmkit.errors import ModelNotFound
from llmkit.models.gguf_split import part_names, part_number

if TYPE_CHECKING:
    from collections.abc import Iterable

# Best first: small and good, then fast, then larger. MLX keeps Q4_0, Q4_1 and Q8_0 as they are and expands the rest.
GGUF_ORDER: Final = (
    *("Q4_K_M", "Q4_0", "Q8_0", "Q5_K_M", "Q4_K_S", "Q6_K", "Q4_1", "IQ4_XS", "IQ4_NL", "MXFP4", "Q5_K_S"),
    *("Q5_0", "Q5_1", "Q3_K_M", "Q2_K", "BF16", "F16", "F32"),
)
MLX_ORDER: Final = ("Q4_0", "Q4_1", "Q8_0", *(name for name in GGUF_ORDER if name not in {"Q4_0", "Q4_1", "Q8_0"}))

_QUANTIZATION: Final = re.compile(r"(?<![A-Z0-9])(?:I?Q\d|TQ\d|MXFP4|NVFP4|BF16|F16|F32)(?:_[A-Z0-9]+)*(?![A-Z0-9])")
_SIDECAR: Final = re.compile(r"^(?:mmproj|mtp)[-_.]|[-_.](?:mmproj|lora|vocab|imatrix)[-_.]", re.IGNORECASE)


def quantization(name: str) -> str | None:
    """Return the quantisation that a GGUF file's name states, such as ``"Q4_K_M"``; ``None`` if it states none."""
    found = _QUANTIZATION.findall(PurePosixPath(name).name.upper())
    return found[-1] if found else None


def gguf_models(files: Iterable[str]) -> list[str]:
    """Return the GGUF files that are models, sorted: of a split model its first part, no sidecars (``mmproj``…)."""
    models = set()
    for file in files:
        path = PurePosixPath(file)
        if path.suffix.lower() != ".gguf" or _SIDECAR.search(path.name):
            continue
        if (part_number(path.name) or (1, 1))[0] == 1:
            models.add(file)
    return sorted(models)


def split_family(file: str) -> list[str]:
    """Return all files of the model whose first part is ``file``."""
    return [str(PurePosixPath(file).with_name(name)) for name in part_names(PurePosixPath(file).name)]


def choose_gguf(
    files: Iterable[str], *, where: str, wanted: str | None = None, order: tuple[str, ...] = GGUF_ORDER
) -> str:
    """Choose the file to load among those of a folder or repository.

    Parameters
    ----------
    files : iterable of str
        Their paths below the folder.
    where : str
        The folder or repository, for messages.
    wanted : str, optional
        The quantisation asked for, or another part of the file's name.
    order : tuple of str
        Quantisations, best first, if none is asked for.

    Returns
    -------
    str
        The file; of a split model the first part.

    Raises
    ------
    ModelNotFound
        None fits or several fit equally; the message lists what there is.
    """
    models = gguf_models(files)
    if not models:
        raise ModelNotFound(f"{where} holds no GGUF model. Name a folder or repository with .gguf files.")
    if wanted is not None:
        candidates = _matching(models, wanted)
    else:
        ranked = (_matching(models, name) for name in order)
        candidates = models if len(models) == 1 else next((found for found in ranked if found), models)
    if len(candidates) == 1:
        return candidates[0]
    listed = ", ".join((candidates or models)[:20])
    if not candidates:
        raise ModelNotFound(f"{where} has no {wanted!r}. It has: {listed}.")
    raise ModelNotFound(f"{where} has several models: {listed}. Name the file: {where}/{candidates[0]}")


def _matching(models: list[str], wanted: str) -> list[str]:
    exact = [model for model in models if (quantization(model) or "") == wanted.upper()]
    return exact or [model for model in models if wanted.casefold() in PurePosixPath(model).stem.casefold()]
