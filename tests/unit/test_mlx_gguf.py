"""GGUF files on MLX: the same model as its safetensors, the same tokens and the same text as llama.cpp."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.engines import llamacpp
from llmkit.engines.mlx import load
from llmkit.errors import ModelFileError
from llmkit.models.catalog import resolve
from llmkit.models.fetch import fetch
from llmkit.models.gguf import read_gguf
from llmkit.models.gguf_tokenizer import adds_bos, rebuild_tokenizer
from tests.unit.gguf_files import ARRAY, FLOAT32, INT32, STRING, UINT32
from tests.unit.mlx_models import CONFIG, ask, tokenizer_json, unpacked, weights, write_gguf, write_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmkit.engines.decoder import Decoder

PROMPT = [20 + number % 200 for number in range(20)]


def logprobs(path: Path) -> list[tuple[int, float]]:
    """Return what a model says after the prompt, greedily."""
    decoder = load(path)
    tokens = ask(decoder, PROMPT, max_tokens=6, logprobs=0, logit_bias=((2, -100.0), (0, -100.0))).tokens
    decoder.close()
    return [(token.id, token.logprob or 0.0) for token in tokens]


def assert_same(got: list[tuple[int, float]], wanted: list[tuple[int, float]]) -> None:
    assert [id_ for id_, _ in got] == [id_ for id_, _ in wanted]
    assert [value for _, value in got] == pytest.approx([value for _, value in wanted], abs=1e-3)
    assert len(wanted) == 6


@pytest.mark.parametrize("packing", ["F32", "Q4_0", "Q4_1", "Q8_0"])
def test_a_gguf_model_is_the_same_as_its_safetensors(tmp_path: Path, packing: str) -> None:
    """Names, order of rows and packed weights: all as they are, in each packing that MLX has."""
    arrays = weights(0)
    wanted = {name: unpacked(array, packing) for name, array in arrays.items()}
    file = write_gguf(tmp_path / "a.gguf", arrays, packing=packing)
    assert_same(logprobs(file), logprobs(write_model(tmp_path / "b", arrays=wanted)))


def extra_weights(architecture: str) -> dict[str, Any]:
    random = np.random.default_rng(5)
    width, keys = CONFIG["hidden_size"], 16
    extra: dict[str, Any] = {"lm_head.weight": (320, width)}
    for layer in range(CONFIG["num_hidden_layers"]):
        path = f"model.layers.{layer}.self_attn."
        if architecture == "qwen2":
            extra |= {f"{path}{letter}_proj.bias": (size,) for letter, size in (("q", width), ("k", keys), ("v", keys))}
        if architecture == "qwen3":
            extra |= {f"{path}{letter}_norm.weight": (8,) for letter in "qk"}
        if architecture == "llama":
            names = (("q", width), ("k", keys), ("v", keys), ("o", width))
            extra |= {f"{path}{letter}_proj.bias": (size,) for letter, size in names}
    return {name: random.normal(0, 0.5, shape).astype(np.float32) for name, shape in extra.items()}


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_each_architecture_s_own_tensors_are_placed(tmp_path: Path, architecture: str) -> None:
    arrays = weights(0) | extra_weights(architecture)
    config = {"model_type": architecture, "tie_word_embeddings": False, "attention_bias": True, "head_dim": 8}
    if architecture == "qwen3":
        del config["attention_bias"]
    file = write_gguf(tmp_path / "a.gguf", arrays, architecture=architecture)
    assert_same(logprobs(file), logprobs(write_model(tmp_path / "b", arrays=arrays, config=config)))


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_llama_3_frequency_factors_are_recognised(tmp_path: Path, factor: float) -> None:
    """The factors follow ``LlamaModel.generate_extra_tensors`` in llama.cpp's ``convert_hf_to_gguf.py``."""
    frequencies = CONFIG["rope_theta"] ** (np.arange(0, 8, 2) / 8)
    wavelengths = 2 * np.pi * frequencies
    smooth = (8192 / wavelengths - 1) / 3
    between = 1 / ((1 - smooth) / factor + smooth)
    factors = np.where(wavelengths < 2048, 1, np.where(wavelengths > 8192, factor, between)).astype(np.float32)
    scaling = {"rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 8192}  # fmt: skip
    file = write_gguf(tmp_path / "a.gguf", weights(0) | {"rope_freqs.weight": factors})
    assert_same(logprobs(file), logprobs(write_model(tmp_path / "b", config={"rope_scaling": scaling})))


def test_frequency_factors_of_another_kind_are_refused(tmp_path: Path) -> None:
    factors = np.array([1, 2, 3, 4], np.float32)
    file = write_gguf(tmp_path / "a.gguf", weights(0) | {"rope_freqs.weight": factors})
    with pytest.raises(ModelFileError, match=r"stretches.*llamacpp"):
        load(file)


def test_linear_scaling_is_kept(tmp_path: Path) -> None:
    changes = {"llama.rope.scaling.type": (STRING, "linear"), "llama.rope.scaling.factor": (FLOAT32, 4.0)}
    file = write_gguf(tmp_path / "a.gguf", weights(0), changes=changes)
    scaling = {"rope_scaling": {"type": "linear", "factor": 4.0}}
    assert_same(logprobs(file), logprobs(write_model(tmp_path / "b", config=scaling)))


def test_a_gguf_file_says_what_it_is(tmp_path: Path) -> None:
    decoder = load(write_gguf(tmp_path / "a.gguf", weights(0)))
    info = decoder.info
    assert decoder.tokenize("<|im_start|>hello<think>", special=True) == [1, 262, 265]
    decoder.close()
    assert (info.bos_token, info.eos_token, info.add_bos) == ("<|im_start|>", "<|im_end|>", False)
    assert (info.end_ids, info.context_length) == ((2, 0), 512)
    assert info.chat_template == "{{ messages }}"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"general.architecture": (STRING, "gemma3")}, "gemma3"),
        ({"llama.expert_count": (UINT32, 8)}, "experts"),
        ({"llama.rope.scaling.type": (STRING, "yarn")}, "yarn"),
        ({"llama.rope.dimension_count": (UINT32, 4)}, "rotates"),
        ({"llama.attention.value_length": (UINT32, 4)}, "width"),
        ({"llama.block_count": (STRING, "two")}, "block_count"),
        ({"llama.block_count": None}, "block_count"),
        ({"llama.block_count": (UINT32, 3)}, "llamacpp"),
        ({"llama.feed_forward_length": (UINT32, 128)}, "llamacpp"),
        ({"tokenizer.ggml.model": (STRING, "llama")}, "tokenizer"),
        ({"tokenizer.ggml.pre": (STRING, "tekken")}, "tekken"),
        ({"tokenizer.ggml.pre": None}, "tokenizer"),
        ({"tokenizer.ggml.tokens": None}, "tokenizer"),
        ({"tokenizer.ggml.merges": None}, "tokenizer"),
        ({"tokenizer.ggml.token_type": (STRING, "x")}, "token types"),
    ],
)
def test_what_mlx_cannot_read_is_refused_with_the_remedy(tmp_path: Path, changes: dict[str, Any], cause: str) -> None:
    file = write_gguf(tmp_path / "a.gguf", weights(0), changes=changes)
    with pytest.raises(ModelFileError, match=cause):
        load(file)


