"""Tool calls as a saved notebook keeps them: a line that unfolds to what it has no room for.

All of it is somebody else's text. It is escaped, with everything invisible in it made visible; nothing is left out
without a word on how much.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING, Any

from llmkit.notebook import markdown, safe_markdown
from llmkit.notebook.json_text import pretty
from llmkit.notebook.visible import visible
from llmkit.notebook.words import call_line, call_words

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

MOST_TEXT = 20_000
"""So many characters of each part of a call are saved."""

MOST_ROWS = 20
"""So many rows of a table are saved."""

_DEEPEST = 6
_ROW_COST = 100
_LINES = re.compile(r"(?<!\\)(?:\\\\)*\\n")
_REASONED = frozenset({"panel", "code", "rule", "tool"})

_UI = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:12px;line-height:20px"
_CARD = f"margin:6px 0;padding:3px 10px;border:1px solid {markdown.LINE};border-radius:6px"
_MONO = "font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace);font-size:12px;line-height:1.45"
_WRAP = "white-space:pre-wrap;overflow-wrap:anywhere"
_PRE = (
    f"margin:2px 0 6px;padding:6px 8px;border:0;border-radius:4px;background:{markdown.TINT};color:inherit;{_MONO};"
    f"{_WRAP};max-height:320px;overflow:auto"
)
_CODE = f"padding:0;background:none;color:inherit;{_MONO};{_WRAP}"
_GRID = f"padding:2px 8px;border:1px solid {markdown.LINE};font-size:12px;line-height:1.45;vertical-align:top"
_ROW = "display:flex;align-items:baseline;margin:1px 0"
_NAME = f"{_MONO};flex:none;min-width:72px;max-width:32%;margin-right:14px;overflow-wrap:anywhere"
_VALUE = "flex:1 1 0;min-width:0"
_EDITED = ";padding-left:7px;border-left:3px solid #1976d2"
_BADGE = (
    '<span style="margin-left:6px;padding:0 5px;border-radius:3px;background:#1976d2;color:#fff;'
    'font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:10px">edited</span>'
)
_COLOURS = {
    "done": "var(--jp-success-color1,#388e3c)",
    "failed": "var(--jp-error-color1,#d32f2f)",
    "invalid": "var(--jp-error-color1,#d32f2f)",
}
_QUIET_COLOUR = "var(--jp-warn-color1,#e07b00)"
_QUIET = "opacity:.72"


def html(card: dict[str, Any]) -> str:
    """Return a call as HTML with inline styles."""
    line = f"{_UI};overflow-wrap:anywhere"
    parts = "".join(f'<div style="{_UI};{_QUIET}">{title}</div>{body}' for title, body in _html_parts(card))
    if not parts:
        return f'<div style="{_CARD};{line}">{_line(card)}</div>'
    summary = f'<summary style="{line};cursor:pointer">{_line(card)}</summary>'
    return f'<details style="{_CARD}">{summary}<div style="margin:4px 0 2px">{parts}</div></details>'


def marked(card: dict[str, Any]) -> str:
    """Return a call as Markdown in which nothing of it is markup."""
    blocks = [f"- {safe_markdown.escape(call_line(card))}"]
    blocks += [f"  {title}\n\n{_fenced(_cut(text))}" for title, text in _text_parts(card)]
    return "\n\n".join(blocks)


def _line(card: dict[str, Any]) -> str:
    mark, name, told, ended = map(escape, call_words(card))
    short = escape(visible(card["short"]))
    came = f'<span style="{_MONO}"><span style="{_QUIET}">→</span> {told}</span>' if told else ""
    how = f'<span style="{_QUIET}">{"· " if told or short else ""}{ended}</span>' if ended else ""
    if card["status"] == "invalid":  # that it is no call comes first, and why follows
        came, how = f'<span style="{_QUIET};white-space:nowrap">{ended}</span>', came
    parts = [
        f'<span style="color:{_COLOURS.get(card["status"], _QUIET_COLOUR)};font-weight:600">{mark}</span>',
        f'<strong style="{_MONO}">{name}</strong>',
        f'<span style="{_MONO};{_QUIET}">{short}</span>' if short else "",
        came,
        how,
    ]
    return " ".join(part for part in parts if part)


# -- what the line doesn't tell -----------------------------------------------------------------------------------


def _text_parts(card: dict[str, Any]) -> list[tuple[str, str]]:
    parts = []
    if card["executed"] is not None:
        parts = [("Arguments that the model asked for", card["arguments"]), ("Arguments it ran with", card["executed"])]
    elif card["arguments"] is not None and not _tells_arguments(card):
        parts = [("Arguments", card["arguments"])]
    parts += _explained(card)
    if card["result"] is not None and card["result"]["kind"] in {"text", "json"} and not _tells_result(card):
        parts.append(("Result", _all(card["result"])))
    if card["printed"] is not None:
        parts.append(("Printed", _all(card["printed"])))
    return parts + [("Displayed", _all(each)) for each in card["displayed"] if each["kind"] == "text"]


def _html_parts(card: dict[str, Any]) -> list[tuple[str, str]]:
    parts = _asked(card)
    parts += [(title, _pre(text)) for title, text in _explained(card)]
    if card["result"] is not None and not _tells_result(card):
        parts.append(("Result", _value(card["result"])))
    if card["printed"] is not None:
        parts.append(("Printed", _pre(_all(card["printed"]))))
    if card["displayed"]:
        parts.append(("Displayed", "".join(map(_value, card["displayed"]))))
    return parts


def _explained(card: dict[str, Any]) -> list[tuple[str, str]]:
    """Return why somebody decided as they did, and what went wrong."""
    _, _, told, ended = call_words(card)
    decision, error = card["decision"], card["error"]
    parts = []
    if decision is not None and decision["by"] in _REASONED and decision["reason"] not in ended:
        parts.append(("Reason", decision["reason"]))
    if error is not None and told != (text := f"{error['kind']}: {error['message']}"):
        parts.append(("Error", text))
    return parts


def _tells_arguments(card: dict[str, Any]) -> bool:
    """Return whether the line has the arguments, whole and readable."""
    if card["short"].endswith("…"):
        return False
    arguments = _read(card["arguments"]) or {}
    whole = ", ".join(f"{visible(name)}: {pretty(value)}" for name, value in arguments.items())
    return whole == card["short"] and not _LINES.search(whole)


def _tells_result(card: dict[str, Any]) -> bool:
    result = card["result"]
    return result["kind"] in {"text", "json"} and _all(result) == call_words(card)[2]


# -- arguments ----------------------------------------------------------------------------------------------------


def _asked(card: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the arguments: as they are written, as they were asked for, or what an edit made of them."""
    if card["executed"] is not None:
        changed = _differences(_read(card["arguments"]), _read(card["executed"]))
        ran, asked = _arguments(card["executed"], changed), _arguments(card["arguments"], changed)
        return [("Ran with", ran), ("What the model asked for", asked)]
    if card["arguments"] is not None:
        return [] if _tells_arguments(card) else [("Arguments", _arguments(card["arguments"]))]
    written = card["input"] + _more(card["written"] - len(card["input"]))
    return [("What the model wrote", _pre(written))] if card["input"] else []


