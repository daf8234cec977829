"""Which runs a frame is of. Values are bound as parameters; only names declared here become SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from llmkit.errors import ValidationError

STATUSES = ("running", "done", "cancelled", "failed", "interrupted")

Since: TypeAlias = "str | datetime | timedelta"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Conditions that all must hold; ``None`` is no condition.

    Parameters
    ----------
    run_id, session_id, model : str, optional
        Exactly these.
    since : str, datetime or timedelta, optional
        Begun at that time or later: an ISO date or time (local time unless it says otherwise), or so long ago.
    status : str, optional
        ``running``, ``done``, ``cancelled``, ``failed`` or ``interrupted``.
    limit : int, optional
        The latest so many rows.

    Raises
    ------
    ValidationError
        A status that doesn't exist, a time that can't be read, a limit below 0.
    """

    run_id: str | None = None
    session_id: str | None = None
    model: str | None = None
    since: Since | None = None
    status: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.status is not None and self.status not in STATUSES:
            raise ValidationError(f"status is one of {', '.join(STATUSES)}, not {self.status!r}.", field="status")
        if self.limit is not None and not (type(self.limit) is int and 0 <= self.limit < 2**63):
            raise ValidationError(f"limit is a whole number from 0 up, not {self.limit!r}.", field="limit")
        if self.since is not None:
            _unix_time(self.since)

    @property
    def where(self) -> str:
        """The SQL condition on the table ``runs``, its values as named parameters."""
        conditions = ["runs.created >= :since"] if self.since is not None else []
        names = ("run_id", "session_id", "model", "status")
        conditions += [f"runs.{name} = :{name}" for name in names if getattr(self, name) is not None]
        return " AND ".join(conditions) or "TRUE"

    @property
    def parameters(self) -> dict[str, str | float | None]:
        """The values of ``where``'s parameters, and ``limit``: -1 is none."""
        return {
            "run_id": self.run_id,
            "session_id": self.session_id,
            "model": self.model,
            "status": self.status,
            "since": None if self.since is None else _unix_time(self.since),
            "limit": -1 if self.limit is None else self.limit,
        }


def _unix_time(since: Since) -> float:
    try:
        match since:
            case timedelta():
                return (datetime.now().astimezone() - since).timestamp()
            case datetime():
                return since.timestamp()
            case str():
                return datetime.fromisoformat(since).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValidationError(f"since={since!r} can't be read as a time: {error}.", field="since") from error
    raise ValidationError(
        f"since is an ISO date or time, a datetime or a timedelta, not {type(since).__name__}.", field="since"
    )
