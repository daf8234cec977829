"""Write ``events.md``, the table of all events, from their definitions: ``python docs/events.py``."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

from llmkit import events
from llmkit.lifecycle import CALLBACKS

TARGET = Path(__file__).with_suffix(".md")

HEAD = """\
# Events of a run

`run.events` has all of them, numbered from 0 without gaps. Views, the ledger and callbacks take the same records.
Every event has `index`, `time` (Unix seconds), `type`, and `to_dict()`, which gives JSON values with nothing lost.
The page is written by `docs/events.py` from the definitions in `llmkit/events.py`.

| type | class | says | fields | callbacks |
|---|---|---|---|---|
"""


def table() -> str:
    """Return the page."""
    return HEAD + "".join(_row(kind) for kind in _kinds())


def _kinds() -> list[type[events.Event]]:
    found = [kind for _, kind in inspect.getmembers(events, inspect.isclass) if issubclass(kind, events.Event)]
    concrete = [kind for kind in found if "type" in vars(kind)]
    return sorted(concrete, key=lambda kind: inspect.getsourcelines(kind)[1])


def _row(kind: type[events.Event]) -> str:
    base = {each.name for each in fields(events.Event)}
    names = ", ".join(f"`{each.name}`" for each in fields(kind) if each.name not in base)
    callbacks = ", ".join(f"`{name}`" for name, kinds in CALLBACKS.items() if kind in kinds)
    says = (inspect.getdoc(kind) or "").split("\n\n", maxsplit=1)[0].replace("``", "`").replace("\n", " ")
    return f"| `{kind.type}` | `{kind.__name__}` | {says} | {names} | {callbacks} |\n"


if __name__ == "__main__":
    TARGET.write_text(table(), encoding="utf-8")
