"""Settings as the value of a cell: a row a field, those that were set first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.notebook.displays.card import Markup, card, code, table, title
from llmkit.tools.docstring import parse_docstring

if TYPE_CHECKING:
    from pydantic import BaseModel

_HEAD = ("setting", "value", "meaning")


def html(settings: BaseModel) -> str:
    """Return settings as a table; what was set is marked and comes first."""
    kind = type(settings)
    meanings = parse_docstring(kind.__doc__).parameters
    ordered = sorted(kind.model_fields, key=lambda name: name not in settings.model_fields_set)
    rows = [
        (
            code(name),
            _value(repr(getattr(settings, name)), mark=name in settings.model_fields_set),
            " ".join(meanings.get(name, "").replace("``", "").split()),
        )
        for name in ordered
    ]
    count = len(settings.model_fields_set)
    return card(kind.__name__, title(kind.__name__, f"{count} set" if count else "all neutral"), table(_HEAD, rows))


def _value(text: str, *, mark: bool) -> Markup:
    return Markup(f"<strong>{code(text)}</strong>") if mark else code(text)
