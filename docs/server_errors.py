"""Write ``server-errors.md``, what becomes of each fault of a server: ``python docs/server_errors.py``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.unit.fault_cases import outcomes  # noqa: E402 - found through the line above

if TYPE_CHECKING:
    from tests.unit.fault_cases import Outcome

TARGET = Path(__file__).with_name("server-errors.md")

HEAD = """\
# What goes wrong with servers, and the error each time

Every row was played by a server of the tests' own, with bodies as real servers send them, and the error is what came:
its type (all under `llmkit.Error`), its `code`, whether it is tried again (up to `max_retries` times, after the time
that `Retry-After` asks for), and its message for a server at `gpu:8000`. Where "kept" is ticked, a piece of the answer
had come: it is in the run's text, and the request isn't sent again. The page is written by `docs/server_errors.py`;
[servers.md](servers.md) has the short table.

| what happens | server | error | code | tried again | kept | message |
|---|---|---|---|---|---|---|
"""


def table() -> str:
    """Return the page."""
    return HEAD + "".join(_row(each) for each in outcomes())


def _row(outcome: Outcome) -> str:
    case, error = outcome.case, outcome.error
    cells = (
        case.what,
        case.server,
        f"`{type(error).__name__}`",
        f"`{error.code}`",
        "yes" if error.retryable and not outcome.text else "no",
        "✓" if outcome.text else "",
        _shown(outcome.message),
    )
    return f"| {' | '.join(cells)} |\n"


def _shown(message: str) -> str:
    """Return a message without the words of libraries and operating systems, which differ."""
    message = re.sub(r"(couldn't be reached|broke the connection off) \(.*\)\.", r"\1.", message)
    return message.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    TARGET.write_text(table(), encoding="utf-8")
