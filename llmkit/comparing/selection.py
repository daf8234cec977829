"""Picking cells by the levels they are at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.comparing.cell import Cell
    from llmkit.comparing.factors import Factor, Level


def selected(cells: Sequence[Cell], factors: Sequence[Factor], key: Any) -> tuple[Cell, ...]:
    """Return the cells at certain levels.

    Parameters
    ----------
    cells, factors : sequence
        Of the comparison.
    key : Mapping, tuple or a level
        Levels by factor, each a level, its label, or a list of them; or levels of different factors, which must tell
        by themselves which factor's they are.

    Raises
    ------
    ValidationError
        For a factor or level that doesn't exist, or a level of two factors.
    """
    wanted = key if isinstance(key, Mapping) else _by_factor(factors, key if isinstance(key, tuple) else (key,))
    by_name = {factor.name: factor for factor in factors}
    labels: dict[str, set[str]] = {}
    for name, levels in wanted.items():
        if name not in by_name:
            raise ValidationError(f"There is no factor {name!r}. Factors: {', '.join(by_name)}.", field=str(name))
        labels[name] = _labels(by_name[name], levels)
    return tuple(cell for cell in cells if all(cell.labels[name] in labels[name] for name in labels))


def _by_factor(factors: Sequence[Factor], levels: Sequence[Any]) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    for level in levels:
        having = [factor.name for factor in factors if any(_is(each, level) for each in factor.levels)]
        if len(having) != 1:
            what = f"{' and '.join(having)} both have" if having else "No factor has"
            raise ValidationError(
                f'{what} a level {level!r}. Name the factor: comparison.select(factor="level").', field="level"
            )
        wanted[having[0]] = [*wanted.get(having[0], []), level]
    return wanted


def _labels(factor: Factor, wanted: Any) -> set[str]:
    found = {level.label for level in factor.levels if _is(level, wanted)}
    if found:
        return found
    listed = list(wanted) if isinstance(wanted, list | tuple | set | frozenset | range) else [wanted]
    for each in listed:
        labels = {level.label for level in factor.levels if _is(level, each)}
        if not labels:
            raise ValidationError(
                f"{factor.name} has no level {each!r}. Levels: {', '.join(factor.labels)}.", field=factor.name
            )
        found |= labels
    return found


def _is(level: Level, wanted: Any) -> bool:
    try:
        same = bool(level.value == wanted) and isinstance(level.value, bool) == isinstance(wanted, bool)
    except Exception:  # noqa: BLE001 - comparing is anybody's code
        same = level.value is wanted
    return same or (isinstance(wanted, str) and wanted == level.label)
