"""Rows of data that fill a template: a row a cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmkit.comparing.factors import Factor, Level, distinct, factor_from
from llmkit.comparing.template import is_missing
from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd


class Rows:
    """A table whose columns are factors, row by row and not as a product.

    Parameters
    ----------
    frame : DataFrame
        The data.
    fields : collection of str
        The template's fields: columns of these names are factors, the others go along.

    Attributes
    ----------
    frame : DataFrame
        The data.
    columns : tuple of str
        The columns that fill fields.
    factors : tuple of Factor
        These columns; and the row itself, where they don't tell it from the others.
    """

    def __init__(self, frame: pd.DataFrame, fields: Collection[str]) -> None:
        self.frame = frame
        self.columns = tuple(name for name in frame.columns if name in fields)
        self._values = [dict(zip(self.columns, row, strict=True)) for row in _tuples(frame, self.columns)]
        coded = {name: _coded(name, [row[name] for row in self._values]) for name in self.columns}
        self._codes = {name: codes for name, (_, codes) in coded.items()}
        factors = [factor for factor, _ in coded.values()]
        places = {tuple(codes[number] for codes in self._codes.values()) for number in range(len(frame))}
        if len(places) < len(frame):
            factors.insert(0, self._row_factor())
            self._codes[factors[0].name] = list(range(len(frame)))
        self.factors = tuple(factors)

    def __len__(self) -> int:
        return len(self._values)

    def values(self, number: int) -> dict[str, Any]:
        """Return a row's values for the template."""
        return self._values[number]

    def levels(self, number: int) -> dict[str, Level]:
        """Return a row's levels."""
        return {factor.name: factor.levels[self._codes[factor.name][number]] for factor in self.factors}

    def _row_factor(self) -> Factor:
        name = str(self.frame.index.name or "row")
        name = f"{name}_index" if name in self.columns else name
        labels = distinct([str(each) for each in self.frame.index])
        return Factor(name, "row", tuple(Level(number, label, named=True) for number, label in enumerate(labels)))


def rows_from(data: Any, fields: Collection[str]) -> Rows | None:
    """Return the rows that a DataFrame or a sequence of mappings holds; ``None`` for none.

    Raises
    ------
    ValidationError
        If it is neither, is empty, or has two columns of one name.
    """
    if data is None:
        return None
    import pandas as pd

    if not isinstance(data, pd.DataFrame):
        if isinstance(data, str | Mapping) or not all(isinstance(each, Mapping) for each in data):
            raise ValidationError(
                f"The data that fills a template is a DataFrame or a list of dicts, not {type(data).__name__}.",
                field="data",
            )
        data = pd.DataFrame(list(data))
    if data.empty:
        raise ValidationError("The data that fills the template has no rows or no columns.", field="data")
    if not data.columns.is_unique:
        raise ValidationError("The data that fills the template has two columns of one name.", field="data")
    return Rows(data, fields)


def _tuples(frame: pd.DataFrame, columns: Collection[str]) -> list[tuple[Any, ...]]:
    """Return the columns' values row by row, each as its column holds it."""
    if not columns:
        return [()] * len(frame)
    return list(zip(*(frame[name].tolist() for name in columns), strict=True))


def _coded(name: str, values: list[Any]) -> tuple[Factor, list[int]]:
    """Return a column as a factor, and the number of each row's level."""
    keys = [_key(value) for value in values]
    firsts = dict(zip(reversed(keys), reversed(values), strict=True))
    order = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    levels = [firsts[key] for key in order]
    factor = Factor(name, "field", tuple(map(Level, levels, distinct([_label(value) for value in levels]))))
    return factor, [order[key] for key in keys]


def _label(value: Any) -> str:
    return factor_from("level", "field", [value]).levels[0].label


def _key(value: Any) -> Any:
    """Return what tells a value from others, also if it can't be hashed; all that is missing is alike."""
    try:
        hash(value)
    except TypeError:
        return ("unhashable", repr(value))
    return "missing" if is_missing(value) else (type(value).__name__, value)
