"""Text and reasoning, told apart however the model's words are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmkit.prompting.splitter import Markers, Splitter

WORDS = st.lists(st.sampled_from(["<think>", "</think>", "<", "think", ">", "a", "\n", " b", "</"]), max_size=20)


def split(pieces: list[str], *, inside: bool = False) -> tuple[str, str]:
    splitter = Splitter(Markers(), inside=inside)
    found = [piece for text in pieces for piece in splitter.feed(text)] + splitter.finish()
    return (
        "".join(piece.text for piece in found if piece.kind == "text"),
        "".join(piece.text for piece in found if piece.kind == "reasoning"),
    )


def test_a_marker_split_over_pieces_never_leaks() -> None:
    """CONTRACT 16: markers split over tokens never leak into text."""
    assert split(list("<think>why</think>so")) == ("so", "why")


def test_reasoning_that_the_prompt_opened_is_reasoning() -> None:
    assert split(["why", "</think>", "\n\nso"], inside=True) == ("so", "why")


def test_without_markers_all_is_text() -> None:
    splitter = Splitter(None)
    assert [piece.text for piece in splitter.feed("<think>a")] == ["<think>a"]
    assert splitter.finish() == []


def test_reasoning_that_never_ends_is_kept() -> None:
    assert split(["<think>on and on </thi"]) == ("", "on and on </thi")


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
