"""What a tool gave back, in a form that a page can show: text, JSON, a table or an image, and never more than so much.

Nothing of a value is trusted: its own HTML isn't asked for, images are re-encoded or checked by their first bytes, and
whatever goes wrong while it is looked at is part of what is shown. Libraries are never imported here: a DataFrame can
only come from a process that has pandas already.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import logging
import sys
from typing import TYPE_CHECKING, Any

from llmkit.notebook.json_text import pretty
from llmkit.notebook.visible import one_line
from llmkit.tools.results import json_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_CHARACTERS = 200_000
"""So many characters of a value are shown, an image's base64 included."""

MOST_ROWS, MOST_COLUMNS, WIDEST_CELL = 50, 20, 200
MOST_DISPLAYS, MOST_DISPLAYED = 20, 5 * MOST_CHARACTERS
"""So many of a handler's displays are shown, and so many characters of all of them."""

SHORT = 80
"""So many characters tell a value in a line."""

_MOST_ITEMS = 2_000
_DEEPEST = 16
_IMAGE_TYPES, _TEXT_TYPES = ("image/png", "image/jpeg"), ("text/markdown", "text/plain")
_IMAGE_SIDES = (1024, 640, 320, 160)

_logger = logging.getLogger("llmkit")


def shown_value(value: Any, most: int = MOST_CHARACTERS) -> dict[str, Any]:
    """Return a value's form for a page.

    Parameters
    ----------
    value : Any
        What a handler returned or yielded.
    most : int
        So many characters at most.

    Returns
    -------
    dict
        ``kind`` is ``text`` or ``json`` (with ``text``, and ``more``: so many characters were left out), ``table``
        (``columns``, ``numeric``, ``rows`` with the index first, ``more_rows``, ``more_columns``) or ``image``
        (``mime``, ``data`` in base64). Every form has ``short``: the value in a line.
    """
    try:
        return _shown(value, most)
    except Exception as error:  # the value's own code may raise anything
        _logger.debug("A %s can't be shown.", type(value).__name__, exc_info=True)
        return _text(f"A {type(value).__name__} that can't be shown: {type(error).__name__}: {error}", most)


