"""Write ``json-schema.md``, what becomes of the official test suite's schemas: ``python docs/json_schema.py``."""

from __future__ import annotations

import re
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.unit.json_schema_suite import outcomes  # noqa: E402 - found through the line above

if TYPE_CHECKING:
    from tests.unit.json_schema_suite import Outcome

TARGET = Path(__file__).with_name("json-schema.md")

HEAD = """\
# JSON schemas that answers can be bound to

An `output=` with a JSON schema binds the decoding on local engines: the answer fits the schema, or the schema is
refused before decoding, with the keyword and where it stands. Nothing is ignored. This page holds the official
[JSON Schema Test Suite](https://github.com/json-schema-org/JSON-Schema-Test-Suite) (draft 2020-12) against that: of its
{groups} groups {enforced} are enforced and {refused} refused; of the enforced groups' {invalid} the grammar lets none
through. It is written by `docs/json_schema.py`.

What is enforced is at times narrower than the schema:

- properties stand in the order in which the schema names them, further ones at the end;
- where properties are named, further ones need `additionalProperties`: an open object invites a small model to go on
  for ever;
- whole numbers are written without a fraction or exponent, numbers with bounds without an exponent, and bounds of more
  than 15 digits are drawn in;
- formats are enforced, in forms that Python and pydantic read too;
- `\\d`, `\\w`, `\\s` and `.` in patterns match what ECMA-262, Python and Rust all match; lookaround, back references
  and `\\b` are refused;
- `oneOf` is enforced where its alternatives exclude each other: by kind, by `const` of a required property, or by
  `discriminator`;
- a schema with `enum` or `const` may have any keyword: its values are checked beforehand.

| of | enforced | refused | why refused | valid, but not written so |
|---|---|---|---|---|
"""


def table() -> str:
    """Return the page."""
    found = outcomes()
    enforced = sum(each.refusal is None for each in found)
    invalid = sum(each.invalid for each in found if each.refusal is None)
    head = HEAD.format(
        groups=len(found), enforced=enforced, refused=len(found) - enforced, invalid=f"{invalid} invalid values"
    )
    return head + "".join(_row(file, list(group)) for file, group in groupby(found, key=lambda each: each.file))


def _row(file: str, group: list[Outcome]) -> str:
    refusals = Counter(_short(each.refusal) for each in group if each.refusal is not None)
    unwritten = Counter(reason for each in group for _, reason in each.unwritten)
    enforced = sum(each.refusal is None for each in group)
    why = "; ".join(f"{reason} ({count})" for reason, count in refusals.items())
    missed = "; ".join(f"{reason} ({count})" for reason, count in unwritten.items())
    return f"| `{file}` | {enforced or ''} | {len(group) - enforced or ''} | {why} | {missed} |\n"


def _short(refusal: str) -> str:
    """Return why a schema is refused, without where."""
    if "nothing fits it" in refusal:
        return "nothing fits it"
    found = re.search(r"'([^']+)' at \S+ (.*?)(?:, which|; |: |\. Leave)", refusal)
    if not found:
        return refusal.replace("|", "\\|")
    why = re.sub(r"('[^']*'|\"[^\"]*\")", "…", found[2]) if found[1] == "$ref" else found[2]
    return f"`{found[1]}` {why}".replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(table(), encoding="utf-8")
