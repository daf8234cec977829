"""Load a model for the MLX decoder: a folder of safetensors, or a GGUF file."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from llmkit.engines.decoder import DecoderInfo
from llmkit.engines.mlx_tokenizer import MLXTokenizer
from llmkit.errors import EngineError, Error, ModelFileError, ModelNotFound
from llmkit.models.safetensors import read_safetensors_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Tokens that end a turn in some family's template, though the model's own list may forget them; the names are those
# that llama.cpp goes by (`llama_vocab::impl::load`).
_END_NAMES = (
    "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<|eom_id|>", "<|end|>",
    "<|return|>", "<|call|>", "</s>", "<eos>", "<end_of_utterance>", "<|fim_pad|>", "<fim-pad>", "<fim_pad>",
    "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<reponame>", "<|file_sep|>",
)  # fmt: skip
_DEFAULT_CONTEXT = 4096
_EVAL_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a folder or file holds: the model with its weights still unread, and what it says of itself."""

    model: Any
    config: dict[str, Any]
    tokenizer: MLXTokenizer
    chat_template: str | None
    bos_token: str
    eos_token: str
    add_bos: bool
    end_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory, and what the decoder must know of it."""

    model: Any
    tokenizer: MLXTokenizer
    device: str
    build: str
    chat_template: str | None
    bos_token: str
    eos_token: str
    add_bos: bool
    end_ids: tuple[int, ...]
    context_length: int
    vocabulary_size: int
    weight_bytes: int
    fingerprint: str

    def info(self, slots: int) -> DecoderInfo:
        """Return what the decoder tells of the model."""
        return DecoderInfo(
            engine="mlx",
            device=self.device,
            context_length=self.context_length,
            vocabulary_size=self.vocabulary_size,
            chat_template=self.chat_template,
            bos_token=self.bos_token,
            eos_token=self.eos_token,
            add_bos=self.add_bos,
            end_ids=self.end_ids,
            slots=slots,
            build=self.build,
        )


def load_model(path: Path, *, context_length: int | None, progress: Callable[[float], None]) -> LoadedModel:
    """Read a model into memory; on the decode thread only.

    Parameters
    ----------
    path : Path
        A folder with safetensors, ``config.json`` and ``tokenizer.json``, or a ``.gguf`` file.
    context_length : int, optional
        Use at most so many tokens of the model's context.
    progress : callable
        Is told the part that is done, 0 to 1.

    Raises
    ------
    EngineError
        MLX isn't installed or can't be started.
    ModelNotFound, ModelFileError
        There is nothing at ``path``, or it can't be read.
    """
    progress(0.0)
    device, build = start_mlx()
    progress(0.1)
    try:
        checkpoint = _read(path)
        vocabulary_size = _count_logits(checkpoint.model)
    except Error:
        raise
    except Exception as error:  # mlx-lm raises ValueError, KeyError, TypeError, … for what it doesn't know
        raise ModelFileError(
            f"{path} can't be loaded with MLX: {type(error).__name__}: {error}. "
            "Fetch it again, or use a GGUF file of the model with engine='llamacpp'."
        ) from error
    progress(0.2)
    weight_bytes = _read_weights(checkpoint.model, lambda part: progress(0.2 + 0.8 * part))
    text_config = checkpoint.config | (checkpoint.config.get("text_config") or {})
    trained = int(text_config.get("max_position_embeddings") or _DEFAULT_CONTEXT)
    return LoadedModel(
        model=checkpoint.model,
        tokenizer=checkpoint.tokenizer,
        device=device,
        build=build,
        chat_template=checkpoint.chat_template,
        bos_token=checkpoint.bos_token,
        eos_token=checkpoint.eos_token,
        add_bos=checkpoint.add_bos,
        end_ids=checkpoint.end_ids,
        context_length=min(context_length or trained, trained),
        vocabulary_size=vocabulary_size,
        weight_bytes=weight_bytes,
        fingerprint=_fingerprint(checkpoint, weight_bytes),
    )


def start_mlx() -> tuple[str, str]:
    """Import MLX on this thread; return the device it uses and its version.

    Raises
    ------
    EngineError
        It isn't installed, or fails to start.
    """
    if sys.platform != "darwin":
        # On the CPU, compiling runs g++ and writes a shared temporary folder, and is no faster.
        os.environ.setdefault("MLX_DISABLE_COMPILE", "1")
    try:
        import mlx.core as mx
        import mlx_lm.generate  # noqa: F401 - here, so that a failure is told apart from the model's
    except ModuleNotFoundError as error:
        raise EngineError(f'MLX isn\'t installed ({error}). Run: pip install "llmkit[mlx]"') from error
    except Exception as error:
        raise EngineError(
            f"MLX can't be started: {error}. It needs Apple Silicon, or Linux with glibc 2.35 or newer."
        ) from error
    accelerated = mx.default_device() == mx.gpu
    device = "metal" if accelerated and mx.metal.is_available() else "cuda" if accelerated else "cpu"
    return device, f"mlx {version('mlx')}, mlx-lm {version('mlx-lm')}"


def end_ids(tokenizer: MLXTokenizer, declared: list[int]) -> tuple[int, ...]:
    """Return the ids that end a generation: the declared ones and the control tokens that are known to."""
    named = {name: tokenizer.token_id(name) for name in _END_NAMES}
    found = {name: id_ for name, id_ in named.items() if id_ in tokenizer.control_ids}
    if {"<|return|>", "<|call|>"} <= found.keys():
        found.pop("<|end|>", None)  # harmony: it ends a message, and the turn goes on
    return tuple(dict.fromkeys([*declared, *(id_ for id_ in found.values() if id_ is not None)]))


def _read(path: Path) -> Checkpoint:
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise ModelNotFound(f"There is no model at {path}. Check the name, or fetch the model first.")
    from llmkit.models.gguf_mlx import read_gguf_checkpoint

    return read_gguf_checkpoint(path)


def _read_folder(path: Path) -> Checkpoint:
    from mlx_lm.utils import load_model as read_model

    for name in ("config.json", "tokenizer.json"):
        if not (path / name).is_file():
            raise ModelFileError(f"{path} has no {name}, so MLX can't load it. Fetch the whole model again.")
    weights = sorted(path.glob("model*.safetensors"))
    if not weights:
        raise ModelFileError(f"{path} has no model*.safetensors, so MLX can't load it. Fetch the model again.")
    for file in weights:
        read_safetensors_header(file)  # mlx is not to be trusted with a damaged one
    model, config = read_model(path, lazy=True)
    tokenizer = MLXTokenizer((path / "tokenizer.json").read_text("utf-8"), name=str(path))
    described = _json(path / "tokenizer_config.json")
    bos, eos = _token_text(described.get("bos_token")), _token_text(described.get("eos_token"))
    bos_id, eos_id = tokenizer.token_id(bos), tokenizer.token_id(eos)
    declared = config.get("eos_token_id")
    ends = declared if isinstance(declared, list) else [declared]
    add_bos = described.get("add_bos_token")
    return Checkpoint(
        model=model,
        config=config,
        tokenizer=tokenizer,
        chat_template=_chat_template(path, described),
        bos_token=bos,
        eos_token=eos,
        add_bos=tokenizer.starts_with(bos_id) if add_bos is None else bool(add_bos) and bos_id is not None,
        end_ids=end_ids(tokenizer, [id_ for id_ in [*ends, eos_id] if isinstance(id_, int)]),
    )


def _chat_template(path: Path, described: dict[str, Any]) -> str | None:
    file = path / "chat_template.jinja"
    if file.is_file():
        return file.read_text("utf-8")
    template = described.get("chat_template") or _json(path / "chat_template.json").get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = json.loads(path.read_text("utf-8"))
    return content if isinstance(content, dict) else {}


def _token_text(token: Any) -> str:
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""


def _count_logits(model: Any) -> int:
    """Return the width of the model's output; nothing is computed, as shapes are known beforehand."""
    import mlx.core as mx

    return int(model(mx.array([[0]])).shape[-1])


