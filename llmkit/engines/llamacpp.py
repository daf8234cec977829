"""The llama.cpp decoder: a model in a worker process of its own."""

from __future__ import annotations

import atexit
import dataclasses
import itertools
import logging
import os
import secrets
import shutil
import threading
import uuid
import weakref
from typing import TYPE_CHECKING, Any

from llmkit.engines.cores import available_cores, prefill_batch, turns
from llmkit.engines.decoder import (
    DecodeRequest,
    DecoderInfo,
    Done,
    Prefill,
    Report,
    Tokens,
)
from llmkit.engines.llamacpp_http import HTTPDoor, HTTPDoorError
from llmkit.engines.llamacpp_sizes import DEFAULT_CONTEXT_LENGTH, control_tokens, fit, prefix_cache_mib
from llmkit.engines.llamacpp_wire import Call, load_error, read_done, read_token
from llmkit.engines.worker import WorkerProcess
from llmkit.errors import ContextLengthError, EngineError, Error, ModelFileError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from llmkit.models.gguf import GGUFHeader

logger = logging.getLogger("llmkit")

MAX_SLOTS = 64


def load(
    path: Path,
    *,
    context_length: int | None = None,
    slots: int = 8,
    progress: Callable[[float], None] | None = None,
    threads: int | None = None,
    reproducible: bool = True,
) -> LlamaCppDecoder:
    """Load a GGUF file. Blocks for as long as that takes; holds no lock of the interpreter meanwhile.

    Parameters
    ----------
    path : Path
        The file; of a split model its first part.
    context_length : int, optional
        Tokens of prompt and output together. ``None``: the model's own, at most 8,192, less where all slots' keys and
        values would take more than an eighth of the memory, or 768 MiB.
    slots : int
        How many requests decode at once, 1 to 64; fewer if their keys and values would take more than that.
    progress : callable, optional
        Gets 1.0 when the model is loaded: llama.cpp's wheel tells no steps in between.
    threads : int, optional
        How many cores to use, at most as many as there are. ``None``: all.
    reproducible : bool
        Whether, on the CPU, the same seed gives the same text whatever else runs, also after long prompts. Prompts of
        2,000 tokens are then read at about half the speed.

    Raises
    ------
    ValidationError
        For an argument out of range.
    ModelFileError
        The file is damaged, or of a kind that llama.cpp can't read.
    EngineError
        The engine isn't installed, or there's not enough memory.
    """
    from llmkit.models.gguf import read_gguf

    cores = available_cores()
    threads = _checked("threads", cores if threads is None else threads, 1, cores)
    slots = _checked("slots", slots, 1, MAX_SLOTS)
    header = read_gguf(path)
    own = header.context_length or DEFAULT_CONTEXT_LENGTH
    if context_length is not None:
        context_length = _checked("context_length", context_length, 16, max(own, 16))
    context_length, slots = fit(header, context_length, slots)
    decoder = LlamaCppDecoder(
        header, context_length=context_length, slots=slots, threads=threads, reproducible=reproducible
    )
    if progress is not None:
        progress(1.0)
    return decoder


