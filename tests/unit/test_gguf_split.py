"""Split GGUF models, and the check before an engine sees a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.errors import ModelFileError
from llmkit.models.gguf_split import check_gguf, gguf_parts, part_names, part_number
from tests.unit.gguf_files import STRING, UINT32, GGUFFile, small_model, write_split_model

if TYPE_CHECKING:
    from pathlib import Path


def test_whole_file_is_its_own_only_part(tmp_path: Path) -> None:
    path = small_model().write(tmp_path / "a.gguf")
    assert gguf_parts(path) == (path,)
    assert check_gguf(path).architecture == "llama"


def test_any_part_finds_its_siblings_in_order(tmp_path: Path) -> None:
    paths = write_split_model(tmp_path)
    for path in paths:
        assert gguf_parts(path) == tuple(paths)
        header = check_gguf(path)
        assert (header.path, header.split, header.context_length) == (paths[0], (1, 3), 128)


def test_missing_parts_are_named(tmp_path: Path) -> None:
    paths = write_split_model(tmp_path)
    paths[1].unlink()
    with pytest.raises(ModelFileError, match=r"of its 3 parts these are missing: tiny-00002-of-00003\.gguf"):
        check_gguf(paths[0])


def test_many_missing_parts_make_a_short_message(tmp_path: Path) -> None:
    path = small_model().write(tmp_path / "x-00001-of-99999.gguf")
    with pytest.raises(ModelFileError, match="and 99995 more") as caught:
        gguf_parts(path)
    assert len(caught.value.message) < 400


def test_missing_file_is_no_split_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        gguf_parts(tmp_path / "none.gguf")


def test_renamed_part_is_refused(tmp_path: Path) -> None:
    paths = write_split_model(tmp_path)
    renamed = paths[0].rename(tmp_path / "renamed.gguf")
    with pytest.raises(ModelFileError, match="says it is part 1 of 3"):
        check_gguf(renamed)


def test_parts_of_different_models_are_refused(tmp_path: Path) -> None:
    paths = write_split_model(tmp_path)
    small_model().write(paths[2])
    with pytest.raises(ModelFileError, match="says it is a whole model"):
        check_gguf(paths[0])


def test_lost_tensors_are_noticed(tmp_path: Path) -> None:
    paths = write_split_model(tmp_path)
    file = GGUFFile(metadata=[("split.no", UINT32, 2), ("split.count", UINT32, 3)])
    file.write(paths[2])
    with pytest.raises(ModelFileError, match="hold 2 tensors and should hold 3"):
        check_gguf(paths[0])


@pytest.mark.parametrize(
    ("file", "match"),
    [
        (GGUFFile(), "metadata alone"),
        (GGUFFile(metadata=[("general.architecture", STRING, "llama")]), "metadata alone"),
        (GGUFFile(metadata=[("general.type", STRING, "adapter")]), "kind 'adapter'"),
    ],
)
def test_files_that_are_no_language_model_are_refused(tmp_path: Path, file: GGUFFile, match: str) -> None:
    with pytest.raises(ModelFileError, match=match):
        check_gguf(file.write(tmp_path / "a.gguf"))


@pytest.mark.parametrize("name", ["a-00000-of-00003.gguf", "a-00004-of-00003.gguf", "a-1-of-3.gguf", "a.gguf"])
def test_names_that_only_look_like_parts_are_whole_models(name: str) -> None:
    assert part_number(name) is None
    assert part_names(name) == [name]


@given(st.text(max_size=30), st.integers(1, 40), st.integers(1, 40))
def test_every_part_names_the_same_family(stem: str, number: int, count: int) -> None:
    names = part_names(f"{stem}-{number:05}-of-{count:05}.gguf")
    if stem and number <= count:
        assert len(set(names)) == count
        assert all(part_names(name) == names for name in names)
    else:
        assert len(names) == 1
