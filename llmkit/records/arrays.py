"""Values as SQLite gives them, as the arrays that a DataFrame's columns are made of."""

from __future__ import annotations

import json
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from llmkit.records.image import IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd

    from llmkit.records.columns import Column


def array_of(rows: Sequence[Sequence[Any]], place: int, column: Column) -> Any:
    """Return what stands at ``place`` in ``rows``, ``None`` for unknown, as an array of the column's dtype."""
    import numpy as np
    import pandas as pd

    values = map(itemgetter(place), rows)
    match column.dtype:
        case "string":
            texts = np.fromiter(values, dtype=object, count=len(rows))
            texts[pd.isna(texts)] = pd.NA
            return pd.arrays.StringArray(texts)
        case "category":
            found = list(values)
            words = sorted({word for word in found if word is not None})
            places = {word: code for code, word in enumerate(words)}
            return _categorical([places.get(word, -1) for word in found], words)
        case "object":
            return pd.Series([json.loads(value or "[]") for value in values], dtype=object).array
        case _:
            return _from_floats(np.array(list(values), dtype=float), column)


def arrays_of_images(images: Sequence[bytes], labels: Mapping[int, str]) -> dict[str, Any]:
    """Return the arrays of all columns that ``images`` hold, by name; ``labels`` are the words of the codes."""
    import numpy as np

    table = np.frombuffer(b"".join(images), dtype="<f8").reshape(-1, len(IMAGE)).T
    return {
        column.name: _labelled(numbers, labels) if column.dtype == "category" else _from_floats(numbers, column)
        for column, numbers in zip(IMAGE, np.ascontiguousarray(table), strict=True)
    }


def _labelled(codes: np.ndarray[Any, Any], labels: Mapping[int, str]) -> pd.Categorical:
    import numpy as np

    # Codes begin with 1, so that 0 can stand for unknown here.
    codes = np.nan_to_num(codes).astype(int)
    occurring = np.flatnonzero(np.bincount(codes, minlength=1))
    words = sorted((labels[code], code) for code in occurring.tolist() if code)
    places = np.full(codes.max(initial=0) + 1, -1)
    for place, (_, code) in enumerate(words):
        places[code] = place
    return _categorical(places[codes], [word for word, _ in words])


def _categorical(places: Any, words: Sequence[str]) -> pd.Categorical:
    """Return what stands at ``places`` in the sorted ``words`` that occur; -1 is unknown."""
    import pandas as pd

    return pd.Categorical.from_codes(places, categories=pd.Index(list(words), dtype="str"))


def _from_floats(numbers: np.ndarray[Any, Any], column: Column) -> Any:
    import numpy as np
    import pandas as pd

    unknown = np.isnan(numbers)
    if column.dtype == "datetime64[ns, UTC]":
        # A float holds today's Unix time to about 0.2 µs: what is finer would be noise.
        microseconds = (np.where(unknown, 0, numbers) * 1e6).round().astype("M8[us]")
        microseconds[unknown] = np.datetime64("NaT")
        return pd.DatetimeIndex(microseconds.astype("M8[ns]")).tz_localize("UTC").array
    if column.dtype == "Float64":
        return pd.arrays.FloatingArray(np.array(numbers), unknown)
    whole = np.where(unknown, 0, numbers)
    if column.dtype == "boolean":
        return pd.arrays.BooleanArray(whole != 0, unknown)
    return pd.arrays.IntegerArray(whole.astype("int64"), unknown)
