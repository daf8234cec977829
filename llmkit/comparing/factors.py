"""Factors and their levels: what is varied, and what it is varied over."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from llmkit.errors import ValidationError
from llmkit.messages import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind: TypeAlias = Literal["prompt", "row", "field", "model", "system", "setting", "repeat"]

LISTS = frozenset({"stop", "tools", "active_tools", "stop_when", "include", "approval", "context"})
"""What takes a list: one is varied over a list of lists."""

MAPPINGS = frozenset(
    {"logit_bias", "timeout", "metadata", "headers", "provider_options", "output", "tools", "tool_choice", "context"}
)
"""What takes a mapping: one isn't a set of named levels there."""

LABEL_LENGTH = 60
"""Characters of a label at most."""


@dataclass(frozen=True, slots=True)
class Level:
    """One value of a factor.

    Parameters
    ----------
    value : Any
        What is asked with.
    label : str
        A short text for it, unlike those of the factor's other levels.
    named : bool
        Whether the label is the caller's own name for the value.
    """

    value: Any
    label: str
    named: bool = False


@dataclass(frozen=True, slots=True)
class Factor:
    """What is varied.

    Parameters
    ----------
    name : str
        Its name.
    kind : str
        What it is a part of: the prompt's (``prompt``, ``row``, ``field``), or ``model``, ``system``, ``setting``,
        ``repeat``.
    levels : tuple of Level
        What it is varied over, in order.
    """

    name: str
    kind: Kind
    levels: tuple[Level, ...]

    @property
    def in_prompt(self) -> bool:
        """Whether it is a part of the prompt."""
        return self.kind in {"prompt", "row", "field"}

    @property
    def labels(self) -> tuple[str, ...]:
        """The levels' labels."""
        return tuple(level.label for level in self.levels)

    @property
    def categories(self) -> list[Any]:
        """What stands for the levels in a frame: the values where they are all texts or all numbers, else the labels.

        The names that the caller gave come first.
        """
        values = [level.value for level in self.levels]
        alike = all(isinstance(value, str) for value in values) or all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in values
        )
        plain = alike and not any(level.named for level in self.levels) and len(set(values)) == len(values)
        return values if plain else [level.label for level in self.levels]


def factor_from(name: str, kind: Kind, values: Any) -> Factor:
    """Return a factor over ``values``: a list, or a mapping from the levels' names to their values.

    Raises
    ------
    ValidationError
        If there is none, or one twice.
    """
    named = isinstance(values, Mapping)
    pairs = [(value, str(key)) for key, value in values.items()] if named else [(each, "") for each in values]
    if not pairs:
        raise ValidationError(f"{name}= is empty: a factor has at least one level.", field=name)
    for place, (value, _) in enumerate(pairs):
        if any(_same(value, earlier) for earlier, _ in pairs[:place]):
            raise ValidationError(
                f"{name}= has {_label(value)!r} twice. To ask the same again, pass repeat=2.", field=name
            )
    labels = distinct([_short(own) if named else _label(value) for value, own in pairs])
    return Factor(
        name, kind, tuple(Level(value, label, named) for (value, _), label in zip(pairs, labels, strict=True))
    )


def levels_in(name: str, value: Any) -> Any | None:
    """Return the levels that the value of an option is; ``None`` if it is one value.

    A list is a factor, unless the option itself takes a list: then a list of lists is. A mapping is a factor whose
    levels have names, unless the option takes a mapping.
    """
    if isinstance(value, Mapping):
        return None if name in MAPPINGS else value
    listed = as_list(value)
    if listed is None:
        return None
    if name in LISTS:
        lists = [each for each in listed if each is not None]
        return listed if lists and all(as_list(each) is not None for each in lists) else None
    return None if isinstance(value, tuple) and name in MAPPINGS else listed


def as_list(value: Any) -> list[Any] | None:
    """Return the items of a list, tuple, range, array, Series or Index; ``None`` for anything else.

    Raises
    ------
    ValidationError
        For a set: its order would differ from one time to the next.
    """
    if isinstance(value, set | frozenset):
        raise ValidationError("A set has no order; pass a list of levels.", field="factors")
    if isinstance(value, list | tuple | range):
        return list(value)
    if hasattr(value, "tolist") and hasattr(value, "ndim"):
        return list(value.tolist()) if value.ndim else None
    return None


def distinct(labels: Sequence[str]) -> list[str]:
    """Return labels of which no two are alike: those that come again are numbered."""
    taken = set(labels)
    seen: Counter[str] = Counter()
    made = []
    for label in labels:
        seen[label] += 1
        own = label
        while seen[label] > 1 and own in taken:
            own = f"{label} ({seen[label]})"
            seen[label] += own in taken
        taken.add(own)
        made.append(own)
    return made


def _label(value: Any) -> str:
    """Return a short text for a value."""
    match value:
        case str():
            text = value
        case None:
            text = "none"
        case Message():
            text = value.text
        case list() | tuple() if value and all(_is_message(each) for each in value):
            last = value[-1]
            text = last.text if isinstance(last, Message) else str(last.get("content", ""))
        case list() | tuple():
            text = ", ".join(_label(each) for each in value) or "none"
        case type():
            text = value.__name__
        case _ if isinstance(getattr(value, "name", None), str):
            text = value.name
        case _ if callable(value):
            text = getattr(value, "__name__", type(value).__name__)
        case _:
            text = str(value)
    return _short(text)


def _short(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return text if len(text) <= LABEL_LENGTH else f"{text[: LABEL_LENGTH - 1]}…"


def _is_message(value: Any) -> bool:
    return isinstance(value, Message) or (isinstance(value, Mapping) and "role" in value)


def _same(one: Any, other: Any) -> bool:
    try:
        return one is other or (type(one) is type(other) and bool(one == other))
    except Exception:  # noqa: BLE001 - comparing is anybody's code; what can't be compared isn't the same
        return False


def unique(values: Iterable[Any]) -> list[Any]:
    """Return what occurs among hashable values, in the order in which it first does."""
    return list(dict.fromkeys(values))
