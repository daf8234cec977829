"""Tables that may be mapped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    import pandas as pd


def table_from(data: Any) -> pd.DataFrame:
    """Return the DataFrame that ``data`` is or may be seen as.

    Parameters
    ----------
    data : DataFrame, Series, mapping or iterable
        A Series is a column named as it is, or ``value``; a mapping has lists by column; an iterable has a mapping or
        a text for each row, and texts are a column named ``value``.

    Raises
    ------
    ValidationError
        If it is none of these.
    """
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, pd.Series):
        return data.to_frame("value" if data.name is None else data.name)
    try:
        if isinstance(data, Mapping):
            return pd.DataFrame(dict(data))
        if isinstance(data, Iterable) and not isinstance(data, str | bytes):
            rows = list(data)
            if all(isinstance(each, str) for each in rows):
                return pd.DataFrame({"value": pd.Series(rows, dtype=object)})
            if all(isinstance(each, Mapping) for each in rows):
                return pd.DataFrame(rows)
    except ValueError as error:
        raise ValidationError(f"The rows can't be made a table: {error}.", field="frame") from error
    raise ValidationError(
        f"A table is wanted: a DataFrame, a Series, a dict of columns, or a list of dicts or texts, not "
        f"{type(data).__name__}.",
        field="frame",
    )
