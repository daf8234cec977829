"""What a model's name means.

Four kinds of name are understood: the embedded model, a GGUF file, a folder, and a Hugging Face repository. Resolving
a name needs no network; :mod:`llmkit.models.fetch` brings what isn't here.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from llmkit.errors import ModelNotFound
from llmkit.models.choice import GGUF_ORDER, choose_gguf, gguf_models, quantization
from llmkit.models.embedded import ALIAS, EMBEDDED, LICENCE, find_embedded
from llmkit.models.gguf_split import check_gguf
from llmkit.models.location import models_folder

__all__ = ["EMBEDDED", "Format", "ModelSpec", "parse_hub_name", "resolve"]

Format: TypeAlias = Literal["gguf", "mlx"]

KINDS_OF_NAME: Final = (
    f'A model is named by "{EMBEDDED}" (the embedded one), the path of a .gguf file, the path of a folder with a '
    'model, or a Hugging Face repository: "owner/name", "owner/name:Q4_K_M", "owner/name/file.gguf", each with '
    '"@revision" if wanted.'
)

_WORD: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_HUB_NAME: Final = re.compile(
    rf"(?P<repository>{_WORD}/{_WORD})"
    r"(?:/(?P<file>[^@:\\\x00-\x1f]+\.gguf)|:(?P<quantization>[A-Za-z0-9_.-]+))?"
    r"(?:@(?P<revision>[A-Za-z0-9_][A-Za-z0-9_./-]*))?"
)
_MAX_REPOSITORY: Final = 96
_PATH_START: Final = ("/", "./", "../", "~", ".\\", "..\\")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model, by name; not necessarily on disk yet.

    Parameters
    ----------
    name : str
        As it's shown.
    kind : str
        ``"embedded"``, ``"gguf"`` (a file), ``"folder"`` or ``"hub"``.
    formats : tuple of str
        The formats it can be had in, preferred first: ``"gguf"``, ``"mlx"`` (safetensors). For a repository whose name
        doesn't tell, both; only the hub knows.
    path : Path, optional
        The file (of a split model the first part) or folder, if it's local.
    licence : str, optional
        As its metadata states it; ``None`` is unknown.
    repository, file, quantization, revision : str, optional
        Of a hub model: ``owner/name`` and what was chosen in it.
    """

    name: str
    kind: Literal["embedded", "gguf", "folder", "hub"]
    formats: tuple[Format, ...]
    path: Path | None = None
    licence: str | None = None
    repository: str | None = None
    file: str | None = None
    quantization: str | None = None
    revision: str | None = None


def resolve(name: str | Path) -> ModelSpec:
    """Return what a model's name means, without asking the network.

    What exists on disk comes first: a folder ``owner/name`` hides the repository of that name.

    Parameters
    ----------
    name : str or Path
        ``"smollm2-135m-instruct"`` or ``"embedded"`` in any case; a ``.gguf`` file, also by its bare name if it lies
        in the models folder; a folder; ``owner/name``, ``owner/name:Q4_K_M`` or ``owner/name/file.gguf``, with
        ``@revision`` if wanted.

    Raises
    ------
    ModelNotFound
        It means nothing; the message suggests near names and lists the kinds of name.
    ModelFileError
        It means a file that is damaged or no model.
    """
    if isinstance(name, str):
        name = name.strip()
        if name.casefold() in {EMBEDDED, ALIAS}:
            return ModelSpec(EMBEDDED, "embedded", ("gguf",), find_embedded(), LICENCE)
    local = _find_local(name)
    if local is not None:
        return _resolve_folder(local) if local.is_dir() else _resolve_file(local)
    if isinstance(name, str) and not name.startswith(_PATH_START):
        hub = parse_hub_name(name)
        if hub is not None:
            return hub
    raise ModelNotFound(f"There is no model {shorten(name)}. {suggestions(str(name))}{KINDS_OF_NAME}")


