"""Which dialect a chat template speaks: told by what it writes around calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmkit.errors import ValidationError
from llmkit.tools.dialects.detect import DIALECTS, dialect_named, dialect_of

TEMPLATES: list[dict[str, str | None]] = json.loads(
    (Path(__file__).parent / "dialects" / "templates.json").read_text("utf-8")
)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template["model"])
def test_a_templates_dialect_is_found(template: dict[str, str | None]) -> None:
    """CONTRACT 17: detected from the template; the excerpts are the lines that render a call."""
    found = dialect_of(template["excerpt"])
    assert (found.name if found else None) == template["dialect"]


@pytest.mark.parametrize(
    "template", [None, "", "{% for message in messages %}{{ message.content }}{% endfor %}", "{{ tools }}"]
)
def test_a_template_without_calls_has_no_dialect(template: str | None) -> None:
    """CONTRACT 17: then the generic one is used."""
    assert dialect_of(template) is None


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_dialect_can_be_named(name: str) -> None:
    """CONTRACT 17: overridable."""
    assert dialect_named(name).name == name
    assert dialect_named(name) is dialect_named(name)


def test_an_unknown_dialect_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"hermes.*qwen3-coder") as raised:
        dialect_named("klingon")
    assert raised.value.field == "dialect"
