"""Text and reasoning, told apart however the model's words are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmkit.prompting.splitter import Markers, Splitter
from llmkit.tools.dialects.base import CallEnded, ReasoningPart, TextPart
from llmkit.tools.dialects.detect import dialect_named

WORDS = st.lists(st.sampled_from(["<think>", "</think>", "<", "think", ">", "a", "\n", " b", "</"]), max_size=20)


def split(pieces: list[str], *, inside: bool = False) -> tuple[str, str]:
    splitter = Splitter(Markers(), inside=inside)
    found = [part for text in pieces for part in splitter.feed(text)] + splitter.finish()
    return (
        "".join(part.text for part in found if isinstance(part, TextPart)),
        "".join(part.text for part in found if isinstance(part, ReasoningPart)),
    )


def test_a_marker_split_over_pieces_never_leaks() -> None:
    """CONTRACT 16: markers split over tokens never leak into text."""
    assert split(list("<think>why</think>so")) == ("so", "why")


def test_reasoning_that_the_prompt_opened_is_reasoning() -> None:
    assert split(["why", "</think>", "\n\nso"], inside=True) == ("so", "why")


def test_without_markers_all_is_text() -> None:
    splitter = Splitter(None)
    assert splitter.feed("<think>a") == [TextPart("<think>a")]
    assert splitter.finish() == []


def test_reasoning_that_never_ends_is_kept() -> None:
    assert split(["<think>on and on </thi"]) == ("", "on and on </thi")


def calls(text: str) -> list[CallEnded]:
    splitter = Splitter(Markers(), reader=dialect_named("hermes").reader(()))
    found = [part for character in text for part in splitter.feed(character)] + splitter.finish()
    return [part for part in found if isinstance(part, CallEnded)]


def test_what_looks_like_a_call_inside_reasoning_is_none() -> None:
    """CONTRACT 16: a tool call inside an open reasoning block is not a call."""
    frame = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    assert calls(f"<think>perhaps {frame}") == []
    assert len(calls(f"<think>perhaps {frame}</think>{frame}")) == 1


def test_what_looks_like_reasoning_inside_a_call_is_an_argument() -> None:
    """CONTRACT 12: arguments come out as the model wrote them."""
    call = calls('<tool_call>{"name": "f", "arguments": {"html": "<think>x</think>"}}</tool_call>')
    assert [each.arguments for each in call] == ['{"html": "<think>x</think>"}']


@given(WORDS, st.data())
def test_how_the_text_is_cut_changes_nothing(words: list[str], data: st.DataObject) -> None:
    """CONTRACT 16: the same words, cut anywhere, come out the same."""
    whole = "".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert split(pieces) == split([whole])


@given(st.text())
def test_text_without_markers_comes_out_whole(text: str) -> None:
    if "<think>" not in text:
        assert split(list(text)) == (text, "")
