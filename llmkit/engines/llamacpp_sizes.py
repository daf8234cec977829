"""How long a context and how many slots a model gets, and what else its file tells the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmkit.models.gguf import GGUFHeader

# Long enough for a chat over some pages of text; a model's own context may be 131,072 and more, whose keys and values
# (23 KB a token for a 135M model, 128 KB for a usual 8B one, for each slot) no notebook's machine has the memory for.
DEFAULT_CONTEXT_LENGTH = 8192
SHORTEST_DEFAULT_CONTEXT_LENGTH = 2048
# Memory is filled when a model is loaded; a gigabyte takes about a second.
MOST_KV_BYTES = 768 * 2**20
CONTROL_TOKEN = 3  # llama.cpp's LLAMA_TOKEN_TYPE_CONTROL, in the file's ``tokenizer.ggml.token_type``


def fit(header: GGUFHeader, context_length: int | None, slots: int) -> tuple[int, int]:
    """Return the context length and number of slots whose keys and values take at most an eighth of memory and 768 MiB.

    A context length that was asked for is kept, so that slots become fewer; one that wasn't is made shorter first.
    """
    room = min(_memory() // 8, MOST_KV_BYTES) // max(1, kv_bytes_per_token(header))  # in tokens
    if context_length is None:
        context_length = min(header.context_length or DEFAULT_CONTEXT_LENGTH, DEFAULT_CONTEXT_LENGTH)
        while context_length * slots > room and context_length >= 2 * SHORTEST_DEFAULT_CONTEXT_LENGTH:
            context_length //= 2
    return context_length, max(1, min(slots, room // context_length))


def kv_bytes_per_token(header: GGUFHeader) -> int:
    """Return how many bytes a token's keys and values take, in 16-bit numbers; 0 is unknown.

    Layers × key/value heads × (key length + value length) × 2. Where the file gives a number for each layer, the
    largest counts.
    """

    def number(key: str, default: int = 0) -> int:
        value = header.metadata.get(f"{header.architecture}.{key}", default)
        return max((int(each) for each in value), default=0) if isinstance(value, list) else int(value)

    heads = number("attention.head_count")
    length = number("embedding_length") // max(1, heads)
    lengths = number("attention.key_length", length) + number("attention.value_length", length)
    return number("block_count") * number("attention.head_count_kv", heads) * lengths * 2


def _memory() -> int:
    import psutil

    return int(psutil.virtual_memory().total)


def prefix_cache_mib() -> int:
    """Return how much memory finished prompts may hold: a sixteenth of it all, between 64 MiB and 1 GiB."""
    return min(1024, max(64, _memory() // 2**24))


def control_tokens(header: GGUFHeader) -> dict[int, str]:
    """Return the texts of the control tokens by id."""
    texts = header.metadata.get("tokenizer.ggml.tokens", [])
    types = header.metadata.get("tokenizer.ggml.token_type", [])
    return {id_: text for id_, (text, kind) in enumerate(zip(texts, types, strict=False)) if kind == CONTROL_TOKEN}
