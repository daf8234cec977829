"""Check safetensors files before a native reader sees them.

The format: eight bytes of header length, a JSON header of tensors with their offsets, then the tensors' data
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn

from llmkit.errors import ModelFileError

if TYPE_CHECKING:
    from pathlib import Path

MAX_HEADER_BYTES: Final = 100_000_000  # the limit of the reference implementation


def read_safetensors_header(path: Path) -> dict[str, Any]:
    """Return a safetensors file's header, after checking that the file holds what the header promises.

    Raises
    ------
    ModelFileError
        The file can't be opened, is truncated, or is no safetensors file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                _reject(path)
            header = json.loads(file.read(length))
    except OSError as error:
        raise ModelFileError(f"{path} can't be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError):
        _reject(path)
    if not isinstance(header, dict):
        _reject(path)
    for name, tensor in header.items():
        if name != "__metadata__" and not _fits(tensor, size - 8 - length):
            _reject(path)
    return header


def _fits(tensor: Any, size: int) -> bool:
    offsets = tensor.get("data_offsets") if isinstance(tensor, dict) else None
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(n) is int for n in offsets):
        return False
    return bool(0 <= offsets[0] <= offsets[1] <= size)


def _reject(path: Path) -> NoReturn:
    raise ModelFileError(f"{path} is truncated or not a safetensors file. Fetch or copy the file again.")
