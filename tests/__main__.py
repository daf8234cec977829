"""Runs all tests, in two rows at once; arguments go to pytest.

The first row mostly computes, the second mostly waits for pages and kernels. Where both have models that decode, each
keeps to a core of its own: two that share their cores spend most of the time waiting for each other's threads.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import TextIO

Part = tuple[str, tuple[str, ...], int | None]
"""A name, what is tested, and the core to keep to."""

COMPUTING: tuple[Part, ...] = (("unit", ("tests/unit",), None), ("contract", ("tests/contract",), 0))
WAITING: tuple[Part, ...] = (
    ("browser", ("tests/browser",), None),
    ("notebooks", ("tests/notebooks", "notebooks"), 1),
)


def run(part: Part, output: TextIO | None) -> int:
    """Run a part; return pytest's exit status."""
    name, paths, core = part
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{name}", *paths, *sys.argv[1:]]
    if core is not None and (cores := _cores()):
        command = ["taskset", "--cpu-list", str(cores[core]), *command]
    return subprocess.run(command, check=False, stdout=output, stderr=output).returncode


def _cores() -> list[int]:
    """Return the cores to choose from; none where there is but one, or no way to choose."""
    if sys.platform != "linux" or shutil.which("taskset") is None:
        return []
    cores = sorted(os.sched_getaffinity(0))
    return cores if len(cores) > 1 else []


def main() -> int:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output, ThreadPoolExecutor(1) as other:
        waiting = other.submit(lambda: [run(part, output) for part in WAITING])
        computed = [run(part, None) for part in COMPUTING]
        statuses = [*computed, *waiting.result()]
        output.seek(0)
        sys.stdout.write(output.read())
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
