"""How far a job is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Parameters
    ----------
    total : int
        Rows.
    decoded, recorded, same : int
        Rows that were answered now, that the ledger had the answer for, and that are like an earlier row.
    failed : int
        Rows with an error, among all that are done.
    done : int
        Rows that are settled, in whatever way.
    elapsed : float
        Seconds from when the model was there until now, or the end.
    over : bool
        Whether it has ended, with or without all rows.
    """

    total: int
    decoded: int = 0
    recorded: int = 0
    same: int = 0
    failed: int = 0
    done: int = 0
    elapsed: float = 0.0
    over: bool = False

    @property
    def rows_per_second(self) -> float | None:
        """Rows decoded a second; ``None`` while none is."""
        return self.decoded / self.elapsed if self.decoded and self.elapsed > 0 else None

    @property
    def time_left(self) -> float | None:
        """Seconds that the rest takes at that rate, if all of it has to be decoded; ``None`` if nobody knows."""
        rate = self.rows_per_second
        return None if rate is None or self.over else (self.total - self.done) / rate

    def __str__(self) -> str:
        parts = [f"{self.done:,} of {self.total:,} rows" if self.done < self.total else f"{self.total:,} rows"]
        for count, words in (
            (self.recorded, "from the ledger"),
            (self.same, "like an earlier row"),
            (self.failed, "with an error"),
        ):
            parts += [f"{count:,} {words}"] if count else []
        if self.rows_per_second is not None:
            parts.append(rate_words(self.rows_per_second))
        if self.done < self.total and self.time_left is not None:
            parts.append(f"{time_words(self.time_left)} left")
        return " · ".join(parts)


def rate_words(rows_per_second: float) -> str:
    """Return a rate in rows a second, or a minute if there are few."""
    if rows_per_second < 1:
        return f"{60 * rows_per_second:.1f} rows/min"
    return f"{rows_per_second:.1f} rows/s"


def time_words(seconds: float) -> str:
    """Return a time in its two largest units."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