def shown_displays(bundles: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the forms of what a handler displayed: each as an image or as text, never as HTML.

    Parameters
    ----------
    bundles : sequence of mapping
        Data by MIME type; see https://jupyter-client.readthedocs.io/en/stable/messaging.html#display-data.

    Returns
    -------
    list of dict
        Forms as :func:`shown_value` returns them. If there are more bundles than are shown, the last form says so.
    """
    forms: list[dict[str, Any]] = []
    room = MOST_DISPLAYED
    for bundle in bundles[:MOST_DISPLAYS]:
        form = _displayed(bundle, max(0, min(room, MOST_CHARACTERS)))
        room -= len(form["data"] if form["kind"] == "image" else form["text"])
        forms.append(form)
    left = len(bundles) - len(forms)
    if left:
        forms.append(_text(f"… and {left:,} more display{'s' * (left > 1)}, not shown here", SHORT))
    return forms


def shown_text(text: str, most: int) -> dict[str, Any]:
    """Return the beginning of a text, and how much more there is."""
    return {"text": text[:most], "more": max(0, len(text) - most)}


def _shown(value: Any, most: int) -> dict[str, Any]:
    if value is None:
        return _text("None", most)
    if isinstance(value, str):
        return _text(value, most)
    image = _image(value, most)
    if image is not None:
        return image
    frame = _frame(value)
    if frame is not None:
        return _table(frame)
    if _is_plain(value):
        return _json(value, most)
    return _text(str(value), most)


def _text(text: str, most: int) -> dict[str, Any]:
    return {"kind": "text", **shown_text(text, most), "short": one_line(text, SHORT)}


def _json(value: Any, most: int) -> dict[str, Any]:
    text = pretty(_Clipped().of(value))
    return {"kind": "json", **shown_text(text, most), "short": one_line(text, SHORT)}


def _displayed(bundle: Mapping[str, Any], most: int) -> dict[str, Any]:
    try:
        pictures = (_encoded(_given(bundle[kind]), most) for kind in _IMAGE_TYPES if kind in bundle)
        texts = (_text(str(bundle[kind]), most) for kind in _TEXT_TYPES if kind in bundle)
        form = next(filter(None, (*pictures, *texts)), None)
    except Exception as error:  # anything may be displayed as anything
        _logger.debug("A display can't be shown.", exc_info=True)
        return _text(f"A display that can't be shown: {type(error).__name__}: {error}", most)
    return form or _text(
        f"A display of {one_line(', '.join(map(str, bundle)), SHORT) or 'nothing'}, not shown here", most
    )


def _is_plain(value: Any) -> bool:
    plain = isinstance(value, bool | int | float | dict | list | tuple | set | frozenset)
    return plain or hasattr(type(value), "model_dump") or _is_record(value)


def _is_record(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


class _Clipped:
    """A value as JSON values, cut where there is too much of it."""

    def __init__(self) -> None:
        self._left = _MOST_ITEMS

    def of(self, value: Any, depth: int = 0) -> Any:
        """Return what is shown of `value`."""
        if isinstance(value, str):
            return value if len(value) <= MOST_CHARACTERS else f"{value[:MOST_CHARACTERS]}…"
        if value is None or isinstance(value, bool | int | float):
            return json_value(value)
        if depth >= _DEEPEST:
            return "…"
        if hasattr(type(value), "model_dump"):
            value = value.model_dump()
        elif _is_record(value):
            value = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        if isinstance(value, dict):
            return self._entries(value, depth)
        if isinstance(value, list | tuple | set | frozenset):
            return self._items(value, depth)
        return str(value)[:WIDEST_CELL]

    def _entries(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for name, item in value.items():
            if self._spent():
                entries["…"] = f"{len(value) - len(entries):,} more"
                break
            entries[str(name)] = self.of(item, depth + 1)
        return entries

    def _items(self, value: Any, depth: int) -> list[Any]:
        items: list[Any] = []
        for item in value:
            if self._spent():
                items.append(f"… {len(value) - len(items):,} more")
                break
            items.append(self.of(item, depth + 1))
        return items

    def _spent(self) -> bool:
        self._left -= 1
        return self._left < 0


# -- tables -------------------------------------------------------------------------------------------------------


def _frame(value: Any) -> Any:
    """Return a pandas DataFrame or Series as a DataFrame, and nothing for anything else."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(value, pandas.DataFrame | pandas.Series):
        return None
    return value.to_frame() if isinstance(value, pandas.Series) else value


def _table(frame: Any) -> dict[str, Any]:
    rows, columns = frame.shape
    part = frame.iloc[:MOST_ROWS, :MOST_COLUMNS]
    return {
        "kind": "table",
        "columns": [_cell(name) for name in part.columns],
        "numeric": [kind.kind in "iuf" for kind in part.dtypes],
        "rows": [[_cell(each) for each in row] for row in part.itertuples(name=None)],
        "more_rows": max(0, rows - MOST_ROWS),
        "more_columns": max(0, columns - MOST_COLUMNS),
        "short": f"{rows:,} rows × {columns:,} columns",
    }


def _cell(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= WIDEST_CELL else f"{text[: WIDEST_CELL - 1]}…"


# -- images -------------------------------------------------------------------------------------------------------


def _image(value: Any, most: int) -> dict[str, Any] | None:
    """Return an image's form, if `value` is one: a file's bytes, Pillow's, Matplotlib's, or what can give a PNG."""
    library = type(value).__module__.partition(".")[0]
    if isinstance(value, bytes | bytearray | memoryview):
        data: bytes | None = bytes(value)
    elif library == "PIL" and hasattr(value, "thumbnail"):
        data = _drawn(value, most)
    elif library == "matplotlib" and hasattr(value, "savefig"):
        file = io.BytesIO()
        value.savefig(file, format="png", bbox_inches="tight")
        data = file.getvalue()
    elif hasattr(type(value), "_repr_png_"):
        data = _given(value._repr_png_())
    else:
        data = None
    return _encoded(data, most)


def _encoded(data: bytes | None, most: int) -> dict[str, Any] | None:
    """Return the form of an image file, and nothing for any other."""
    mime = _mime(data)
    if data is None or mime is None:
        return None
    kind = mime.removeprefix("image/").upper()
    if 4 * len(data) > 3 * most:
        return _text(f"A {kind} image of {len(data):,} bytes, too large to be shown here.", most)
    encoded = base64.b64encode(data).decode("ascii")
    return {"kind": "image", "mime": mime, "data": encoded, "short": f"{kind} image"}


def _mime(data: bytes | None) -> str | None:
    if data is None:
        return None
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return "image/jpeg" if data.startswith(b"\xff\xd8\xff") else None


def _given(image: Any) -> bytes | None:
    """Return the bytes of a PNG or JPEG that was given: bytes, base64 text, or either with metadata."""
    if isinstance(image, tuple):
        image = image[0] if image else None
    if isinstance(image, str):
        image = base64.b64decode(image)
    return bytes(image) if isinstance(image, bytes | bytearray) else None


def _drawn(picture: Any, most: int) -> bytes:
    """Return a Pillow image as a PNG, or as a JPEG where that's what fits, scaled down as far as needed."""
    data = b""
    opaque = picture.mode in {"RGB", "L", "CMYK", "YCbCr"}
    for side in _IMAGE_SIDES:
        small = picture.copy()
        small.thumbnail((side, side))
        for form in ("PNG", "JPEG") if opaque else ("PNG",):
            file = io.BytesIO()
            keeps = small.mode in {"1", "L", "LA", "P", "RGB", "RGBA"}
            (small if keeps else small.convert("RGB")).save(file, format=form)
            data = file.getvalue()
            if 4 * len(data) <= 3 * most:
                return data
    return data
