"""A comparison's frame as a file, in which every text is text."""

from __future__ import annotations

import re
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.errors import Error, ValidationError
from llmkit.notebook import safe_markdown
from llmkit.records.values import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

SUFFIXES = (".parquet", ".csv", ".html", ".htm", ".md", ".markdown")

_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")  # spreadsheets take the wide ones too
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 14px/1.5 system-ui, sans-serif; margin: 24px }}
table {{ border-collapse: collapse }}
th, td {{ border: 1px solid #8886; padding: 4px 8px; text-align: left; vertical-align: top }}
th {{ position: sticky; top: 0; background: Canvas }}
td {{ max-width: 42em; white-space: pre-wrap; overflow-wrap: anywhere }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
</style></head><body>
<h1>{title}</h1>
<table><thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody></table>
</body></html>
"""


def export(frame: pd.DataFrame, path: str | Path, *, title: str, escape_formulas: bool = True) -> Path:
    """Write a frame to a file.

    Parameters
    ----------
    frame : DataFrame
        The cells.
    path : str or Path
        Its suffix says what: :data:`SUFFIXES`.
    title : str
        Of the page.
    escape_formulas : bool
        Whether, in CSV, an apostrophe goes before texts that a spreadsheet would take for a formula.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValidationError
        For another suffix.
    Error
        If Parquet can't be written because pyarrow isn't installed.
    """
    place = Path(path).expanduser()
    match place.suffix.lower():
        case ".parquet":
            _write_parquet(frame, place)
        case ".csv":
            text = _plain(frame, formulas=escape_formulas).to_csv(index=_named(frame), lineterminator="\n")
            place.write_text(text, encoding="utf-8", newline="")
        case ".html" | ".htm":
            place.write_text(html_page(frame, title), encoding="utf-8")
        case ".md" | ".markdown":
            place.write_text(markdown_table(frame), encoding="utf-8")
        case suffix:
            raise ValidationError(
                f"{suffix or 'A path without a suffix'} can't be written; use one of {', '.join(SUFFIXES)}.",
                field="path",
            )
    return place


def html_page(frame: pd.DataFrame, title: str) -> str:
    """Return the frame as a page of its own; its policy lets nothing in it run or load."""
    names = [str(name) for name in frame.columns]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    numbers = [frame[name].dtype.kind in "iufb" for name in frame.columns]
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<td class="number">{escape(text)}</td>' if number else f"<td>{escape(text)}</td>"
            for text, number in zip(row, numbers, strict=True)
        )
        + "</tr>"
        for row in _texts(frame)
    )
    return _PAGE.format(title=escape(title), head=head, body=body)


def markdown_table(frame: pd.DataFrame) -> str:
    """Return the frame as a table of GitHub's Markdown, in which every text shows as it is."""
    lines = [_line([str(name) for name in frame.columns]), "| " + " | ".join("---" for _ in frame.columns) + " |"]
    lines += [_line(row) for row in _texts(frame)]
    return "\n".join(lines) + "\n"


def _line(row: list[str]) -> str:
    cells = [re.sub(r"\r\n|[\r\n\v\f\x85\u2028\u2029]", "<br>", safe_markdown.escape(text.strip())) for text in row]
    return f"| {' | '.join(cells)} |"


def _texts(frame: pd.DataFrame) -> Iterator[list[str]]:
    """Yield the rows as texts, "" for what isn't known."""
    import pandas as pd

    for row in frame.itertuples(index=False, name=None):
        yield ["" if _is_na(value, pd) else _text(value) for value in row]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else _json(value)


def _is_na(value: Any, pd: Any) -> bool:
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def _json(value: Any) -> str:
    """Return any value as text: JSON, or what it says of itself."""
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return value if isinstance(value, str) else to_json(value)


def _plain(frame: pd.DataFrame, *, formulas: bool) -> pd.DataFrame:
    """Return the frame with objects as JSON and, if wanted, without what a spreadsheet takes for a formula."""
    import pandas as pd

    plain = frame.copy()
    for name in plain.columns:
        column = plain[name]
        if isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.categories.dtype.kind in "OTU":
            column = column.astype("string")
        if column.dtype == object:
            column = column.map(lambda value: pd.NA if _is_na(value, pd) else _json(value)).astype("string")
        if formulas and pd.api.types.is_string_dtype(column.dtype):
            column = column.map(_without_formula, na_action="ignore")
        plain[name] = column
    return plain.rename(columns=lambda name: _without_formula(str(name))) if formulas else plain


def _without_formula(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _named(frame: pd.DataFrame) -> bool:
    """Return whether the index says something: that of the data does."""
    return frame.index.name != "cell"


def _write_parquet(frame: pd.DataFrame, place: Path) -> None:
    import pandas as pd

    try:
        import_module("pyarrow")  # pandas writes with it
    except ImportError as error:
        raise Error("Parquet is written with pyarrow, which isn't installed: pip install 'llmkit[parquet]'.") from error
    plain = frame.copy()
    for name in plain.columns:
        if plain[name].dtype == object:
            plain[name] = plain[name].map(lambda value: pd.NA if _is_na(value, pd) else _json(value)).astype("string")
    plain.to_parquet(place, engine="pyarrow", index=_named(frame))
