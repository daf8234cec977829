"""What the worker sends, as the records and errors of :mod:`llmkit.engines.decoder` and :mod:`llmkit.errors`."""

from __future__ import annotations

import threading
from typing import Any

from llmkit.engines.decoder import Alternative, Done, Token
from llmkit.errors import EngineError, Error, ModelFileError


class Call:
    """An answer that another thread waits for; the first one counts."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._value: Any = None
        self._error: Error | None = None

    def succeed(self, value: Any) -> None:
        """Answer."""
        if not self._done.is_set():
            self._value = value
            self._done.set()

    def fail(self, error: Error) -> None:
        """Answer with an error."""
        if not self._done.is_set():
            self._error = error
            self._done.set()

    def result(self) -> Any:
        """Wait for the answer; return or raise it."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value


def read_token(token: list[Any]) -> Token:
    """Return a token; see :data:`llmkit.engines.llamacpp_stream.WireToken`."""
    id_, text, *rest = token
    if not rest:
        return Token(id_, text)
    logprob, others = rest
    return Token(id_, text, logprob, tuple(Alternative(*other) for other in others))


def read_done(done: dict[str, Any]) -> Done:
    """Return the end of a request."""
    return Done(
        done["reason"],
        raw_reason=done.get("raw") or done.get("kind") or "",
        tail=done.get("tail", ""),
        prompt_tokens=done.get("prompt"),
        cached_tokens=done.get("cached"),
        generated_tokens=done.get("generated"),
        prefill_time=done.get("prefill_time"),
        decode_time=done.get("decode_time"),
        error=_decode_error(done) if done["reason"] == "error" else None,
    )


def _decode_error(done: dict[str, Any]) -> Error:
    return EngineError(f"llama.cpp failed: {done['error']}. Run it again; if that doesn't help, load the model again.")


def load_error(message: dict[str, Any], words: str) -> Error:
    """Return the error for a model that the worker couldn't load; ``words`` are its last ones."""
    cause = message["failed"]
    if message["kind"] in {"ImportError", "ModuleNotFoundError"}:
        return EngineError(f"llama.cpp isn't installed: {cause}. Run `pip install xllamacpp`.")
    if "alloc" in words or message["kind"] == "MemoryError":
        return EngineError(f"There's not enough memory for the model. Take a smaller one or context_length.\n{words}")
    if message["kind"] == "RuntimeError":
        return ModelFileError(f"llama.cpp can't read it.\n{words or cause}")
    return EngineError(f"llama.cpp can't be started: {message['kind']}: {cause}\n{words}")
