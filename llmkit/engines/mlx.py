"""The MLX decoder: mlx-lm's continuous batching and prompt cache behind the decoder seam.

One daemon thread a model imports MLX, loads, decodes and owns the caches; callers exchange plain Python with it. After
``close`` it frees the model and parks for ever: a thread that used MLX and ended would abort the process at exit.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import threading
import uuid
import weakref
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit.engines.decoder import DecodeRequest, DecoderInfo, Done
from llmkit.engines.mlx_loop import DecodeLoop
from llmkit.engines.mlx_model import load_model
from llmkit.engines.mlx_request import ActiveRequest
from llmkit.errors import EngineError, Error, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmkit.engines.decoder import Report, Token
    from llmkit.engines.mlx_tokenizer import MLXTokenizer

T = TypeVar("T")

_PREFIX_BYTES = 2 * 2**30
_PREFIX_SHARE = 0.1  # of the machine's memory, if that is less
logger = logging.getLogger("llmkit")


def load(
    path: Path,
    *,
    context_length: int | None = None,
    slots: int = 8,
    progress: Callable[[float], None] | None = None,
) -> MLXDecoder:
    """Load a model on MLX: Metal on Apple Silicon, else MLX's CPU backend. Blocks until it is loaded.

    Parameters
    ----------
    path : Path
        A folder with MLX safetensors, ``config.json`` and ``tokenizer.json``, or a ``.gguf`` file.
    context_length : int, optional
        Tokens of prompt and output together, at most the model's own; ``None`` is the model's own.
    slots : int
        How many requests decode at once, ≥ 1; more wait, in order.
    progress : callable, optional
        Is told the part that is done, 0 to 1, from the decode thread.

    Returns
    -------
    MLXDecoder
        The decoder; close it to free the memory.

    Raises
    ------
    EngineError
        MLX isn't installed or can't be started.
    ModelNotFound, ModelFileError
        There is no model at ``path``, or it can't be read with MLX.
    ValidationError
        ``context_length`` or ``slots`` is below 1.
    """
    for field, value in (("context_length", context_length), ("slots", slots)):
        if value is not None and value < 1:
            raise ValidationError(f"{field}={value} can't be used: it must be at least 1.", field=field)
    thread = _DecodeThread(Path(path), context_length, slots, progress or (lambda _: None))
    try:
        loaded = thread.loaded.result()
    except BaseException:
        thread.close(wait=False)
        raise
    return MLXDecoder(thread, *loaded)


class MLXDecoder:
    """A model on MLX; made by :func:`load`. Implements :class:`llmkit.engines.decoder.Decoder`."""

    def __init__(self, thread: _DecodeThread, info: DecoderInfo, tokenizer: MLXTokenizer) -> None:
        self._thread = thread
        self._info = info
        self._tokenizer = tokenizer
        # A decoder that is dropped without being closed must not keep its model.
        weakref.finalize(self, thread.close, wait=False)

    @property
    def info(self) -> DecoderInfo:
        """What is known of the model; ``memory`` is weights, kept prefixes and running requests."""
        return replace(self._info, memory=self._thread.memory)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the token ids of ``text``; ``special`` reads control tokens in it as such. Adds nothing."""
        return self._tokenizer.tokenize(text, special=special)

    def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, control tokens included."""
        return self._tokenizer.detokenize(ids)

    def decode(self, request: DecodeRequest, report: Callable[[Report], None]) -> None:
        """Start a request and return at once; see :meth:`llmkit.engines.decoder.Decoder.decode`."""
        try:
            self._thread.post(_Start(ActiveRequest(request, report, self._tokenizer)))
        except EngineError as error:
            report(Done("error", raw_reason=type(error).__name__, error=error))

    def score(
        self, context: Sequence[int], ids: Sequence[int], alternatives: int, cancelled: Callable[[], bool]
    ) -> list[Token]:
        """Return the tokens ``ids`` after ``context`` with their log-probabilities, in one pass; blocks.

        Other requests wait meanwhile.

        Raises
        ------
        EngineError
            The decoder is closed.
        """
        scored: Future[list[Token]] = Future()
        self._thread.post(_Score(tuple(context), tuple(ids), alternatives, cancelled, scored))
        return scored.result()

    def cancel(self, request_id: str) -> None:
        """Stop a request within a token, or within a chunk of its prompt; an unknown id is ignored."""
        with contextlib.suppress(EngineError):  # closed, or forked: nothing runs that could be cancelled
            self._thread.post(_Cancel(request_id))

    def save_prefix(self, prompt: Sequence[int], path: Path) -> int:
        """Write the keys and values of ``prompt`` to ``path``; return how many tokens it holds.

        The prompt is read first, as far as it isn't known, in turn with the other requests.

        Raises
        ------
        EngineError
            The file can't be written, or the decoder is closed.
        ValidationError
            The prompt is empty or longer than the context.
        """
        saved: Future[int] = Future()

        def keep(tokens: list[int], cache: list[Any]) -> None:
            self._thread.loop.save_prefix(tokens, cache, Path(path))
            saved.set_result(len(tokens))

        def report(event: Report) -> None:
            if isinstance(event, Done) and not saved.done():
                saved.set_exception(event.error or EngineError("The model was closed before the prefix was saved."))

        request = DecodeRequest(f"prefix-{uuid.uuid4().hex}", tuple(prompt), max_tokens=1)
        self._thread.post(_Start(ActiveRequest(request, report, self._tokenizer, keep)))
        return saved.result()

    def load_prefix(self, path: Path) -> int:
        """Read what :meth:`save_prefix` wrote, for later requests to reuse; return how many tokens it holds.

        Raises
        ------
        ModelFileError
            The file is damaged or was saved with another model.
        EngineError
            The decoder is closed.
        """
        loaded: Future[int] = Future()
        self._thread.post(_Load(Path(path), loaded))
        return loaded.result()

    def close(self) -> None:
        """End all requests (each gets its ``Done``) and free the model. A second call does nothing."""
        self._thread.close()


@dataclass(frozen=True, slots=True)
class _Start:
    active: ActiveRequest


@dataclass(frozen=True, slots=True)
class _Cancel:
    request_id: str


@dataclass(frozen=True, slots=True)
class _Load:
    path: Path
    result: Future[int]


@dataclass(frozen=True, slots=True)
class _Score:
    context: tuple[int, ...]
    ids: tuple[int, ...]
    alternatives: int
    cancelled: Callable[[], bool]
    result: Future[list[Token]]


@dataclass(frozen=True, slots=True)
class _Close:
    pass


_Message = _Start | _Cancel | _Load | _Score | _Close


class _DecodeThread:
    """The one thread that touches MLX for a model."""

    loop: DecodeLoop

    def __init__(self, path: Path, context_length: int | None, slots: int, progress: Callable[[float], None]) -> None:
        self._inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        # Not the model itself: this thread alone may hold it, or closing would not free it.
        self.loaded: Future[tuple[DecoderInfo, MLXTokenizer]] = Future()
        self.memory = 0
        self._arguments = (path, context_length, slots, progress)
        self._process = os.getpid()
        self._freed = threading.Event()
        self._closed = False
        self._closing = threading.RLock()  # a dropped decoder may close in the midst of a closing
        self._thread = threading.Thread(target=self._run, name="llmkit-mlx", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # a process that exits while MLX computes would abort

    def post(self, message: _Message) -> None:
        """Give the thread something to do.

        Raises
        ------
        EngineError
            The model was unloaded, or this is a forked process.
        """
        if os.getpid() != self._process:
            raise EngineError("MLX can't be used in a forked process. Load the model in the new process.")
        with self._closing:  # nothing may come after the message that closes
            if self._closed:
                raise EngineError("The model was unloaded. Load it again.")
            self._inbox.put(message)

    def close(self, *, wait: bool = True) -> None:
        """Let the thread free the model and park; ``wait`` until it has."""
        if os.getpid() != self._process:
            return
        with self._closing:
            first, self._closed = not self._closed, True
            if first:
                self._inbox.put(_Close())
        if wait and threading.current_thread() is not self._thread:
            self._freed.wait()
            atexit.unregister(self.close)

    def _run(self) -> None:
        try:
            if self._load():
                self._serve()
                self._free()
        finally:
            self._freed.set()
        threading.Event().wait()  # park for ever, see the module's docstring

    def _load(self) -> bool:
        path, context_length, slots, progress = self._arguments
        try:
            loaded = load_model(path, context_length=context_length, progress=progress)
            self.loop = DecodeLoop(loaded, slots=slots, prefix_bytes=_prefix_bytes())
        except Exception as error:  # noqa: BLE001 - it goes to the one who loads
            wrapped = error if isinstance(error, Error) else EngineError(f"{path} can't be loaded: {error}.")
            wrapped.__cause__ = wrapped.__cause__ or (None if wrapped is error else error)
            self.loaded.set_exception(wrapped)
            return False
        self.memory = self.loop.memory
        self.loaded.set_result((loaded.info(slots), loaded.tokenizer))
        return True

    def _serve(self) -> None:
        while True:
            try:
                message = self._inbox.get(block=not self.loop.busy)
            except queue.Empty:
                message = None
            if isinstance(message, _Close):
                return
            try:
                self._handle(message)
            except Exception as error:  # the thread must live on
                logger.exception("A step of the MLX engine failed.")
                self.loop.fail(error)
            self.memory = self.loop.memory

    def _handle(self, message: _Start | _Cancel | _Load | _Score | None) -> None:
        match message:
            case None:
                self.loop.step()
            case _Start(active):
                self.loop.start(active)
            case _Cancel(request_id):
                self.loop.cancel(request_id)
            case _Load(path, result):
                _answer(result, lambda: self.loop.load_prefix(path))
            case _Score(context, ids, alternatives, cancelled, scored):
                _answer(scored, lambda: self.loop.score(context, ids, alternatives, cancelled))

    def _free(self) -> None:
        import gc

        import mlx.core as mx

        try:
            self.loop.close()
            del self.loop
            self.memory = 0
            gc.collect()
            mx.synchronize()
            mx.clear_cache()
        except Exception:  # the waiting `close` must not hang
            logger.exception("Freeing a model on MLX failed.")


def _answer(result: Future[T], work: Callable[[], T]) -> None:
    try:
        result.set_result(work())
    except Exception as error:  # noqa: BLE001 - it belongs to the one who asked
        result.set_exception(error)


def _prefix_bytes() -> int:
    import psutil

    return min(_PREFIX_BYTES, int(psutil.virtual_memory().total * _PREFIX_SHARE))
