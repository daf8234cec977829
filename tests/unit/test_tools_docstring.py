"""Docstrings in the three styles, and what isn't quite one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.tools.docstring import Docstring, parse_docstring

NUMPY = """Current weather.

    Asks the weather service.
    Takes a second.

    Parameters
    ----------
    city : str
        The city's name,
        in any language.
    days, hours : int, optional
        How far ahead.
    silent
        Say nothing.
    bare : int

    Returns
    -------
    dict
        The weather.

    Notes
    -----
    No promises.
    """

GOOGLE = """Current weather.

    Asks the weather service.
    Takes a second.

    Args:
        city (str): The city's name,
            in any language.
        days (int, optional): How far ahead.
        hours (dict[str, int]): How far ahead.
        silent: Say nothing.
        bare:

    Returns:
        dict: The weather.
    """

SPHINX = """Current weather.

    Asks the weather service.
    Takes a second.

    :param str city: The city's name,
        in any language.
    :param days: How far ahead.
    :type days: int
    :param hours: How far ahead.
    :param silent: Say nothing.
    :param bare:
    :returns: The weather.
    :raises ValueError: For no city.
    """


@pytest.mark.parametrize("text", [NUMPY, GOOGLE, SPHINX], ids=["numpy", "google", "sphinx"])
def test_summary_and_body_are_the_description_and_each_parameter_has_its_own(text: str) -> None:
    found = parse_docstring(text)
    assert found.description == "Current weather.\n\nAsks the weather service.\nTakes a second."
    assert found.parameters == {
        "city": "The city's name, in any language.",
        "days": "How far ahead.",
        "hours": "How far ahead.",
        "silent": "Say nothing.",
    }


@pytest.mark.parametrize("text", [None, "", "   \n  "])
def test_no_docstring_says_nothing(text: str | None) -> None:
    assert parse_docstring(text) == Docstring()


@pytest.mark.parametrize(
    "text", ["Beware: a colon.", "Note:", "Do it.\n\nIt takes:\n    two lines", "Args", "Do it::\n\n    code\n\nSo."]
)
def test_text_that_only_looks_like_a_section_stays(text: str) -> None:
    assert parse_docstring(text) == Docstring(text, {})


def test_a_docstring_of_parameters_alone_has_no_description() -> None:
    assert parse_docstring(":param x: The x.") == Docstring("", {"x": "The x."})


def test_sections_that_say_nothing_of_parameters_are_left_out() -> None:
    assert parse_docstring("Do it.\n\nRaises:\n    x: When not.\n\nArgs:\n    y: Why.") == Docstring(
        "Do it.", {"y": "Why."}
    )


@given(st.text("Args:\n -*()xParmet", max_size=120) | st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    found = parse_docstring(text)
    assert found.description == found.description.strip()
    assert all(name and meaning for name, meaning in found.parameters.items())
