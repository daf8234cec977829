"""Run all benchmarks, one after the other, each in a process of its own: ``python -m tests.benchmarks``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run every ``bench_*.py``; return whether one failed."""
    status = 0
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"\n== {path.stem.removeprefix('bench_')}", flush=True)
        status |= subprocess.run([sys.executable, "-m", f"tests.benchmarks.{path.stem}"], check=False).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