def _read(text: str) -> dict[str, Any] | None:
    """Return arguments, unless they are nested deeper than can be read."""
    try:
        read: dict[str, Any] = json.loads(text)
    except RecursionError:
        return None
    return read


def _differences(before: dict[str, Any] | None, after: dict[str, Any] | None) -> set[str]:
    old, new = ({name: pretty(value) for name, value in (each or {}).items()} for each in (before, after))
    return {name for name in {**old, **new} if old.get(name) != new.get(name)}


def _arguments(text: str, changed: AbstractSet[str] = frozenset()) -> str:
    arguments = _read(text)
    if arguments is None:
        return _pre(text)
    return f'<div style="margin:2px 0 6px">{_Rows(changed).of(list(arguments.items()), 0)}</div>'


class _Rows:
    """Arguments row by row, with texts of several lines as they read, as long as there is room.

    Parameters
    ----------
    changed : set of str
        The names of arguments that an edit changed.
    """

    def __init__(self, changed: AbstractSet[str]) -> None:
        self._changed = changed
        self._room = MOST_TEXT

    def of(self, items: list[tuple[str, Any]], depth: int) -> str:
        """Return names and values as HTML."""
        rows: list[str] = []
        for name, value in items:
            if self._room <= 0:
                rows.append(_quiet(f"… {len(items) - len(rows):,} more"))
                break
            self._room -= _ROW_COST + len(name[:200])
            edited = depth == 0 and name in self._changed
            shown = f'<div style="{_NAME}"><span style="{_QUIET}">{_safe(name[:200])}</span>{_BADGE * edited}</div>'
            style = _VALUE + _EDITED * edited
            rows.append(f'<div style="{_ROW}">{shown}<div style="{style}">{self._value(value, depth)}</div></div>')
        return "".join(rows) or _quiet("None")

    def _value(self, value: Any, depth: int) -> str:
        if isinstance(value, str) and "\n" in value:
            return f'<pre style="{_PRE}">{_safe(self._cut(value))}</pre>'
        text = pretty(value)
        if isinstance(value, dict | list) and depth < _DEEPEST and _LINES.search(text):
            return self.of(list(value.items() if isinstance(value, dict) else _numbered(value)), depth + 1)
        return f'<code style="{_CODE}">{_safe(self._cut(text))}</code>'

    def _cut(self, text: str) -> str:
        room = max(0, self._room)
        self._room -= len(text)
        return _cut(text, room)


