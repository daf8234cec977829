"""The worker process: one llama.cpp server, one model.

Its own process, because several servers in one ruin each other's decoding, because llama.cpp aborts on some errors,
and because only a process that ends gives all its memory back. It reads one JSON object a line from its standard
input and writes one a line to its standard output; :mod:`llmkit.engines.llamacpp` is the other side.

It never outlives its parent: it ends when the pipe closes, and on Linux also when the parent is killed while this
process is suspended.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from llmkit.engines.llamacpp_http import HTTPDoor
from llmkit.engines.llamacpp_outbox import Outbox
from llmkit.engines.llamacpp_stream import MAX_SILENT_TOKENS, TokenStream, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator

# llama.cpp takes this seed as "draw one".
RANDOM_SEED = 0xFFFFFFFF


class Request:
    """One request: waiting, then running in a thread of its own."""

    def __init__(self, message: dict[str, Any]) -> None:
        self.id: str = message["id"]
        self.message = message
        self.prompt_tokens = len(message["prompt"])
        self.stop: dict[str, Any] | None = None
        """Set to end the request at the next chunk: the ``done`` to report."""


class Worker:
    """Takes requests in order, runs as many as there are slots.

    Parameters
    ----------
    server : xllamacpp.Server
        The model.
    config : dict
        What the kernel sent for loading.
    outbox : Outbox
        Where reports go.
    device : str
        Where the model decodes.
    """

    def __init__(self, server: Any, config: dict[str, Any], outbox: Outbox, device: str) -> None:
        self._server = server
        self._slots: int = config["slots"]
        self._folder = Path(config["folder"])
        self._outbox = outbox
        self._door = HTTPDoor(server.listening_address, config["key"], timeout=600.0)
        self._control: dict[int, str] = {int(id_): text for id_, text in config["control"].items()}
        self._lock = threading.Condition()
        self._waiting: deque[Request] = deque()
        self._running: dict[str, Request] = {}
        self._held = False  # while a prefix is saved or loaded nothing is admitted
        properties = self._door.get("/props")
        self._context_length: int = properties["default_generation_settings"]["n_ctx"]
        self._vocabulary_size: int = self._door.get("/v1/models")["data"][0]["meta"]["n_vocab"]
        self._vocabulary = Vocabulary(self._pieces, self._tokenize, self._control)
        self._end_ids = self._find_end_ids()
        self.facts = {
            "pid": os.getpid(),
            "device": device,
            "address": server.listening_address,
            "context_length": self._context_length,
            "vocabulary_size": self._vocabulary_size,
            "bos_token": properties["bos_token"],
            "eos_token": properties["eos_token"],
            "add_bos": self._tokenize("a", add_special=True) != self._tokenize("a"),
            "end_ids": sorted(self._end_ids),
        }

    def take(self, message: dict[str, Any]) -> None:
        """Do what the kernel asks."""
        match message["do"]:
            case "decode":
                with self._lock:
                    self._waiting.append(Request(message))
                    self._admit()
            case "cancel":
                self._cancel(message["id"])
            case "save":
                threading.Thread(target=self._answer, args=(message, self._save), daemon=True).start()
            case "load":
                threading.Thread(target=self._answer, args=(message, self._load), daemon=True).start()

    def _admit(self) -> None:
        while self._waiting and not self._held and len(self._running) < self._slots:
            request = self._waiting.popleft()
            self._running[request.id] = request
            threading.Thread(target=self._run, args=(request,), name="request", daemon=True).start()

    def _cancel(self, id_: str) -> None:
        with self._lock:
            for request in self._waiting:
                if request.id == id_:
                    self._waiting.remove(request)
                    self._outbox.send({"id": id_, "done": {"reason": "cancelled", "raw": "queued"}})
                    break
            else:
                if id_ in self._running:
                    self._running[id_].stop = {"reason": "cancelled", "raw": "cancelled"}
            self._admit()

    def _run(self, request: Request) -> None:
        stream = TokenStream(
            self._vocabulary,
            max_tokens=request.message["max_tokens"],
            end_ids=self._end_ids,
            logprobs=request.message["logprobs"],
            special=request.message["special"],
        )
        done: dict[str, Any] = {}
        cached = 0

        def on_chunk(chunk: dict[str, Any]) -> bool:
            nonlocal cached, done
            try:
                if "__verbose" not in chunk:
                    done = _failure(chunk)
                elif request.stop:
                    done = request.stop
                elif progress := chunk.get("prompt_progress"):
                    cached = progress["cache"]
                    state = [progress["processed"], progress["total"], cached]
                    self._outbox.send({"id": request.id, "prefill": state})
                elif tokens := stream.feed(chunk):
                    self._outbox.gather(request.id, tokens)
            except Exception as error:  # noqa: BLE001 - the library would swallow it
                done = {"reason": "error", "error": f"the worker failed on a chunk: {error!r}"}
            return bool(done or stream.ended)

        try:
            self._server.handle_completions(self._body(request.message), on_chunk)
        except Exception as error:  # noqa: BLE001 - whatever it is, the request must end
            done = {"reason": "error", "error": str(error) or repr(error)}
        if not done:
            done = {"reason": "length" if stream.ended == "limit" else "stop", "raw": stream.ended}
            if not stream.ended:
                done = request.stop or {"reason": "error", "error": "llama.cpp ended the request without a word"}
        self._end(request, stream, done, cached)

    def _end(self, request: Request, stream: TokenStream, done: dict[str, Any], cached: int) -> None:
        prefill_time, decode_time = stream.times
        counts = {
            "tail": stream.tail,
            "prompt": request.prompt_tokens,
            "cached": cached,
            "generated": stream.generated,
            "prefill_time": prefill_time,
            "decode_time": decode_time,
        }
        with self._lock:
            del self._running[request.id]
            self._outbox.send({"id": request.id, "done": counts | done})
            self._admit()
            self._lock.notify_all()

    def _body(self, message: dict[str, Any]) -> dict[str, Any]:
        sampling = message["sampling"]
        penalised = any(sampling[name] for name in ("presence_penalty", "frequency_penalty"))
        penalised = penalised or sampling["repetition_penalty"] != 1
        body = {
            "prompt": message["prompt"],
            "max_tokens": message["max_tokens"] + MAX_SILENT_TOKENS,
            "stream": True,
            "verbose": True,  # the only way to the token ids
            "return_progress": True,  # also what makes a prefill cancellable
            "cache_prompt": message["reuse_prefix"],
            "stop": message["stop"],
            "seed": min(sampling["seed"], RANDOM_SEED - 1),
            "temperature": sampling["temperature"],
            "top_p": sampling["top_p"],
            "top_k": sampling["top_k"],
            "min_p": sampling["min_p"],
            "presence_penalty": sampling["presence_penalty"],
            "frequency_penalty": sampling["frequency_penalty"],
            "repeat_penalty": sampling["repetition_penalty"],
            "repeat_last_n": self._context_length if penalised else 0,
            "logit_bias": sampling["logit_bias"],
            "n_probs": 0 if message["logprobs"] is None else max(1, message["logprobs"]),
            **NEUTRAL,
        }
        if message["special"]:
            body["preserved_tokens"] = [text for id_, text in self._control.items() if id_ not in self._end_ids]
        if message["grammar"] is not None:
            body["grammar"] = "%llguidance {}\n" + message["grammar"]
        if "slot" in message:
            body["id_slot"] = message["slot"]
        return body

    def _answer(self, message: dict[str, Any], action: Any) -> None:
        answer: dict[str, Any] = {"call": message["call"]}
        try:
            with self._alone():
                answer["tokens"] = action(message)
        except Exception as error:  # noqa: BLE001 - the caller raises it
            answer["error"] = str(error) or repr(error)
        self._outbox.send(answer)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until a slot is free, and keep new requests from taking it."""
        with self._lock:
            self._lock.wait_for(lambda: not self._held and len(self._running) < self._slots)
            self._held = True
        try:
            yield
        finally:
            with self._lock:
                self._held = False
                self._admit()
                self._lock.notify_all()

    def _save(self, message: dict[str, Any]) -> int:
        slot = self._idle_slot()
        chunks: list[dict[str, Any]] = []
        body = self._body(message["request"] | {"slot": slot}) | {"max_tokens": 1, "stream": False}
        self._server.handle_completions(body, chunks.append)
        if not chunks or "__verbose" not in chunks[0]:
            raise RuntimeError(_failure(chunks[0] if chunks else {})["error"])
        return int(self._door.post(f"/slots/{slot}?action=save", {"filename": message["name"]})["n_saved"])

    def _load(self, message: dict[str, Any]) -> int:
        slot = self._idle_slot()
        answer = self._door.post(f"/slots/{slot}?action=restore", {"filename": message["name"]})
        return int(answer["n_restored"])

    def _idle_slot(self) -> int:
        return int(next(slot["id"] for slot in self._door.get("/slots") if not slot["is_processing"]))

    def _tokenize(self, text: str, *, add_special: bool = False) -> list[int]:
        body = {"content": text, "add_special": add_special, "parse_special": False}
        ids: list[int] = self._door.post("/tokenize", body)["tokens"]
        return ids

    def _pieces(self) -> list[bytes]:
        body = {"content": list(range(self._vocabulary_size)), "with_pieces": True}
        pieces = [token["piece"] for token in self._door.post("/tokenize", body)["tokens"]]
        return [piece.encode() if isinstance(piece, str) else bytes(piece) for piece in pieces]

    def _find_end_ids(self) -> frozenset[int]:
        """Return the tokens that end a generation: those that llama.cpp forbids under ``ignore_eos``."""
        body = {"prompt": [0], "max_tokens": 1, "ignore_eos": True, "verbose": True, "cache_prompt": False}
        answer = self._server.handle_completions(body)
        settings = answer["__verbose"]["generation_settings"]
        return frozenset(entry["token"] for entry in settings["logit_bias"])


