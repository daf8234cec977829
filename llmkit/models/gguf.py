"""Read and check GGUF files, without trusting a byte of them.

GGUF is the file format of llama.cpp: a header of typed metadata and tensor descriptions, then the tensors' data.
Native readers crash on a damaged header, so every file is checked here before an engine sees it: each length and
count against what the file can hold, each tensor against the file's end.

Source of the format: the GGUF specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Where it
leaves room, llama.cpp's reader (``ggml/src/gguf.cpp``) decides: tensors lie one after the other without gaps, the
alignment is a power of two, keys and tensor names are unique, arrays don't nest.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn

from llmkit.errors import ModelFileError
from llmkit.models.gguf_types import ARRAY, BOOL, NUMBER_FORMATS, STRING, TENSOR_TYPES

if TYPE_CHECKING:
    import os

MAGIC: Final = b"GGUF"
DEFAULT_ALIGNMENT: Final = 32

# Far above any real model (vocabularies of 262,144 tokens, 10,000 tensors), far below what would hurt to hold.
MAX_STRING_BYTES: Final = 2**26
MAX_HEADER_BYTES: Final = 2**29
MAX_ARRAY_ELEMENTS: Final = 2**22
MAX_METADATA: Final = 2**16
MAX_TENSORS: Final = 2**17
MAX_DIMENSIONS: Final = 4
MAX_NAME_BYTES: Final = 63
MAX_KEY_BYTES: Final = 2**16 - 1
MAX_ALIGNMENT: Final = 2**20


@dataclass(frozen=True, slots=True)
class GGUFTensor:
    """One tensor of a GGUF file.

    Parameters
    ----------
    name : str
        Its name, such as ``"blk.0.attn_q.weight"``.
    shape : tuple of int
        Its dimensions in the file's order: the one whose neighbours are adjacent in memory comes first (numpy's
        shape reversed).
    type : str
        The type of its numbers, such as ``"Q4_1"``.
    offset : int
        Where its data starts, in bytes from the start of the file.
    size : int
        Its data's size in bytes.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """What a GGUF file says of itself; everything in it has been checked.

    Parameters
    ----------
    path : Path
        The file.
    version : int
        Version of the format, 2 or 3.
    metadata : dict of str to Any
        Metadata as plain Python values, arrays as lists.
    tensors : tuple of GGUFTensor
        The tensors, in the file's order.
    skipped : dict of str to int
        Keys of the arrays that were longer than ``max_array``, with their lengths; they aren't in ``metadata``.
    """

    path: Path
    version: int
    metadata: dict[str, Any]
    tensors: tuple[GGUFTensor, ...]
    skipped: dict[str, int]

    @property
    def architecture(self) -> str | None:
        """The model's architecture, such as ``"llama"``; ``None`` in the later parts of a split model."""
        return self.text("general.architecture")

    @property
    def context_length(self) -> int | None:
        """How many tokens the model was trained to attend to; ``None`` is unknown."""
        return self.integer(f"{self.architecture}.context_length")

    @property
    def chat_template(self) -> str | None:
        """The model's Jinja chat template; ``None`` if it has none."""
        return self.text("tokenizer.chat_template")

    @property
    def split(self) -> tuple[int, int] | None:
        """Which part of how many this file is, counted from 1; ``None`` for a model in one file."""
        count = self.integer("split.count") or 0
        return (1 + (self.integer("split.no") or 0), count) if count > 1 else None

    def text(self, key: str) -> str | None:
        """Return a metadata value that is a string; ``None`` if it's missing."""
        value = self.metadata.get(key)
        if value is not None and not isinstance(value, str):
            reject(self.path, f"its metadata {key!r} is {type(value).__name__}, not text")
        return value

    def integer(self, key: str) -> int | None:
        """Return a metadata value that is a whole number ≥ 0; ``None`` if it's missing."""
        value = self.metadata.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            reject(self.path, f"its metadata {key!r} is not a whole number")
        return value


