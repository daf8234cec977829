"""The raw engine: xllamacpp alone in a process, with nothing of llmkit around it. Prints one JSON object."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

PROMPT = "<|im_start|>user\nTell me a long story about the sea.<|im_end|>\n<|im_start|>assistant\n"


def server(model: str, *, slots: int = 8, context_length: int = 8192) -> Any:
    """Return a server with the settings that llmkit's engine uses."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx = context_length
    params.n_parallel = slots
    params.kv_unified = True
    params.verbosity = -1
    params.cpuparams.n_threads = os.cpu_count()
    params.hostnames = [str(Path(tempfile.mkdtemp()) / "raw.sock")]
    return xllamacpp.Server(params)


def complete(engine: Any, tokens: int, prompt: str = PROMPT) -> dict[str, float]:
    """Decode greedily; return the engine's own rate and the wall time."""
    last: dict[str, Any] = {}

    def on_chunk(chunk: Any) -> None:
        last.update(json.loads(chunk) if isinstance(chunk, str | bytes) else chunk)

    request = {
        "prompt": prompt,
        "n_predict": tokens,
        "stream": True,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": True,
    }
    began = time.perf_counter()
    engine.handle_completions(request, on_chunk)
    wall = time.perf_counter() - began
    return {"tokens_per_second": last["timings"]["predicted_per_second"], "wall_time": wall}


def main() -> None:
    model, tokens, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    engine = server(model)
    complete(engine, 8)
    results: list[dict[str, float]] = []
    threads = [
        threading.Thread(target=lambda: results.append(complete(engine, tokens)), daemon=True) for _ in range(at_once)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - began
    rate = sum(result["tokens_per_second"] for result in results) / len(results)
    print(json.dumps({"tokens_per_second": rate, "total_per_second": at_once * tokens / wall}), flush=True)
    os._exit(0)  # the engine's threads abort the process when it ends the ordinary way


if __name__ == "__main__":
    main()