def _read_weights(model: Any, progress: Callable[[float], None]) -> int:
    """Bring the weights into memory some at a time; return their bytes."""
    import mlx.core as mx

    arrays: list[Any] = [array for _, array in _parameters(model)]
    total = sum(array.nbytes for array in arrays)
    done, batch, batch_bytes = 0, [], 0
    for array in arrays:
        batch.append(array)
        batch_bytes += array.nbytes
        if batch_bytes >= _EVAL_BYTES or array is arrays[-1]:
            mx.eval(batch)
            done += batch_bytes
            batch, batch_bytes = [], 0
            progress(done / total)
    return int(total)


def _parameters(model: Any) -> list[tuple[str, Any]]:
    from mlx.utils import tree_flatten

    flat: Any = tree_flatten(model.parameters())
    return list(flat)


def _fingerprint(checkpoint: Checkpoint, weight_bytes: int) -> str:
    """Return what tells this model from others, well enough that keys and values are never mixed up."""
    import mlx.core as mx

    digest = hashlib.sha256(json.dumps(checkpoint.config, sort_keys=True, default=str).encode())
    digest.update(f"{weight_bytes}".encode())
    for name, array in _parameters(checkpoint.model):
        if array.size:
            digest.update(f"{name}{array.shape}{mx.view(array.reshape(-1)[:64], mx.uint8).tolist()}".encode())
    return digest.hexdigest()
