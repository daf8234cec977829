from __future__ import annotations

import base64
import dataclasses
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pandas as pd
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.notebook.json_text import LINE, pretty
from llmkit.notebook.values import (
    MOST_CHARACTERS,
    MOST_COLUMNS,
    MOST_DISPLAYED,
    MOST_DISPLAYS,
    MOST_ROWS,
    WIDEST_CELL,
    shown_displays,
    shown_value,
)
from llmkit.notebook.visible import one_line, visible

if TYPE_CHECKING:
    import io

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_pretty_json_means_what_it_was_made_of(value: Any) -> None:
    text = pretty(value)
    assert json.loads(text) == value
    assert text == visible(text)


def test_pretty_json_is_exact_and_short_where_it_fits() -> None:
    assert pretty({"n": 12345678901234567890, "f": 1.0}) == '{"n": 12345678901234567890, "f": 1.0}'
    long = pretty({"a": "x" * LINE, "b": [1, 2]})
    assert long == f'{{\n  "a": "{"x" * LINE}",\n  "b": [1, 2]\n}}'


def test_deep_nesting_does_not_grow_by_its_square() -> None:
    value: Any = "x" * 100
    for _ in range(60):
        value = {"a": [value]}
    assert len(pretty(value)) < 2_000


def test_nothing_hides_in_visible_text() -> None:
    assert visible("a\u202eb\u200b\x1b[31m\x00\u2028\ud800\U000e0041\u00ad") == (
        "a\\u202eb\\u200b\\u001b[31m\\u0000\\u2028\\ud800\\udb40\\udc41\\u00ad"
    )
    assert visible("Zoë 日本 שלום\n\t🙂") == "Zoë 日本 שלום\n\t🙂"
    assert one_line(" a\n\tb\u202e ", 80) == "a b\\u202e"
    assert one_line("x" * 100, 10) == "x" * 9 + "…"


@dataclasses.dataclass
class Weather:
    city: str
    temperature: float


class Place(pydantic.BaseModel):
    city: str


class Hostile:
    def _repr_html_(self) -> str:
        raise AssertionError("nobody asks for a value's own HTML")

    def __str__(self) -> str:
        return "<b>hostile</b>"


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "kind", "short"),
    [
        (None, "text", "None"),
        ("Hello\nthere", "text", "Hello there"),
        (22, "json", "22"),
        (float("nan"), "json", '"nan"'),
        ({"a": [1, 2]}, "json", '{"a": [1, 2]}'),
        (Weather("Tokyo", 22.5), "json", '{"city": "Tokyo", "temperature": 22.5}'),
        (Place(city="Tokyo"), "json", '{"city": "Tokyo"}'),
        (Hostile(), "text", "<b>hostile</b>"),
        (Broken(), "text", "A Broken that can't be shown: RuntimeError: no"),
        (b"abc", "text", "b'abc'"),
        (PNG, "image", "PNG image"),
        (b"\xff\xd8\xff\xe0", "image", "JPEG image"),
    ],
)
def test_a_value_has_a_form_and_a_line(value: Any, kind: str, short: str) -> None:
    shown = shown_value(value)
    assert (shown["kind"], shown["short"]) == (kind, short)
    json.dumps(shown)


def nested(depth: int) -> Any:
    value: Any = "end"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        "x" * 3_000_000,
        ["x" * 100_000] * 100,
        list(range(1_000_000)),
        {str(number): number for number in range(100_000)},
        nested(5_000),
        b"\x89PNG\r\n\x1a\n" + bytes(1_000_000),
        pd.DataFrame({f"c{number}": ["y" * 1_000] * 1_000 for number in range(50)}),
    ],
    ids=["text", "texts", "list", "dict", "deep", "image", "frame"],
)
def test_a_value_is_never_more_than_so_much(value: Any) -> None:
    assert len(json.dumps(shown_value(value))) < 1.3 * MOST_CHARACTERS


def test_what_is_left_out_is_counted() -> None:
    assert shown_value("x" * (MOST_CHARACTERS + 7))["more"] == 7
    assert "998,000 more" in shown_value(list(range(1_000_000)))["text"]


def test_a_frame_is_a_table() -> None:
    frame = pd.DataFrame({"city": ["Tokyo", "<b>"], "t": [22.123456789, None]}, index=["a", "b"])
    assert shown_value(frame) == {
        "kind": "table",
        "columns": ["city", "t"],
        "numeric": [False, True],
        "rows": [["a", "Tokyo", "22.1235"], ["b", "<b>", "nan"]],
        "more_rows": 0,
        "more_columns": 0,
        "short": "2 rows × 2 columns",
    }


