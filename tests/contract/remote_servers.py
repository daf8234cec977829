"""Real servers with the embedded model: ``python -m tests.contract.remote_servers llamacpp|mlx_lm PORT MODEL FOLDER``.

They end with whoever started them.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "a-key-for-the-tests"
START_TIME = 90
ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def running(kind: str, model: Path, folder: Path) -> Iterator[str]:
    """Provide the address of a server that runs inside the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "hub").mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "HF_HOME": str(folder), "HF_HUB_OFFLINE": "1", "MLX_DISABLE_COMPILE": "1"}
    with (folder / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, kind, str(port), str(model), str(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env=environment,
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, folder / f"{kind}.log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.communicate()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_TIME
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)  # until it listens; there is nothing to wait on
    message = f"The server didn't start:\n{log.read_text('utf-8', 'replace')[-2000:]}"
    raise AssertionError(message)


def serve_llamacpp(port: int, model: Path) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx, params.n_parallel = 2048, 2
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], port, [KEY]
    # One: its threads wait by spinning, which is slow where tests share the cores.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_batch = params.n_ubatch = 64  # it looks whether anyone still listens once a batch
    params.use_jinja = True
    params.verbosity = 1
    server = xllamacpp.Server(params)
    assert server.listening_address
    threading.Event().wait()


def serve_mlx_lm(port: int, model: Path, folder: Path) -> None:
    weights = folder / "smollm2"
    weights.mkdir(exist_ok=True)
    _write_folder(model, weights)
    from mlx_lm import server

    sys.argv = ["mlx_lm.server", "--model", str(weights), "--port", str(port)]
    main: Callable[[], None] = server.main
    main()


def _write_folder(model: Path, folder: Path) -> None:
    """Write a GGUF file's model as the folder that mlx-lm loads."""
    from llmkit.engines.mlx_model import start_mlx

    start_mlx()
    import mlx.core as mx
    from mlx.utils import tree_flatten

    from llmkit.models.gguf_mlx import read_gguf_checkpoint

    found = read_gguf_checkpoint(model)
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(found.model.parameters())))
    packed = {
        name: {"group_size": layer.group_size, "bits": layer.bits}
        for name, layer in found.model.named_modules()
        if hasattr(layer, "bits")
    }
    config: dict[str, Any] = {**found.config, "eos_token_id": list(found.end_ids)}
    config["quantization"] = {"group_size": 32, "bits": 4, **packed}
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": found.chat_template,
        "bos_token": found.bos_token,
        "eos_token": found.eos_token,
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "tokenizer.json").write_text(found.tokenizer.source, "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(described), "utf-8")


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if sys.argv[1] == "llamacpp":
        serve_llamacpp(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        serve_mlx_lm(int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
