"""Downloading a file: whole, resumed, or refused with cause and remedy."""

from __future__ import annotations

import errno
import hashlib
import logging
import shutil
import socket
from typing import TYPE_CHECKING

import pytest

from llmkit.errors import FetchError
from llmkit.models import download as module
from llmkit.models.disk import disk_errors, require_space
from llmkit.models.download import RemoteFile, download
from llmkit.models.progress import FetchProgress, Watch
from tests.unit.http_files import Fault, FileServer, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = bytes(index * 7 % 256 for index in range(1_000_000))
TOKEN = "hf_abc"  # noqa: S105 - not a real one


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(module, "RETRY_DELAY", 0.0)
    with serve() as served:
        served.files["/file"] = CONTENT
        yield served


def remote(server: FileServer, path: str = "/file", content: bytes = CONTENT, **changes: str) -> RemoteFile:
    digest = changes.pop("digest", hashlib.sha256(content).hexdigest())
    return RemoteFile(server.url + path, "model.bin", len(content), digest, **changes)


def test_file_arrives_whole_and_in_one_step(server: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "new" / "model.bin"
    download(remote(server), target, Watch())
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["model.bin"]


def test_progress_ends_at_the_whole_and_never_goes_beyond(server: FileServer, tmp_path: Path) -> None:
    """CONTRACT 8: progress says downloaded, total, percentage and file."""
    reports: list[FetchProgress] = []
    download(remote(server), tmp_path / "a", Watch(reports.append, total=len(CONTENT)))
    last = reports[-1]
    assert (last.downloaded, last.total, last.percentage, last.file) == (len(CONTENT), len(CONTENT), 100.0, "model.bin")
    assert all(0 < report.downloaded <= len(CONTENT) for report in reports)
    assert all(report.rate is None or report.rate > 0 for report in reports)


def test_percentage_of_an_unknown_total_is_unknown() -> None:
    assert FetchProgress(5, None, "a").percentage is None
    assert FetchProgress(5, 0, "a").percentage is None


def test_empty_file_arrives(server: FileServer, tmp_path: Path) -> None:
    server.files["/empty"] = b""
    download(remote(server, "/empty", b""), tmp_path / "empty", Watch())
    assert (tmp_path / "empty").read_bytes() == b""


def test_git_blob_hash_is_checked_too(server: FileServer, tmp_path: Path) -> None:
    digest = hashlib.sha1(f"blob {len(CONTENT)}\0".encode() + CONTENT, usedforsecurity=False).hexdigest()
    download(remote(server, digest=digest), tmp_path / "a", Watch())
    with pytest.raises(FetchError, match="wrong hash"):
        download(remote(server, digest="0" * 40), tmp_path / "b", Watch())


def test_cancelled_download_resumes_where_it_stopped(server: FileServer, tmp_path: Path) -> None:
    target, part = tmp_path / "model.bin", tmp_path / "model.bin.part"
    with pytest.raises(FetchError, match="cancelled") as caught:
        download(remote(server), target, Watch(cancelled=lambda: part.exists() and part.stat().st_size > 0))
    assert caught.value.code == "cancelled"
    have = part.stat().st_size
    assert 0 < have < len(CONTENT)
    assert not target.exists()
    download(remote(server), target, Watch())
    assert target.read_bytes() == CONTENT
    assert server.gets("/file") == [None, f"bytes={have}-"]


def test_cancelled_before_it_began_asks_for_nothing(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="cancelled"):
        download(remote(server), tmp_path / "a", Watch(cancelled=lambda: True))
    assert server.requests == []


def test_broken_connections_are_bridged(server: FileServer, tmp_path: Path) -> None:
    server.faults += [Fault(cut=300_000), Fault(cut=0), Fault(cut=300_000, announce=False), Fault(status=503)]
    download(remote(server), tmp_path / "a", Watch())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.gets("/file") == [None, *["bytes=300000-"] * 2, *["bytes=600000-"] * 2]


def test_server_that_keeps_failing_is_given_up_and_the_part_kept(server: FileServer, tmp_path: Path) -> None:
    server.faults += [Fault(cut=300_000), *[Fault(cut=0)] * 10]
    with pytest.raises(FetchError, match="fetch again; it goes on from where it stopped"):
        download(remote(server), tmp_path / "a", Watch())
    assert (tmp_path / "a.part").stat().st_size == 300_000
    assert len(server.requests) == module.ATTEMPTS


def test_server_without_ranges_starts_over(server: FileServer, tmp_path: Path) -> None:
    server.faults += [Fault(cut=300_000), Fault(ranges=False)]
    download(remote(server), tmp_path / "a", Watch())
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_wrong_range_starts_over(server: FileServer, tmp_path: Path) -> None:
    server.faults += [Fault(cut=300_000), Fault(shift=5)]
    download(remote(server), tmp_path / "a", Watch())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.gets("/file") == [None, "bytes=300000-", None]


@pytest.mark.parametrize("left", [b"x" * 1000, CONTENT[:-1] + b"x", CONTENT + b"x"])
def test_foreign_part_is_replaced(
    server: FileServer, tmp_path: Path, left: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llmkit")
    (tmp_path / "a.part").write_bytes(left)
    download(remote(server), tmp_path / "a", Watch())
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_complete_part_needs_no_request(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(CONTENT)
    download(remote(server), tmp_path / "a", Watch())
    assert server.requests == []


def test_wrong_hash_is_refused_and_nothing_stays(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="wrong hash"):
        download(remote(server, digest="0" * 64), tmp_path / "a", Watch())
    assert list(tmp_path.iterdir()) == []


def test_endless_answer_is_cut_off(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="larger than the 10 bytes"):
        download(remote(server, content=CONTENT[:10]), tmp_path / "a", Watch())
    assert (tmp_path / "a.part").stat().st_size == 0


def test_shorter_file_is_refused(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="can't be fetched"):
        download(remote(server, content=CONTENT * 2), tmp_path / "a", Watch())


@pytest.mark.parametrize(("status", "remedy"), [(404, "index or mirror"), (403, "credentials"), (401, "credentials")])
def test_refusals_are_final_and_say_what_to_check(server: FileServer, tmp_path: Path, status: int, remedy: str) -> None:
    server.faults += [Fault(status=status)]
    with pytest.raises(FetchError, match=rf"127\.0\.0\.1 answered with status {status}.*{remedy}"):
        download(remote(server), tmp_path / "a", Watch())
    assert len(server.requests) == 1


def test_refused_connection_names_the_network(server: FileServer, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = RemoteFile(f"http://127.0.0.1:{free.getsockname()[1]}/x", "model.bin", 5, "0" * 64)
        with pytest.raises(FetchError, match=r"(?i)refused.*Check the network") as caught:
            download(closed, tmp_path / "a", Watch())
    assert caught.value.__cause__ is not None


def test_token_goes_to_the_first_server_only(server: FileServer, tmp_path: Path) -> None:
    with serve() as other:
        other.files["/file"] = CONTENT
        server.statuses["/moved"] = (302, {"Location": f"{other.url.replace('127.0.0.1', 'localhost')}/file"})
        download(remote(server, "/moved", token=TOKEN), tmp_path / "a", Watch())
        assert server.requests[0][2]["authorization"] == f"Bearer {TOKEN}"
        assert "authorization" not in other.requests[0][2]


def test_redirect_without_end_is_refused(server: FileServer, tmp_path: Path) -> None:
    server.statuses["/file"] = (302, {"Location": "/file"})
    with pytest.raises(FetchError, match="redirects"):
        download(remote(server), tmp_path / "a", Watch())


def test_full_disk_is_noticed_before(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 999))
    with pytest.raises(FetchError, match=r"1,000,000 bytes needed, 999 free.*LLMKIT_MODELS"):
        download(remote(server), tmp_path / "a", Watch())
    assert server.requests == []


def test_part_that_is_here_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 999))
    require_space(tmp_path, 999)
    with pytest.raises(FetchError, match="no room"):
        require_space(tmp_path, 1000)


def test_disk_that_fills_up_meanwhile_keeps_the_part(server: FileServer, tmp_path: Path) -> None:
    def fill(progress: FetchProgress) -> None:
        raise OSError(errno.ENOSPC, f"at {progress.downloaded}")

    with pytest.raises(FetchError, match=r"is full.*llmkit models"):
        download(remote(server), tmp_path / "a", Watch(fill))
    assert (tmp_path / "a.part").stat().st_size > 0


@pytest.mark.parametrize(
    ("code", "match"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EDQUOT, "is full"),
        (errno.EACCES, "can't be written"),
        (errno.EROFS, "can't be written"),
        (errno.EIO, "failed"),
    ],
)
def test_disk_errors_have_a_remedy(tmp_path: Path, code: int, match: str) -> None:
    with pytest.raises(FetchError, match=match), disk_errors(tmp_path):
        raise OSError(code, "why")


def test_folder_that_is_a_file_is_refused(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FetchError, match="can't be written"):
        download(remote(server), tmp_path / "file" / "a", Watch())


def test_unreadable_certificates_are_named(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("no certificate")
    monkeypatch.setenv("PIP_CERT", str(bundle))
    with pytest.raises(FetchError, match=r"bundle\.pem can't be read.*unset PIP_CERT"):
        download(remote(server), tmp_path / "a", Watch())


def test_certificates_fall_back_to_the_systems(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in module.CERTIFICATE_VARIABLES:
        monkeypatch.setenv(variable, str(tmp_path / "missing.pem"))
    assert module._certificates().cert_store_stats()["x509_ca"] > 0
