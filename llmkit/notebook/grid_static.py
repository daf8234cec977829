"""A comparison as a saved notebook keeps it: plain text, Markdown and an HTML table, with nothing to load or to run.

A notebook with a comparison of many long answers would be slow to open and too large to review, so all three together
keep to a budget. Long answers show their beginning and unfold to the rest; where the budget doesn't reach, they are
cut, and a line says where the whole text is.
"""

from __future__ import annotations

import itertools
import json
import re
from html import escape
from typing import TYPE_CHECKING, Any

from llmkit.notebook import markdown, safe_markdown
from llmkit.notebook.grid_words import axes, cell_words, combinations, fixed, label, level, summary
from llmkit.notebook.visible import one_line
from llmkit.notebook.words import STATUS_WORDS, error_line, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HTML_BUDGET = 700_000
"""So many bytes the HTML has in the notebook's file."""

TABLE_BUDGET = 80_000
"""So many characters of answers Markdown has, and plain text."""

SHOWN = 700
"""So many characters of an answer show at once."""

LONGEST_LINE = 240
MOST_BLOAT = 3
TRIES = 4

_QUIET = "opacity:.72"
_NAME = "font-weight:400;opacity:.66"
_UI = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:12px;line-height:20px"
_FRAME = (
    "margin:2px 0;overflow-x:auto;color:var(--jp-content-font-color1,inherit);"
    "font-family:var(--jp-content-font-family,system-ui,sans-serif);font-size:13px;line-height:1.5"
)
_TABLE = "border-collapse:collapse;font-size:inherit;margin:4px 0"
_HEAD = f"padding:3px 9px;border:1px solid {markdown.LINE};text-align:left;vertical-align:top;font-weight:600;{_UI}"
_CELL = (
    f"padding:5px 9px 6px;border:1px solid {markdown.LINE};text-align:left;vertical-align:top;line-height:1.5;"
    "min-width:180px;max-width:480px;overflow-wrap:anywhere;white-space:normal"
)
_TR = '<tr style="background:none">'
_ERROR = "color:var(--jp-error-color1,#d32f2f)"

# In text a quotation mark is an entity, so this is an attribute wherever it is found.
_STYLE = re.compile(' style="[^"]*"')

_CUT = "… cut here; comparison.frame has the whole text"


def bundle(state: dict[str, Any]) -> dict[str, str]:
    """Return a comparison's state as a MIME bundle.

    Parameters
    ----------
    state : dict
        As :meth:`llmkit.notebook.grid_state.GridState.to_dict` gives it.
    """
    return {"text/plain": plain(state), "text/markdown": marked(state), "text/html": html(state)}


def plain(state: dict[str, Any]) -> str:
    """Return a line a cell: what it was asked, what came, how it went."""
    longest = _line_length(state)
    rows, columns = axes(state)
    lines = [
        f"{_where(state, cell, [*rows, *columns])}: {_line(cell, longest)} [{_how(cell)}]" for cell in state["cells"]
    ]
    return "\n".join([*lines, f"[{_title(state)}]"])


def marked(state: dict[str, Any]) -> str:
    """Return a Markdown table in which the models' texts can do no harm."""
    longest = _line_length(state)
    rows, columns = axes(state)
    across = list(combinations(state, columns))
    head = [*(_name(state, row) for row in rows), *(_labels(state, columns, place) or "answer" for place in across)]
    lines = [head, ["---"] * len(head)]
    cells = _by_place(state, rows, columns)
    for down in combinations(state, rows):
        lines.append([level(state, row, number) for row, number in zip(rows, down, strict=True)])
        lines[-1] += [_line(cells[down, place], longest) if (down, place) in cells else "" for place in across]
    lines = [lines[0], *lines[1:]]
    table = [
        f"| {' | '.join(part if number == 1 else safe_markdown.escape(part) for part in line)} |"
        for number, line in enumerate(lines)
    ]
    return "\n".join([*table, "", f"<sub>{safe_markdown.escape(_title(state))}</sub>"])


