"""What mapping rows costs beside decoding: rows a second with a script that answers at once, and from the ledger.

How it is taken: 1,000 rows, one word each, in a session with a ledger on disk. Rows a second of the whole job, and the
processor time of the process for each row; then the same job again, which finds all of it in the ledger.

Run it with ``python -m tests.benchmarks.bench_map``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import llmkit as lk

ROWS = 1000


def main() -> int:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        engine = lk.Scripted(["good"])
        with lk.Session(engine=engine, show=False, ledger=Path(folder, "ledger.sqlite3")) as session:
            session.map(["warm up"], "Is {value} good?").wait()
            for what in ("decoded", "from the ledger"):
                began, cpu = time.perf_counter(), time.process_time()
                job = session.map([f"text {number}" for number in range(ROWS)], "Is {value} good?")
                job.wait()
                taken, cpu = time.perf_counter() - began, time.process_time() - cpu
                print(f"{what:16} {ROWS / taken:,.0f} rows/s, {cpu / ROWS * 1e3:.2f} ms of processor a row")
    return 0


if __name__ == "__main__":
    sys.exit(main())
