from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.engines.llamacpp_stream import TokenStream, Vocabulary

END = 256
CONTROL = 257
WORD = 258  # " hello"
PIECES = [bytes([byte]) for byte in range(256)] + [b"<end>", b"<control>", b" hello", "😀"[:1].encode()[:2]]


def vocabulary(pieces: list[bytes] = PIECES) -> Vocabulary:
    return Vocabulary(lambda: pieces, lambda text: list(text.encode()), {END: "<end>", CONTROL: "<control>"})


def stream(max_tokens: int = 100, **options: Any) -> TokenStream:
    return TokenStream(vocabulary(), max_tokens=max_tokens, end_ids={END}, **options)


def chunk(token: int, text: str, counted: int, **verbose: Any) -> dict[str, Any]:
    return {
        "choices": [{"text": text}],
        "__verbose": {"stop": False, "tokens": [token], "content": text, "tokens_predicted": counted, **verbose},
    }


def final(kind: str, counted: int, word: str = "") -> dict[str, Any]:
    return {
        "__verbose": {
            "stop": True,
            "stop_type": kind,
            "stopping_word": word,
            "tokens_predicted": counted,
            "timings": {"prompt_ms": 1500.0, "predicted_ms": 250.0},
        }
    }


def as_llama_cpp(ids: list[int]) -> list[dict[str, Any]]:
    """Make the chunks that llama.cpp sends: none for a token that ends inside a character."""
    chunks, pending = [], b""
    for counted, id_ in enumerate(ids, start=1):
        pending += PIECES[id_]
        try:
            text = pending.decode()
        except UnicodeDecodeError:
            continue
        chunks.append(chunk(id_, text, counted))
        pending = b""
    return chunks


@given(st.text(min_size=1, max_size=30))
def test_every_byte_token_of_any_text_gets_its_id_back(text: str) -> None:
    ids, tokens = list(text.encode("utf-8", "replace")), []
    reader = stream(len(ids) + 1)
    for each in as_llama_cpp(ids):
        tokens += reader.feed(each)
    assert [token[0] for token in tokens] == ids
    assert "".join(token[1] for token in tokens) == text.encode("utf-8", "replace").decode()


@given(st.text(min_size=1, max_size=10), st.integers(1, 12))
def test_a_limit_inside_a_character_keeps_exactly_that_many_ids(text: str, limit: int) -> None:
    ids, tokens = list(text.encode("utf-8", "replace")), []
    reader = stream(limit)
    for each in as_llama_cpp(ids):
        tokens += reader.feed(each)
        if reader.ended:
            break
    assert [token[0] for token in tokens] == ids[:limit]
    assert reader.generated == min(limit, len(ids))
    kept = "".join(token[1] for token in tokens) + reader.tail
    assert kept == bytes(ids[:limit]).decode("utf-8", "ignore")


def test_of_several_splits_the_tokenizer_s_own_is_taken() -> None:
    pieces = [b"\xf0", b"\x9f", b"\x98", b"\x80", b"\xf0\x9f", b"\x9f\x98"]
    for usual in ([0, 5], [4, 2]):
        found = Vocabulary(lambda: pieces, lambda _, usual=usual: [*usual, 3], {})  # type: ignore[misc]
        assert found.split(b"\xf0\x9f\x98", 2, b"\x80") == usual


def test_bytes_that_never_become_a_character_are_counted_but_not_reported() -> None:
    reader = stream()
    assert reader.feed(chunk(ord("A"), "�A", 2)) == [[ord("A"), "�A"]]
    reader.feed(final("eos", 3))
    assert reader.generated == 2


def test_the_end_token_is_not_reported_and_its_text_becomes_the_tail() -> None:
    reader = stream()
    assert reader.feed(chunk(ord("a"), "", 1)) == [[ord("a"), ""]]
    assert reader.feed(chunk(END, "a", 2)) == []
    reader.feed(final("eos", 2))
    assert (reader.ended, reader.tail, reader.generated) == ("eos", "a", 1)


def test_text_held_back_at_the_limit_is_not_lost() -> None:
    """CONTRACT 42: a possible stop string that was none comes out in the end."""
    reader = stream(2)
    reader.feed(chunk(ord("a"), "a", 1))
    assert reader.feed(chunk(WORD, "", 2)) == [[WORD, ""]]
    assert (reader.ended, reader.tail) == ("limit", " hello")


def test_a_stop_string_that_the_last_token_completes_is_a_stop() -> None:
    reader = stream(2)
    reader.feed(chunk(ord("a"), "", 1))
    assert reader.feed(chunk(ord("b"), "", 2, timings={})) == [[ord("b"), ""]]
    assert not reader.ended
    reader.feed(final("word", 2, word="ab"))
    assert (reader.ended, reader.tail, reader.generated) == ("word", "", 2)


def test_a_stop_string_with_a_split_character_keeps_all_ids() -> None:
    reader = stream()
    reader.feed(chunk(ord("x"), "x", 1))
    tokens = reader.feed(chunk("é".encode()[1], "", 3))
    tokens += reader.feed(final("word", 3, word="é"))
    assert [token[0] for token in tokens] == list("é".encode())
    assert reader.tail == ""


@pytest.mark.parametrize(("special", "tail"), [(False, ""), (True, "<control>")])
def test_control_tokens_have_text_only_when_it_is_asked_for(special: bool, tail: str) -> None:
    reader = stream(1, special=special)
    reader.feed(chunk(CONTROL, "", 1))
    assert reader.tail == tail


def test_log_probabilities_are_cut_to_the_number_asked_for() -> None:
    """CONTRACT 56: logprobs."""
    entry = {"logprob": -0.5, "top_logprobs": [{"id": 97, "token": "a", "logprob": -0.5}]}
    told = chunk(97, "a", 1)
    told["choices"][0]["logprobs"] = {"content": [entry]}
    assert stream(logprobs=0).feed(told) == [[97, "a", -0.5, []]]
    assert stream(logprobs=1).feed(told) == [[97, "a", -0.5, [[97, "a", -0.5]]]]


def test_times_are_llama_cpp_s_own_when_it_tells_them() -> None:
    """CONTRACT 5: times in seconds."""
    reader = stream()
    before = reader.times
    reader.feed(chunk(97, "a", 1))
    reader.feed(final("eos", 2))
    assert (before, reader.times) == ((None, None), (1.5, 0.25))
