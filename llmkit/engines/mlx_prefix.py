"""Keys and values of earlier prompts, kept for reuse by later ones that begin alike.

Only the decode thread uses this.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Final

from llmkit.errors import EngineError, ModelFileError
from llmkit.models.safetensors import read_safetensors_header

_ENTRIES: Final = 256  # more than fit; the bytes are the bound
_MODEL: Final = "model"  # mlx-lm's cache can serve several models; each decoder has its own
_FORMAT: Final = "1"


class PrefixCache:
    """What the model has read lately, least recently used dropped first.

    Parameters
    ----------
    model : mlx model
        Knows what kinds of cache its layers use.
    max_bytes : int
        At most so much memory.
    fingerprint : str
        Identifies the model; a saved prefix of another model is refused.
    """

    def __init__(self, model: Any, *, max_bytes: int, fingerprint: str) -> None:
        from mlx_lm.models.cache import LRUPromptCache, make_prompt_cache

        self._fingerprint = fingerprint
        self._classes = [type(layer).__name__ for layer in make_prompt_cache(model)]
        self._entries = LRUPromptCache(_ENTRIES, max_bytes)

    @property
    def memory(self) -> int:
        """Bytes held."""
        return int(self._entries.nbytes)

    def fetch(self, prompt: list[int]) -> tuple[list[Any] | None, int]:
        """Return a copy of the longest usable beginning of ``prompt`` and how many tokens it holds.

        At least the last token is always left to read, because its logits are what comes next.
        """
        from mlx_lm.models.cache import can_trim_prompt_cache, trim_prompt_cache

        cache, rest = self._entries.fetch_nearest_cache(_MODEL, prompt)
        if cache is None:
            return None, 0
        if not rest:
            if not can_trim_prompt_cache(cache):
                return None, 0
            trim_prompt_cache(cache, 1)
            rest = prompt[-1:]
        kept = len(prompt) - len(rest)
        return (cache, kept) if kept else (None, 0)

    def insert(self, tokens: list[int], cache: list[Any]) -> None:
        """Keep the keys and values of ``tokens``."""
        import mlx.core as mx

        if tokens and cache:
            mx.eval([layer.state for layer in cache])
            self._entries.insert_cache(_MODEL, list(tokens), cache)

    def save(self, tokens: list[int], cache: list[Any], path: Path) -> None:
        """Write the keys and values of ``tokens`` to ``path``, whole or not at all."""
        from mlx_lm.models.cache import save_prompt_cache

        metadata = {"format": _FORMAT, "model": self._fingerprint, "tokens": json.dumps(tokens)}
        partial = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # mlx adds this suffix to any other name.
            with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".safetensors", delete=False) as file:
                partial = Path(file.name)
            save_prompt_cache(str(partial), cache, metadata)
            partial.replace(path)
        except (OSError, RuntimeError) as error:
            raise EngineError(f"The prefix can't be saved to {path}: {error}. Check the folder and disk.") from error
        finally:
            if partial is not None:
                partial.unlink(missing_ok=True)

    def load(self, path: Path) -> int:
        """Take in what :meth:`save` wrote; return how many tokens it holds.

        Raises
        ------
        ModelFileError
            The file is damaged, was saved with another model, or isn't a saved prefix.
        """
        from mlx_lm.models.cache import load_prompt_cache

        tokens = self._saved_tokens(path)
        try:
            with tempfile.TemporaryDirectory() as folder:
                link = Path(folder, "prefix.safetensors")  # mlx reads by suffix; the caller may use any name
                link.symlink_to(path.resolve())
                cache: Any = load_prompt_cache(str(link))  # type: ignore[no-untyped-call]
                held = {int(layer.size()) for layer in cache if not layer.empty()}
                if held - {0, len(tokens)}:
                    raise ValueError(f"it names {len(tokens)} tokens and holds {max(held)}")  # noqa: TRY301
                self.insert(tokens, cache)
        except Exception as error:  # a file that was tampered with can make mlx raise anything
            raise ModelFileError(f"{path} can't be used: {error}. Save the prefix again.") from error
        return len(tokens)

    def _saved_tokens(self, path: Path) -> list[int]:
        """Return the token ids that a saved prefix holds, after checking that it is one of this model."""
        metadata = read_safetensors_header(path).get("__metadata__")
        metadata = metadata if isinstance(metadata, dict) else {}
        # mlx-lm flattens [metadata, class names, …] to the keys "0.name", "1.0", "1.1", …
        if metadata.get("0.format") != _FORMAT:
            raise ModelFileError(f"{path} isn't a prefix saved by this version of llmkit. Save it again.")
        classes = [metadata[key] for key in (f"1.{n}" for n in range(len(metadata))) if key in metadata]
        if metadata.get("0.model") != self._fingerprint or classes != self._classes:
            raise ModelFileError(f"{path} was saved with another model. Save the prefix again with this one.")
        return [int(token) for token in json.loads(metadata["0.tokens"])]
