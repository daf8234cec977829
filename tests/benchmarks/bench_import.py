"""How long `import llmkit` takes, against an interpreter that imports nothing: best of ten of each, alternating."""

from __future__ import annotations

import subprocess
import sys
import time


def measure(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def main() -> None:
    with_import, without = [], []
    for _ in range(10):
        with_import.append(measure("import llmkit"))
        without.append(measure("pass"))
    print(f"import llmkit: {min(with_import) - min(without):.3f} s (goal: under 0.3 s)")


if __name__ == "__main__":
    main()
