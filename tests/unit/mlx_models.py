"""A Llama model of a few kilobytes with random weights, which decodes in milliseconds, and a way to ask it."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from llmkit.engines.decoder import Decoder, DecodeRequest, Done, Prefill, Report, Sampling, Token, Tokens
from tests.unit.gguf_files import ARRAY, FLOAT32, INT32, STRING, UINT32, GGUFFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VOCABULARY = 320
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "vocab_size": VOCABULARY,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "eos_token_id": 2,
}


def write_model(
    folder: Path, *, seed: int = 0, arrays: dict[str, Any] | None = None, config: dict[str, Any] | None = None
) -> Path:
    """Write a tiny MLX model: safetensors, config.json, tokenizer.json, tokenizer_config.json."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(arrays or weights(seed), folder / "model.safetensors", metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
    (folder / "tokenizer.json").write_text(tokenizer_json())
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": {"content": CONTROL[1]}, "eos_token": CONTROL[2], "chat_template": "{{ messages }}"})
    )
    return folder


def weights(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    width, inner, keys = CONFIG["hidden_size"], CONFIG["intermediate_size"], 16
    shapes = {"model.embed_tokens.weight": (VOCABULARY, width), "model.norm.weight": (width,)}
    for layer in range(CONFIG["num_hidden_layers"]):
        path = f"model.layers.{layer}."
        shapes |= {
            f"{path}self_attn.q_proj.weight": (width, width),
            f"{path}self_attn.k_proj.weight": (keys, width),
            f"{path}self_attn.v_proj.weight": (keys, width),
            f"{path}self_attn.o_proj.weight": (width, width),
            f"{path}mlp.gate_proj.weight": (inner, width),
            f"{path}mlp.up_proj.weight": (inner, width),
            f"{path}mlp.down_proj.weight": (width, inner),
            f"{path}input_layernorm.weight": (width,),
            f"{path}post_attention_layernorm.weight": (width,),
        }
    return {name: random.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def tokenizer_json() -> str:
    """Return a byte-level tokenizer: every byte, a few merges, three control tokens and one that isn't."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens = [*CONTROL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "w"), ("Ġ", "hello")]
    tokens += [left + right for left, right in merges]
    tokenizer = Tokenizer(models.BPE(vocab={token: id_ for id_, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False)])
    text: str = tokenizer.to_str()
    return text


def write_gguf(
    path: Path,
    arrays: dict[str, Any],
    *,
    architecture: str = "llama",
    pre: str = "gpt-2",
    packing: str = "F32",
    changes: Mapping[str, tuple[int, Any] | None] | None = None,
) -> Path:
    """Write MLX weights as llama.cpp's converter would: its names, its order of rows, packed as asked.

    ``changes`` replaces or (with ``None``) removes metadata.
    """
    described = json.loads(tokenizer_json())
    tokens = sorted(described["model"]["vocab"], key=described["model"]["vocab"].get)
    control = {added["content"] for added in described["added_tokens"] if added["special"]}
    tokens += ["<think>"] + [f"[UNUSED_{n}]" for n in range(VOCABULARY - len(tokens) - 1)]
    types = [3 if token in control else 4 if token == tokens[265] else 1 for token in tokens]
    metadata: dict[str, tuple[int, Any] | None] = {
        "general.architecture": (STRING, architecture),
        f"{architecture}.embedding_length": (UINT32, CONFIG["hidden_size"]),
        f"{architecture}.block_count": (UINT32, CONFIG["num_hidden_layers"]),
        f"{architecture}.feed_forward_length": (UINT32, CONFIG["intermediate_size"]),
        f"{architecture}.attention.head_count": (UINT32, CONFIG["num_attention_heads"]),
        f"{architecture}.attention.head_count_kv": (UINT32, CONFIG["num_key_value_heads"]),
        f"{architecture}.attention.layer_norm_rms_epsilon": (FLOAT32, CONFIG["rms_norm_eps"]),
        f"{architecture}.rope.freq_base": (FLOAT32, CONFIG["rope_theta"]),
        f"{architecture}.context_length": (UINT32, CONFIG["max_position_embeddings"]),
        "tokenizer.ggml.model": (STRING, "gpt2"),
        "tokenizer.ggml.pre": (STRING, pre),
        "tokenizer.ggml.tokens": (ARRAY, (STRING, tokens)),
        "tokenizer.ggml.token_type": (ARRAY, (INT32, types)),
        "tokenizer.ggml.merges": (ARRAY, (STRING, [" ".join(pair) for pair in described["model"]["merges"]])),
        "tokenizer.ggml.bos_token_id": (UINT32, 1),
        "tokenizer.ggml.eos_token_id": (UINT32, 2),
        "tokenizer.chat_template": (STRING, "{{ messages }}"),
        **(changes or {}),
    }
    file = GGUFFile([(key, *value) for key, value in metadata.items() if value is not None])
    data = []
    for name, array in arrays.items():
        rows = permuted(name, array) if architecture == "llama" else array
        kind, raw = pack(rows, packing if rows.ndim == 2 and packing in PACKERS else "F32")
        file.add_tensor(gguf_name(name), array.shape[::-1], kind, len(raw))
        data.append(raw + b"\0" * (-len(raw) % 32))
    header = file.header()
    path.write_bytes(b"".join([header, b"\0" * (-len(header) % 32), *data]))
    return path


def gguf_name(name: str) -> str:
    for new, old in GGUF_NAMES.items():
        name = name.replace(old, new)
    return name.replace("model.layers.", "blk.").replace("model.", "")


def permuted(name: str, array: Any) -> Any:
    """Interleave the halves of each head, as ``LlamaModel.permute`` in ``convert_hf_to_gguf.py`` does."""
    heads = {"q_proj": CONFIG["num_attention_heads"], "k_proj": CONFIG["num_key_value_heads"]}.get(name.split(".")[-2])
    if heads is None:
        return array
    halves = array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:])
    return halves.swapaxes(1, 2).reshape(array.shape)


def pack(array: Any, packing: str) -> tuple[int, bytes]:
    """Return ggml's number for the packing, and the bytes."""
    if packing == "F32":
        return 0, array.astype("<f4").tobytes()
    if packing == "F16":
        return 1, array.astype("<f2").tobytes()
    number, packer = PACKERS[packing]
    blocks = array.reshape(-1, 32)
    return number, b"".join(packer(block) for block in blocks)


def _q8_0(block: Any) -> bytes:
    scale = np.float16(np.abs(block).max() / 127)
    steps = np.round(block / np.float32(scale)).clip(-127, 127).astype(np.int8)
    return b"".join([scale.tobytes(), steps.tobytes()])


def _q4_0(block: Any) -> bytes:
    scale = np.float16(block[np.abs(block).argmax()] / -8)
    return scale.tobytes() + _nibbles(np.floor(block / np.float32(scale) + 8.5))


def _q4_1(block: Any) -> bytes:
    least, scale = np.float16(block.min()), np.float16((block.max() - block.min()) / 15)
    steps = np.floor((block - np.float32(least)) / np.float32(scale) + 0.5)
    return scale.tobytes() + least.tobytes() + _nibbles(steps)


def _nibbles(values: Any) -> bytes:
    steps = values.clip(0, 15).astype(np.uint8)
    packed: bytes = (steps[:16] | (steps[16:] << 4)).tobytes()
    return packed


def unpacked(array: Any, packing: str) -> Any:
    """Return the numbers that are left of ``array`` after packing."""
    if packing == "F32" or array.ndim < 2:
        return array
    _, raw = pack(array, packing)
    rows = np.frombuffer(raw, np.uint8).reshape(array.size // 32, -1)
    head = rows[:, : 4 if packing == "Q4_1" else 2].copy().view(np.float16).astype(np.float32)
    body = rows[:, head.shape[1] * 2 :]
    if packing == "Q8_0":
        steps = body.view(np.int8).astype(np.float32)
    else:
        steps = np.concatenate([body & 15, body >> 4], axis=1).astype(np.float32)
    base = head[:, 1:] if packing == "Q4_1" else head[:, :1] * (-8 if packing == "Q4_0" else 0)
    return (steps * head[:, :1] + base).reshape(array.shape)


PACKERS = {"Q4_0": (2, _q4_0), "Q4_1": (3, _q4_1), "Q8_0": (8, _q8_0)}
GGUF_NAMES = {
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}


class Answer:
    """A request in flight, and all that was reported of it."""

    def __init__(self, decoder: Decoder, request: DecodeRequest) -> None:
        self.request = request
        self.reports: list[Report] = []
        self._grown = threading.Condition()
        decoder.decode(request, self._report)

    def _report(self, report: Report) -> None:
        with self._grown:
            self.reports.append(report)
            self._grown.notify_all()

    def until(self, kind: type[Report]) -> None:
        with self._grown:
            assert self._grown.wait_for(lambda: any(isinstance(report, kind) for report in self.reports), 60)

    @property
    def done(self) -> Done:
        self.until(Done)
        last = self.reports[-1]
        assert isinstance(last, Done)
        return last

    @property
    def tokens(self) -> list[Token]:
        assert self.done
        return [token for report in self.reports if isinstance(report, Tokens) for token in report.tokens]

    @property
    def prefills(self) -> list[Prefill]:
        return [report for report in self.reports if isinstance(report, Prefill)]

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.tokens]

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens) + self.done.tail


_count = iter(range(10**9))


def ask(decoder: Decoder, prompt: str | list[int] = "hello world", max_tokens: int = 12, **fields: Any) -> Answer:
    """Start a request; a text is tokenised with its control tokens. ``seed=…`` and the like go to the sampling."""
    sampling = {key: fields.pop(key) for key in list(fields) if key in Sampling.__dataclass_fields__}
    ids = decoder.tokenize(prompt, special=True) if isinstance(prompt, str) else prompt
    id_ = fields.pop("id", f"test-{next(_count)}")
    return Answer(decoder, DecodeRequest(id_, tuple(ids), max_tokens, Sampling(**sampling), **fields))
