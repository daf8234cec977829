"""Which engine answers for a model on this machine, and why; and how each is loaded."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmkit.engines.decoder import Decoder

EngineName = Literal["auto", "llamacpp", "mlx"]
ENGINES: tuple[EngineName, ...] = ("auto", "llamacpp", "mlx")


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine and the reason for it.

    Parameters
    ----------
    engine : str
        ``"llamacpp"``, ``"mlx"`` or ``"scripted"``.
    reason : str
        Why, for a person.
    format : {"gguf", "mlx"} or None
        The format it wants a model's files in; ``None`` if it takes what is there.
    fallback : bool
        Whether this isn't what the machine's owner would expect, so that views say so.
    """

    engine: str
    reason: str
    format: Literal["gguf", "mlx"] | None
    fallback: bool = False


def apple_silicon() -> bool:
    """Return whether this is a Mac with an Apple chip."""
    return sys.platform == "darwin" and platform.machine() == "arm64"


def choose(engine: str, formats: tuple[str, ...]) -> Choice:
    """Return the engine for a model.

    Parameters
    ----------
    engine : {"auto", "llamacpp", "mlx"}
        What the user asked for.
    formats : tuple of str
        The formats the model can be had in: ``"gguf"``, ``"mlx"``.

    Raises
    ------
    ValidationError
        For an engine that doesn't exist, or that can't read the model.
    """
    if engine not in ENGINES:
        raise ValidationError(f"There is no engine {engine!r}. Engines: {', '.join(ENGINES)}.", field="engine")
    if engine == "llamacpp" and "gguf" not in formats:
        raise ValidationError("llama.cpp reads GGUF only, and this model has none. Use engine='mlx'.", field="engine")
    if engine != "auto":
        return Choice(engine, "asked for", _format(engine, formats))
    if not apple_silicon():
        if "gguf" in formats:
            return Choice("llamacpp", "no Apple Silicon here; llama.cpp is the fastest on this CPU", "gguf")
        return Choice("mlx", "the model is in MLX's format; slow without Apple Silicon", "mlx", fallback=True)
    if find_spec("mlx_lm") is None:
        return Choice("llamacpp", "mlx-lm isn't installed (pip install 'llmkit[mlx]')", "gguf", fallback=True)
    return Choice("mlx", "Apple Silicon", _format("mlx", formats))


def load_decoder(
    choice: Choice,
    path: Path,
    *,
    context_length: int | None,
    slots: int,
    progress: Callable[[float], None],
    reproducible: bool = True,
) -> Decoder:
    """Load a model; blocks.

    Parameters
    ----------
    choice : Choice
        The engine.
    path : Path
        The model's file or folder.
    context_length : int, optional
        Tokens of prompt and output together; ``None`` lets the engine choose.
    slots : int
        How many requests may decode at once.
    progress : Callable
        Told how much is loaded, 0 to 1, where the engine knows.
    reproducible : bool
        Whether the same seed gives the same text whatever else runs, where that takes time.

    Raises
    ------
    ModelFileError, EngineError
        If the files or the engine are no good.
    """
    if choice.engine == "mlx":
        from llmkit.engines import mlx

        return mlx.load(path, context_length=context_length, slots=slots, progress=progress)
    from llmkit.engines import llamacpp

    return llamacpp.load(path, context_length=context_length, slots=slots, progress=progress, reproducible=reproducible)


def _format(engine: str, formats: tuple[str, ...]) -> Literal["gguf", "mlx"] | None:
    if engine == "mlx" and "mlx" in formats:
        return "mlx"
    return "gguf" if "gguf" in formats else None
