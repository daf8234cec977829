"""What a run has had in its steps so far."""

from __future__ import annotations


class Seen:
    """The ids of a run's calls, which servers use twice, and its notes."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()
        self._notes: set[str] = set()

    def first(self, note: str) -> bool:
        """Return whether the run makes this note for the first time."""
        known = note in self._notes
        self._notes.add(note)
        return not known

    def unique(self, id_: str, *, new: bool) -> str:
        """Return the id of the run's call that the engine calls ``id_``; a new one where a call begins."""
        if new or id_ not in self._names:
            name, number = id_, 2
            while name in self._taken:
                name, number = f"{id_}-{number}", number + 1
            self._taken.add(name)
            self._names[id_] = name
        return self._names[id_]
