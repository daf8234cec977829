"""Structured output as a saved notebook keeps it: a table or a tree, and the whole text below.

Names and values are the model's. They are escaped, with everything invisible in them made visible.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

from llmkit.notebook import markdown, safe_markdown
from llmkit.notebook.output_answer import columns, is_table
from llmkit.notebook.visible import one_line, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.notebook.output_answer import Answer

MOST_ROWS = 30
"""So many rows of a table are saved as such; the text has them all."""

MOST_COLUMNS = 20
LONGEST_CELL = 120
MOST_ITEMS = 300
"""So many values of a tree are saved as such."""

LONGEST_STRING = 2_000
_LONGEST_NAME = 80
_OPEN_DEPTH = 3
_DEEPEST = 8

_UI = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:12px;line-height:20px"
_MONO = "font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace);font-size:12px"
_QUIET = "opacity:.72"
_LETTERS = (
    f"margin:4px 0 0;padding:0;border:0;background:none;color:inherit;{_MONO};line-height:20px;white-space:pre-wrap"
)
_TEXT = (
    f"margin:2px 0;padding:6px 8px;border:0;border-radius:4px;background:{markdown.TINT};color:inherit;{_MONO};"
    "line-height:1.45;white-space:pre-wrap;overflow-wrap:anywhere;max-height:320px;overflow:auto"
)
_CELL = f"padding:2px 10px;border:0;border-bottom:1px solid {markdown.LINE};{_MONO};line-height:18px;vertical-align:top"
_LIST = f"margin:0 0 0 8px;padding:0 0 0 14px;border-left:1px solid {markdown.LINE};list-style:none"
_NAME = "color:var(--jp-brand-color1,#1976d2);margin-right:10px"
_VALUES = f"{_MONO};line-height:20px;white-space:pre-wrap;overflow-wrap:anywhere"


def html(answer: Answer) -> str:
    """Return an answer as HTML with inline styles."""
    if not answer.is_json:
        return f'<pre style="{_LETTERS}">{_safe(answer.text)}</pre>'
    shown = _table(answer.value) if is_table(answer.value) else _Tree().of(answer.value)
    return f'<div style="margin-top:4px;{_UI}">{shown}{_whole(answer.text)}</div>'


def marked(answer: Answer) -> str:
    """Return an answer as Markdown in which nothing of it is markup."""
    if answer.is_json and answer.is_whole and is_table(answer.value):
        return _marked_table(answer.value)
    text = visible(answer.written() if answer.is_json else answer.text)
    fence = "`" * max(3, safe_markdown.longest_backticks(text) + 1)
    return f"{fence}{'json' if answer.is_json else ''}\n{text}\n{fence}"


def plain(answer: Answer) -> str:
    """Return an answer as text."""
    return answer.written() if answer.is_json else answer.text


# -- tables -------------------------------------------------------------------------------------------------------


def _table(rows: list[dict[str, Any]]) -> str:
    names = columns(rows)
    shown = names[:MOST_COLUMNS]
    numeric = {name for name in shown if all(_is_number(row[name]) for row in rows if name in row)}
    head = "".join(_cell("th", one_line(name, _LONGEST_NAME), numeric=name in numeric) for name in ["#", *shown])
    body = "".join(_row(index, row, shown, numeric) for index, row in enumerate(rows[:MOST_ROWS]))
    grid = (
        f'<table style="border-collapse:collapse;margin:0"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )
    return f'<div style="max-height:420px;overflow:auto">{grid}</div>{_quiet(_size(rows, names))}'


def _row(index: int, row: dict[str, Any], names: list[str], numeric: set[str]) -> str:
    cells = (_cell("td", _in_cell(row[name]) if name in row else "", numeric=name in numeric) for name in names)
    return f'<tr style="background:none">{_cell("td", str(index), quiet=True)}{"".join(cells)}</tr>'


def _cell(tag: str, text: str, *, numeric: bool = False, quiet: bool = False) -> str:
    align = "right" if numeric else "left"
    return f'<{tag} style="{_CELL};text-align:{align}{f";{_QUIET}" * quiet}">{escape(text)}</{tag}>'


def _in_cell(value: Any) -> str:
    return one_line(value if isinstance(value, str) else _compact(value), LONGEST_CELL)


def _size(rows: list[dict[str, Any]], names: list[str]) -> str:
    more = [_count(len(rows) - MOST_ROWS, "more row"), _count(len(names) - MOST_COLUMNS, "more column")]
    told = " and ".join(each for each in more if each)
    return f"… and {told}" if told else _count(len(rows), "row")


def _marked_table(rows: list[dict[str, Any]]) -> str:
    names = columns(rows)
    shown = names[:MOST_COLUMNS]
    lines = [_marked_row(["", *(one_line(name, _LONGEST_NAME) for name in shown)]), "|" + " --- |" * (len(shown) + 1)]
    for index, row in enumerate(rows[:MOST_ROWS]):
        lines.append(_marked_row([str(index), *(_in_cell(row[name]) if name in row else "" for name in shown)]))
    return "\n".join(lines) + f"\n\n<sub>{_size(rows, names)}</sub>"


def _marked_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(safe_markdown.escape(cell) for cell in cells)} |"


# -- trees --------------------------------------------------------------------------------------------------------


class _Tree:
    """A value as nested lists, as long as there is room."""

    def __init__(self) -> None:
        self._room = MOST_ITEMS

    def of(self, value: Any) -> str:
        """Return a value as HTML."""
        return f'<div style="{_VALUES}">{self._node("", value, 0)}</div>'

    def _node(self, name: str, value: Any, depth: int) -> str:
        self._room -= 1
        if isinstance(value, dict | list) and value and depth < _DEEPEST:
            members = [(_label(str(key)), item) for key, item in _members(value)]
            size = _count(len(value), "key" if isinstance(value, dict) else "item")
            summary = f'<summary style="cursor:pointer">{name}<span style="{_QUIET}">{size}</span></summary>'
            opened = " open" * (depth < _OPEN_DEPTH)
            return f'<details{opened}>{summary}<ul style="{_LIST}">{self._list(members, depth + 1)}</ul></details>'
        return f"{name}{_leaf(value)}"

    def _list(self, members: list[tuple[str, Any]], depth: int) -> str:
        items: list[str] = []
        for name, value in members:
            if self._room <= 0:
                items.append(f'<li style="{_QUIET}">… and {len(members) - len(items):,} more</li>')
                break
            items.append(f"<li>{self._node(name, value, depth)}</li>")
        return "".join(items)


def _members(value: dict[str, Any] | list[Any]) -> Iterable[tuple[object, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _label(name: str) -> str:
    return f'<span style="{_NAME}">{escape(one_line(name, _LONGEST_NAME))}</span>'


def _leaf(value: Any) -> str:
    if isinstance(value, str):
        cut = f"… and {len(value) - LONGEST_STRING:,} more characters" if len(value) > LONGEST_STRING else ""
        return f"&quot;{_safe(value[:LONGEST_STRING])}&quot;{_quiet(cut)}"
    return _safe(one_line(_compact(value), LONGEST_STRING))


# -- text ---------------------------------------------------------------------------------------------------------


def _whole(text: str) -> str:
    summary = f'<summary style="{_QUIET};cursor:pointer;width:fit-content">JSON</summary>'
    return f'<details style="margin-top:2px">{summary}<pre style="{_TEXT}">{_safe(text.strip())}</pre></details>'


def _quiet(text: str) -> str:
    return f'<div style="{_QUIET}">{escape(text)}</div>' if text else ""


def _safe(text: str) -> str:
    return escape(visible(text))


def _compact(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "…"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}" if number > 0 else ""
