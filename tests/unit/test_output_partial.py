"""What is certain of JSON that is still being written."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.output.partial import MISSING, PartialJSON, partial

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=5), inside, max_size=4),
    max_leaves=12,
)


def grown(before: Any, after: Any) -> bool:
    """Return whether a value is an earlier one with more in it."""
    if before is MISSING:
        return True
    if isinstance(before, str) and isinstance(after, str):
        return after.startswith(before)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) <= len(after) and all(map(grown, before, after))
    if isinstance(before, dict) and isinstance(after, dict):
        return list(before) == list(after)[: len(before)] and all(grown(before[key], after[key]) for key in before)
    return type(before) is type(after) and bool(before == after)


@settings(deadline=None)
@given(VALUES, st.booleans(), st.sampled_from([None, 1, 2]), st.data())
def test_a_value_only_grows_and_ends_as_json_has_it(value: Any, ascii_: bool, indent: int | None, data: Any) -> None:
    """CONTRACT 51: partial objects stream while decoding, only on change; hostile text, cut anywhere."""
    text = json.dumps(value, ensure_ascii=ascii_, indent=indent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    reader, before, elements = PartialJSON(), MISSING, []
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        changed = reader.feed(text[begin:end])
        after = reader.value
        assert grown(before, after)
        assert changed == ((before is MISSING and after is not MISSING) or repr(before) != repr(after))
        assert grown(after, value)
        elements += reader.take_elements()
        before = after
    reader.close()

    assert not reader.broken
    assert reader.complete
    assert reader.value == value
    assert json.dumps(reader.value) == json.dumps(value)
    if isinstance(value, list):
        assert elements == value


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_every_character_by_itself_gives_the_same_as_all_at_once(value: Any) -> None:
    text = json.dumps(value)
    one = PartialJSON()
    for end, character in enumerate(text, 1):
        one.feed(character)
        assert repr(one.value) == repr(partial(text[:end]))


@given(st.text(alphabet='{}[]",:\\u0d8e1-+.tfn \n\x00é', max_size=40))
def test_text_that_is_no_json_breaks_quietly_and_nothing_is_invented(text: str) -> None:
    reader = PartialJSON()
    for character in text:
        before = reader.value
        reader.feed(character)
        assert grown(before, reader.value) or text.count('"') >= 4  # a key may come twice
    reader.close()
    try:
        value = json.loads(text)
    except ValueError:
        assert reader.broken
    else:
        assert reader.value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", MISSING),
        (" ", MISSING),
        ("12", MISSING),
        ("12 ", 12),
        ("-", MISSING),
        ("tru", MISSING),
        ("true", True),
        ('"', ""),
        ('"a\\', "a"),
        ('"a\\u00', "a"),
        ('"a\\u00e9', "aé"),
        ('"a\\ud83d', "a"),
        ('"a\\ud83d\\ude0', "a"),
        ('"a\\ud83d\\ude00', "a😀"),
        ("{", {}),
        ('{"na', {}),
        ('{"name"', {}),
        ('{"name": ', {}),
        ('{"name": "Ad', {"name": "Ad"}),
        ('{"age": 3', {}),
        ('{"age": 36,', {"age": 36}),
        ("[1, 2", [1]),
        ("[[1], [", [[1], []]),
        ('{"a": {"b": [{"c": "d', {"a": {"b": [{"c": "d"}]}}),
    ],
)
def test_what_is_shown_of_a_beginning(text: str, value: Any) -> None:
    assert partial(text) == value


def test_elements_of_an_array_come_once_they_are_whole() -> None:
    """CONTRACT 51: ``element_stream`` for arrays."""
    reader = PartialJSON()
    taken = []
    for piece in ('[{"a"', ": [1, 2]", "}, 3", "4", ", [", "]]"):
        reader.feed(piece)
        taken.append(reader.take_elements())

    assert taken == [[], [], [{"a": [1, 2]}], [], [34], [[]]]


def test_a_value_that_was_given_out_stays_as_it_was() -> None:
    reader = PartialJSON()
    reader.feed('{"a": [1, 2, ')
    before = reader.value
    reader.feed('3], "b": "c')

    assert before == {"a": [1, 2]}
    assert reader.value == {"a": [1, 2, 3], "b": "c"}


def test_reading_takes_time_in_proportion_to_the_length() -> None:
    """Ten times the text takes about ten times as long, character by character; a square would be a hundred."""

    def taken(size: int) -> float:
        text = json.dumps([{"text": "word " * size, "list": list(range(size))}])
        reader = PartialJSON()
        began = time.perf_counter()
        for character in text:
            reader.feed(character)
        return time.perf_counter() - began

    taken(100)
    assert min(taken(3000) for _ in range(3)) < 40 * min(taken(300) for _ in range(3))