@pytest.mark.parametrize(("number", "name"), [(6, "Q5_0"), (11, "Q3_K"), (13, "Q5_K"), (39, "MXFP4"), (23, "IQ4_XS")])
def test_tensor_types_that_mlx_drops_or_refuses_are_named(
    tmp_path: Path, number: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 256 * 320
    monkeypatch.setattr("tests.unit.mlx_models.pack", lambda *_: (number, b"\0" * size))
    file = write_gguf(tmp_path / "a.gguf", {"model.embed_tokens.weight": np.zeros((320, 256), np.float32)})
    with pytest.raises(ModelFileError, match=rf"{name}.*llamacpp"):
        load(file)


def test_a_tensor_without_a_place_is_refused(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "a.gguf", weights(0) | {"model.layers.0.attn_sinks.weight": np.zeros(4, np.float32)})
    with pytest.raises(ModelFileError, match=r"attn_sinks.*llamacpp"):
        load(file)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-100], lambda raw: raw[:3000], lambda raw: b"GGUF" + raw[99:]])
def test_a_damaged_gguf_file_is_an_error_and_no_crash(tmp_path: Path, damage: Any) -> None:
    """A garbage header is a segmentation fault in MLX's own reader."""
    file = write_gguf(tmp_path / "a.gguf", weights(0))
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ModelFileError):
        load(file)


