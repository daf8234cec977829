"""The line of a magic: ``--options`` with values, ``name=value`` factors, and what is left over.

Not a shell's rules, which would trip over the apostrophe of ``%llm What's this?``: a value is one word, or begins with
a quote or bracket and ends where that is closed. What isn't an option is left as it was typed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from llmkit.errors import ValidationError

_OPTION = re.compile(r"(--[A-Za-z][\w-]*|-o\b)(=?)")
_FACTOR = re.compile(r"([^\W\d]\w*)=(?!=)")
_BRACKETS = {"[": "]", "(": ")", "{": "}"}


@dataclass(slots=True)
class Line:
    """What a line says.

    Parameters
    ----------
    options : dict
        The text of each option's value by the option's name, with ``_`` for ``-``.
    factors : dict
        The text of each ``name=value``.
    rest : str
        What comes after.
    """

    options: dict[str, str] = field(default_factory=dict)
    factors: dict[str, str] = field(default_factory=dict)
    rest: str = ""


def read_line(line: str, *, flags: frozenset[str] = frozenset(), factors: bool = False) -> Line:
    """Return what a magic's line says.

    Parameters
    ----------
    line : str
        What stands behind the magic's name.
    flags : frozenset of str
        Options that have no value.
    factors : bool
        Whether ``name=value`` is read, too.

    Raises
    ------
    ValidationError
        For an option that is there twice or has no value, and for a quote or bracket that isn't closed.
    """
    read, place = Line(), 0
    while True:
        place = _after_blanks(line, place)
        if line.startswith("--", place) and not line[place + 2 : place + 3].strip():
            place += 2  # a bare -- ends the options, so that a question may begin with one
            break
        option = _OPTION.match(line, place)
        factor = _FACTOR.match(line, place) if factors else None
        if option is not None:
            name = "into" if option[1] == "-o" else option[1][2:].replace("-", "_")
            if name in flags and not option[2]:
                value, place = "", option.end()
            else:
                value, place = _value(line, _after_blanks(line, option.end()), option[1])
            _add(read.options, name, value)
        elif factor is not None:
            value, place = _value(line, factor.end(), f"{factor[1]}=")
            _add(read.factors, factor[1], value)
        else:
            break
    read.rest = line[place:].strip()
    return read


def _add(values: dict[str, str], name: str, value: str) -> None:
    if name in values:
        raise ValidationError(f"{name} is given twice.", field=name)
    values[name] = value


def _after_blanks(line: str, place: int) -> int:
    while place < len(line) and line[place].isspace():
        place += 1
    return place


def _value(line: str, start: int, name: str) -> tuple[str, int]:
    """Return the value that begins at `start`, and where it ends."""
    open_brackets: list[str] = []
    place = start
    while place < len(line) and (open_brackets or not line[place].isspace()):
        character = line[place]
        if character in "\"'" and (open_brackets or place == start):
            place = _after_quote(line, place, name)
            continue
        if character in _BRACKETS:
            open_brackets.append(_BRACKETS[character])
        elif open_brackets and character == open_brackets[-1]:
            open_brackets.pop()
        place += 1
    if open_brackets:
        raise ValidationError(f"{name} {line[start:]} isn't closed: a {open_brackets[-1]} is missing.", field=name)
    if place == start:
        raise ValidationError(f"{name} has no value.", field=name)
    return line[start:place], place


def _after_quote(line: str, start: int, name: str) -> int:
    place = start + 1
    while place < len(line) and line[place] != line[start]:
        place += 2 if line[place] == "\\" else 1
    if place >= len(line):
        raise ValidationError(f"{name} {line[start:]} isn't closed: a {line[start]} is missing.", field=name)
    return place + 1
