"""The controls of a playground: one a setting, with the ranges that :class:`llmkit.settings.Settings` itself has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from llmkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["number", "integer", "switch", "strings", "pairs"]

WIDEST_SLIDER = 1000
"""A range of more whole numbers than this can't be set by sliding."""

_KINDS: dict[str, Kind] = {
    "number": "number",
    "integer": "integer",
    "boolean": "switch",
    "array": "strings",
    "object": "pairs",
}


@dataclass(frozen=True, slots=True)
class Control:
    """What sets one setting.

    Parameters
    ----------
    name : str
        The field's name; of a time limit, ``timeout.total`` and so on.
    kind : str
        ``"number"``, ``"integer"``, ``"switch"`` (on or off), ``"strings"`` or ``"pairs"`` (token id and bias).
    least, most : float, optional
        The bounds; ``None`` where there is none.
    above : bool
        Whether the lower bound itself is excluded.
    optional : bool
        Whether ``None`` is a value.
    help : str
        What it does.
    """

    name: str
    kind: Kind
    least: float | None = None
    most: float | None = None
    above: bool = False
    optional: bool = False
    help: str = ""

    @property
    def slider(self) -> dict[str, float] | None:
        """The slider's range and step, if the setting can be set by sliding."""
        if self.least is None or self.most is None or self.most - self.least > WIDEST_SLIDER:
            return None
        step = 1 if self.kind == "integer" else 0.01 if self.most - self.least <= 1 else 0.05
        return {"least": self.least + step if self.above else self.least, "most": self.most, "step": step}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON, for pages."""
        return {
            "name": self.name,
            "kind": self.kind,
            "slider": self.slider,
            "optional": self.optional,
            "help": self.help,
        }


@cache
def controls() -> tuple[Control, ...]:
    """Return the controls of all settings, in their order."""
    schema = Settings.model_json_schema()
    return tuple(_read(schema["properties"], schema["$defs"], _documented(Settings), ""))


def _read(
    properties: dict[str, Any], definitions: dict[str, Any], documented: dict[str, str], prefix: str
) -> Iterator[Control]:
    for name, whole in properties.items():
        words = documented.get(name, "")
        if "$ref" in whole:
            inner = definitions[whole["$ref"].rpartition("/")[2]]
            told = _documented_in(inner["description"])
            yield from _read(inner["properties"], definitions, told, f"{prefix}{name}.")
            continue
        choices = whole.get("anyOf", [whole])
        schema = next(choice for choice in choices if choice["type"] != "null")
        yield Control(
            prefix + name,
            _KINDS[schema["type"]],
            least=schema.get("minimum", schema.get("exclusiveMinimum")),
            most=schema.get("maximum", schema.get("exclusiveMaximum")),
            above="exclusiveMinimum" in schema,
            optional=len(choices) > 1,
            help=words,
        )


def _documented(model: type[Settings]) -> dict[str, str]:
    return _documented_in(model.__doc__ or "")


def _documented_in(docstring: str) -> dict[str, str]:
    """Return what a numpy docstring says of each parameter, without its marks."""
    lines = docstring.partition("----------\n")[2]
    found = re.findall(r"^ *([a-z_, ]+) : [^\n]+\n +([^\n]+)", lines, re.MULTILINE)
    return {name: text.replace("``", "") for names, text in found for name in names.split(", ")}