def html(state: dict[str, Any]) -> str:
    """Return an HTML table with inline styles that follow Jupyter's theme, and are legible without one."""
    lengths = [len(cell["text"].encode(errors="replace")) for cell in state["cells"]]
    budget = HTML_BUDGET
    for _ in range(TRIES):
        written = _html(state, longest_that_fits(lengths, budget))
        size = len(json.dumps(written, ensure_ascii=False).encode(errors="replace"))
        if size <= HTML_BUDGET:
            break
        budget = int(0.95 * budget * HTML_BUDGET / size)
    return written


def longest_that_fits(lengths: Sequence[int], budget: int) -> int:
    """Return how long texts may be at most so that all of them, the longer ones cut, fit into a budget."""
    left, count = budget, len(lengths)
    for length in sorted(lengths):
        if length * count > left:
            return left // count
        left -= length
        count -= 1
    return max(lengths, default=0)


def _html(state: dict[str, Any], longest: int) -> str:
    rows, columns = axes(state)
    across = list(combinations(state, columns))
    cells = _by_place(state, rows, columns)
    head = [_head_row(state, rows, columns, across, depth) for depth in range(max(1, len(columns)))]
    body: list[str] = []
    downs = list(combinations(state, rows))
    for number, down in enumerate(downs):
        heads = [
            f'<th scope="row" rowspan="{span}" style="{_HEAD}">{escape(level(state, rows[depth], down[depth]))}</th>'
            for depth, span in _begins(downs, number)
        ]
        body.append(f"{_TR}{''.join(heads)}{''.join(_td(cells.get((down, place)), longest) for place in across)}</tr>")
    words = f'<div style="{_UI};{_QUIET}">{escape(_title(state))}</div>'
    table = f'<table style="{_TABLE}"><thead>{"".join(head)}</thead><tbody>{"".join(body)}</tbody></table>'
    # Jupyter typesets what stands between two dollar signs, also in prices, unless a class forbids it.
    return (
        f'<div class="tex2jax_ignore mathjax_ignore" role="group" aria-label="Comparison" style="{_FRAME}">'
        f"{_asked(state)}{table}{words}</div>"
    )


def _head_row(
    state: dict[str, Any], rows: list[int], columns: list[int], across: list[tuple[int, ...]], depth: int
) -> str:
    corner = [
        f'<th scope="col" rowspan="{max(1, len(columns))}" style="{_HEAD};{_QUIET}">{escape(_name(state, row))}</th>'
        for row in (rows if depth == 0 else ())
    ]
    if not columns:
        return f'{_TR}{"".join(corner)}<th scope="col" style="{_HEAD}">answer</th></tr>'
    column = columns[depth]
    name = f'<span style="{_NAME}">{escape(_name(state, column))} </span>'
    heads = [
        f'<th scope="col" colspan="{span}" style="{_HEAD}">{name}{escape(level(state, column, place[depth]))}</th>'
        for number, place in enumerate(across)
        for at, span in _begins(across, number)
        if at == depth
    ]
    return f"{_TR}{''.join(corner)}{''.join(heads)}</tr>"


def _begins(places: list[tuple[int, ...]], number: int) -> list[tuple[int, int]]:
    """Return at which depths a header begins at this place, and how many places it spans."""
    here = places[number]
    found = []
    for depth in range(1, len(here) + 1):
        if number > 0 and places[number - 1][:depth] == here[:depth]:
            continue
        # The places are in order, so those that begin alike stand together.
        found.append((depth - 1, sum(place[:depth] == here[:depth] for place in places)))
    return found


def _td(cell: dict[str, Any] | None, longest: int) -> str:
    if cell is None:
        return f'<td style="{_CELL}"></td>'
    parts = [_text(cell["text"], longest)]
    parts += [f'<div style="{_UI};{_QUIET}">{escape(line)}</div>' for line in cell["calls"]]
    if cell["error"] is not None:
        parts.append(f'<div style="{_ERROR}">{escape(one_line(error_line(cell), 1_000))}</div>')
    words = cell_words(cell)
    if words:
        parts.append(f'<div style="{_UI};{_QUIET}">{escape(words)}</div>')
    return f'<td style="{_CELL}">{"".join(parts)}</td>'


