"""The MLX engine's tokenizer: no text is lost or doubled on the way to tokens and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.engines.mlx_tokenizer import MLXTokenizer, TextStream
from llmkit.errors import ModelFileError, ValidationError
from tests.unit.mlx_models import VOCABULARY, tokenizer_json

TOKENIZER = MLXTokenizer(tokenizer_json())
unicode_text = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


def sentence_piece() -> str:
    """Return a tokenizer of the SentencePiece kind, as Llama 2 and Gemma have."""
    from tokenizers import AddedToken, Tokenizer, decoders, models

    tokens = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "h", "i", "▁h", "▁hi"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: id_ for id_, token in enumerate(tokens)},
            merges=[("▁", "h"), ("▁h", "i")],
            byte_fallback=True,
            unk_token=tokens[0],
        )
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in tokens[:2]])
    text: str = tokenizer.to_str()
    return text


def streamed(tokenizer: MLXTokenizer, ids: list[int], *, special: bool = True) -> str:
    stream = TextStream(tokenizer, special=special)
    return "".join(map(stream.add, ids)) + stream.finish()


@given(unicode_text)
def test_text_survives_the_round_trip(text: str) -> None:
    for special in (False, True):
        assert TOKENIZER.detokenize(TOKENIZER.tokenize(text, special=special)) == text


@settings(max_examples=300)
@given(st.lists(st.integers(0, VOCABULARY), max_size=40))
def test_streamed_texts_join_to_the_text_of_the_ids(ids: list[int]) -> None:
    """CONTRACT 2: characters split over tokens are neither lost nor doubled, also when they are no UTF-8."""
    for tokenizer in (TOKENIZER, MLXTokenizer(sentence_piece())):
        assert streamed(tokenizer, ids) == tokenizer.detokenize(ids)


def test_a_character_comes_with_the_token_that_completes_it() -> None:
    stream = TextStream(TOKENIZER, special=True)
    ids = TOKENIZER.tokenize("🐟", special=False)
    assert [stream.add(id_) for id_ in ids] == ["", "", "", "🐟"]


def test_the_first_leading_space_is_kept() -> None:
    assert streamed(TOKENIZER, TOKENIZER.tokenize(" hello", special=False)) == " hello"
    piece = MLXTokenizer(sentence_piece())
    assert streamed(piece, [piece.token_id("▁hi") or 0]) == " hi"


def test_byte_tokens_of_sentence_piece_are_bytes() -> None:
    piece = MLXTokenizer(sentence_piece())
    ids = [2 + byte for byte in "é".encode()]
    assert piece.detokenize(ids) == "é"


def test_control_tokens_are_read_only_when_asked() -> None:
    text = "<|im_start|>hello<|im_end|>"
    assert TOKENIZER.tokenize(text, special=True)[0] == 1
    plain = TOKENIZER.tokenize(text, special=False)
    assert TOKENIZER.control_ids.isdisjoint(plain)
    assert TOKENIZER.detokenize(plain) == text


def test_control_tokens_show_only_when_asked() -> None:
    ids = TOKENIZER.tokenize("<|im_start|>hello<think>", special=True)
    assert streamed(TOKENIZER, ids) == "<|im_start|>hello<think>"
    assert streamed(TOKENIZER, ids, special=False) == "hello<think>"


def test_half_a_surrogate_pair_is_a_validation_error() -> None:
    with pytest.raises(ValidationError, match="surrogate"):
        TOKENIZER.tokenize("a\ud800", special=False)


@pytest.mark.parametrize("source", ["", "{}", "[]", '{"model": 1}', "null"])
def test_a_damaged_tokenizer_is_a_model_file_error(source: str) -> None:
    with pytest.raises(ModelFileError):
        MLXTokenizer(source)


def test_a_tokenizer_whose_tokens_have_no_bytes_is_refused() -> None:
    described = json.loads(tokenizer_json())
    described["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    with pytest.raises(ModelFileError, match="llamacpp"):
        MLXTokenizer(json.dumps(described))
