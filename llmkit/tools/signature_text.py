"""A JSON schema on one line, as a Python reader expects a signature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.tools.problems import shown

if TYPE_CHECKING:
    from collections.abc import Mapping


def signature_text(schema: Mapping[str, Any]) -> str:
    """Return a tool's parameters in short: ``city: string, days: integer = 3``."""
    required = schema.get("required", ())
    parts = []
    for name, each in schema.get("properties", {}).items():
        kind = type_text(each)
        default = f" = {shown(each['default'])}" if isinstance(each, dict) and "default" in each else " = …"
        parts.append(f"{name}: {kind}{'' if name in required else default}")
    return ", ".join(parts)


def type_text(schema: Any) -> str:
    """Return a schema's type in a word or two."""
    match schema:
        case {"$ref": str(reference)}:
            kind = reference.rpartition("/")[2]
        case {"enum": [*values]}:
            kind = " | ".join(map(shown, values[:6])) + (" | …" if len(values) > 6 else "")
        case {"const": value}:
            kind = shown(value)
        case {"anyOf": [*branches]} | {"oneOf": [*branches]}:
            kind = " | ".join(dict.fromkeys(map(type_text, branches)))
        case {"type": "array", "items": items}:
            kind = f"{type_text(items)}[]"
        case {"type": "string", "format": str(form)}:
            kind = form
        case {"type": str(word)}:
            kind = word
        case {"type": [*words]}:
            kind = " | ".join(map(str, words))
        case _:
            kind = "any"
    return kind
