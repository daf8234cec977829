"""Download one file over HTTP so that it arrives whole or can be resumed."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmkit.errors import FetchError
from llmkit.models.disk import disk_errors, require_space

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    import httpx

    from llmkit.models.progress import Watch

logger = logging.getLogger("llmkit")

CHUNK_BYTES: Final = 2**18
ATTEMPTS: Final = 4
RETRY_DELAY: Final = 0.5
CERTIFICATE_VARIABLES: Final = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to download, and what it must turn out to be.

    Parameters
    ----------
    url : str
        Its address, http or https.
    name : str
        What to call it in messages and progress.
    size : int
        Bytes.
    digest : str
        Lower-case hex digest: SHA-256 of the content (64 digits) or git's SHA-1 of it as a blob (40 digits).
    token : str, optional
        Bearer token for the first server; it isn't passed on when that redirects to another.
    """

    url: str
    name: str
    size: int
    digest: str
    token: str | None = None


def download(remote: RemoteFile, target: Path, watch: Watch) -> None:
    """Download a file, resuming what an earlier attempt left in ``target`` + ``.part``.

    Parameters
    ----------
    remote : RemoteFile
        What to download.
    target : Path
        Where it goes, in one step, once it's complete and its hash is right.
    watch : Watch
        Gets progress; may cancel.

    Raises
    ------
    FetchError
        No connection, an error status, no disk space, a wrong hash, or cancelled. Except after a wrong hash the
        ``.part`` file stays, so that the next attempt resumes.
    """
    part = target.with_name(f"{target.name}.part")
    with disk_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        resumed = _size(part)
        if resumed > remote.size:
            part.unlink()
            resumed = 0
        require_space(target.parent, remote.size - resumed)
        _complete(remote, part, watch)
        if not digest_is_right(part, remote.digest):
            part.unlink()
            if not resumed:
                raise FetchError(
                    f"{remote.name} arrived with a wrong hash: something on the way changes or truncates it. "
                    "Try again, or from another network."
                )
            # What was left of the earlier attempt may have been at fault, so once more from the start.
            logger.warning("the resumed download of %s has a wrong hash; starting again", remote.name)
            download(remote, target, watch)
            return
        part.replace(target)
    watch.file_done(remote.name, remote.size)


class _Broken(Exception):
    """The transfer stopped for a reason that may pass."""


def _complete(remote: RemoteFile, part: Path, watch: Watch) -> None:
    """Append to ``part`` until it is as long as it should be, bridging breaks in the connection."""
    import httpx

    failures, furthest = 0, _size(part)
    with httpx.Client(verify=_certificates(), follow_redirects=True, timeout=30.0) as client:
        while _size(part) < remote.size or not part.exists():
            watch.check()
            cause: Exception = _Broken("the server closed the connection early")
            try:
                _append(client, remote, part, watch)
            except (httpx.TransportError, _Broken) as error:
                cause = error
            except (httpx.TooManyRedirects, httpx.InvalidURL, httpx.DecodingError) as error:
                raise FetchError(f"{remote.name} can't be fetched: {error}. Check the index or mirror.") from error
            if part.exists() and _size(part) == remote.size:
                return
            logger.info("downloading %s broke off: %r", remote.name, cause)
            failures = 1 if _size(part) > furthest else failures + 1
            furthest = max(furthest, _size(part))
            if failures >= ATTEMPTS:
                raise FetchError(
                    f"{remote.name} can't be fetched: {cause or type(cause).__name__}. Check the network and the proxy "
                    "settings, then fetch again; it goes on from where it stopped."
                ) from cause
            watch.pause(RETRY_DELAY * 2 ** (failures - 1))


def _append(client: httpx.Client, remote: RemoteFile, part: Path, watch: Watch) -> None:
    have = _size(part)
    # Compressed transfer would make byte ranges mean something else.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    if remote.token:
        headers["Authorization"] = f"Bearer {remote.token}"
    with client.stream("GET", remote.url, headers=headers) as response:
        _check_status(response, remote)
        resumes = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status_code == 416 or (response.status_code == 206 and not resumes):
            part.unlink(missing_ok=True)
            raise _Broken("the server can't resume it")
        resumes = response.status_code == 206
        with part.open("ab" if resumes else "wb") as file:
            here = have if resumes else 0
            for chunk in response.iter_raw():
                here += len(chunk)
                if here > remote.size:
                    file.truncate(0)
                    raise FetchError(
                        f"{remote.name} is larger than the {remote.size:,} bytes it should have: it is another file. "
                        "Check the index or mirror it comes from."
                    )
                file.write(chunk)
                # What has arrived survives a killed kernel.
                file.flush()
                watch.received(len(chunk), remote.name, here)


def _check_status(response: httpx.Response, remote: RemoteFile) -> None:
    status = response.status_code
    if status in {200, 206, 416}:
        return
    if status in {408, 429} or status >= 500:
        raise _Broken(f"the server answered with status {status}")
    refused = "Check the credentials for it." if status in {401, 403, 407} else "Check the index or mirror."
    raise FetchError(f"{remote.name} can't be fetched: {response.url.host} answered with status {status}. {refused}")


def _certificates() -> ssl.SSLContext:
    """Return the certificates to trust: the user's own bundle, else the system's and certifi's."""
    import ssl

    for variable in CERTIFICATE_VARIABLES:
        bundle = os.environ.get(variable)
        if bundle and os.path.exists(bundle):  # noqa: PTH110 - a string from the environment
            folder = os.path.isdir(bundle)  # noqa: PTH112
            try:
                return ssl.create_default_context(cafile=None if folder else bundle, capath=bundle if folder else None)
            except ssl.SSLError as error:
                raise FetchError(
                    f"The certificates in {bundle} can't be read: {error}. Correct or unset {variable}."
                ) from error
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def digest_is_right(path: Path, digest: str) -> bool:
    """Return whether a file's content has a digest, given as in :class:`RemoteFile`."""
    with path.open("rb") as file:
        if len(digest) == 64:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
        blob = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        while chunk := file.read(CHUNK_BYTES):
            blob.update(chunk)
        return blob.hexdigest() == digest


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