def _numbered(items: list[Any]) -> list[tuple[str, Any]]:
    return [(str(index), item) for index, item in enumerate(items)]


# -- values -------------------------------------------------------------------------------------------------------


def _value(value: dict[str, Any]) -> str:
    match value["kind"]:
        case "table":
            return _table(value)
        case "image":
            source = f"data:{value['mime']};base64,{value['data']}"
            style = "display:block;max-width:100%;margin:2px 0 6px"
            return f'<img alt="{escape(value["short"])}" src="{escape(source)}" style="{style}">'
        case _:
            return _pre(_all(value))


def _table(table: dict[str, Any]) -> str:
    aligns = ["left", *("right" if numeric else "left" for numeric in table["numeric"])]
    head = _cell("td", "", "left") + "".join(_cell("th", name, "left") for name in table["columns"])
    rows = "".join(f"<tr>{''.join(map(_cell_of_row, row, aligns))}</tr>" for row in table["rows"][:MOST_ROWS])
    grid = (
        f'<table style="border-collapse:collapse;margin:0"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )
    return f'<div style="overflow-x:auto;margin:2px 0 6px">{grid}</div>{_more_of_table(table)}'


def _cell_of_row(text: str, align: str) -> str:
    return _cell("td", text, align)


def _cell(tag: str, text: str, align: str) -> str:
    return f'<{tag} style="{_GRID};text-align:{align}">{_safe(text)}</{tag}>'


def _more_of_table(table: dict[str, Any]) -> str:
    counts = {
        "row": table["more_rows"] + max(0, len(table["rows"]) - MOST_ROWS),
        "column": table["more_columns"],
    }
    more = [f"{count:,} more {what}{'s' * (count > 1)}" for what, count in counts.items() if count]
    return _quiet(f"… {' and '.join(more)}") if more else ""


# -- text ---------------------------------------------------------------------------------------------------------


def _pre(text: str) -> str:
    shown = _safe(_cut(text.removesuffix("\n")))
    return f'<pre style="{_PRE}">{shown}</pre>'


def _quiet(text: str) -> str:
    return f'<div style="{_UI};{_QUIET}">{_safe(text)}</div>'


def _safe(text: str) -> str:
    return escape(visible(text))


def _all(cut: dict[str, Any]) -> str:
    """Return a text as far as it was kept, and how much more there was."""
    return f"{cut['text']}{_more(cut['more'])}"


def _cut(text: str, most: int = MOST_TEXT) -> str:
    return text if len(text) <= most else text[:most] + _more(len(text) - most)


def _more(count: int) -> str:
    return f"\n… and {count:,} more characters" if count else ""


def _fenced(text: str) -> str:
    """Return text as a code block inside a list item, with a fence longer than any in it."""
    fence = "`" * max(3, safe_markdown.longest_backticks(text) + 1)
    return "\n".join(f"  {line}" for line in (fence, *visible(text).split("\n"), fence))
