"""The design of a comparison: which factors it has, and what each of its points asks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from llmkit.asking import ARGUMENTS
from llmkit.comparing.factors import Factor, Level, as_list, factor_from, levels_in
from llmkit.comparing.rows import Rows, rows_from
from llmkit.comparing.template import needed_fields, template_from
from llmkit.errors import Error, ValidationError
from llmkit.lifecycle import CALLBACKS
from llmkit.messages import Message, messages_from
from llmkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.comparing.template import Template
    from llmkit.messages import Prompt

OWN = frozenset({"repeat", "models", "rows", "columns", "show"})
"""Arguments of compare() that no field can be called."""

MOST_COLUMNS = 8
"""Columns of a grid at most, as long as factors can make rows instead."""


@dataclass(frozen=True, slots=True)
class Point:
    """What one cell asks.

    Parameters
    ----------
    levels : dict of str to Level
        The level of each factor.
    prompt : str or conversation, optional
        What is asked; ``None`` if the template couldn't be filled.
    options : dict
        With what, as :meth:`llmkit.Session.complete` takes it.
    row : int, optional
        The number of the data's row.
    error : Error, optional
        Why the template couldn't be filled.
    """

    levels: dict[str, Level]
    prompt: Prompt | None
    options: dict[str, Any]
    row: int | None = None
    error: Error | None = None

    @property
    def text(self) -> str:
        """What is asked, as text to show: the last message."""
        return "" if self.prompt is None else messages_from(self.prompt)[-1].text


@dataclass(frozen=True, slots=True)
class Design:
    """The factors and points of a comparison.

    Parameters
    ----------
    factors : tuple of Factor
        What is varied, the slowest first.
    points : tuple of Point
        One for each cell, in the order of the product.
    rows : Rows, optional
        The data that filled the template.
    """

    factors: tuple[Factor, ...]
    points: tuple[Point, ...]
    rows: Rows | None = None


@dataclass(slots=True)
class _Given:
    """What was passed, told apart."""

    templates: Factor
    rows: Rows | None
    fields: dict[str, Any] = field(default_factory=dict)
    factors: list[Factor] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


def design_from(
    template: Any, data: Any, given: Mapping[str, Any], *, repeat: int = 1, settings: Settings | None = None
) -> Design:
    """Return the design that the arguments of :meth:`llmkit.Session.compare` describe.

    Parameters
    ----------
    template : str, conversation, callable, or a list or mapping of them
        What is asked.
    data : DataFrame or sequence of mappings, optional
        Rows that fill the template.
    given : Mapping
        Fields, models, system messages, options by name.
    repeat : int
        How often each is asked.
    settings : Settings, optional
        The session's own.

    Raises
    ------
    ValidationError
        For a template that can't be read, a field without a value, a keyword that is neither field nor option, an
        option that can't be used.
    """
    _check_repeat(repeat)
    told = _told_apart(template, data, given, settings or Settings())
    crossed = [factor for factor in (told.templates, *told.factors) if factor.kind != "prompt" or _varied(factor)]
    if repeat > 1:
        crossed.append(factor_from("repeat", "repeat", range(1, repeat + 1)))
    base = told.options.get("seed", None if settings is None else settings.seed)
    points = tuple(_point(told, levels, row, base) for levels, row in _places(crossed, told.rows))
    beside = told.rows.factors if told.rows is not None else ()
    prompts = [factor for factor in crossed if factor.kind == "prompt"]
    others = [factor for factor in crossed if factor.kind != "prompt"]
    return Design((*prompts, *beside, *others), points, told.rows)


def arranged(factors: Sequence[Factor], places: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which factors make rows and which columns, where nobody chose.

    What the prompt varies makes rows; models, system messages, settings and repeats stand side by side. Factors with
    one level make neither.

    Parameters
    ----------
    factors : sequence of Factor
        All.
    places : int
        How many cells there are.
    """
    varied = [factor for factor in factors if len(factor.levels) > 1]
    rows = [factor for factor in varied if factor.in_prompt]
    columns = [factor for factor in varied if not factor.in_prompt]
    whole = prod(len(factor.levels) for factor in varied) == places
    if not columns and len(rows) > 1 and whole:
        columns.append(rows.pop())
    while columns and prod(len(factor.levels) for factor in columns) > MOST_COLUMNS:
        rows.append(columns.pop(0))
    return tuple(factor.name for factor in rows), tuple(factor.name for factor in columns)


def seed_of(base: int, repeat: int) -> int:
    """Return the seed of a repeat: the base seed itself for the first, one that follows from it for the others."""
    if repeat == 1:
        return base
    return int.from_bytes(hashlib.blake2b(f"{base} {repeat}".encode(), digest_size=4).digest(), "big")


def _check_repeat(repeat: Any) -> None:
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 1:
        raise ValidationError(f"repeat={repeat!r} can't be used: it is a whole number from 1 up.", field="repeat")


def _varied(factor: Factor) -> bool:
    return len(factor.levels) > 1 or factor.levels[0].named


