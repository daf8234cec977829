"""Reading GGUF files: right ones are read in full, wrong ones are refused with a cause and a remedy."""

from __future__ import annotations

import struct
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmkit.errors import ModelFileError
from llmkit.models.gguf import GGUFTensor, read_gguf
from tests.unit.gguf_files import (
    ARRAY,
    BOOL,
    F32,
    INT32,
    Q4_0,
    STRING,
    UINT32,
    UINT64,
    GGUFFile,
    small_model,
)

if TYPE_CHECKING:
    from pathlib import Path

hostile = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_header_is_read_as_plain_values(tmp_path: Path) -> None:
    header = read_gguf(small_model().write(tmp_path / "a.gguf"))
    assert (header.version, header.architecture, header.context_length) == (3, "llama", 128)
    assert header.chat_template == "{{ messages }}"
    assert header.metadata["tokenizer.ggml.tokens"] == ["<s>", "a", "ü", "🙂"]
    assert header.metadata["tokenizer.ggml.token_type"] == [3, 1, 1, 1]
    assert header.metadata["tokenizer.ggml.add_bos_token"] is False
    assert header.metadata["llama.rope.freq_base"] == 10000.0
    assert header.skipped == {}
    assert header.split is None


def test_tensors_are_located_from_the_start_of_the_file(tmp_path: Path) -> None:
    file = small_model()
    header = read_gguf(file.write(tmp_path / "a.gguf"))
    start = -(-len(file.header()) // 32) * 32
    assert header.tensors == (
        GGUFTensor("token_embd.weight", (32, 4), "Q4_0", start, 72),
        GGUFTensor("output_norm.weight", (32,), "F32", start + 96, 128),
        GGUFTensor("blk.0.attn_q.weight", (32, 32), "Q4_0", start + 224, 576),
    )
    raw = header.path.read_bytes()
    assert raw[start : start + 72] == bytes(range(72))


def test_long_arrays_can_be_skipped(tmp_path: Path) -> None:
    path = small_model().write(tmp_path / "a.gguf")
    header = read_gguf(path, max_array=3)
    assert header.skipped == {"tokenizer.ggml.tokens": 4, "tokenizer.ggml.token_type": 4}
    assert not header.skipped.keys() & header.metadata.keys()
    assert header.chat_template == "{{ messages }}"
    assert header.tensors == read_gguf(path).tensors


def test_unknown_values_are_none(tmp_path: Path) -> None:
    header = read_gguf(GGUFFile().write(tmp_path / "a.gguf"))
    assert (header.architecture, header.context_length, header.chat_template) == (None, None, None)


def test_values_of_the_wrong_type_are_refused_when_asked_for(tmp_path: Path) -> None:
    wrong = [("general.architecture", UINT32, 7), ("split.no", STRING, "x"), ("split.count", UINT32, 2)]
    header = read_gguf(GGUFFile(metadata=wrong).write(tmp_path / "a.gguf"))
    with pytest.raises(ModelFileError, match=r"general\.architecture"):
        _ = header.architecture
    with pytest.raises(ModelFileError, match=r"split\.no"):
        _ = header.split


def test_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="No such file"):
        read_gguf(tmp_path / "none.gguf")


def test_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="can't be read"):
        read_gguf(tmp_path)


def refused(tmp_path: Path, raw: bytes, match: str) -> None:
    path = tmp_path / "wrong.gguf"
    path.write_bytes(raw)
    with pytest.raises(ModelFileError, match=match) as caught:
        read_gguf(path)
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (b"", "empty"),
        (b"GG", "isn't a GGUF file"),
        (b"<!DOCTYPE html><html>Sign in</html>", "isn't a GGUF file"),
        (b"GGUF", "truncated"),
        (b"GGUF\0\0\0\3" + bytes(32), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 0, 0, 0), "version 0"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 4, 0, 0), "version 4"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, raw: bytes, match: str) -> None:
    refused(tmp_path, raw, match)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**40, 10**6])
@pytest.mark.parametrize("field", ["metadata_count", "tensor_count"])
def test_absurd_counts_are_refused(tmp_path: Path, field: str, length: int) -> None:
    refused(tmp_path, small_model(**{field: length}).to_bytes(), "more than it can hold")


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        (("a", STRING, struct.pack("<Q", 2**62)), "claims"),
        (("a", STRING, struct.pack("<Q", 10**6)), "goes beyond"),
        (("a", ARRAY, struct.pack("<IQ", STRING, 2**61)), "more than it can hold"),
        (("a", ARRAY, struct.pack("<IQ", UINT64, 2**64 - 1)), "more than it can hold"),
        (("a", ARRAY, struct.pack("<IQQ", STRING, 1, 2**63)), "goes beyond"),
        (("a", ARRAY, struct.pack("<IQ", ARRAY, 1)), "unknown type 9"),
        (("a", ARRAY, struct.pack("<IQ", 77, 1)), "unknown type 77"),
        (("a", 77, b""), "unknown type 77"),
        (("a", BOOL, b"\2"), "neither 0 nor 1"),
        (("", UINT32, 1), "empty or not ASCII"),
        (("ü", UINT32, 1), "empty or not ASCII"),
        (("general.name", STRING, "again"), "twice"),
        (("general.alignment", UINT32, 0), "power of two"),
        (("general.alignment", UINT32, 24), "power of two"),
        (("general.alignment", UINT32, 2**31), "power of two"),
        (("general.alignment", STRING, "x"), "power of two"),
        (("general.alignment", BOOL, True), "power of two"),
    ],
)
def test_wrong_metadata_is_refused(tmp_path: Path, entry: tuple[str, int, Any], match: str) -> None:
    file = small_model()
    file.metadata.append(entry)
    refused(tmp_path, file.to_bytes(), match)