def parse_hub_name(name: str) -> ModelSpec | None:
    """Read ``owner/name[:quantisation | /file.gguf][@revision]``; ``None`` if it's nothing of the kind.

    The rules for names are the hub's own (``validate_repo_id``): they can't climb out of a folder.
    """
    match = _HUB_NAME.fullmatch(name)
    if match is None:
        return None
    repository, file, revision = match["repository"], match["file"], match["revision"]
    parts = [*repository.split("/"), *(file or "x").split("/"), *(revision or "x").split("/")]
    climbs = any(part in {"", ".", ".."} for part in parts) or ".." in (revision or "")
    if climbs or len(repository) > _MAX_REPOSITORY or "--" in repository or ".." in repository:
        return None
    return ModelSpec(
        name,
        "hub",
        _likely_formats(repository, gguf=bool(file or match["quantization"])),
        repository=repository,
        file=file,
        quantization=match["quantization"],
        revision=revision,
    )


def suggestions(name: str) -> str:
    """Return a sentence with the known names most like ``name``, ending in a space; "" if there are none."""
    from llmkit.models.cache import cached_models

    known = {EMBEDDED: EMBEDDED, ALIAS: EMBEDDED} | {model.name.casefold(): model.name for model in cached_models()}
    for folder in (Path(), _expand(Path(name)).parent):
        known |= {file.name.casefold(): str(file) for file in _gguf_files(folder)}
    wanted = name.casefold()
    near = difflib.get_close_matches(wanted, known, n=3) or difflib.get_close_matches(Path(wanted).name, known, n=3)
    return f"Did you mean {' or '.join(dict.fromkeys(known[key] for key in near))}? " if near else ""


def shorten(name: object) -> str:
    """Return a name fit for a message: control characters escaped, cut if it's long."""
    text = str(name)
    return repr(text if len(text) <= 200 else f"{text[:200]}…")


def folder_files(folder: Path) -> list[str]:
    """Return the names of the files in a folder, not those of its subfolders."""
    return sorted(file.name for file in folder.iterdir() if file.is_file())


def holds_mlx(files: list[str]) -> bool:
    """Return whether files of these names make a model that MLX loads: a config, a tokenizer and safetensors."""
    names = set(files)
    tokenizers = {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "tiktoken.model"}
    return (
        "config.json" in names
        and any(name.endswith(".safetensors") for name in names)
        and not names.isdisjoint(tokenizers)
    )


def _find_local(name: str | Path) -> Path | None:
    """Return the existing file or folder that is meant, if any."""
    text = str(name)
    if not text or "\0" in text:
        return None
    candidates = [_expand(Path(name))]
    if Path(name).name == text and text not in {".", ".."}:
        candidates += [models_folder() / text, models_folder() / f"{text}.gguf"]
    for candidate in candidates:
        try:
            found = candidate.exists() and (candidate.is_dir() or candidate.suffix.lower() == ".gguf")
        except OSError:
            # Too long for a path, so it isn't one.
            return None
        if found:
            return candidate.absolute()
    return None


def _expand(path: Path) -> Path:
    try:
        return path.expanduser()
    except (RuntimeError, ValueError):
        # "~name" of a user that doesn't exist, or of a name that can't be one's
        return path


def _resolve_file(path: Path) -> ModelSpec:
    header = check_gguf(path, max_array=0)
    return ModelSpec(
        path.name, "gguf", ("gguf",), header.path, header.text("general.license"), quantization=quantization(path.name)
    )


def _resolve_folder(folder: Path) -> ModelSpec:
    files = folder_files(folder)
    has_gguf = bool(gguf_models(files))
    if holds_mlx(files):
        return ModelSpec(folder.name, "folder", ("mlx", "gguf") if has_gguf else ("mlx",), folder)
    if not has_gguf:
        raise ModelNotFound(
            f"The folder {folder} holds no model: neither .gguf files nor config.json, a tokenizer and .safetensors. "
            f"{KINDS_OF_NAME}"
        )
    header = check_gguf(folder / choose_gguf(files, where=str(folder), order=GGUF_ORDER), max_array=0)
    return ModelSpec(folder.name, "folder", ("gguf",), folder, header.text("general.license"))


def _gguf_files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob("*.gguf"))[:1000]
    except (OSError, ValueError):
        return []


def _likely_formats(repository: str, *, gguf: bool) -> tuple[Format, ...]:
    owner, name = repository.lower().split("/")
    if gguf or "gguf" in name:
        return ("gguf",)
    if owner == "mlx-community" or "mlx" in name.split("-"):
        return ("mlx",)
    return ("gguf", "mlx")
