"""Where models live on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

FOLDER_VARIABLE: Final = "LLMKIT_MODELS"


def models_folder() -> Path:
    """Return the folder of llmkit's own models: ``$LLMKIT_MODELS``, else ``llmkit/models`` in the user's cache folder.

    Files put there by hand can be named without a path.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("llmkit", appauthor=False) / "models"


def hub_folder() -> Path:
    """Return the folder in which huggingface_hub keeps what it downloads (``$HF_HUB_CACHE``, ``$HF_HOME``)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)
