"""Models of the hub, against a local server that plays its part."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub.constants
import pytest

from llmkit.errors import FetchError, ModelFileError, ModelNotFound
from llmkit.models import download
from llmkit.models.cache import cached_models, remove
from llmkit.models.catalog import resolve
from llmkit.models.fetch import fetch
from tests.unit.gguf_files import small_model, write_split_model
from tests.unit.http_files import Fault, serve
from tests.unit.hub_server import COMMIT, Hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.models.progress import FetchProgress

GGUF = small_model().to_bytes()
CARD = b"---\nlibrary_name: mlx\nlicense: 'mit'\n---\n# A model\n"
MLX = {
    ".gitattributes": b"",
    "README.md": CARD,
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"chat_template": ""}',
    "chat_template.jinja": b"{{ messages }}",
    "model.safetensors": bytes(300_000),
    "modeling_evil.py": b"raise SystemExit",
    "original/consolidated.safetensors": bytes(10),
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve() as server:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("LLMKIT_MODELS", str(tmp_path / "models"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(download, "RETRY_DELAY", 0.0)
        hub = Hub(server)
        hub.add("owner/tiny-GGUF", {"tiny-Q4_K_M.gguf": GGUF, "tiny-Q8_0.gguf": GGUF + b"8", "README.md": CARD})
        hub.add("owner/tiny-mlx", MLX)
        yield hub


def gets(hub: Hub) -> list[str]:
    return [path.rpartition("/")[2] for method, path, _ in hub.server.requests if method == "GET" and "resolve" in path]


def test_default_quantisation_is_fetched_alone(hub: Hub) -> None:
    reports: list[FetchProgress] = []
    path = fetch(resolve("owner/tiny-GGUF"), engine_format="gguf", progress=reports.append)
    assert path.name == "tiny-Q4_K_M.gguf"
    assert path.read_bytes() == GGUF
    assert gets(hub) == ["tiny-Q4_K_M.gguf"]
    assert (reports[-1].downloaded, reports[-1].total, reports[-1].percentage) == (len(GGUF), len(GGUF), 100.0)


@pytest.mark.parametrize("name", ["owner/tiny-GGUF:Q8_0", "owner/tiny-GGUF:q8_0", "owner/tiny-GGUF/tiny-Q8_0.gguf"])
def test_file_that_is_asked_for_is_fetched(hub: Hub, name: str) -> None:
    assert fetch(resolve(name)).name == "tiny-Q8_0.gguf"
    assert gets(hub) == ["tiny-Q8_0.gguf"]


def test_cached_model_needs_no_network(hub: Hub) -> None:
    first = fetch(resolve("owner/tiny-GGUF:Q8_0"))
    hub.server.requests.clear()
    assert fetch(resolve("owner/tiny-GGUF:Q8_0")) == first
    assert fetch(resolve("owner/tiny-GGUF")) == first
    assert hub.server.requests == []


def test_mlx_model_comes_without_its_code(hub: Hub) -> None:
    folder = fetch(resolve("owner/tiny-mlx"), engine_format="mlx")
    names = {path.name for path in folder.iterdir()}
    assert names == {name for name in MLX if name.endswith((".json", ".jinja", ".md")) or name == "model.safetensors"}
    hub.server.requests.clear()
    assert fetch(resolve("owner/tiny-mlx"), engine_format="mlx") == folder
    assert hub.server.requests == []


def test_sharded_model_counts_as_cached_only_when_complete(hub: Hub) -> None:
    shards = {f"model-0000{number}-of-00002.safetensors": bytes(number) for number in (1, 2)}
    index = json.dumps({"weight_map": {f"w{name}": name for name in shards}}).encode()
    files = {name: content for name, content in MLX.items() if name != "model.safetensors"}
    hub.add("owner/sharded-mlx", files | shards | {"model.safetensors.index.json": index})
    folder = fetch(resolve("owner/sharded-mlx"))
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert (fetch(resolve("owner/sharded-mlx")) / "model-00002-of-00002.safetensors").read_bytes() == bytes(2)


def test_split_model_is_fetched_with_all_parts(hub: Hub, tmp_path: Path) -> None:
    parts = {path.name: path.read_bytes() for path in write_split_model(tmp_path, "big-Q4_K_M")}
    hub.add("owner/big-GGUF", {f"Q4_K_M/{name}": content for name, content in parts.items()})
    path = fetch(resolve("owner/big-GGUF:Q4_K_M"))
    assert path.name == "big-Q4_K_M-00001-of-00003.gguf"
    assert sorted(gets(hub)) == sorted(parts)
    hub.server.requests.clear()
    assert fetch(resolve("owner/big-GGUF/Q4_K_M/big-Q4_K_M-00001-of-00003.gguf")) == path
    assert hub.server.requests == []


def test_revision_is_respected(hub: Hub) -> None:
    hub.add("owner/tiny-GGUF", {"tiny-Q4_0.gguf": GGUF}, revision="v2")
    assert fetch(resolve("owner/tiny-GGUF@v2")).parent.name == COMMIT
    assert hub.server.gets("/owner/tiny-GGUF/resolve/v2/tiny-Q4_0.gguf") == [None]


def interrupt(tmp_path: Path, content: bytes, name: str) -> None:
    part = f"{hashlib.sha256(content).hexdigest()}.part"
    with pytest.raises(FetchError, match="cancelled"):
        fetch(resolve(name), cancelled=lambda: any(path.stat().st_size for path in (tmp_path / "hub").rglob(part)))


def test_interrupted_fetch_resumes(hub: Hub, tmp_path: Path) -> None:
    weights = MLX["model.safetensors"]
    interrupt(tmp_path, weights, "owner/tiny-mlx")
    assert (fetch(resolve("owner/tiny-mlx")) / "model.safetensors").read_bytes() == weights
    first, second = hub.server.gets(hub.path("owner/tiny-mlx", "model.safetensors"))
    assert (first, str(second)[:6]) == (None, "bytes=")


def test_what_an_interrupted_fetch_left_is_listed_and_removed(hub: Hub, tmp_path: Path) -> None:
    interrupt(tmp_path, GGUF, "owner/tiny-GGUF")
    (left,) = cached_models()
    assert (left.name, left.format, left.source) == ("owner/tiny-GGUF", None, "hub")
    assert remove("owner/tiny-gguf") == left.size > 0
    assert cached_models() == []
    assert fetch(resolve("owner/tiny-GGUF")).read_bytes() == GGUF


def test_broken_connection_is_bridged(hub: Hub) -> None:
    hub.server.faults += [Fault(), Fault(cut=100)]
    assert fetch(resolve("owner/tiny-GGUF")).read_bytes() == GGUF
    assert hub.server.gets("/owner/tiny-GGUF/resolve/main/tiny-Q4_K_M.gguf") == [None, "bytes=100-"]


def test_files_that_other_tools_cached_are_used(hub: Hub) -> None:
    from huggingface_hub import snapshot_download

    snapshot_download("owner/tiny-GGUF", allow_patterns=["*Q8_0.gguf"], token=False, tqdm_class=None)
    hub.server.requests.clear()
    assert fetch(resolve("owner/tiny-GGUF")).name == "tiny-Q8_0.gguf"
    assert hub.server.requests == []


def test_unreadable_index_of_shards_means_not_cached(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    hub.add("owner/odd-mlx", MLX | {"model.safetensors.index.json": b"[]"})
    first = fetch(resolve("owner/odd-mlx"))
    assert fetch(resolve("owner/odd-mlx")) == first
    assert "can't be read" in caplog.text


def test_wrong_content_is_refused(hub: Hub) -> None:
    hub.server.files["/owner/tiny-GGUF/resolve/main/tiny-Q4_K_M.gguf"] = bytes(len(GGUF))
    with pytest.raises(FetchError, match="wrong hash"):
        fetch(resolve("owner/tiny-GGUF"))


def test_damaged_model_on_the_hub_is_refused(hub: Hub) -> None:
    hub.add("owner/damaged-GGUF", {"damaged-Q4_0.gguf": GGUF[:-200]})
    with pytest.raises(ModelFileError, match="truncated"):
        fetch(resolve("owner/damaged-GGUF"))


def test_token_comes_from_the_environment(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abc")
    fetch(resolve("owner/tiny-GGUF"))
    assert {headers.get("authorization") for _, _, headers in hub.server.requests} == {"Bearer hf_abc"}


def test_without_a_token_none_is_sent(hub: Hub) -> None:
    fetch(resolve("owner/tiny-GGUF"))
    assert all("authorization" not in headers for _, _, headers in hub.server.requests)


def test_unknown_repository_suggests_a_cached_one(hub: Hub) -> None:
    fetch(resolve("owner/tiny-GGUF"))
    hub.refuse("owner/tiny-GUFF", 404, "RepoNotFound")
    with pytest.raises(ModelNotFound, match=r"no model repository owner/tiny-GUFF.*Did you mean owner/tiny-GGUF"):
        fetch(resolve("owner/tiny-GUFF"))


def test_gated_repository_says_how_to_get_in(hub: Hub) -> None:
    hub.refuse("owner/gated", 403, "GatedRepo")
    with pytest.raises(FetchError, match=r"gated.*Accept its terms at .*/owner/gated.*HF_TOKEN"):
        fetch(resolve("owner/gated"))


def test_unknown_revision_is_named(hub: Hub) -> None:
    hub.refuse("owner/tiny-GGUF", 404, "RevisionNotFound", revision="v9")
    with pytest.raises(ModelNotFound, match="no revision 'v9'"):
        fetch(resolve("owner/tiny-GGUF@v9"))


def test_unknown_file_is_answered_with_those_there_are(hub: Hub) -> None:
    with pytest.raises(ModelNotFound, match=r"no file 'x\.gguf'\. It has: tiny-Q4_K_M\.gguf, tiny-Q8_0\.gguf"):
        fetch(resolve("owner/tiny-GGUF/x.gguf"))
    with pytest.raises(ModelNotFound, match=r"no 'Q2_K'\. It has: tiny-Q4_K_M\.gguf, tiny-Q8_0\.gguf"):
        fetch(resolve("owner/tiny-GGUF:Q2_K"))


def test_several_models_of_one_quantisation_are_listed(hub: Hub) -> None:
    hub.add("owner/two-GGUF", {"a-Q4_K_M.gguf": GGUF, "b-Q4_K_M.gguf": GGUF})
    with pytest.raises(ModelNotFound, match=r"several models: a-Q4_K_M\.gguf, b-Q4_K_M\.gguf"):
        fetch(resolve("owner/two-GGUF"))


def test_safetensors_for_an_engine_that_reads_gguf_name_the_other_engine(hub: Hub) -> None:
    with pytest.raises(ModelNotFound, match=r'safetensors only.*engine="mlx"'):
        fetch(resolve("owner/tiny-mlx"), engine_format="gguf")


def test_mlx_takes_gguf_where_there_is_nothing_else_and_prefers_what_it_keeps(hub: Hub) -> None:
    assert fetch(resolve("owner/tiny-GGUF"), engine_format="mlx").name == "tiny-Q8_0.gguf"


def test_repository_without_a_model_says_so(hub: Hub) -> None:
    hub.add("owner/data", {"data.csv": b"1"})
    with pytest.raises(ModelNotFound, match="holds no GGUF model"):
        fetch(resolve("owner/data"))


def test_no_network_names_the_embedded_model(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(FetchError, match=r"can't be reached: .*Check the network.*embedded") as caught:
        fetch(resolve("owner/tiny-GGUF"))
    assert caught.value.__cause__ is not None


def test_failing_hub_is_named(hub: Hub) -> None:
    hub.server.statuses["/api/models/owner/tiny-GGUF"] = (418, {})
    with pytest.raises(FetchError, match="refused owner/tiny-GGUF"):
        fetch(resolve("owner/tiny-GGUF"))


def test_no_room_is_noticed_before(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10))
    with pytest.raises(FetchError, match="no room"):
        fetch(resolve("owner/tiny-GGUF"))
    assert gets(hub) == []


@pytest.mark.parametrize("digest", ["../../../evil", "/" * 40, "", "." * 64, "Ü" * 40])
def test_hostile_hash_never_becomes_a_path(hub: Hub, digest: str) -> None:
    info = {"id": "owner/evil", "siblings": [{"rfilename": "a.gguf", "size": 1, "blobId": digest}]}
    hub.server.files["/api/models/owner/evil"] = json.dumps(info).encode()
    with pytest.raises(ModelNotFound, match="holds no GGUF model"):
        fetch(resolve("owner/evil"))


@pytest.mark.parametrize(
    "name", ["../../../../evil.gguf", "/evil.gguf", "a/../../evil.gguf", "..\\evil.gguf", "\x1bevil.gguf"]
)
def test_hostile_file_name_is_no_model(hub: Hub, tmp_path: Path, name: str) -> None:
    siblings = [{"rfilename": name, "size": len(GGUF), "blobId": "a" * 40}]
    hub.server.files["/api/models/owner/evil"] = json.dumps({"id": "owner/evil", "siblings": siblings}).encode()
    with pytest.raises(ModelNotFound, match="holds no GGUF model"):
        fetch(resolve("owner/evil"))
    assert not list(tmp_path.rglob("evil*"))


def test_cached_models_are_listed_and_removed(hub: Hub) -> None:
    fetch(resolve("owner/tiny-GGUF"))
    fetch(resolve("owner/tiny-mlx"))
    gguf, mlx = (model for model in cached_models() if model.source == "hub")
    assert (gguf.name, gguf.format, gguf.licence, gguf.size) == ("owner/tiny-GGUF", "gguf", "apache-2.0", len(GGUF))
    assert (mlx.name, mlx.format, mlx.licence) == ("owner/tiny-mlx", "mlx", "mit")
    assert mlx.size > 300_000
    assert remove("OWNER/tiny-gguf") == len(GGUF)
    assert not gguf.path.exists()
    assert [model.name for model in cached_models() if model.source == "hub"] == ["owner/tiny-mlx"]


def test_environment_of_huggingface_hub_is_respected(hub: Hub, tmp_path: Path) -> None:
    code = "from llmkit.models.fetch import fetch\nfrom llmkit.models.catalog import resolve\n"
    code += "print(fetch(resolve('owner/tiny-GGUF')))"
    environment = {**os.environ, "HF_ENDPOINT": hub.server.url, "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", code]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith(str(tmp_path / "home" / "hub"))
    assert done.stderr == ""
    offline = {**environment, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    again = subprocess.run(command, env=offline, cwd=root, capture_output=True, text=True, check=True, timeout=60)
    assert again.stdout == done.stdout