def test_a_large_frame_says_how_much_more_there_is() -> None:
    frame = pd.DataFrame({f"c{number}": ["y" * 999] * 200 for number in range(30)})
    shown = shown_value(frame)
    assert (len(shown["rows"]), len(shown["rows"][0])) == (MOST_ROWS, MOST_COLUMNS + 1)
    assert (shown["more_rows"], shown["more_columns"]) == (200 - MOST_ROWS, 30 - MOST_COLUMNS)
    assert max(len(cell) for row in shown["rows"] for cell in row) == WIDEST_CELL


def test_a_series_is_a_table() -> None:
    assert shown_value(pd.Series([1, 2], name="n"))["columns"] == ["n"]


class FakePicture:
    """What Pillow's images have that is used here."""

    mode = "RGB"

    def __init__(self, side: int = 4000) -> None:
        self.side = side

    def copy(self) -> FakePicture:
        return FakePicture(self.side)

    def thumbnail(self, size: tuple[int, int]) -> None:
        self.side = min(self.side, size[0])

    def save(self, file: io.BytesIO, *, format: str) -> None:  # noqa: A002 - Pillow's name
        weight = 3 if format == "PNG" else 1
        file.write((PNG[:8] if format == "PNG" else b"\xff\xd8\xff") + bytes(weight * self.side**2 // 8))


FakePicture.__module__ = "PIL.Image"


def test_a_pillow_image_is_scaled_until_it_fits() -> None:
    shown = shown_value(FakePicture())
    assert (shown["kind"], shown["mime"]) == ("image", "image/jpeg")
    assert len(shown["data"]) <= MOST_CHARACTERS
    assert shown_value(FakePicture(100))["mime"] == "image/png"


class FakeFigure:
    def savefig(self, file: io.BytesIO, **_: Any) -> None:
        file.write(PNG)


FakeFigure.__module__ = "matplotlib.figure"


@pytest.mark.parametrize("given", [PNG, (PNG, {"width": 1}), base64.b64encode(PNG).decode()])
def test_a_value_may_give_a_png_of_itself(given: Any) -> None:
    class Plot:
        def _repr_png_(self) -> Any:
            return given

    assert base64.b64decode(shown_value(Plot())["data"]) == PNG


def test_a_figure_is_an_image() -> None:
    assert shown_value(FakeFigure())["kind"] == "image"


def test_what_calls_itself_a_png_and_is_none_is_not_shown_as_one() -> None:
    class Liar:
        def _repr_png_(self) -> bytes:
            return b"<svg onload=alert(1)>"

        def __str__(self) -> str:
            return "liar"

    assert shown_value(Liar())["kind"] == "text"


def test_an_image_that_is_too_large_says_so() -> None:
    shown = shown_value(PNG + bytes(MOST_CHARACTERS))
    assert (shown["kind"], shown["short"]) == (
        "text",
        f"A PNG image of {len(PNG) + MOST_CHARACTERS:,} bytes, too large to be shown here.",
    )


@pytest.mark.parametrize(
    ("bundle", "kind", "short"),
    [
        ({"text/plain": "<Figure>", "image/png": base64.b64encode(PNG).decode()}, "image", "PNG image"),
        ({"text/plain": "<Image>", "image/jpeg": b"\xff\xd8\xff\xe0"}, "image", "JPEG image"),
        ({"text/plain": "plain", "image/png": base64.b64encode(b"<svg onload=alert(1)>").decode()}, "text", "plain"),
        ({"text/plain": "plain", "text/markdown": "*marked*", "text/html": "<b>html</b>"}, "text", "*marked*"),
        ({"text/plain": "plain", "text/html": "<b>html</b>"}, "text", "plain"),
        ({"text/html": "<b>html</b>"}, "text", "A display of text/html, not shown here"),
        ({}, "text", "A display of nothing, not shown here"),
        ({"text/plain": Broken()}, "text", "A display that can't be shown: RuntimeError: no"),
    ],
)
def test_a_display_is_an_image_or_text_and_never_html(bundle: dict[str, Any], kind: str, short: str) -> None:
    (shown,) = shown_displays([bundle])
    assert (shown["kind"], shown["short"]) == (kind, short)
    json.dumps(shown)


def test_many_displays_are_bounded_and_counted() -> None:
    shown = shown_displays([{"text/plain": "x" * 2 * MOST_CHARACTERS}] * (MOST_DISPLAYS + 5))
    assert len(shown) == MOST_DISPLAYS + 1
    assert shown[-1]["text"] == "… and 5 more displays, not shown here"
    assert len(json.dumps(shown)) < 1.1 * MOST_DISPLAYED
    assert shown[-2]["more"] == 2 * MOST_CHARACTERS


def test_no_library_is_imported_to_look_at_a_value() -> None:
    code = (
        "import sys\nfrom llmkit.notebook.values import shown_value\n"
        "shown_value({'a': [1]}); shown_value(object()); shown_value(b'x')\n"
        "assert not {'pandas', 'PIL', 'matplotlib', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
