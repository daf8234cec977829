"""Disk space, disk errors, and one process at a time."""

from __future__ import annotations

import contextlib
import errno
import shutil
from typing import TYPE_CHECKING, Final

from llmkit.errors import FetchError
from llmkit.models.location import FOLDER_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmkit.models.progress import Watch

REMEDY: Final = f"Make room there (`llmkit models` lists what can go), or set {FOLDER_VARIABLE} to another folder."
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN: Final = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


def require_space(folder: Path, needed: int) -> None:
    """Refuse what won't fit on the disk of an existing ``folder``; ``needed`` in bytes.

    Raises
    ------
    FetchError
        Less is free than needed.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FetchError(f"There's no room for the model in {folder}: {needed:,} bytes needed, {free:,} free. {REMEDY}")


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk reports while ``folder`` is written into a :class:`FetchError` with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise FetchError(f"The disk of {folder} is full. {REMEDY}") from error
        if error.errno in _FORBIDDEN:
            cause = error.strerror or str(error)
            raise FetchError(
                f"{folder} can't be written: {cause}. Set {FOLDER_VARIABLE} to a folder of your own."
            ) from error
        raise FetchError(f"Writing to {folder} failed: {error}.") from error


@contextlib.contextmanager
def locked(folder: Path, name: str, watch: Watch) -> Iterator[None]:
    """Let one thread of one process at a time fetch ``name`` into ``folder``; the others wait here."""
    from filelock import FileLock, Timeout

    with disk_errors(folder):
        locks = folder / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{name}.lock")
        while True:
            watch.check()
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0.2, poll_interval=0.05)
                break
    try:
        yield
    finally:
        lock.release()