def _text(text: str, longest: int) -> str:
    """Return an answer: its beginning, the rest folded, and what doesn't fit left out."""
    kept = text if len(text.encode(errors="replace")) <= longest else _whole_words(text, longest)
    start = beginning(kept)
    rest = kept[len(start) :]
    cut = f'<div style="{_UI};{_QUIET}">{_CUT} ({len(text):,} characters).</div>' if len(kept) < len(text) else ""
    if not rest.strip():
        return _rendered(start) + cut
    summary = f'<summary style="{_UI};{_QUIET};cursor:pointer">… {len(rest):,} more characters</summary>'
    return f"{_rendered(start)}<details>{summary}{_rendered(rest)}{cut}</details>"


def beginning(text: str) -> str:
    """Return as much of an answer as shows at once: whole blocks if that isn't too little, else whole words."""
    if len(text) <= SHOWN * 1.3:
        return text
    lines = text[: SHOWN + 1].splitlines(keepends=True)
    blocks = markdown.parser().parse(text[: 2 * SHOWN])
    starts = {token.map[0] for token in blocks if token.level == 0 and token.map is not None}
    ends = list(itertools.accumulate(len(line) for line in lines))
    fits = [end for number, end in enumerate(ends, 1) if number in starts and SHOWN / 3 < end <= SHOWN]
    return text[: fits[-1]] if fits else _whole_words(text, SHOWN)


def _rendered(text: str) -> str:
    """Return Markdown as HTML without styles of its own, or as it is written if its markup is most of it."""
    written = _STYLE.sub("", markdown.html(text)).replace("<a ", '<a style="text-decoration:underline" ')
    if len(written) <= MOST_BLOAT * len(text) + 400:
        return written
    return f'<div style="white-space:pre-wrap">{escape(text)}</div>'


def _whole_words(text: str, longest: int) -> str:
    """Return the beginning of a text that has at most so many bytes."""
    start = text.encode(errors="replace")[:longest].decode(errors="ignore")
    return start[: max(start.rfind(" "), start.rfind("\n")) + 1] or start


def _asked(state: dict[str, Any]) -> str:
    """Return the prompt if it is the same everywhere."""
    if len(state["prompts"]) != 1 or not state["prompts"][0]["text"]:
        return ""
    return f'<div style="{_UI}">{escape(one_line(state["prompts"][0]["text"], 400))}</div>'


def _title(state: dict[str, Any]) -> str:
    return joined(summary(state), fixed(state))


def _by_place(
    state: dict[str, Any], rows: list[int], columns: list[int]
) -> dict[tuple[tuple[int, ...], tuple[int, ...]], dict[str, Any]]:
    return {
        (tuple(cell["place"][row] for row in rows), tuple(cell["place"][column] for column in columns)): cell
        for cell in state["cells"]
    }


def _name(state: dict[str, Any], factor: int) -> str:
    return label(state["factors"][factor]["name"])


def _labels(state: dict[str, Any], factors: Iterable[int], place: tuple[int, ...]) -> str:
    pairs = zip(factors, place, strict=True)
    return joined(*(f"{_name(state, factor)} {level(state, factor, number)}" for factor, number in pairs))


def _where(state: dict[str, Any], cell: dict[str, Any], factors: list[int]) -> str:
    where = (f"{_name(state, factor)} {level(state, factor, cell['place'][factor])}" for factor in factors)
    return joined(*where) or "answer"


def _line_length(state: dict[str, Any]) -> int:
    return max(20, min(LONGEST_LINE, TABLE_BUDGET // max(1, len(state["cells"]))))


def _line(cell: dict[str, Any], longest: int) -> str:
    return one_line(error_line(cell) or cell["text"] or joined(*cell["calls"]), longest)


def _how(cell: dict[str, Any]) -> str:
    words = cell_words(cell)
    return words if words.startswith(STATUS_WORDS[cell["status"]]) else joined(STATUS_WORDS[cell["status"]], words)