@pytest.mark.parametrize(
    ("pre", "pieces"),
    [
        ("gpt-2", ["I", "'ll", "ĠDON", "'", "T", "Ġ12345", "!!", "Ċ", "Ċ", "x"]),
        ("smollm", ["I", "'ll", "ĠDON", "'", "T", "Ġ", "1", "2", "3", "4", "5", "!!", "Ċ", "Ċ", "x"]),
        ("llama-bpe", ["I", "'ll", "ĠDON", "'T", "Ġ", "123", "45", "!!ĊĊ", "x"]),
        ("qwen2", ["I", "'ll", "ĠDON", "'T", "Ġ", "1", "2", "3", "4", "5", "!!ĊĊ", "x"]),
    ],
)
def test_pre_tokenizers_split_as_the_models_do(tmp_path: Path, pre: str, pieces: list[str]) -> None:
    file = write_gguf(tmp_path / "a.gguf", weights(0), pre=pre)
    split = rebuild_tokenizer(read_gguf(file))._special.pre_tokenizer.pre_tokenize_str("I'll DON'T 12345!!\n\nx")
    assert [piece for piece, _ in split] == pieces


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "llama-bpe", "qwen2"])
def test_rebuilt_tokenizers_read_the_same_tokens_as_llama_cpp(tmp_path: Path, pre: str) -> None:
    """The vocabulary joins any two of the letters that pre-tokenizers part, so a wrong split gives other tokens."""
    described = json.loads(tokenizer_json())
    tokens = sorted(described["model"]["vocab"], key=described["model"]["vocab"].get)[:259]
    letters = [*"aLlTt12!'.", "Ġ", "Ċ", "č", "Ã", "©", "ã", "ģ", "Ĥ"]
    merges = [(left, right) for left in letters for right in letters]
    random.Random(0).shuffle(merges)  # noqa: S311 - a fixed order, no secret
    tokens += [left + right for left, right in merges]
    changes = {
        "tokenizer.ggml.tokens": (ARRAY, (STRING, tokens)),
        "tokenizer.ggml.token_type": (ARRAY, (INT32, [3] * 3 + [1] * (len(tokens) - 3))),
        "tokenizer.ggml.merges": (ARRAY, (STRING, [" ".join(pair) for pair in merges])),
    }
    arrays = weights(0)
    arrays["model.embed_tokens.weight"] = np.zeros((len(tokens), CONFIG["hidden_size"]), np.float32)
    file = write_gguf(tmp_path / "a.gguf", arrays, pre=pre, changes=changes)
    rebuilt, theirs = rebuild_tokenizer(read_gguf(file)), llamacpp.load(file, context_length=64)
    draw = random.Random(1)  # noqa: S311 - a fixed order, no secret
    texts = ["".join(draw.choices("aLlTt12!'. \n\r\tébc漢🙂\u00a0\u3000٣²", k=20)) for _ in range(300)]
    got = [rebuilt.tokenize(text, special=False) for text in texts]
    wanted = [theirs.tokenize(text, special=False) for text in texts]
    add_bos = theirs.info.add_bos
    theirs.close()
    assert got == wanted
    assert adds_bos(read_gguf(file)) == add_bos


@pytest.fixture(scope="module")
def embedded() -> Path:
    return fetch(resolve("embedded"), engine_format="gguf", progress=None)


@pytest.fixture(scope="module")
def engines(embedded: Path) -> Iterator[tuple[Decoder, Decoder]]:
    """Load the embedded model on llama.cpp, which runs in a process of its own, and on MLX."""
    decoders = (llamacpp.load(embedded, context_length=512), load(embedded, context_length=512))
    yield decoders
    for decoder in decoders:
        decoder.close()


TEXTS = [
    "Hello world",
    " leading space",
    "12345 6.78 ²³½ ٣٤٥ Ⅷ",
    "🙂👩‍👩‍👧 emoji",
    "漢字かな交じり文, 中文",
    "a  b   c\n\n\t d  ",
    "don't I'LL we've",
    "<|im_start|>user\nhi<|im_end|>",
    "naïve café e\u0301",
    "  ",
    "x\u00a0y\u3000z ａｂｃ１２３",
    "def f(x):\n    return x**2  # ok\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_both_engines_read_the_same_tokens(engines: tuple[Decoder, Decoder], text: str) -> None:
    for special in (False, True):
        one, other = (decoder.tokenize(text, special=special) for decoder in engines)
        assert one == other
        assert engines[1].detokenize(other) == text


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\0"), max_size=60))
def test_both_engines_read_the_same_tokens_in_any_text(engines: tuple[Decoder, Decoder], text: str) -> None:
    one, other = (decoder.tokenize(text, special=False) for decoder in engines)
    assert one == other


def test_both_engines_write_the_same_greedy_text(engines: tuple[Decoder, Decoder]) -> None:
    """Identical here; on prompts with two near candidates they may part, see the next test."""
    prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    answers = [ask(decoder, prompt, max_tokens=10) for decoder in engines]
    assert [answer.text for answer in answers] == ["The capital of France is Paris."] * 2
    assert [answer.done.reason for answer in answers] == ["stop", "stop"]


def test_both_engines_give_nearly_the_same_logprobs(embedded: Path, engines: tuple[Decoder, Decoder]) -> None:
    """llama.cpp rounds activations to 8 bits, which moves a log-probability by at most 0.19 (measured).

    Measured with values in 16-bit floats; in BF16, which ``reproducible`` takes, they are rounded more.
    """
    prompt = "<|im_start|>user\nHow do plants grow?<|im_end|>\n<|im_start|>assistant\n"
    exact = llamacpp.load(embedded, context_length=512, reproducible=False)
    one, other = (ask(decoder, prompt, max_tokens=6, logprobs=5).tokens for decoder in (exact, engines[1]))
    exact.close()
    differences = []
    for token, twin in zip(one, other, strict=True):
        theirs = {alternative.id: alternative.logprob for alternative in twin.alternatives}
        differences += [
            abs(alternative.logprob - theirs[alternative.id])
            for alternative in token.alternatives[:3]
            if alternative.id in theirs
        ]
        if token.id != twin.id:
            break
    assert len(differences) >= 6
    assert max(differences) <= 0.19
