"""Write small GGUF files, right ones and wrong ones, for tests."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64 = 4, 5, 6, 7, 8, 9, 10
F32, Q4_0 = 0, 2
FORMATS = {UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?", UINT64: "<Q"}


@dataclass
class GGUFFile:
    """What to write; every field that a reader relies on can be made wrong."""

    metadata: list[tuple[str, int, Any]] = field(default_factory=list)
    tensors: list[tuple[str, tuple[int, ...], int, int, int]] = field(default_factory=list)
    magic: bytes = b"GGUF"
    version: int = 3
    metadata_count: int | None = None
    tensor_count: int | None = None
    alignment: int = 32

    def add_tensor(self, name: str, shape: tuple[int, ...], kind: int, size: int) -> None:
        offset = sum(-(-size // self.alignment) * self.alignment for *_, size in self.tensors)
        self.tensors.append((name, shape, kind, offset, size))

    def header(self) -> bytes:
        counts = (
            len(self.tensors) if self.tensor_count is None else self.tensor_count,
            len(self.metadata) if self.metadata_count is None else self.metadata_count,
        )
        parts = [self.magic, struct.pack("<I", self.version), struct.pack("<QQ", *counts)]
        parts += [text(key) + struct.pack("<I", kind) + encode(kind, value) for key, kind, value in self.metadata]
        for name, shape, kind, offset, _ in self.tensors:
            dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
            parts.append(text(name) + dimensions + struct.pack("<IQ", kind, offset))
        return b"".join(parts)

    def to_bytes(self) -> bytes:
        raw = self.header()
        raw += b"\0" * (-len(raw) % self.alignment)
        for *_, size in self.tensors:
            raw += bytes(index % 251 for index in range(size)) + b"\0" * (-size % self.alignment)
        return raw

    def write(self, path: Path) -> Path:
        path.write_bytes(self.to_bytes())
        return path


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def encode(kind: int, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if kind == STRING:
        return text(value)
    if kind == ARRAY:
        of, values = value
        return struct.pack("<IQ", of, len(values)) + b"".join(encode(of, item) for item in values)
    return struct.pack(FORMATS[kind], value)


def small_model(**changes: Any) -> GGUFFile:
    """Return a tiny but complete model file: architecture, tokenizer, chat template, three tensors."""
    file = GGUFFile(
        metadata=[
            ("general.architecture", STRING, "llama"),
            ("general.name", STRING, "Tiny"),
            ("general.license", STRING, "apache-2.0"),
            ("llama.context_length", UINT32, 128),
            ("llama.rope.freq_base", FLOAT32, 10000.0),
            ("tokenizer.ggml.add_bos_token", BOOL, False),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, ["<s>", "a", "ü", "🙂"])),
            ("tokenizer.ggml.token_type", ARRAY, (INT32, [3, 1, 1, 1])),
            ("tokenizer.chat_template", STRING, "{{ messages }}"),
        ],
        **changes,
    )
    file.add_tensor("token_embd.weight", (32, 4), Q4_0, 72)
    file.add_tensor("output_norm.weight", (32,), F32, 128)
    file.add_tensor("blk.0.attn_q.weight", (32, 32), Q4_0, 576)
    return file


def write_split_model(folder: Path, stem: str = "tiny", count: int = 3) -> list[Path]:
    """Write a model split over ``count`` files of one tensor each, as gguf-split does."""
    paths = []
    for number in range(1, count + 1):
        file = small_model() if number == 1 else GGUFFile()
        file.tensors.clear()
        file.add_tensor(f"blk.{number}.attn_q.weight", (32, 32), Q4_0, 576)
        file.metadata += [
            ("split.no", UINT32, number - 1),
            ("split.count", UINT32, count),
            ("split.tensors.count", INT32, count),
        ]
        paths.append(file.write(folder / f"{stem}-{number:05}-of-{count:05}.gguf"))
    return paths