def test_array_of_bytes_as_long_as_a_big_file_is_not_read(tmp_path: Path) -> None:
    file = GGUFFile(metadata=[("a", ARRAY, struct.pack("<IQ", 0, 2**25))])
    path = tmp_path / "big.gguf"
    with path.open("wb") as out:
        out.write(file.header())
        out.truncate(2**26)
    tracemalloc.start()
    with pytest.raises(ModelFileError, match="more than it can hold"):
        read_gguf(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("tensor", "match"),
    [
        (("x", (32,), 77, 800, 128), "unknown type 77"),
        (("x", (33,), Q4_0, 800, 18), "blocks of 32"),
        (("x", (1,) * 5, F32, 800, 4), "5 dimensions"),
        (("x", (32,), F32, 801, 128), "aligned"),
        (("x", (32,), F32, 0, 128), "overlaps"),
        (("x", (32,), F32, 864, 128), "gap"),
        (("x" * 64, (32,), F32, 800, 128), "claims 64 bytes"),
        (("output_norm.weight", (32,), F32, 800, 128), "twice"),
        (("x", (2**40, 2**40), F32, 800, 128), "truncated"),
        (("x", (2**63, 2**63, 2**63, 2**63), F32, 800, 128), "truncated"),
        (("x", (32,), F32, 2**64 - 32, 128), "gap"),
    ],
)
def test_wrong_tensors_are_refused(
    tmp_path: Path, tensor: tuple[str, tuple[int, ...], int, int, int], match: str
) -> None:
    file = small_model()
    file.tensors.append(tensor)
    refused(tmp_path, file.to_bytes(), match)


def test_tensor_of_numbers_without_dimensions_and_an_empty_one_are_read(tmp_path: Path) -> None:
    file = GGUFFile()
    file.add_tensor("scalar", (), F32, 4)
    file.add_tensor("empty", (0,), F32, 0)
    tensors = read_gguf(file.write(tmp_path / "a.gguf")).tensors
    assert [(tensor.shape, tensor.size) for tensor in tensors] == [((), 4), ((0,), 0)]


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    raw = small_model().to_bytes()
    last = len(raw.rstrip(b"\0"))
    for length in range(last):
        refused(tmp_path, raw[:length], "empty|isn't a GGUF|truncated|more than it can hold|goes beyond")


@hostile
@given(data=st.data())
def test_mutated_files_are_read_or_refused_and_never_crash(tmp_path: Path, data: st.DataObject) -> None:
    file = small_model()
    raw = bytearray(file.to_bytes())
    header = len(file.header())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, header - 1))
        patch = data.draw(
            st.one_of(
                st.binary(min_size=1, max_size=9),
                st.sampled_from([struct.pack("<Q", value) for value in (0, 1, 2**31, 2**32, 2**63, 2**64 - 1)]),
            )
        )
        raw[at : at + len(patch)] = patch
    path = tmp_path / "mutated.gguf"
    path.write_bytes(raw)
    try:
        read = read_gguf(path)
    except ModelFileError as error:
        assert str(path) in error.message  # noqa: PT017 - either ending is right
    else:
        assert all(0 <= tensor.offset <= tensor.offset + tensor.size <= len(raw) for tensor in read.tensors)


@hostile
@given(st.binary(max_size=400))
def test_garbage_after_the_magic_never_crashes(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "garbage.gguf"
    path.write_bytes(b"GGUF\3\0\0\0" + garbage)
    try:
        header = read_gguf(path)
    except ModelFileError:
        return
    assert len(header.tensors) <= len(garbage) // 24


def test_text_that_is_not_utf8_is_read_with_replacement_characters(tmp_path: Path) -> None:
    raw = struct.pack("<Q", 2) + b"\xff\xfe"
    tokens = struct.pack("<IQ", STRING, 1) + raw
    file = GGUFFile(metadata=[("a", STRING, raw), ("b", ARRAY, tokens), ("c", INT32, -1)])
    metadata = read_gguf(file.write(tmp_path / "a.gguf")).metadata
    assert metadata == {"a": "\ufffd\ufffd", "b": ["\ufffd\ufffd"], "c": -1}
