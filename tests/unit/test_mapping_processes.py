"""Jobs and the life of processes: killed and resumed, and pandas that comes late."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 200
PLACES = 4

MAPPER = f"""
import sys
import llmkit as lk

def answer(prompt):
    row = prompt.split("row ")[1].split(":")[0]
    with open(sys.argv[1] + ".decoded", "a") as log:
        log.write(row + "\\n")
    return f"answer of {{row}}"

engine = lk.Scripted([answer], tokens_per_second=400)
with lk.Session(engine=engine, show=False, ledger=sys.argv[1], concurrency={PLACES}) as session:
    job = session.map([str(number) for number in range({ROWS})], "row {{value}}: what is it?")
    # In one piece each: two threads print.
    job.subscribe(lambda: print(f"{{job.progress.done}}\\n", end="", flush=True))
    frame = job.frame
    assert frame["text"].tolist() == [f"answer of {{number}}" for number in range({ROWS})]
    progress = job.progress
    print(f"end {{progress.decoded}} {{progress.recorded}}\\n", end="", flush=True)
"""


def mapper(ledger: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", MAPPER, str(ledger)], stdout=subprocess.PIPE, text=True)


def test_a_job_that_was_killed_is_resumed_and_each_row_done_once(tmp_path: Path) -> None:
    """SIGKILL in the middle: decoded then + decoded now = all, and none twice but those in flight at the kill."""
    ledger = tmp_path / "ledger.sqlite3"
    with mapper(ledger) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if int(line) >= ROWS // 3:
                break
        first.kill()
    assert first.returncode != 0
    with mapper(ledger) as second:
        assert second.stdout is not None
        said = second.stdout.read().splitlines()
    [end] = [line for line in said if line.startswith("end")]
    decoded, recorded = map(int, end.split()[1:])
    assert decoded + recorded == ROWS
    assert recorded >= ROWS // 3 - 2 * PLACES
    connection = sqlite3.connect(ledger)
    done = connection.execute("SELECT count(*), count(DISTINCT prompt) FROM runs WHERE status = 'done'").fetchone()
    connection.close()
    assert done == (ROWS, ROWS)
    times = Counter((tmp_path / "ledger.sqlite3.decoded").read_text().split())
    assert len(times) == ROWS
    assert sum(count - 1 for count in times.values()) <= 2 * PLACES


def test_the_accessor_comes_with_pandas_and_asks_the_only_session() -> None:
    """``import llmkit`` doesn't import pandas, and what waits for it is gone once it is there."""
    script = (
        "import sys, llmkit as lk\n"
        "print('pandas' in sys.modules)\n"
        "import pandas as pd\n"
        "print(len([each for each in sys.meta_path if 'Pandas' in repr(each)]))\n"
        "frame = pd.DataFrame({'n': [1, 2]})\n"
        "try:\n    frame.llm.map('{n}')\nexcept lk.ValidationError as error:\n    print(error.field)\n"
        "with lk.Session(engine=lk.Scripted(['Yes.']), show=False, ledger=None):\n"
        "    print(frame.llm.map('{n}').frame['text'].tolist())\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["False", "0", "session", "['Yes.', 'Yes.']"]
