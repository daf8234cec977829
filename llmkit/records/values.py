"""Values as the ledger holds them: clean text, finite numbers, JSON of whatever comes."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.records.columns import Column, Dtype

_EXACT = 2**53
"""Whole numbers from here on aren't exact as floats, and aren't counts of anything here."""

_LATEST = 2**63 / 1e9
"""The Unix time, in the year 2262, at which nanoseconds no longer fit 64 bits."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return ``text`` with U+FFFD for lone surrogates, which neither UTF-8 nor a notebook can hold."""
    return _SURROGATE.sub("\ufffd", text)


def bounded(text: str, limit: int) -> str:
    """Return clean ``text``; of more than ``limit`` characters the first so many and an ellipsis."""
    return clean(text) if len(text) <= limit else f"{clean(text[:limit])}…"


def to_bounded_json(value: Any, limit: int) -> str:
    """Return ``value`` as JSON; of more than ``limit`` characters the first so many, as a JSON string."""
    text = to_json(value)
    return text if len(text) <= limit else to_json(bounded(text, limit))


def error_text(error: BaseException) -> str:
    """Return an error's kind and words; its ``str`` is anybody's code, and may raise."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - it is the caller's code, and its fault is what the record then tells
        return f"{type(error).__name__}, which can't be put into words"


def to_json(value: Any) -> str:
    """Return ``value`` as JSON, whatever it is: what JSON has no word for comes as its ``repr``, surrogates escaped."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=safe_repr)
    except (TypeError, ValueError, RecursionError, RuntimeError):
        text = json.dumps(safe_repr(value), ensure_ascii=False)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def safe_repr(value: object) -> str:
    """Return a value's ``repr``, which is anybody's code and may raise."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - it is the caller's code, and its fault is what the record then tells
        return f"<{type(value).__name__} without a repr>"


def copied(columns: Sequence[Column], owner: str, value: object) -> dict[str, Any]:
    """Return what the columns that come from ``owner`` copy from ``value``."""
    row = {}
    for column in columns:
        origin, _, path = column.source.partition(".")
        if origin == owner:
            row[column.name] = plain(_attribute(value, path), column.dtype)
    return row


def _attribute(value: object, path: str) -> object:
    for name in path.split("."):
        value = getattr(value, name, None)
    return value


def plain(value: Any, dtype: Dtype) -> str | int | float | None:
    """Return ``value`` as SQLite holds it; ``None`` for what isn't known, not finite or out of range."""
    if value is None:
        return None
    if dtype == "string":
        return clean(str(value))
    if dtype == "category":
        return clean(str(value)) or None
    try:
        number = int(value) if dtype in {"Int64", "boolean"} else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    limit = _LATEST if dtype == "datetime64[ns, UTC]" else _EXACT if dtype == "Int64" else math.inf
    return number if -limit < number < limit else None
