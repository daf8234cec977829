"""Read a GGUF file as an MLX model: its weights, configuration and tokenizer, in memory.

Weights of the types that MLX packs the same way (Q4_0, Q4_1, Q8_0) stay as they are; nothing is written to disk.

Sources: names and order of rows, llama.cpp's ``convert_hf_to_gguf.py`` and ``gguf-py/gguf/tensor_mapping.py``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from llmkit.engines.mlx_model import Checkpoint, end_ids
from llmkit.errors import ModelFileError
from llmkit.models.gguf import read_gguf
from llmkit.models.gguf_tokenizer import adds_bos, rebuild_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from llmkit.models.gguf import GGUFHeader

# Architectures whose graph in mlx-lm is the same, name for name. Others differ in a detail that would change the text.
_ARCHITECTURES: Final = ("llama", "qwen2", "qwen3")
# MLX reads these; it drops or refuses all others.
_PACKED: Final = {"Q4_0": 4, "Q4_1": 4, "Q8_0": 8}
_WIDENED: Final = ("F32", "F16", "BF16", "Q2_K", "Q4_K", "Q6_K")
_GROUP_SIZE: Final = 32

_LAYER_NAMES: Final = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "ffn_norm": "post_attention_layernorm",
}
_OTHER_NAMES: Final = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_NAME: Final = re.compile(r"(?:blk\.(?P<layer>\d+)\.)?(?P<tensor>\w+)\.(?P<part>weight|bias|scales|biases)")
_ROPE_FACTORS: Final = "rope_freqs.weight"


def read_gguf_checkpoint(path: Path) -> Checkpoint:
    """Return the model in a GGUF file, its weights not yet evaluated; on the decode thread only.

    Raises
    ------
    ModelFileError
        The file is damaged, or its architecture, tensor types or tokenizer can't be read with MLX.
    """
    header = read_gguf(path)
    _check(header)
    import mlx.core as mx

    arrays: Any = mx.load(str(path), format="gguf")
    config = _config(header, arrays)
    factors = arrays.pop(_ROPE_FACTORS, None)
    if factors is not None:
        config["rope_scaling"] = _llama3_scaling(header, config, factors)
    model = _build(config, _weights(header, config, arrays))
    tokenizer = rebuild_tokenizer(header)
    tokens = header.metadata["tokenizer.ggml.tokens"]
    ids = {kind: header.integer(f"tokenizer.ggml.{kind}_token_id") for kind in ("bos", "eos", "eot", "eom")}
    texts = {kind: tokens[id_] for kind, id_ in ids.items() if id_ is not None and id_ < len(tokens)}
    declared = [id_ for kind, id_ in ids.items() if kind != "bos" and kind in texts and id_ is not None]
    return Checkpoint(
        model=model,
        config=config,
        tokenizer=tokenizer,
        chat_template=header.chat_template,
        bos_token=texts.get("bos", ""),
        eos_token=texts.get("eos", ""),
        add_bos="bos" in texts and adds_bos(header),
        end_ids=end_ids(tokenizer, declared),
    )


def _check(header: GGUFHeader) -> None:
    """Refuse what MLX would read wrongly, or not at all."""
    if header.split:
        _refuse(header, "it is one part of a model split over several files")
    if header.architecture not in _ARCHITECTURES:
        _refuse(header, f"its architecture is {header.architecture!r}; MLX reads {', '.join(_ARCHITECTURES)}")
    for tensor in header.tensors:
        if tensor.type not in _PACKED and tensor.type not in _WIDENED:
            _refuse(header, f"its tensor {tensor.name!r} has the type {tensor.type}, which MLX can't read")
        if tensor.name != _ROPE_FACTORS and _mlx_name(tensor.name) is None:
            _refuse(header, f"its tensor {tensor.name!r} has no place in MLX's {header.architecture} model")
    if header.integer(f"{header.architecture}.expert_count"):
        _refuse(header, "it is a mixture of experts")
    scaling = header.text(f"{header.architecture}.rope.scaling.type")
    if scaling not in {None, "none", "linear"}:
        _refuse(header, f"it stretches its context by {scaling!r}")


def _refuse(header: GGUFHeader, cause: str) -> None:
    raise ModelFileError(f"{header.path} can't be loaded with MLX: {cause}. Use engine='llamacpp'.")


def _config(header: GGUFHeader, arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the ``config.json`` that mlx-lm would have been given."""
    architecture = header.architecture

    def number(key: str) -> Any:
        value = header.metadata.get(f"{architecture}.{key}")
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            _refuse(header, f"its metadata {architecture}.{key} is {value!r}")
        return value

    def number_or(key: str, default: Any) -> Any:
        return number(key) if f"{architecture}.{key}" in header.metadata else default

    heads, width = number("attention.head_count"), number("embedding_length")
    head_width = number_or("attention.key_length", width // heads)
    if number_or("attention.value_length", head_width) != head_width:
        _refuse(header, "its keys and values differ in width")
    if number_or("rope.dimension_count", head_width) != head_width:
        _refuse(header, "it rotates only a part of each head")
    config = {
        "model_type": architecture,
        "hidden_size": width,
        "num_hidden_layers": number("block_count"),
        "intermediate_size": number("feed_forward_length"),
        "num_attention_heads": heads,
        "num_key_value_heads": number_or("attention.head_count_kv", heads),
        "head_dim": head_width,
        "rms_norm_eps": number("attention.layer_norm_rms_epsilon"),
        "vocab_size": arrays["token_embd.weight"].shape[0],
        "rope_theta": number_or("rope.freq_base", 10000.0),
        "max_position_embeddings": number("context_length"),
        "tie_word_embeddings": "output.weight" not in arrays,
        "attention_bias": "blk.0.attn_q.bias" in arrays,
        "mlp_bias": "blk.0.ffn_up.bias" in arrays,
    }
    if architecture == "qwen2" and head_width * heads != width:
        _refuse(header, "its heads don't divide its width")
    if header.text(f"{architecture}.rope.scaling.type") == "linear":
        config["rope_scaling"] = {"type": "linear", "factor": number("rope.scaling.factor")}
    return config


def _llama3_scaling(header: GGUFHeader, config: dict[str, Any], factors: Any) -> dict[str, Any]:
    """Return the settings behind a Llama 3 file's frequency factors, which are all that the file keeps.

    Meta published two: https://github.com/meta-llama/llama-models, factor 8 for Llama 3.1 and 3.3, 32 for 3.2.
    """
    import mlx.core as mx
    from mlx_lm.models.rope_utils import Llama3RoPE

    width = config["head_dim"]
    plain = config["rope_theta"] ** (mx.arange(0, width, 2) / width)
    for factor in (8.0, 32.0):
        scaling = {
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
        rope = Llama3RoPE(width, base=config["rope_theta"], scaling_config=scaling)
        ratios = rope._freqs / plain  # noqa: SLF001 - nothing public tells them
        if ratios.shape == factors.shape and mx.allclose(ratios, factors, rtol=1e-3).item():
            return scaling
    _refuse(header, "it stretches its context in a way MLX doesn't know")
    return {}


def _weights(header: GGUFHeader, config: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the arrays under mlx-lm's names, in its order of rows and in the type it is to compute in."""
    import mlx.core as mx

    # The CPU has no half-precision arithmetic, and Qwen's activations overflow in it.
    accelerated = mx.default_device() == mx.gpu
    compute = mx.float16 if accelerated and config["model_type"] == "llama" else mx.float32
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    weights = {}
    for name, array in arrays.items():
        target = _mlx_name(name)
        if target is None:
            _refuse(header, f"MLX reads a tensor {name!r} from it that has no place in the model")
            continue
        tensor = name.split(".")[-2]
        if config["model_type"] == "llama" and tensor in heads:
            array = _unpermute(array, heads[tensor])  # noqa: PLW2901
        weights[target] = array if array.dtype == mx.uint32 else array.astype(compute)
    return weights


def _mlx_name(name: str) -> str | None:
    parts = _NAME.fullmatch(name)
    if parts is None:
        return None
    layer, tensor, part = parts.group("layer", "tensor", "part")
    if layer is None:
        return f"{_OTHER_NAMES[tensor]}.{part}" if tensor in _OTHER_NAMES else None
    return f"model.layers.{layer}.{_LAYER_NAMES[tensor]}.{part}" if tensor in _LAYER_NAMES else None


def _unpermute(array: Any, heads: int) -> Any:
    """Undo ``LlamaModel.permute`` of llama.cpp's converter, which interleaves each head's two halves."""
    rows = array.shape[0]
    return array.reshape(heads, rows // heads // 2, 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def _build(config: dict[str, Any], weights: dict[str, Any]) -> Any:
    """Return mlx-lm's model with these weights."""
    import importlib

    from mlx.nn.layers.quantized import quantize

    module = importlib.import_module(f"mlx_lm.models.{config['model_type']}")
    model = module.Model(module.ModelArgs.from_dict(config))
    bits = dict(_packed_layers(weights))

    def packing(path: str, _layer: Any) -> Any:
        return {"group_size": _GROUP_SIZE, "bits": bits[path]} if path in bits else False

    quantize(model, group_size=_GROUP_SIZE, bits=4, class_predicate=packing)
    model.eval()
    model.load_weights(list(weights.items()), strict=True)
    return model


def _packed_layers(weights: dict[str, Any]) -> Iterable[tuple[str, int]]:
    """Yield each packed layer and its bits: 32-bit words a row over numbers a row."""
    for name, scales in weights.items():
        if name.endswith(".scales"):
            path = name.removesuffix(".scales")
            yield path, 32 * weights[f"{path}.weight"].shape[1] // (_GROUP_SIZE * scales.shape[1])