# Samplers that llmkit has no setting for: switched off, whatever the library's defaults become.
NEUTRAL = {
    "top_n_sigma": -1.0,
    "typical_p": 1.0,
    "xtc_probability": 0.0,
    "dry_multiplier": 0.0,
    "dynatemp_range": 0.0,
    "mirostat": 0,
    "adaptive_target": -1.0,
}


def _failure(chunk: dict[str, Any]) -> dict[str, Any]:
    error = chunk.get("error", chunk)
    if not isinstance(error, dict):
        error = {"message": str(error)}
    return {"reason": "error", "kind": error.get("type", ""), "error": error.get("message", "no reason was given")}


def find_device() -> str:
    """Return where llama.cpp decodes: ``"cpu"``, or the kind of graphics card that it found."""
    import xllamacpp

    names = [device["name"].lower() for device in xllamacpp.get_device_info()]
    kinds = {"metal": "metal", "mtl": "metal", "cuda": "cuda", "vulkan": "vulkan", "rocm": "rocm"}
    return next((kind for part, kind in kinds.items() if any(part in name for name in names)), "cpu")


def open_server(config: dict[str, Any], device: str) -> Any:
    """Load the model."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config["path"]
    # A context for each slot. One that all share would take less memory, but a request's keys and values would lie in
    # it differently in company than alone, sums would round differently, and the same seed would give another text.
    params.n_ctx = config["context_length"] * config["slots"]
    params.n_parallel = config["slots"]
    params.kv_unified = False
    if device == "cpu" and config["reproducible"]:
        # With one type for keys and values llama.cpp takes one of three attention kernels, by how many tokens it reads
        # at once and what else runs; they differ by up to 0.3 in a log-probability. With two types it always takes the
        # same one, and the same seed gives the same text alone, in company, and with a reused prefix. Prompts of 600
        # tokens are read 5 % slower for it, those of 2,000 at half the speed.
        params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_BF16
    params.n_batch = params.n_ubatch = config["batch"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config["threads"]
    params.cache_ram_mib = config["cache"]
    params.check_tensors = True
    params.chat_template = "chatml"  # not used, and the model's own might not parse
    params.use_jinja = False
    params.ui = False
    params.n_threads_http = 2
    params.endpoint_slots = True
    params.slot_save_path = f"{config['folder']}{os.sep}"
    params.api_keys = [config["key"]]
    if hasattr(socket, "AF_UNIX") and os.name == "posix":
        params.hostnames = [f"{config['folder']}/x.sock"]
    params.verbosity = 1  # errors
    return xllamacpp.Server(params)


def die_with_parent(parent: int) -> None:
    """End when the parent does, also if it is killed and can't close the pipe, or this process is suspended."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
    if hasattr(os, "fork"):
        threading.Thread(target=_watch_parent, args=(parent,), name="parent", daemon=True).start()


def _watch_parent(parent: int) -> None:
    # A child that the kernel forked may hold the pipe open.
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def main() -> NoReturn:
    """Load the model that the first line names, then serve until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Jupyter interrupts the whole process group
    # Native code may print: keep the pipe to ourselves and let prints go where errors go.
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    config = json.loads(sys.stdin.buffer.readline())
    die_with_parent(config["parent"])
    outbox = Outbox(pipe)
    try:
        device = find_device()
        worker = Worker(open_server(config, device), config, outbox, device)
    except Exception as error:  # noqa: BLE001 - told to the kernel
        outbox.send({"failed": str(error) or repr(error), "kind": type(error).__name__})
        sys.stderr.flush()
        os._exit(1)
    outbox.send({"ready": worker.facts})
    for line in sys.stdin.buffer:
        worker.take(json.loads(line))
    shutil.rmtree(config["folder"], ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
