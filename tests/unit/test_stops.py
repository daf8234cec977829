"""Stop strings: nothing of one gets out, nothing else is lost, however the stream is cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from llmkit.engines.stops import StopMatcher

letters = st.text(alphabet="ab🐟", max_size=30)
stop_strings = st.lists(st.text(alphabet="ab🐟", min_size=1, max_size=4), max_size=3)


def run(pieces: list[str], stops: list[str]) -> tuple[str, str | None]:
    matcher = StopMatcher(stops)
    text = "".join(matcher.feed(piece) for piece in pieces)
    return text + matcher.flush(), matcher.matched


def test_text_passes_at_once_without_stops() -> None:
    matcher = StopMatcher()
    assert (matcher.feed("abc"), matcher.flush()) == ("abc", "")


def test_a_possible_beginning_is_held_back_until_it_is_none() -> None:
    """CONTRACT 42: stop sequences are never in the text, also when split over tokens."""
    matcher = StopMatcher(["END"])
    assert [matcher.feed(piece) for piece in ("one E", "N", "tity", "E")] == ["one ", "", "ENtity", ""]
    assert matcher.flush() == "E"
    assert matcher.matched is None


def test_a_stop_split_over_pieces_ends_the_text() -> None:
    """CONTRACT 42: stop sequences are never in the text, also when split over tokens."""
    matcher = StopMatcher(["END"])
    assert [matcher.feed(piece) for piece in ("one E", "N", "D two", "three")] == ["one ", "", "", ""]
    assert (matcher.matched, matcher.flush()) == ("END", "")


def test_the_stop_complete_first_wins() -> None:
    assert run(["xabcdy"], ["abcd", "bc"]) == ("xa", "bc")


def test_of_stops_complete_together_the_longest_wins() -> None:
    assert run(["xabcy"], ["bc", "abc"]) == ("x", "abc")


def test_a_beginning_inside_a_beginning_is_found() -> None:
    assert run(["aab"], ["ab"]) == ("a", "ab")
    assert run(["a", "a", "b"], ["ab"]) == ("a", "ab")


@given(text=letters, stops=stop_strings, cuts=st.lists(st.integers(0, 30), max_size=6))
def test_the_result_does_not_depend_on_how_the_stream_is_cut(text: str, stops: list[str], cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert run(pieces, stops) == run([text], stops)


@given(text=letters, stops=stop_strings)
def test_what_comes_out_begins_the_text_and_holds_no_stop(text: str, stops: list[str]) -> None:
    out, matched = run(list(text), stops)
    assert text.startswith(out + (matched or ""))
    assert not any(stop in out for stop in stops)
    assert matched is not None or out == text