def _checked(field: str, value: int, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValidationError(f"{field}={value!r} can't be used: a whole number from {low} to {high}.", field=field)
    return value


class LlamaCppDecoder:
    """A :class:`~llmkit.engines.decoder.Decoder` over llama.cpp; made by :func:`load`."""

    def __init__(
        self, header: GGUFHeader, *, context_length: int, slots: int, threads: int, reproducible: bool
    ) -> None:
        self._lock = threading.Lock()
        self._reports: dict[str, Callable[[Report], None]] = {}
        self._constrained: set[str] = set()
        self._calls: dict[int, Call] = {}
        self._numbers = itertools.count()
        self._closed = False
        self._ended: EngineError | None = None
        self._ready = Call()
        self._owner = os.getpid()
        self._pid = 0
        key = secrets.token_urlsafe(24)
        size = header.path.stat().st_size
        config = {
            "path": str(header.path.resolve()),
            "context_length": context_length,
            "slots": slots,
            "threads": threads,
            "reproducible": reproducible,
            "batch": prefill_batch(size, threads),
            "cache": prefix_cache_mib(),
            "key": key,
            "control": control_tokens(header),
        }
        self._worker = WorkerProcess(
            "llmkit.engines.llamacpp_worker",
            config,
            on_message=self._take,
            on_end=self._worker_ended,
            on_error_line=self._watch_grammars,
        )
        facts = self._wait_until_ready(header)
        self._door = HTTPDoor(facts["address"], key)
        self._pid = facts["pid"]
        self._info = DecoderInfo(
            engine="llamacpp",
            device=facts["device"],
            context_length=facts["context_length"],
            vocabulary_size=facts["vocabulary_size"],
            chat_template=header.chat_template,
            bos_token=facts["bos_token"],
            eos_token=facts["eos_token"],
            add_bos=facts["add_bos"],
            end_ids=tuple(facts["end_ids"]),
            slots=slots,
            build=_build(reproducible=reproducible),
        )
        _open_decoders.add(self)

    @property
    def info(self) -> DecoderInfo:
        """What is known of the model; ``memory`` is what the worker process holds in RAM now."""
        import psutil

        try:
            memory = psutil.Process(self._pid).memory_info().rss
        except psutil.Error:
            memory = None
        return dataclasses.replace(self._info, memory=memory)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the token ids of ``text``; ``special`` reads control tokens in it as such. Adds nothing."""
        body = {"content": text, "add_special": False, "parse_special": special}
        ids: list[int] = self._post("/tokenize", body)["tokens"]
        return ids

    def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, control tokens included."""
        self._check_ids(ids)
        text: str = self._post("/detokenize", {"tokens": list(ids)})["content"]
        return text

    def decode(self, request: DecodeRequest, report: Callable[[Report], None]) -> None:
        """Start a request and return at once; see :meth:`llmkit.engines.decoder.Decoder.decode`."""
        if os.getpid() != self._owner:  # first: another thread may have held the lock when this process was forked
            _call(report, Done("error", error=EngineError(FORKED)))
            return
        with self._lock:
            problem = self._problem(request)
            if problem is None:
                self._reports[request.id] = report
                turns.enter(self._pid)
                if request.grammar is not None:
                    self._constrained.add(request.id)
        if problem is not None:
            _call(report, Done("error", error=problem))
            return
        self._worker.send({"do": "decode", **dataclasses.asdict(request)})

    def cancel(self, request_id: str) -> None:
        """Stop a request within a token (in prefill: within a batch); unknown ids are ignored."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            known = request_id in self._reports
        if known:
            turns.hurry(self._pid)
            self._worker.send({"do": "cancel", "id": request_id})

    def save_prefix(self, prompt: Sequence[int], path: Path) -> int:
        """Write the keys and values of ``prompt`` to ``path``; return how many tokens it holds."""
        self._check_ids(prompt)
        name = uuid.uuid4().hex
        request = DecodeRequest(id=name, prompt=tuple(prompt), max_tokens=1)
        made = self._worker.folder / name
        try:
            tokens = self._ask({"do": "save", "name": name, "request": dataclasses.asdict(request)})
            shutil.move(made, path)
        finally:
            made.unlink(missing_ok=True)
        return tokens

    def load_prefix(self, path: Path) -> int:
        """Read what ``save_prefix`` wrote, so that the next request can reuse it; return how many tokens it holds."""
        name = uuid.uuid4().hex
        copy = self._worker.folder / name
        try:
            shutil.copyfile(path, copy)
            return self._ask({"do": "load", "name": name})
        except OSError as error:
            raise ModelFileError(f"The saved cache {path} can't be read: {error}. Delete it and save anew.") from error
        finally:
            copy.unlink(missing_ok=True)

    def close(self) -> None:
        """End all requests (each gets its ``Done``) and free the model. A second call does nothing."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        _open_decoders.discard(self)
        self._worker.kill()
        turns.leave(self._pid)
        self._end_all(None)

    def _problem(self, request: DecodeRequest) -> Error | None:
        try:
            self._check_usable()
        except EngineError as error:
            return error
        limit, length = self._info.context_length, len(request.prompt)
        if length >= limit:
            return ContextLengthError(
                f"The prompt has {length} tokens and the context holds {limit}. Shorten it, or load the model with "
                "a larger context_length.",
                prompt_tokens=length,
                context_length=limit,
            )
        if request.id in self._reports:
            return EngineError(f"A request {request.id!r} is running already. Give each its own id.")
        if request.grammar is not None and request.begun:
            return ValidationError(
                "llama.cpp can't go on in the midst of an answer that is bound to a form (output=, or a tool that must "
                "be called): it begins each grammar at its start. Use engine='mlx', or branch a run that isn't bound.",
                field="beginning",
            )
        wrong = next((id_ for id_ in request.prompt if not 0 <= id_ < self._info.vocabulary_size), None)
        if wrong is not None or not request.prompt:
            return ValidationError(f"{wrong} is no token id of this model.", field="prompt")
        return None

    def _check_ids(self, ids: Sequence[int]) -> None:
        for id_ in ids:
            if not 0 <= id_ < self._info.vocabulary_size:
                raise ValidationError(f"{id_} is no token id of this model.", field="ids")

    def _check_usable(self) -> None:
        if os.getpid() != self._owner:
            raise EngineError(FORKED)
        if self._closed:
            raise EngineError("The model was unloaded. Load it again.")
        if self._ended is not None:
            raise self._ended

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        self._check_usable()
        turns.hurry(self._pid)
        try:
            return self._door.post(path, body)
        except HTTPDoorError as error:
            self._check_usable()
            raise EngineError(f"llama.cpp didn't answer {error}. Load the model again.") from error

    def _ask(self, message: dict[str, Any]) -> int:
        self._check_usable()
        call, number = Call(), next(self._numbers)
        with self._lock:
            self._calls[number] = call
        self._worker.send(message | {"call": number})
        if self._ended is not None:
            call.fail(self._ended)
        tokens: int = call.result()
        return tokens

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._report(message)
        elif "call" in message:
            with self._lock:
                call = self._calls.pop(message["call"])
            if "error" in message:
                call.fail(EngineError(f"llama.cpp couldn't save or restore the cache: {message['error']}."))
            else:
                call.succeed(message["tokens"])
        elif "ready" in message:
            self._ready.succeed(message["ready"])
        else:
            self._ready.fail(load_error(message, self._worker.errors()))

    def _report(self, message: dict[str, Any]) -> None:
        id_ = message["id"]
        done = message.get("done")
        with self._lock:
            report = self._reports.pop(id_, None) if done else self._reports.get(id_)
            if done:
                self._constrained.discard(id_)
                if not self._reports:
                    turns.leave(self._pid)
        if report is None:
            return
        if done:
            _call(report, read_done(done))
        elif "tokens" in message:
            _call(report, Tokens(tuple(read_token(token) for token in message["tokens"])))
        else:
            _call(report, Prefill(*message["prefill"]))

    def _watch_grammars(self, line: str) -> None:
        """End the constrained requests when llama.cpp drops a grammar: it says so in its log alone, and goes on."""
        if "llg error" not in line and "parse grammar" not in line:
            return
        with self._lock:
            reports = {id_: self._reports.pop(id_) for id_ in self._constrained if id_ in self._reports}
            self._constrained.clear()
        error = EngineError(f"llama.cpp gave up on the grammar: {line}. Simplify the schema or grammar.")
        for id_, report in reports.items():
            self._worker.send({"do": "cancel", "id": id_})
            _call(report, Done("error", raw_reason="grammar", error=error))

    def _worker_ended(self, how: str) -> None:
        error = EngineError(f"The process that held the model {how}\nLoad the model again.")
        self._ended = error
        self._ready.fail(error)
        turns.leave(self._pid)
        _open_decoders.discard(self)
        self._end_all(None if self._closed else error)

    def _end_all(self, error: EngineError | None) -> None:
        with self._lock:
            reports, self._reports = list(self._reports.values()), {}
            calls, self._calls = list(self._calls.values()), {}
        for call in calls:
            call.fail(error or EngineError("The model was unloaded."))
        for report in reports:
            _call(report, Done("error", error=error) if error else Done("cancelled", raw_reason="closed"))

    def _wait_until_ready(self, header: GGUFHeader) -> dict[str, Any]:
        try:
            facts: dict[str, Any] = self._ready.result()
        except BaseException as error:
            self._closed = True
            self._worker.kill()
            if isinstance(error, ModelFileError):
                raise ModelFileError(f"{header.path} can't be loaded: {error}") from None
            raise
        return facts


FORKED = (
    "This process was forked from the one that loaded the model; it can't use it. Load the model in this process, or "
    "start processes with multiprocessing's 'spawn' method."
)

_open_decoders: weakref.WeakSet[LlamaCppDecoder] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for decoder in tuple(_open_decoders):
        decoder.close()


def _call(report: Callable[[Report], None], value: Report) -> None:
    try:
        report(value)
    except Exception:
        logger.exception("A report couldn't be delivered")


def _build(*, reproducible: bool) -> str:
    from importlib.metadata import version

    return f"xllamacpp {version('xllamacpp')}{', reproducible' if reproducible else ''}"