def _told_apart(template: Any, data: Any, given: Mapping[str, Any], settings: Settings) -> _Given:
    templates = _templates(template)
    read = [level.value for level in templates.levels]
    fields = {name for each in read for name in each.fields}
    while templates.name in fields:  # a field may be called "prompt"
        templates = replace(templates, name=f"{templates.name}_template")
    rows = rows_from(data, fields)
    told = _Given(templates, rows)
    for name, value in given.items():
        if name in fields:
            _take_field(told, name, value)
        else:
            _take_option(told, name, value, fields)
    _check_names(fields - set(rows.columns if rows else ()))
    _check_filled(read, {*told.fields, *(each.name for each in told.factors), *(rows.columns if rows else ())})
    constants = {name: value for name, value in told.options.items() if name in Settings.model_fields}
    settings.merged(constants)
    return told


def _templates(template: Any) -> Factor:
    """Return the templates as a factor; of one level if there is but one."""
    if isinstance(template, Mapping) and "role" not in template:
        return factor_from("prompt", "prompt", {name: template_from(value) for name, value in template.items()})
    listed = None if isinstance(template, str) else as_list(template)
    if listed is None or (listed and all(isinstance(each, Message) or _is_message(each) for each in listed)):
        return Factor("prompt", "prompt", (Level(template_from(template), "prompt"),))
    read = [template_from(each) for each in listed]
    labels = factor_from("prompt", "prompt", [each.text for each in read]).labels if read else ()
    if not read:
        raise ValidationError("There is no prompt: the list is empty.", field="template")
    return Factor("prompt", "prompt", tuple(Level(each, label) for each, label in zip(read, labels, strict=True)))


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and "role" in value


def _take_field(told: _Given, name: str, value: Any) -> None:
    if told.rows is not None and name in told.rows.columns:
        raise ValidationError(f"{name}= is also a column of the data; pass one of the two.", field=name)
    levels = value if isinstance(value, Mapping) else as_list(value)
    if levels is None:
        told.fields[name] = value
    else:
        told.factors.append(factor_from(name, "field", levels))


def _take_option(told: _Given, name: str, value: Any, fields: set[str]) -> None:
    if name not in ARGUMENTS and name not in Settings.model_fields and name not in CALLBACKS:
        known = ", ".join(f"{{{each}}}" for each in sorted(fields)) or "none"
        raise ValidationError(
            f"{name}= is neither a field of the template ({known}) nor an option of complete(). "
            f"Settings: {', '.join(Settings.model_fields)}.",
            field=name,
        )
    kind: Any = name if name in {"model", "system"} else "setting"
    levels = None if name in CALLBACKS else levels_in(name, value)
    if levels is None:
        told.options[name] = value
    else:
        told.factors.append(factor_from(name, kind, levels))


def _check_names(fields: set[str]) -> None:
    taken = sorted(fields & OWN)
    if taken:
        raise ValidationError(
            f"The template's field {{{taken[0]}}} has the name of an argument of compare(); call it something else.",
            field=taken[0],
        )


def _check_filled(templates: Sequence[Template], given: set[str]) -> None:
    missing = [name for each in templates for name in needed_fields(each) if name not in given]
    if missing:
        names = ", ".join(f"{{{name}}}" for name in dict.fromkeys(missing))
        raise ValidationError(
            f"The template's {names} {'has' if len(set(missing)) == 1 else 'have'} no value: pass {missing[0]}=…. "
            "A brace that is meant as text is written twice.",
            field=missing[0],
        )


def _places(crossed: Sequence[Factor], rows: Rows | None) -> Iterator[tuple[dict[str, Level], int | None]]:
    """Yield the levels of each point, the last factor fastest, and the number of the data's row."""
    prompts = [factor for factor in crossed if factor.kind == "prompt"]
    others = [factor for factor in crossed if factor.kind != "prompt"]
    numbers: Sequence[int | None] = [None] if rows is None else range(len(rows))
    for first in _product(prompts):
        for row in numbers:
            beside = {} if rows is None or row is None else rows.levels(row)
            for last in _product(others):
                yield {**first, **beside, **last}, row


def _product(factors: Sequence[Factor]) -> Iterator[dict[str, Level]]:
    names = [factor.name for factor in factors]
    for levels in product(*(factor.levels for factor in factors)):
        yield dict(zip(names, levels, strict=True))


def _point(told: _Given, levels: dict[str, Level], row: int | None, base: int | None) -> Point:
    template = levels.get(told.templates.name, told.templates.levels[0]).value
    chosen = {factor.name: levels[factor.name].value for factor in told.factors if factor.kind != "field"}
    options = {**told.options, **chosen}
    if "repeat" in levels and (seed := chosen.get("seed", base)) is not None:
        options["seed"] = seed_of(seed, levels["repeat"].value)
    crossed = {factor.name: levels[factor.name].value for factor in told.factors if factor.kind == "field"}
    values = {**told.fields, **({} if told.rows is None or row is None else told.rows.values(row)), **crossed}
    try:
        return Point(levels, template.fill(values), options, row)
    except Error as error:
        return Point(levels, None, options, row, error)
