"""All runs of all sessions, also without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.errors import LedgerError
from llmkit.records.columns import RUNS, documented
from llmkit.records.ledger import Ledger, ledger_path, open_ledger_at

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from llmkit.records.selection import Since


@documented(RUNS)
def history(
    path: Path | str | None = None,
    *,
    session: str | None = None,
    model: str | None = None,
    since: Since | None = None,
    status: str | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """Return the runs of all sessions, a row each, in the order in which they began.

    {columns}

    Parameters
    ----------
    path : Path or str, optional
        The ledger. By default what ``LLMKIT_LEDGER`` says, else the one in the user's data folder.
    session, model : str, optional
        Only the runs of the session with this id; of this model.
    since : str, datetime or timedelta, optional
        Only runs begun at that time or later: an ISO date or time (local unless it says otherwise), or so long ago.
    status : str, optional
        Only ``running``, ``done``, ``cancelled``, ``failed`` or ``interrupted`` ones.
    limit : int, optional
        Only the latest so many.

    Raises
    ------
    LedgerError
        There is no ledger at ``path``, or it can't be read.
    ValidationError
        A condition that can't be used; names the argument.
    """
    place = ledger_path(path)
    opened = open_ledger_at(place)
    if opened is not None:
        return opened.runs(session, model=model, since=since, status=status, limit=limit)
    if path is not None and place is not None and not place.exists():
        raise LedgerError(f"There is no ledger at {place}.")
    ledger = Ledger(place if place is not None and place.exists() else ":memory:")
    try:
        return ledger.runs(session, model=model, since=since, status=status, limit=limit)
    finally:
        ledger.close()
