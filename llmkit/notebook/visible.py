"""Text in which nothing hides: what a reader can't see is written as an escape."""

from __future__ import annotations

import re
import unicodedata

_UNUSUAL = re.compile("[^\x20-\x7e\n\t]")

# Categories of characters that have no shape of their own, or that change how their neighbours show.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# Letters and marks that have no shape either: fillers, the grapheme joiner, the second set of variation selectors.
_BLANK = frozenset({"\u034f", "\u115f", "\u1160", "\u2800", "\u3164", "\uffa0", *map(chr, range(0xE0100, 0xE01F0))})


def visible(text: str) -> str:
    r"""Return `text` with every invisible character but tab and newline as JSON escapes it: ``\\u202e``.

    These are control and format characters (among them those that turn the direction of text), lone surrogates, and
    what Unicode leaves to private use or hasn't assigned; see https://www.unicode.org/reports/tr36/.
    """
    return _UNUSUAL.sub(lambda match: _escaped(match[0]) if _is_hidden(match[0]) else match[0], text)


def one_line(text: str, longest: int) -> str:
    """Return the beginning of `text` on one line, at most `longest` characters of it, with nothing hidden."""
    start = " ".join(text[: 2 * longest].split())
    cut = len(start) > longest or len(text) > 2 * longest
    return visible(start[: longest - 1] + "…" if cut else start)


def _is_hidden(character: str) -> bool:
    return character in _BLANK or unicodedata.category(character) in _HIDDEN


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[index]:02x}{units[index + 1]:02x}" for index in range(0, len(units), 2))
