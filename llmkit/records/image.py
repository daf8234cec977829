"""A row's numbers in one piece, so that a frame of 100,000 runs is read in a fraction of a second.

Fetching a number from SQLite costs Python about 0.1 µs, which at 35 numbers a row is most of the time a frame takes.
So each run also holds its *image*: all its numbers, and a code for each of its repeated words, as little-endian
64-bit floats in the alphabetical order of their columns; NaN is unknown. Codes are those of the table ``labels``.
The image is made from the row's own columns and vanishes with any change of them (a trigger sees to that).
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

from llmkit.records.columns import RUNS

if TYPE_CHECKING:
    import sqlite3

IMAGE = tuple(sorted((column for column in RUNS if column.dtype != "string"), key=lambda column: column.name))
"""The columns an image holds, in order."""

_LABELS = tuple(column.name for column in IMAGE if column.dtype == "category")
# The names in these statements are the declared ones above; no value is ever put into SQL.
_WORDS = " UNION ".join(f"SELECT {name} AS word FROM runs WHERE image IS NULL" for name in _LABELS)  # noqa: S608
_NEW_LABELS = f"INSERT OR IGNORE INTO labels (label) SELECT word FROM ({_WORDS}) WHERE word IS NOT NULL"  # noqa: S608
_CODE = "(SELECT code FROM labels WHERE label = {})"
_VALUES = ", ".join(_CODE.format(column.name) if column.name in _LABELS else column.name for column in IMAGE)
_NEW_IMAGES = f"UPDATE runs SET image = llmkit_image({_VALUES}) WHERE image IS NULL"  # noqa: S608


def add_image_function(connection: sqlite3.Connection) -> None:
    """Give ``connection`` the SQL function that packs an image."""
    connection.create_function("llmkit_image", len(IMAGE), _pack, deterministic=True)


def images_missing(connection: sqlite3.Connection) -> bool:
    """Tell whether some row has no image."""
    missing: int = connection.execute("SELECT EXISTS (SELECT 1 FROM runs WHERE image IS NULL)").fetchone()[0]
    return bool(missing)


def make_images(connection: sqlite3.Connection) -> None:
    """Make the images of all rows that have none, inside the caller's transaction."""
    if images_missing(connection):
        connection.execute(_NEW_LABELS)
        connection.execute(_NEW_IMAGES)


def _pack(*values: object) -> bytes:
    numbers = (value if isinstance(value, int | float) else math.nan for value in values)
    return struct.pack(f"<{len(values)}d", *numbers)
