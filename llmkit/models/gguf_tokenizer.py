"""Rebuild a tokenizer from a GGUF file's metadata.

Sources: the pre-tokenizers' patterns are those of the models' own ``tokenizer.json``, as llama.cpp quotes them in
``src/llama-vocab.cpp``; the numbers of token types are its ``enum llama_token_type``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llmkit.engines.mlx_tokenizer import MLXTokenizer
from llmkit.errors import ModelFileError

if TYPE_CHECKING:
    from llmkit.models.gguf import GGUFHeader

_CONTROL: Final = 3
_USER_DEFINED: Final = 4
_CONTRACTIONS: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LLAMA3: Final = (
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2: Final = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_KINDS: Final = {
    "smollm": "smollm",
    "gpt-2": "gpt-2",
    "llama-bpe": "llama-bpe",
    "llama3": "llama-bpe",
    "llama-v3": "llama-bpe",
    "qwen2": "qwen2",
    "deepseek-r1-qwen": "qwen2",
}


def rebuild_tokenizer(header: GGUFHeader) -> MLXTokenizer:
    """Return the tokenizer that a GGUF file describes.

    Like llama.cpp, it leaves the text's Unicode form alone (Qwen's own would normalise to NFC).

    Raises
    ------
    ModelFileError
        The file has no tokenizer, or one of a kind that isn't known well enough to give the same tokens.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models

    tokens, types, merges = _vocabulary(header)
    kind = _kind(header)
    try:
        pairs = [(left, right) for left, right in (merge.split(" ") for merge in merges)]
        # Llama 3 takes a word whole if it is a token, without going through the merges.
        model = models.BPE(
            vocab={token: id_ for id_, token in enumerate(tokens)},
            merges=pairs,
            ignore_merges=kind == "llama-bpe",
        )
        tokenizer = Tokenizer(model)
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelFileError(
            f"{header.path} can't be used: its tokenizer is damaged ({error}). Fetch the file again."
        ) from error
    tokenizer.pre_tokenizer = _pre_tokenizer(kind)
    tokenizer.decoder = decoders.ByteLevel()
    for type_, add in ((_CONTROL, tokenizer.add_special_tokens), (_USER_DEFINED, tokenizer.add_tokens)):
        add(
            [
                AddedToken(token, special=type_ == _CONTROL, normalized=False)
                for token, found in zip(tokens, types, strict=True)
                if found == type_
            ]
        )
    return MLXTokenizer(tokenizer.to_str(), name=str(header.path))


def adds_bos(header: GGUFHeader) -> bool:
    """Whether a prompt must start with the begin token; Llama 3's must, unless the file says otherwise."""
    declared = header.metadata.get("tokenizer.ggml.add_bos_token")
    return _kind(header) == "llama-bpe" if declared is None else bool(declared)


def _kind(header: GGUFHeader) -> str:
    model, pre = header.text("tokenizer.ggml.model"), header.text("tokenizer.ggml.pre")
    if model != "gpt2" or pre not in _KINDS:
        raise ModelFileError(
            f"{header.path} can't be loaded with MLX: its tokenizer ({model!r}, {pre!r}) can't be rebuilt; known are "
            f"'gpt2' with {', '.join(_KINDS)}. Use engine='llamacpp', or MLX safetensors of the model."
        )
    return _KINDS[pre]


def _vocabulary(header: GGUFHeader) -> tuple[list[str], list[int], list[str]]:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    merges = header.metadata.get("tokenizer.ggml.merges")
    if not isinstance(tokens, list) or not isinstance(merges, list) or len(set(tokens)) != len(tokens):
        raise ModelFileError(
            f"{header.path} can't be loaded with MLX: it has no whole tokenizer. Use engine='llamacpp'."
        )
    types = header.metadata.get("tokenizer.ggml.token_type", [1] * len(tokens))
    if not isinstance(types, list) or len(types) != len(tokens):
        raise ModelFileError(f"{header.path} can't be used: its token types don't fit. Fetch the file again.")
    return tokens, types, merges


def _pre_tokenizer(kind: str) -> Any:
    from tokenizers import Regex, pre_tokenizers

    if kind == "gpt-2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    if kind == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        return pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    split = pre_tokenizers.Split(Regex(_LLAMA3 if kind == "llama-bpe" else _QWEN2), behavior="isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
