"""A session as the value of a cell: its models and what they hold, who waits, what is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.notebook.displays.card import card, code, quiet, table, title
from llmkit.notebook.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkit.resident import Resident
    from llmkit.run import Run
    from llmkit.session import Session

MOST_RUNS = 20
"""So many open runs are listed."""

_LONGEST = 80
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def html(session: Session, residents: Iterable[Resident], runs: Sequence[Run]) -> str:
    """Return a session's state as it is now.

    Parameters
    ----------
    session : Session
        The session.
    residents : iterable of Resident
        Its models.
    runs : sequence of Run
        Those that haven't ended.
    """
    state = "closed" if session.closed else f"{len(runs)} running"
    kept = tuple(residents)
    head = ("model", "engine", "state", "context", "memory", "decoding", "waiting", "named caches")
    models = table(head, map(_model, kept), caption="Models")
    reasons = dict.fromkeys(f"{each.engine_name}: {each.reason}" for each in kept)
    shown = runs[:MOST_RUNS]
    opened = table(("run", "model", "status", "asked"), map(_run, shown), caption="Open runs")
    more = f"… and {len(runs) - len(shown)} more" if len(runs) > len(shown) else ""
    return card("Session", title("Session", session.id, state), models, opened, quiet(more), quiet(" · ".join(reasons)))


def _model(resident: Resident) -> tuple[str, ...]:
    info = resident.info
    caches = resident.caches
    names = [] if caches is None else caches.names
    loaded = f" in {resident.load_time:.1f} s" if resident.load_time is not None else ""
    return (
        code(resident.name),
        f"{resident.engine_name} on {info.device}" if info else resident.engine_name,
        f"{resident.state}{loaded}",
        f"{info.context_length:,} tokens" if info and info.context_length else "",
        size(info.memory) if info and info.memory else "",
        f"{resident.admission.inside} of {resident.admission.places}",
        str(resident.admission.waiting),
        one_line(", ".join(names), _LONGEST) or "none",
    )


def _run(run: Run) -> tuple[str, ...]:
    return (code(run.id), code(run.request.model), run.status, one_line(run.request.messages[-1].text, _LONGEST))


def size(count: int) -> str:
    """Return a number of bytes in three figures and a decimal unit."""
    number, unit = float(count), 0
    while number >= 999.5 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.3g} {_UNITS[unit]}"
