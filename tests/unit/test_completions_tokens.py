"""Where tokens stand in the text of a raw completion, however both were cut into pieces."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from llmkit.completions.alignment import Alignment, joined
from llmkit.engines.decoder import Alternative, Token
from llmkit.engines.local_raw import token_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.completions.completion import CompletionLogprobs

WORDS = st.lists(st.one_of(st.text(max_size=4), st.sampled_from(["", " a", "aa", "a", "🐟", "\ufffd"])), max_size=12)


def laid(pieces: Sequence[tuple[Sequence[str], str]], *, stops: bool = False) -> CompletionLogprobs:
    """Return what is told of tokens and texts that came in pieces."""
    alignment = Alignment(stops=stops)
    parts = [alignment.feed([Token(1, text, -1.0) for text in tokens], text) for tokens, text in pieces]
    return joined([*parts, alignment.finish()])


@given(words=WORDS, cuts=st.lists(st.integers(0, 50), max_size=6), lag=st.integers(0, 5), tail=st.text(max_size=3))
def test_joined_tokens_are_the_text_in_any_chunking(words: list[str], cuts: list[int], lag: int, tail: str) -> None:
    """CONTRACT 56: text_offset; text may lag behind its tokens, and its end come without any."""
    text = "".join(words) + (tail if words else "")
    places = sorted({min(cut, len(words)) for cut in cuts} | {len(words)})
    pieces, seen, said = [], 0, 0
    for place in places:
        sure = max(said, len("".join(words[:place])) - lag)
        pieces.append((words[seen:place], text[said:sure]))
        seen, said = place, sure
    told = laid([*pieces, ((), text[said:])], stops=bool(tail))
    assert "".join(told.tokens) == text
    assert len(told.tokens) == len(words)
    assert list(told.text_offset) == [0, *accumulate(map(len, told.tokens))][: len(words)]


@given(words=WORDS, cut=st.integers(0, 30))
def test_tokens_of_a_stop_string_add_nothing(words: list[str], cut: int) -> None:
    """CONTRACT 42, 56: a stop string within a token cuts it."""
    text = "".join(words)[:cut]
    told = laid([(words, text)])
    assert "".join(told.tokens) == (text if words else "")
    assert len(told.tokens) == len(words)


def test_tokens_that_servers_tell_in_words_of_their_own_keep_their_place() -> None:
    """CONTRACT 56: vLLM's halves of characters, and llama.cpp's that are left out."""
    told = laid([(["A", "bytes:\\xf0\\x9f", "bytes:\\x90\\x9f", " b"], "A🐟 b"), ([" c"], "é c")])
    assert told.tokens == ("A", "", "🐟", " b", "é c")
    assert told.text_offset == (0, 1, 1, 2, 4)


def test_a_stream_tells_each_token_once_its_text_is_there() -> None:
    alignment = Alignment(offset=10)
    assert alignment.feed([Token(1, "On"), Token(2, "ce")], "On").tokens == ("On",)
    assert alignment.feed([], "ce").text_offset == (12,)
    assert alignment.finish().tokens == ()


def test_alternatives_go_by_their_text_and_only_finite_numbers_are_told() -> None:
    """CONTRACT 56: top_logprobs; JSON has no infinity."""
    others = (Alternative(1, "a", -0.5), Alternative(2, "\ufffd", -3.0), Alternative(3, "\ufffd", -2.0))
    token = Token(1, "a", float("-inf"), (*others, Alternative(4, "b", float("-inf"))))
    told = Alignment().feed([token], "a")
    assert told.token_logprobs == (None,)
    assert told.top_logprobs == ({"a": -0.5, "\ufffd": -2.0},)


@given(text=st.text(max_size=20), sizes=st.lists(st.integers(1, 7), min_size=80, max_size=80), begin=st.booleans())
def test_the_tokens_of_a_prompt_join_to_its_text(text: str, sizes: list[int], begin: bool) -> None:
    """CONTRACT 56: also where tokens end within characters, and behind a begin token that the text doesn't show."""
    data, pieces = text.encode(), []
    for size in sizes:
        piece, data = data[:size], data[size:]
        pieces += [piece] if piece else []
    pieces = [b"<s>", *pieces] if begin else pieces

    def text_of(ids: Sequence[int]) -> str:
        return b"".join(pieces[id_] for id_ in ids).decode("utf-8", "replace")

    texts = token_texts(range(len(pieces)), text, text_of)
    assert "".join(texts) == (text if pieces else "")
    assert len(texts) == len(pieces)
    if begin and len(text) > 1:
        assert texts[0] == ("<s>" if text.startswith("<s>") else "")
    if text.isascii() and not begin:
        assert texts == [piece.decode() for piece in pieces]
