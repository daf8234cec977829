"""JSON schemas that decoding is bound to: enforced, or refused by name."""

from __future__ import annotations

import json
import random
import runpy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from llmkit.errors import ValidationError
from llmkit.output.schema import Checker, Enforceable, enforceable
from llmkit.output.schema.patterns import PatternError, full, none_of, searched
from tests.unit.json_schema_suite import accepts, matcher, outcomes, walk, written
from tests.unit.schemas import schemas

DOCS = Path(__file__).parents[2] / "docs"


def test_of_the_official_suite_no_invalid_value_is_let_through() -> None:
    """CONTRACT 49, 50: for each group of the JSON Schema Test Suite the outcome is enforced or refused by name."""
    found = outcomes()

    assert [each for each in found if each.wrong] == []
    assert sum(each.refusal is None for each in found) >= 239


def test_of_the_official_suite_every_refusal_names_the_keyword_or_that_nothing_fits() -> None:
    """CONTRACT 50: a schema that can't be enforced raises, naming the keyword."""
    unnamed = [
        each
        for each in outcomes()
        if each.refusal is not None and " at #" not in each.refusal and "nothing fits it" not in each.refusal
    ]

    assert unnamed == []


def test_of_the_official_suite_valid_values_are_left_out_for_known_reasons_alone() -> None:
    assert [each for each in outcomes() if any(why == "unexplained" for _, why in each.unwritten)] == []


def test_the_table_in_the_docs_is_that_of_the_suite() -> None:
    """If it isn't: ``python docs/json_schema.py``."""
    made = runpy.run_path(str(DOCS / "json_schema.py"))["table"]()

    assert (DOCS / "json-schema.md").read_text(encoding="utf-8") == made


def test_of_200_generated_schemas_each_is_refused_or_lets_valid_texts_alone_through() -> None:
    """CONTRACT 49: the text always parses and validates; random walks through the grammar, many a schema."""
    chance = random.Random(1)  # noqa: S311 - the same every time
    enforced = texts = 0
    refusals: list[str] = []
    for schema in schemas(200):
        try:
            bound = enforceable(schema)
        except ValidationError as error:
            refusals.append(error.message)
            continue
        enforced += 1
        watch, checker = matcher(bound), Checker(schema)
        for _ in range(3):
            text = walk(watch, chance)
            if text is not None:
                texts += 1
                assert checker.problems(json.loads(text)) == [], (schema, text)

    assert [each for each in refusals if " at #" not in each and "nothing fits it" not in each] == []
    assert enforced >= 150
    assert texts >= 2 * enforced


def test_limits_for_the_room_there_is_leave_valid_texts_and_take_none_in() -> None:
    """CONTRACT 49: what lets an answer end allows nothing that the schema doesn't."""
    chance = random.Random(2)  # noqa: S311 - the same every time
    limited = texts = 0
    for schema in schemas(60):
        try:
            bound = Enforceable(schema)
        except ValidationError:
            continue
        limited += bound.within(200) is not bound.schema
        text = walk(matcher(bound.within(200)), chance)
        if text is not None:
            texts += 1
            assert Checker(schema).problems(json.loads(text)) == [], (schema, text)

    assert limited >= 50
    assert texts >= 48


@pytest.mark.parametrize(
    ("schema", "keyword", "where"),
    [
        ({"not": {"type": "string"}}, "not", "#"),
        ({"properties": {"a": {"items": {"uniqueItems": True}}}}, "uniqueItems", "#/properties/a/items"),
        ({"properties": {"a/b~c": {"contains": {}}}}, "contains", "#/properties/a~1b~0c"),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"if": {}, "then": False}}}, "if", "#/$defs/x"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf", "#"),
        ({"type": "string", "pattern": "(?=a)"}, "pattern", "#"),
        ({"type": "string", "format": "iri"}, "format", "#"),
        ({"type": "strange-but-known", "minimun": 1}, None, None),
        ({"type": "integer", "minimun": 1}, "minimun", "#"),
        ({"type": "string", "nullable": True}, "nullable", "#"),
        ({"$ref": "https://example.com/schema"}, "$ref", "#"),
        ({"allOf": [{"$ref": "#"}]}, "$ref", "#"),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "type": "string"}, "$schema", "#"),
        ({"type": "object", "additionalProperties": {}, "minProperties": 2}, "minProperties", "#"),
        ({"type": "integer", "maximum": -1, "multipleOf": 3}, "multipleOf", "#"),
        ({"enum": [2**53 + 1]}, "enum", "#"),
        ({"type": "array", "minItems": 100_000}, "minItems", "#"),
        ({"type": "string", "pattern": "a", "minLength": 5_000_000}, "pattern", "#"),
        (
            {"patternProperties": {"a": {"type": "string"}, "b": {"type": "integer"}}},
            "patternProperties",
            "#",
        ),
    ],
)
def test_what_can_not_be_enforced_is_refused_by_name(
    schema: dict[str, Any], keyword: str | None, where: str | None
) -> None:
    """CONTRACT 50: a schema that can't be enforced raises before decoding, naming the keyword."""
    with pytest.raises(ValidationError) as caught:
        enforceable(schema)

    assert caught.value.field == "output"
    if keyword is None:
        assert "invalid" in caught.value.message
    else:
        assert f"{keyword!r} at {where} " in caught.value.message


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "string", "pattern": "^a$", "minLength": 2},
        {"type": "integer", "minimum": 0.2, "maximum": 0.8},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {
            "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}},
            "$ref": "#/$defs/n",
        },
        {"type": "array", "items": False, "minItems": 1},
        {"enum": ["a"], "maxLength": 0},
    ],
)
def test_a_schema_that_nothing_finite_fits_is_refused(schema: Any) -> None:
    with pytest.raises(ValidationError, match="nothing fits it"):
        enforceable(schema)


