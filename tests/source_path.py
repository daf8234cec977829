"""Kernels that import the same llmkit as the tests do, whether it is installed or not."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from pathlib import Path


def kernel_path(*first: Path) -> dict[str, str]:
    """Return the environment with which a kernel finds the tests' llmkit, after the folders `first`."""
    spec = importlib.util.find_spec("llmkit")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("llmkit is neither installed nor on the path: run `make test`, or install it.")
    root = Path(next(iter(spec.submodule_search_locations))).resolve().parent
    installed = root == Path(sysconfig.get_path("purelib")).resolve()
    folders = [str(folder) for folder in (*first, *(() if installed else (root,)))]
    if inherited := os.environ.get("PYTHONPATH"):
        folders.append(inherited)
    return {"PYTHONPATH": os.pathsep.join(folders)} if folders else {}
