"""Records that are read from JSON objects and written back without losing a field.

Names are snake_case in Python and camelCase in JSON. A field that a record doesn't know, or whose value isn't of the
kind it should be, is kept in ``extra`` and written back as it was.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self, TypeAlias

Reader: TypeAlias = Callable[[Any], Any]
"""Returns the value of a field from its JSON, or raises :class:`Misfit`."""


class Misfit(Exception):
    """A JSON value isn't what a record's field holds."""


def string(value: Any) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise Misfit
    return value


def integer(value: Any) -> int:
    """Read a whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise Misfit
    return value


def mapping(value: Any) -> dict[str, Any]:
    """Read an object of any fields."""
    if not isinstance(value, dict):
        raise Misfit
    return value


def each(reader: Reader) -> Reader:
    """Return a reader of lists whose items ``reader`` reads."""

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Misfit
        return tuple(reader(item) for item in value)

    return read


def reads(reader: Reader) -> dict[str, Reader]:
    """Return the metadata of a dataclass field that ``reader`` reads."""
    return {"reader": reader}


@dataclass(frozen=True, slots=True)
class _Wired:
    """A record's field: its name, its name in JSON, what reads it, and its value where the JSON has none."""

    name: str
    wire: str
    reader: Reader
    required: bool
    default: Any


def _fixed(kind: Any) -> dict[str, str]:
    """Return the fields that tell what kind of record it is."""
    named = {name: getattr(kind, name, None) for name in ("type", "role")}
    return {name: value for name, value in named.items() if isinstance(value, str)}


def _wired(kind: Any) -> tuple[_Wired, ...]:
    found = []
    for one in fields(kind):
        if "reader" in one.metadata:
            default = one.default_factory() if one.default_factory is not MISSING else one.default
            wire = re.sub(r"_(.)", lambda match: match[1].upper(), one.name)
            found.append(_Wired(one.name, wire, one.metadata["reader"], default is MISSING, default))
    return tuple(sorted(found, key=lambda one: one.name == "provider_data"))  # last, as it is the longest


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Base of all records.

    Parameters
    ----------
    provider_data : dict
        What the provider told besides.
    extra : dict
        Fields of the JSON that the record doesn't know.
    """

    provider_data: dict[str, Any] = field(default_factory=dict, metadata=reads(mapping))
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, value: Any) -> Self:
        """Return the record that a JSON object describes; it shares the values in it.

        Raises
        ------
        Misfit
            If it is no such record: it isn't an object, is of another kind, or lacks a field that must be there.
        """
        rest = dict(mapping(value))
        if any(rest.pop(name, None) != fixed for name, fixed in _fixed(cls).items()):
            raise Misfit
        taken: dict[str, Any] = {}
        for one in _wired(cls):
            try:
                read = one.reader(rest[one.wire])
            except (KeyError, Misfit):
                if one.required:
                    raise Misfit from None
                continue
            if one.required or read != one.default:  # else it stays in ``extra``, told from none at all
                taken[one.name] = read
                del rest[one.wire]
        return cls(**taken, extra=rest)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values, under their names there."""
        values = {one.wire: getattr(self, one.name) for one in _wired(type(self)) if self._tells(one)}
        return {
            **_fixed(type(self)),
            **{wire: _plain(value) for wire, value in values.items()},
            **copy.deepcopy(self.extra),
        }

    def _tells(self, one: _Wired) -> bool:
        return one.required or getattr(self, one.name) != one.default


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return copy.deepcopy(value)