@pytest.mark.parametrize(
    ("schema", "fitting", "unfit"),
    [
        # Names spelled with escapes are the same names.
        (
            {"properties": {"a": {"type": "integer"}}, "type": "object", "additionalProperties": {"type": "string"}},
            ['{"a": 1, "b": "c"}', '{"": "x"}', '{"aa": "x"}'],
            ['{"\\u0061": "x"}', '{"a": 1, "\\u0061": "x"}', '{"a": "x"}'],
        ),
        # The order of keywords means nothing.
        (
            {
                "additionalProperties": False,
                "allOf": [{"properties": {"b": {}}}],
                "type": "object",
                "properties": {"a": {}},
            },
            ['{"a": 1}', "{}"],
            ['{"b": 1}', '{"a": 1, "b": 1}'],
        ),
        (
            {
                "type": "object",
                "patternProperties": {"^x": {"maximum": 5}},
                "properties": {"x1": {"type": "integer"}},
                "additionalProperties": False,
            },
            ['{"x1": 5}', '{"x2": "a"}'],
            ['{"x1": 6}', '{"x1": "a"}', '{"y": 1}'],
        ),
        (
            {
                "type": "object",
                "properties": {"a": {}, "b": {}, "c": {}},
                "minProperties": 2,
                "additionalProperties": False,
            },
            ['{"a": 1, "c": 1}', '{"a": 1, "b": 1, "c": 1}'],
            ['{"a": 1}', "{}"],
        ),
        (
            {"type": "object", "properties": {"a": {}, "b": {}}, "maxProperties": 1, "additionalProperties": False},
            ['{"a": 1}', '{"b": 1}', "{}"],
            ['{"a": 1, "b": 1}'],
        ),
        ({"type": "integer", "minimum": -10, "maximum": 10, "multipleOf": 5}, ["-5", "0", "10"], ["-3", "15", "5.0"]),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.3}, ["0.3", "0.05"], ["0", "0.0", "0.31", "1", "-0.1"]),
        ({"type": "number", "maximum": 0.9999999999999999}, ["0.5", "-3"], ["1", "1.0", "0.99999999999999999"]),
        ({"type": "integer", "maximum": 2**63 - 1}, ["123456789012345678", "-5"], ["9223372036854775808"]),
        ({"const": {"a": [1, None]}, "not": {"type": "string"}}, ['{"a": [1, null]}'], ['{"a": [1]}']),
        ({"type": ["string", "null"], "pattern": "^a|b$"}, ['"ax"', '"xb"', "null"], ['"xa"', "1"]),
        ({"propertyNames": {"enum": ["a", "b"]}, "type": "object"}, ['{"a": 1}', '{"a": 1, "b": 2}'], ['{"c": 1}']),
        ({"propertyNames": {"maxLength": 2}, "type": "object"}, ['{"ab": 1}'], ['{"abc": 1}']),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "definitions": {"n": {"type": "null"}},
                "$ref": "#/definitions/n",
            },
            ["null"],
            ["1"],
        ),
    ],
)
def test_what_is_enforced(schema: dict[str, Any], fitting: list[str], unfit: list[str]) -> None:
    """CONTRACT 49: local engines constrain decoding."""
    watch = matcher(enforceable(schema))

    assert [text for text in fitting if not accepts(watch, text)] == []
    assert [text for text in unfit if accepts(watch, text)] == []


def test_a_schema_that_contains_itself_is_enforced_at_any_depth() -> None:
    schema = {
        "type": "object",
        "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["value", "next"],
        "additionalProperties": False,
    }
    watch = matcher(enforceable(schema))
    value: Any = None
    for number in range(40):
        value = {"value": number, "next": value}

    assert accepts(watch, written(value))
    assert not accepts(watch, written(value).replace("null", "1"))


def test_a_tagged_tree_is_enforced() -> None:
    schema = {
        "oneOf": [
            {"type": "object", "required": ["to", "kind"], "properties": {"kind": {"const": "a"}, "to": {"$ref": "#"}}},
            {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "b"}}},
        ]
    }
    watch = matcher(enforceable(schema))

    assert accepts(watch, '{"kind": "a", "to": {"kind": "b"}}')
    assert not accepts(watch, '{"kind": "b", "to": {"kind": "b"}}')
    assert not accepts(watch, '{"kind": "a", "to": {"kind": "c"}}')


