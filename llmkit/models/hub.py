"""Models of the Hugging Face hub.

huggingface_hub owns the cache and names the files; the bytes come through :mod:`llmkit.models.download`, because
huggingface_hub throws an interrupted download away. A finished, checked file is put where the library keeps contents,
``blobs/<hash>``, and the library then enters it into its snapshot
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llmkit.errors import FetchError, ModelNotFound
from llmkit.models.catalog import holds_mlx, suggestions
from llmkit.models.choice import GGUF_ORDER, MLX_ORDER, choose_gguf, gguf_models, split_family
from llmkit.models.disk import locked, require_space
from llmkit.models.download import RemoteFile, download
from llmkit.models.location import hub_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.models.catalog import Format, ModelSpec
    from llmkit.models.progress import Watch

logger = logging.getLogger("llmkit")

INDEX: Final = "model.safetensors.index.json"
# A model's own Python code stays away: it would run in the kernel.
MLX_SUFFIXES: Final = (".json", ".jsonl", ".jinja", ".txt", ".model", ".tiktoken", ".safetensors")
DIGEST: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
MLX_EXTRAS: Final = ("README.md",)


class HubFile(NamedTuple):
    """A file of a repository: its path there, bytes, and hash (SHA-256, or git's SHA-1 of small files)."""

    path: str
    size: int
    digest: str


def find_hub(spec: ModelSpec, engine_format: Format | None) -> Path | None:
    """Return where a hub model is in the cache, as :func:`fetch_hub` would; ``None`` if it isn't or not complete."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    with contextlib.suppress(LocalEntryNotFoundError, HFValidationError, FileNotFoundError):
        # No patterns: the library is to say where the snapshot is, not whether the whole repository is there.
        snapshot = snapshot_download(
            _repository(spec),
            revision=spec.revision,
            cache_dir=hub_folder(),
            local_files_only=True,
            allow_patterns=[],
            token=False,
        )
        folder = Path(snapshot)
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        with contextlib.suppress(ModelNotFound):
            chosen = choose_files(spec, files, engine_format)
            if all((folder / file).is_file() for file in chosen) and _shards_are_complete(folder, chosen):
                return _result(folder, chosen)
    return None


def fetch_hub(spec: ModelSpec, engine_format: Format | None, watch: Watch) -> Path:
    """Return a hub model's file or folder, fetched if it isn't in the cache.

    Raises
    ------
    ModelNotFound
        No such repository, revision or file.
    FetchError
        No network, access refused, no disk space, or a wrong hash.
    """
    found = find_hub(spec, engine_format)
    if found is not None:
        return found
    with _hub_errors(spec):
        known = {file.path: file for file in hub_files(spec)}
        wanted = [known[path] for path in choose_files(spec, list(known), engine_format)]
        return _result(_fetch_files(spec, wanted, watch), [file.path for file in wanted])


def hub_files(spec: ModelSpec) -> list[HubFile]:
    """Ask the hub which files a repository has."""
    from huggingface_hub import HfApi, constants

    api = HfApi(endpoint=constants.ENDPOINT, token=_token() or False)
    info = api.model_info(_repository(spec), revision=spec.revision, files_metadata=True)
    files = []
    for sibling in info.siblings or ():
        digest = sibling.lfs.sha256 if sibling.lfs is not None else sibling.blob_id
        # Both become names of files in the cache.
        if sibling.size is not None and DIGEST.fullmatch(digest or "") and _is_safe(sibling.rfilename):
            files.append(HubFile(sibling.rfilename, sibling.size, str(digest)))
    return files


def choose_files(spec: ModelSpec, files: list[str], engine_format: Format | None) -> list[str]:
    """Choose which of a repository's files make the model.

    Parameters
    ----------
    spec : ModelSpec
        May ask for a file or a quantisation.
    files : list of str
        What there is.
    engine_format : str, optional
        What the engine prefers. MLX takes GGUF where there are no safetensors.

    Returns
    -------
    list of str
        All parts of a GGUF model, the first in front; or everything that MLX reads.

    Raises
    ------
    ModelNotFound
        The repository has nothing that fits; the message says what it has.
    """
    where = _repository(spec)
    if spec.file is not None:
        if spec.file not in files:
            has = ", ".join(gguf_models(files)[:20]) or "no GGUF files"
            raise ModelNotFound(f"{where} has no file {spec.file!r}. It has: {has}.")
        return split_family(spec.file)
    top = [file for file in files if "/" not in file]
    mlx = holds_mlx(top) and spec.quantization is None
    if mlx and (engine_format == "mlx" or (engine_format is None and not gguf_models(files))):
        return [file for file in top if file.endswith(MLX_SUFFIXES) or file in MLX_EXTRAS]
    if mlx and not gguf_models(files):
        raise ModelNotFound(
            f'{where} has safetensors only, which the MLX engine reads: use engine="mlx", or name a repository with '
            "GGUF files of this model (their names mostly end in -GGUF)."
        )
    order = MLX_ORDER if engine_format == "mlx" else GGUF_ORDER
    return split_family(choose_gguf(files, where=where, wanted=spec.quantization, order=order))


def _fetch_files(spec: ModelSpec, files: list[HubFile], watch: Watch) -> Path:
    """Download what is missing, biggest last, and return the snapshot's folder."""
    from huggingface_hub import constants, hf_hub_download, hf_hub_url
    from huggingface_hub.file_download import repo_folder_name

    repository, cache = _repository(spec), hub_folder()
    blobs = cache / repo_folder_name(repo_id=repository, repo_type="model") / "blobs"
    token = _token()
    watch.total = sum(file.size for file in files)
    blobs.mkdir(parents=True, exist_ok=True)
    missing = [file for file in files if not (blobs / file.digest).exists()]
    require_space(blobs, sum(file.size for file in missing))
    snapshot = blobs
    for file in sorted(files, key=lambda file: file.size):
        blob = blobs / file.digest
        with locked(blobs.parent, file.digest, watch):
            if blob.exists():
                watch.file_done(file.path, file.size)
            else:
                url = hf_hub_url(repository, file.path, revision=spec.revision, endpoint=constants.ENDPOINT)
                download(RemoteFile(url, file.path, file.size, file.digest, token), blob, watch)
        pointer = Path(
            hf_hub_download(
                repository,
                file.path,
                revision=spec.revision,
                cache_dir=cache,
                endpoint=constants.ENDPOINT,
                token=token or False,
            )
        )
        snapshot = pointer.parents[file.path.count("/")]
    return snapshot


def _is_safe(path: str) -> bool:
    """Return whether a file's path from the hub stays inside the repository's folder and can be shown."""
    return path.isprintable() and "\\" not in path and not {"", ".", ".."} & set(path.split("/"))


def _shards_are_complete(folder: Path, files: list[str]) -> bool:
    """Return whether the safetensors that the index of a sharded model names are all there."""
    if INDEX not in files:
        return True
    try:
        shards = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        logger.warning("%s can't be read: %r", folder / INDEX, error)
        return False
    return set(shards) <= set(files)


def _result(folder: Path, files: list[str]) -> Path:
    return folder / files[0] if files[0].lower().endswith(".gguf") else folder


def _repository(spec: ModelSpec) -> str:
    if spec.repository is None:
        raise ModelNotFound(f"{spec.name} is not a model of the hub.")
    return spec.repository


def _token() -> str | None:
    return os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") or None


@contextlib.contextmanager
def _hub_errors(spec: ModelSpec) -> Iterator[None]:
    """Turn huggingface_hub's errors into ours."""
    from huggingface_hub import constants, errors

    repository, host = spec.repository, constants.ENDPOINT
    try:
        yield
    except errors.GatedRepoError as error:
        raise FetchError(
            f"{repository} is gated. Accept its terms at {host}/{repository}, then set HF_TOKEN to a token of yours."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelNotFound(
            f"{host} has no model repository {repository}, or it is private. {suggestions(spec.name)}"
            "Check the name; for a private one set HF_TOKEN."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelNotFound(f"{repository} has no revision {spec.revision!r}. Leave out @… for the newest.") from error
    except errors.OfflineModeIsEnabled as error:
        raise FetchError(f"{spec.name} isn't cached, and HF_HUB_OFFLINE forbids fetching it. Unset it.") from error
    except errors.HfHubHTTPError as error:
        raise FetchError(f"{host} refused {repository}: {_first_line(error)}. Try again later.") from error
    except Exception as error:
        if not _is_network_error(error):
            raise
        raise FetchError(
            f"{spec.name} isn't cached, and {host} can't be reached: {_first_line(error)}. Check the network and the "
            'proxy settings; the embedded model (lk.Session("embedded")) needs no hub.'
        ) from error


def _is_network_error(error: Exception) -> bool:
    """Return whether it comes from the HTTP client; which client depends on huggingface_hub's version."""
    from huggingface_hub.errors import EntryNotFoundError

    client = any(kind.__module__.split(".")[0] in {"httpx", "httpx2", "httpcore"} for kind in type(error).__mro__)
    return client or isinstance(error, (ConnectionError, TimeoutError, EntryNotFoundError))


def _first_line(error: Any) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
