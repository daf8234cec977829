r"""Regular expressions as JSON schemas have them (ECMA-262), in words that mean the same to all who read them.

Three read a pattern: llguidance, as Rust does; pydantic, likewise; Python. They differ in what ``\d`` and ``$`` mean,
in what is special within brackets, and more. A pattern is therefore taken apart here and written anew from characters,
ranges, groups and counts alone. Where readings differ, the result matches what all of them match, so a text that fits
it fits the pattern whoever checks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ANY = "(?s:.*)"
_LAST = 0x10FFFF
_DIGITS = ((0x30, 0x39),)
_WORD = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE = (
    (0x9, 0xD), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
    (0x205F, 0x205F), (0x3000, 0x3000),
)  # fmt: skip
# What only some count as a space.
_SPACE_TO_SOME = (*_SPACE, (0x1C, 0x1F), (0x85, 0x85), (0x180E, 0x180E), (0xFEFF, 0xFEFF))
# What nobody counts as part of a word, as far as it is likely to be wanted.
_NO_WORD = (
    (0x0, 0x2F), (0x3A, 0x40), (0x5B, 0x5E), (0x60, 0x60), (0x7B, 0xA9), (0xAB, 0xB1), (0x2010, 0x203E),
)  # fmt: skip
_ENDS_OF_LINES = ((0xA, 0xA), (0xD, 0xD), (0x2028, 0x2029))
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
_COUNT = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")
_CODE = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")
_LOW_SURROGATE = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_NAMED_GROUP = re.compile(r"\?P?<([A-Za-z_]\w*)>")


class PatternError(ValueError):
    """A pattern that can't be read or has something in it that can't be enforced."""


@dataclass(frozen=True, slots=True)
class Written:
    """A piece of a pattern, for Rust and for Python."""

    rust: str
    python: str

    def __add__(self, other: Written) -> Written:
        return Written(self.rust + other.rust, self.python + other.python)


@dataclass(frozen=True)
class Pattern:
    """A pattern that whole texts are matched with.

    Parameters
    ----------
    rust : str
        For llguidance, without anchors.
    python : str
        For :mod:`re`, without anchors.
    """

    rust: str
    python: str

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.python)

    def matches(self, text: str) -> bool:
        """Return whether a text as a whole fits."""
        return self._compiled.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class _Branch:
    """One of a group's alternatives: what it matches, and whether ``^`` and ``$`` hold it at the text's ends."""

    written: Written
    begins: bool = False
    ends: bool = False


def searched(pattern: str) -> Pattern:
    """Return the pattern for whole texts in which this one is found somewhere, as the keyword ``pattern`` asks.

    Raises
    ------
    PatternError
        For what can't be read or enforced: lookaround, back references, word boundaries, flags, properties.
    """
    free = Written(ANY, ANY)
    nothing = Written("", "")
    branches = [
        (nothing if branch.begins else free) + branch.written + (nothing if branch.ends else free)
        for branch in _Parser(pattern).branches
    ]
    return _pattern(branches)


def full(pattern: str) -> Pattern:
    """Return the pattern for whole texts that this one matches from beginning to end.

    Raises
    ------
    PatternError
        As :func:`searched`.
    """
    return _pattern([branch.written for branch in _Parser(pattern).branches])


def none_of(words: set[str]) -> Pattern:
    """Return the pattern of all texts but some words."""
    written = _none_of(words)
    return Pattern(written.rust, written.python)


def _none_of(words: set[str]) -> Written:
    options = [] if "" in words else [Written("", "")]
    tails: dict[str, set[str]] = {}
    for word in words - {""}:
        tails.setdefault(word[0], set()).add(word[1:])
    firsts = tuple((ord(first), ord(first)) for first in sorted(tails))
    other = _complement(firsts)
    options.append(_class(other) + Written(ANY, ANY))
    options.extend(_literal(ord(first)) + _none_of(tails[first]) for first in sorted(tails))
    return _alternation(options)


def _pattern(branches: list[Written]) -> Pattern:
    written = _alternation(branches)
    return Pattern(written.rust, written.python)


def _alternation(options: list[Written]) -> Written:
    return Written(f"(?:{'|'.join(each.rust for each in options)})", f"(?:{'|'.join(each.python for each in options)})")


def _literal(code: int) -> Written:
    plain = chr(code)
    if plain.isascii() and plain.isalnum():
        return Written(plain, plain)
    return Written(f"\\x{{{code:x}}}", f"\\U{code:08x}")


def _class(ranges: Iterable[tuple[int, int]]) -> Written:
    ranges = _joined(ranges)
    if not ranges:
        raise PatternError("has brackets that nothing fits")
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return _literal(ranges[0][0])
    dash = Written("-", "-")
    inside = Written("", "")
    for low, high in ranges:
        inside += _literal(low) if low == high else _literal(low) + dash + _literal(high)
    return Written(f"[{inside.rust}]", f"[{inside.python}]")


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges in order, with those that touch made one."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return found


def _complement(ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Return all characters but those in some ranges; surrogates aren't characters."""
    gaps = []
    begin = 0
    for low, high in sorted((*ranges, (0xD800, 0xDFFF))):
        if low > begin:
            gaps.append((begin, low - 1))
        begin = max(begin, high + 1)
    if begin <= _LAST:
        gaps.append((begin, _LAST))
    return tuple(gaps)


