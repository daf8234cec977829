"""Runs all tests, in two parts at once: what mostly waits for pages and kernels, and what mostly computes.

``python -m tests`` shows the second as it goes and the first when it has ended; arguments go to pytest.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

PAGES = ("tests/browser", "tests/notebooks", "notebooks")
# Unit tests first: they leave a core to the pages, and by the time that models decode the pages are nearly through.
REST = ("tests/unit", "tests/contract")


def pytest(part: str, paths: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{part}", *paths, *sys.argv[1:]]


def main() -> int:
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output,
        subprocess.Popen(pytest("pages", PAGES), stdout=output, stderr=subprocess.STDOUT) as pages,
    ):
        try:
            rest = subprocess.run(pytest("rest", REST), check=False).returncode
            pages.wait()
        finally:
            pages.terminate()
        output.seek(0)
        sys.stdout.write(output.read())
    return rest or pages.returncode


if __name__ == "__main__":
    sys.exit(main())