@pytest.mark.parametrize("options", [{"whitespace_flexible": True}, {"lenient": True}, {"item_separator": ";"}])
def test_a_schema_can_not_change_how_it_is_compiled(options: dict[str, Any]) -> None:
    """``x-guidance`` is llguidance's own; in a schema it is a remark like any other."""
    bound = enforceable({"x-guidance": options, "type": "array", "items": {"type": "integer"}})

    assert accepts(matcher(bound), "[1, 2]")
    assert not accepts(matcher(bound), "[1 ; 2]")


NUMBERS = st.one_of(
    st.integers(-(10**17), 10**17),
    st.floats(-1e16, 1e16, allow_nan=False),
    st.decimals(-100, 100, places=3).map(float),
    st.sampled_from([0, 0.1, -0.5, 1e-9, 1e-13, 1e15, 2**53, 2**63 - 1, 0.9999999999999999, 1.0000000000000002]),
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["number", "integer"]),
    st.dictionaries(
        st.sampled_from(["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"]), NUMBERS, min_size=1, max_size=2
    ),
    st.sampled_from([None, None, 0.1, 0.25, 3, 100]),
    st.randoms(use_true_random=False),
)
def test_numbers_keep_to_their_bounds_as_text_and_as_floats(
    kind: str, bounds: dict[str, Any], step: float | None, chance: random.Random
) -> None:
    """CONTRACT 49: a text of many nines is rounded up when it is read, and must fit all the same."""
    schema = {"type": kind, **bounds, **({} if step is None else {"multipleOf": step})}
    try:
        watch = matcher(enforceable(schema))
    except ValidationError:
        assume(False)
    checker = Checker(schema)
    for _ in range(10):
        text = walk(watch, chance, 40)
        if text is not None:
            assert checker.problems(json.loads(text)) == []
            exact = Decimal(text)
            for keyword, bound in bounds.items():
                limit = Decimal(repr(bound))
                assert exact >= limit if "inimum" in keyword else exact <= limit
                assert exact != limit or "exclusive" not in keyword


@given(st.decimals(-1000, 1000, places=3), st.decimals(-1000, 1000, places=3), st.decimals(-1000, 1000, places=3))
@settings(max_examples=100, deadline=None)
def test_plain_numbers_within_plain_bounds_can_all_be_written(one: Decimal, other: Decimal, value: Decimal) -> None:
    low, high = sorted([float(one), float(other)])
    watch = matcher(enforceable({"type": "number", "minimum": low, "maximum": high}))
    inside = low <= float(value) <= high
    text = "0" if not value else format(value.normalize(), "f")

    # A few are only written with all places of the bound: 0.20 below 0.25.
    assert (accepts(watch, text) or accepts(watch, f"{value:.3f}") or accepts(watch, f"{value:.4f}")) == inside


SIMPLE_PATTERNS = st.recursive(
    st.sampled_from(
        ["a", "b", "-", r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", ".", "[a-c]", "[^a]", r"[\d_]", r"[^\w]"]
    ),
    lambda inside: st.one_of(
        st.tuples(inside, inside).map("".join),
        st.tuples(inside, inside).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inside, st.sampled_from(["*", "+", "?", "{2}", "{1,3}"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SIMPLE_PATTERNS, st.sampled_from(["", "^"]), st.sampled_from(["", "$"]), st.randoms(use_true_random=False))
def test_texts_of_a_pattern_are_ones_that_python_finds_it_in(
    inner: str, begin: str, end: str, chance: random.Random
) -> None:
    r"""Python reads ``\d`` and the like otherwise than ECMA-262 and Rust; what is written fits all readings."""
    import re

    pattern = f"{begin}{inner}{end}"
    watch = matcher(enforceable({"type": "string", "pattern": pattern}))
    for _ in range(5):
        text = walk(watch, chance, 30)
        if text is not None:
            value = json.loads(text)
            assert re.search(pattern, value)
            assert searched(pattern).matches(value)


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)", "(?!a)", "(?<=a)", r"(a)\1", r"\ba", "(?i)a", "a++", "[]", "[^]", "(", ")", "[a", "*a", "a**",
        r"\p{L}", "a^b", "a$b", "[z-a]", r"[\d-z]", "\\", r"\ud800", "(?P=x)", "(?>a)", "(^a)+",
    ],
)  # fmt: skip
def test_patterns_that_can_not_be_enforced_are_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        searched(pattern)


@settings(deadline=None)
@given(st.sets(st.text(alphabet='ab"\\é😀', max_size=4), max_size=5), st.text(alphabet='ab"\\é😀c', max_size=5))
def test_the_pattern_of_all_but_some_words(words: set[str], text: str) -> None:
    assert none_of(words).matches(text) == (text not in words)


def test_a_whole_pattern_takes_no_more() -> None:
    assert full("a|bc").matches("bc")
    assert not full("a|bc").matches("xbc")
    assert not full("a").matches("a\n")
