"""What a docstring says of a function: what it does, and what its parameters mean.

Reads the numpy, Google and Sphinx styles, also mixed:

- numpy: https://numpydoc.readthedocs.io/en/latest/format.html
- Google: https://google.github.io/styleguide/pyguide.html#383-functions-and-methods
- Sphinx: https://www.sphinx-doc.org/en/master/usage/domains/python.html#info-field-lists
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PARAMETERS = {"args", "arguments", "parameters", "params", "other parameters", "keyword args", "keyword arguments"}
_PARAMETERS |= {"attributes"}
_OTHERS = {"returns", "return", "yields", "yield", "receives", "raises", "warns", "warnings", "warning", "see also"}
_OTHERS |= {"note", "notes", "references", "example", "examples", "todo", "methods", "usage"}

_GOOGLE_HEADER = re.compile(r"([A-Za-z ]+):\s*")
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?:\s+(.*)|)")
_NUMPY_ENTRY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")
_SPHINX_FIELD = re.compile(r":(\w+)(?:\s+([^:]*))?:(?:\s+(.*)|)")
_SPHINX_PARAMETERS = {"param", "parameter", "arg", "argument", "key", "keyword", "var", "ivar"}
_SPHINX_OTHERS = {"type", "vartype", "return", "returns", "rtype", "raise", "raises", "except", "exception", "meta"}


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring, taken apart.

    Parameters
    ----------
    description : str
        Summary and body: everything before the first section.
    parameters : dict
        What each parameter means, by name.
    """

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def parse_docstring(text: str | None) -> Docstring:
    """Return what a docstring says.

    Parameters
    ----------
    text : str or None
        The docstring, indented as in the source or not.
    """
    lines = inspect.cleandoc(text or "").splitlines()
    described: dict[str, str] = {}
    before: list[str] | None = None
    number = 0
    while number < len(lines):
        section = _section(lines, number)
        if section is None:
            number += 1
            continue
        if before is None:
            before = lines[:number]
        described.update(section.parameters)
        number = section.end
    description = "\n".join(lines if before is None else before).strip()
    return Docstring(description, described)


@dataclass(frozen=True, slots=True)
class _Section:
    """A section's parameters, and the number of the first line after it."""

    parameters: dict[str, str]
    end: int


def _section(lines: Sequence[str], number: int) -> _Section | None:
    """Return the section that begins at a line, if one does."""
    line = lines[number]
    following = lines[number + 1] if number + 1 < len(lines) else ""
    name = line.strip().lower()
    if name in _PARAMETERS | _OTHERS and re.fullmatch(r"\s*-{3,}\s*", following):
        return _numpy(lines, number + 2, parameters=name in _PARAMETERS)
    if header := _GOOGLE_HEADER.fullmatch(line):
        name = header[1].strip().lower()
        if name in _PARAMETERS | _OTHERS and _indent(following) > _indent(line):
            return _google(lines, number + 1, _indent(line), parameters=name in _PARAMETERS)
    if (entry := _SPHINX_FIELD.fullmatch(line.strip())) and entry[1] in _SPHINX_PARAMETERS | _SPHINX_OTHERS:
        return _sphinx(lines, number, entry)
    return None


def _numpy(lines: Sequence[str], start: int, *, parameters: bool) -> _Section:
    end = start
    while end < len(lines) and _section(lines, end) is None:
        end += 1
    found: dict[str, str] = {}
    margin = _indent(next((line for line in lines[start:end] if line.strip()), ""))
    for number in range(start, end) if parameters else ():
        entry = _NUMPY_ENTRY.fullmatch(lines[number].strip())
        if entry and _indent(lines[number]) == margin:
            below = takewhile(lambda line: not line.strip() or _indent(line) > margin, lines[number + 1 : end])
            text = _joined(below)
            found |= {name.strip(" *"): text for name in entry[1].split(",") if text}
    return _Section(found, end)


def _google(lines: Sequence[str], start: int, outer: int, *, parameters: bool) -> _Section:
    inside = list(takewhile(lambda line: not line.strip() or _indent(line) > outer, lines[start:]))
    found: dict[str, str] = {}
    margin = _indent(inside[0])
    for number, line in enumerate(inside if parameters else ()):
        entry = _GOOGLE_ENTRY.fullmatch(line.strip())
        if entry and _indent(line) == margin:
            below = takewhile(lambda line: not line.strip() or _indent(line) > margin, inside[number + 1 :])
            if text := _joined([entry[2] or "", *below]):
                found[entry[1]] = text
    return _Section(found, start + len(inside))


def _sphinx(lines: Sequence[str], number: int, entry: re.Match[str]) -> _Section:
    margin = _indent(lines[number])
    below = list(takewhile(lambda line: line.strip() and _indent(line) > margin, lines[number + 1 :]))
    text = _joined([entry[3] or "", *below])
    words = (entry[2] or "").split()
    found = {words[-1].lstrip("*"): text} if entry[1] in _SPHINX_PARAMETERS and words and text else {}
    return _Section(found, number + 1 + len(below))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip()) if line.strip() else 0


def _joined(lines: Iterable[str]) -> str:
    """Return wrapped lines as one."""
    return " ".join(" ".join(lines).split())