def read_gguf(path: str | os.PathLike[str], *, max_array: int | None = None) -> GGUFHeader:
    """Read the header of a GGUF file and check that the file holds what it describes.

    Parameters
    ----------
    path : path
        The file; one part, if the model is split over several.
    max_array : int, optional
        Skip metadata arrays with more elements than this (the vocabulary, mostly): several times faster when only the
        architecture is wanted. ``None`` reads all.

    Returns
    -------
    GGUFHeader
        The metadata and the tensors' descriptions; the tensors' data isn't read.

    Raises
    ------
    ModelFileError
        The file can't be opened, isn't GGUF, is truncated, or contradicts itself.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _Reader(path, file, max_array).header()
    except OSError as error:
        raise ModelFileError(f"{path} can't be read: {error.strerror or error}.") from error


def reject(path: Path, cause: str, remedy: str = "Fetch or copy the file again.") -> NoReturn:
    """Raise the error that says what is wrong with a model file and what to do about it.

    Raises
    ------
    ModelFileError
        Always.
    """
    raise ModelFileError(f"{path} can't be used: {cause}. {remedy}")


class _Reader:
    """A cursor over one file.

    It reads through a buffer and not through a memory map: a mapped file that another process truncates kills the
    kernel with SIGBUS.
    """

    def __init__(self, path: Path, file: BinaryIO, max_array: int | None) -> None:
        self.path = path
        self.file = file
        self.max_array = MAX_ARRAY_ELEMENTS if max_array is None else max_array
        self.size = file.seek(0, 2)
        file.seek(0)
        self.position = 0
        self.elements = 0
        self.skipped: dict[str, int] = {}

    def header(self) -> GGUFHeader:
        version = self.version()
        tensor_count, metadata_count = self.number("Q"), self.number("Q")
        self.check_count(metadata_count, MAX_METADATA, 13, "metadata entries")
        self.check_count(tensor_count, MAX_TENSORS, 24, "tensors")
        metadata = self.metadata(metadata_count)
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if type(alignment) is not int or not 0 < alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
            self.fail(f"its alignment is {alignment!r}, not a power of two")
        tensors = self.tensors(tensor_count, alignment)
        return GGUFHeader(self.path, version, metadata, tensors, self.skipped)

    def version(self) -> int:
        magic = self.file.read(4)
        self.position = len(magic)
        if magic != MAGIC:
            cause = "it is empty" if not magic else "it isn't a GGUF file (it doesn't start with the letters GGUF)"
            self.fail(cause, "Name a .gguf file, or fetch it again if it should be one.")
        version = self.number("I")
        if version & 0xFFFF == 0 and version:
            self.fail("it is big-endian, made for another kind of processor", "Get the little-endian file.")
        if version not in {2, 3}:
            self.fail(f"it is GGUF version {version}; versions 2 and 3 can be read", "Get a file of version 3.")
        return version

    def metadata(self, count: int) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        for _ in range(count):
            key = self.key()
            if key in metadata or key in self.skipped:
                self.fail(f"it has the metadata {key!r} twice")
            kind = self.number("I")
            if kind == ARRAY:
                self.array(key, metadata)
            else:
                metadata[key] = self.value(key, kind)
        return metadata

    def key(self) -> str:
        raw = self.string(MAX_KEY_BYTES)
        if not raw or not raw.isascii():
            self.fail("a metadata key is empty or not ASCII")
        return raw.decode("ascii")

    def value(self, key: str, kind: int) -> Any:
        if kind == STRING:
            return self.string(MAX_STRING_BYTES).decode("utf-8", "replace")
        if kind not in NUMBER_FORMATS:
            self.fail(f"its metadata {key!r} has the unknown type {kind}")
        return self.numbers(kind, 1)[0]

    def array(self, key: str, metadata: dict[str, Any]) -> None:
        kind, count = self.number("I"), self.number("Q")
        if kind != STRING and kind not in NUMBER_FORMATS:
            self.fail(f"its metadata array {key!r} has elements of the unknown type {kind}")
        smallest = 8 if kind == STRING else struct.calcsize(f"<{NUMBER_FORMATS[kind]}")
        self.elements += count
        self.check_count(self.elements, MAX_ARRAY_ELEMENTS, 0, "array elements")
        self.check_count(count, MAX_ARRAY_ELEMENTS, smallest, f"elements in its metadata array {key!r}")
        values = self.strings(count) if kind == STRING else self.numbers(kind, count)
        if count > self.max_array:
            self.skipped[key] = count
        elif kind == STRING:
            metadata[key] = [value.decode("utf-8", "replace") for value in values]
        else:
            metadata[key] = values

    def strings(self, count: int) -> list[bytes]:
        """Read many strings: vocabularies are most of a header, so this loop is a tight one."""
        read, length_of = self.file.read, int.from_bytes
        left = min(self.size, MAX_HEADER_BYTES) - self.position
        strings = []
        for _ in range(count):
            length = length_of(read(8), "little")
            left -= 8 + length
            if left < 0:
                self.fail("it is truncated or damaged: its metadata goes beyond the file's end")
            strings.append(read(length))
        self.position = min(self.size, MAX_HEADER_BYTES) - left
        if self.file.tell() != self.position:
            self.fail("it shrank while it was read")
        return strings

    def tensors(self, count: int, alignment: int) -> tuple[GGUFTensor, ...]:
        described = [self.tensor() for _ in range(count)]
        start = _aligned(self.position, alignment)
        names: set[str] = set()
        expected = start
        tensors = []
        for tensor in described:
            name, offset = tensor.name, start + tensor.offset
            if name in names:
                self.fail(f"it has the tensor {name!r} twice")
            if tensor.offset % alignment:
                self.fail(f"the data of tensor {name!r} isn't aligned to {alignment} bytes")
            if offset != expected:
                wrong = "overlaps the data before it" if offset < expected else "leaves a gap before it"
                self.fail(f"the data of tensor {name!r} {wrong}")
            if offset + tensor.size > self.size:
                self.fail(
                    f"it is truncated: the data of tensor {name!r} ends at byte {offset + tensor.size:,} and the "
                    f"file at {self.size:,}"
                )
            names.add(name)
            expected = _aligned(offset + tensor.size, alignment)
            tensors.append(GGUFTensor(name, tensor.shape, tensor.type, offset, tensor.size))
        return tuple(tensors)

    def tensor(self) -> GGUFTensor:
        """Read one description; its offset still counts from the start of the tensor data."""
        name = self.string(MAX_NAME_BYTES).decode("utf-8", "replace")
        dimensions = self.number("I")
        if dimensions > MAX_DIMENSIONS:
            self.fail(f"tensor {name!r} has {dimensions} dimensions; at most {MAX_DIMENSIONS} are possible")
        shape = tuple(self.number("Q") for _ in range(dimensions))
        kind = self.number("I")
        if kind not in TENSOR_TYPES:
            self.fail(
                f"tensor {name!r} has the unknown type {kind}",
                "Get another quantisation of the model, such as Q4_K_M, or a newer llmkit.",
            )
        packing = TENSOR_TYPES[kind]
        row = shape[0] if shape else 1
        if row % packing.block_size:
            self.fail(f"the rows of tensor {name!r} don't divide into {packing.name}'s blocks of {packing.block_size}")
        size = math.prod(shape) // packing.block_size * packing.block_bytes
        return GGUFTensor(name, shape, packing.name, self.number("Q"), size)

    def numbers(self, kind: int, count: int) -> list[Any]:
        layout = f"<{count}{NUMBER_FORMATS[kind]}"
        raw = self.take(struct.calcsize(layout))
        if kind == BOOL and raw.strip(b"\0\1"):
            self.fail("a metadata flag is neither 0 nor 1")
        return list(struct.unpack(layout, raw))

    def number(self, letter: str) -> int:
        raw = self.take(8 if letter == "Q" else 4)
        return int.from_bytes(raw, "little")

    def string(self, limit: int) -> bytes:
        length = int.from_bytes(self.take(8), "little")
        if length > limit:
            self.fail(f"a text in its header claims {length:,} bytes; at most {limit:,} are possible")
        return self.take(length)

    def take(self, length: int) -> bytes:
        self.position += length
        if self.position > min(self.size, MAX_HEADER_BYTES):
            self.fail(f"it is truncated or damaged: its header goes beyond the file's {self.size:,} bytes")
        raw = self.file.read(length)
        if len(raw) != length:
            self.fail("it shrank while it was read")
        return raw

    def check_count(self, count: int, limit: int, smallest: int, what: str) -> None:
        if count > limit or count * smallest > self.size - self.position:
            self.fail(f"it claims {count:,} {what}, more than it can hold")

    def fail(self, cause: str, remedy: str = "Fetch or copy the file again.") -> NoReturn:
        reject(self.path, cause, remedy)


def _aligned(offset: int, alignment: int) -> int:
    """Return the next multiple of ``alignment`` at or after ``offset``."""
    return -(-offset // alignment) * alignment