class _Parser:
    """Reads a pattern, once."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self.branches = self._alternatives()
        if self._at < len(pattern):
            raise PatternError("has a ')' too many")

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self, words: str) -> bool:
        found = self._pattern.startswith(words, self._at)
        self._at += len(words) if found else 0
        return found

    def _alternatives(self) -> list[_Branch]:
        branches = self._branch()
        while self._take("|"):
            branches = branches + self._branch()
        return branches

    def _branch(self) -> list[_Branch]:
        begins = self._take("^") or self._take("\\A")
        ends = False
        items: list[tuple[Written, list[_Branch]]] = []
        while self._peek() not in {"", "|", ")"}:
            if ends or self._peek() == "^":
                raise PatternError("has an anchor in the middle")
            ends = self._take("$") or self._take("\\Z") or self._take("\\z")
            if not ends:
                items.append(self._item())
        if len(items) == 1 and items[0][1]:
            return [_Branch(each.written, begins or each.begins, ends or each.ends) for each in items[0][1]]
        if any(branch.begins or branch.ends for _, group in items for branch in group):
            raise PatternError("has an anchor in the middle")
        written = Written("", "")
        for each, _ in items:
            written += each
        return [_Branch(written, begins, ends)]

    def _item(self) -> tuple[Written, list[_Branch]]:
        """Read one thing with its count; return also a group's branches, if it is one without a count."""
        group: list[_Branch] = []
        if self._take("("):
            group = self._group()
            written = _alternation([branch.written for branch in group])
        elif self._take("["):
            written = _class(self._brackets())
        elif self._take("."):
            written = _class(_complement(_ENDS_OF_LINES))
        elif self._take("\\"):
            written = _class(self._escape(negated=False))
        elif _COUNT.match(self._pattern, self._at):
            raise PatternError(f"has {self._peek()!r} with nothing before it to repeat")
        else:
            written = _literal(self._code(self._peek()))
            self._at += 1
        count = _COUNT.match(self._pattern, self._at)
        if count is None:
            return written, group
        if any(branch.begins or branch.ends for branch in group):
            raise PatternError("has an anchor in the middle")
        self._at = count.end()
        if self._take("+"):
            raise PatternError("has a possessive count")
        self._take("?")  # lazy or greedy, the whole text is matched
        if _COUNT.match(self._pattern, self._at):
            raise PatternError("has two counts in a row")
        return written + Written(count[0], count[0]), []

    def _group(self) -> list[_Branch]:
        self._depth += 1
        if self._depth > 100:
            raise PatternError("is nested too deep")
        if not self._take("?:"):
            name = _NAMED_GROUP.match(self._pattern, self._at)
            if name:
                self._at = name.end()
            elif self._peek() == "?":
                raise PatternError(f"has {self._pattern[self._at - 1 : self._at + 3]!r}: no lookaround, no flags")
        branches = self._alternatives()
        if not self._take(")"):
            raise PatternError("has a '(' that isn't closed")
        self._depth -= 1
        return branches

    def _brackets(self) -> tuple[tuple[int, int], ...]:
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        if self._peek() == "]":
            raise PatternError("has empty brackets")
        while not self._take("]"):
            first = self._member(negated=negated)
            if self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in {"]", ""}:
                self._at += 1
                last = self._member(negated=negated)
                if len(first) != 1 or len(last) != 1 or first[0][0] != first[0][1] or last[0][0] != last[0][1]:
                    raise PatternError("has a range within brackets that doesn't go from one character to another")
                if first[0][0] > last[0][0]:
                    raise PatternError("has a range within brackets that goes backwards")
                first = ((first[0][0], last[0][0]),)
            ranges.extend(first)
        return _complement(tuple(ranges)) if negated else tuple(ranges)

    def _member(self, *, negated: bool) -> tuple[tuple[int, int], ...]:
        character = self._peek()
        if not character:
            raise PatternError("has a '[' that isn't closed")
        if self._take("\\b"):
            return ((8, 8),)
        self._at += 1
        if character == "\\":
            return self._escape(negated=negated)
        code = self._code(character)
        return ((code, code),)

    def _code(self, character: str) -> int:
        code = ord(character)
        if 0xD800 <= code <= 0xDFFF:
            raise PatternError("has half of a character (a surrogate)")
        return code

    def _escape(self, *, negated: bool) -> tuple[tuple[int, int], ...]:
        """Read what follows a backslash.

        What is meant to be left out (``negated``) must not be too small, anything else not too large.
        """
        code = _CODE.match(self._pattern, self._at)
        if code:
            self._at = code.end()
            return self._numbered(int(code[1] or code[2] or code[3], 16))
        letter = self._peek()
        self._at += 1
        if letter in _SETS:
            return _SETS[letter](negated)
        if letter == "c" and self._peek().isalpha() and self._peek().isascii():
            found = ord(self._peek()) % 32
            self._at += 1
        elif letter in _CONTROLS and not (letter == "0" and self._peek().isdigit()):
            found = _CONTROLS[letter]
        elif not letter or letter.isalnum():
            raise PatternError(f"has '\\{letter}', which can't be enforced")
        else:
            found = ord(letter)
        return ((found, found),)

    def _numbered(self, code: int) -> tuple[tuple[int, int], ...]:
        low = _LOW_SURROGATE.match(self._pattern, self._at)
        if 0xD800 <= code <= 0xDBFF and low:
            self._at = low.end()
            code = 0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        if code > _LAST:
            raise PatternError("has a character beyond Unicode")
        return ((self._code(chr(code)),) * 2,)


@cache
def _digits_to_some() -> tuple[tuple[int, int], ...]:
    """Return the ranges of all characters that count as digits in Unicode."""
    text = "".join(map(chr, (*range(0xD800), *range(0xE000, _LAST + 1))))
    return tuple((ord(run[0][0]), ord(run[0][-1])) for run in re.finditer(r"\d+", text))


_SETS: dict[str, Callable[[bool], tuple[tuple[int, int], ...]]] = {
    "d": lambda negated: _digits_to_some() if negated else _DIGITS,
    "D": lambda negated: _complement(_DIGITS if negated else _digits_to_some()),
    "w": lambda negated: _complement(_NO_WORD) if negated else _WORD,
    "W": lambda negated: _complement(_WORD) if negated else _NO_WORD,
    "s": lambda negated: _SPACE_TO_SOME if negated else _SPACE,
    "S": lambda negated: _complement(_SPACE if negated else _SPACE_TO_SOME),
}
"""What letters after a backslash stand for: all that somebody counts in where it is left out, else what all do."""
