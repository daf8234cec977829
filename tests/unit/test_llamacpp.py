"""What is special to llama.cpp: a worker process, its life, its door, two models. The rest is in ``tests/contract``."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.engines import llamacpp_sizes
from llmkit.engines.decoder import DecodeRequest, Done, Prefill, Sampling, Tokens
from llmkit.engines.llamacpp import LlamaCppDecoder, load
from llmkit.engines.llamacpp_sizes import kv_bytes_per_token
from llmkit.errors import ContextLengthError, EngineError, ModelFileError, ValidationError
from llmkit.models.gguf import read_gguf
from tests.unit.gguf_files import UINT32
from tests.unit.mlx_models import Answer, ask, weights, write_gguf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENDLESS = 60_000  # tokens: some ten seconds, which no test waits for


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return write_gguf(folder / "tiny.gguf", weights(0), changes={"llama.context_length": (UINT32, 65536)})


@pytest.fixture(scope="module")
def decoder(model: Path) -> Iterator[LlamaCppDecoder]:
    decoder = load(model, context_length=65536, slots=2, threads=1)
    yield decoder
    decoder.close()


@pytest.fixture
def fresh(model: Path) -> Iterator[LlamaCppDecoder]:
    decoder = load(model, context_length=65536, slots=2, threads=1)
    yield decoder
    decoder.close()


def endless(decoder: LlamaCppDecoder, **fields: Any) -> Answer:
    """Start a request that goes on until it is ended, and wait until it decodes."""
    bias = tuple((id_, -100.0) for id_ in decoder.info.end_ids)
    answer = ask(decoder, max_tokens=ENDLESS, logit_bias=bias, **fields)
    answer.until(Tokens)
    return answer


def gone(pid: int, seconds: float = 2.0) -> bool:
    return bool(psutil.wait_procs([psutil.Process(pid)], timeout=seconds)[0]) if psutil.pid_exists(pid) else True


# -- arguments and files


@pytest.mark.parametrize(
    ("field", "value"),
    [("threads", 0), ("threads", 10_000), ("threads", True), ("slots", 0), ("slots", 65), ("context_length", 1)],
)
def test_an_argument_that_would_abort_the_native_code_never_reaches_it(field: str, value: int, model: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        load(model, **{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field


def test_a_context_longer_than_the_model_s_own_is_refused(model: Path) -> None:
    with pytest.raises(ValidationError, match="16 to 65536"):
        load(model, context_length=65537)


def test_a_file_that_llama_cpp_refuses_is_a_model_file_error_with_its_words(tmp_path: Path) -> None:
    model = write_gguf(tmp_path / "odd.gguf", weights(0), architecture="gpt5")
    with pytest.raises(ModelFileError, match="unknown model architecture: 'gpt5'"):
        load(model)


def test_a_failed_load_leaves_no_process_and_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_gguf(tmp_path / "odd.gguf", weights(0), architecture="gpt5")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ModelFileError):
        load(model)
    assert not list(tmp_path.glob("llmkit-worker-*"))


def test_many_slots_are_cut_to_what_an_eighth_of_the_memory_holds(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    each = kv_bytes_per_token(read_gguf(model))
    assert each == 2 * 2 * (8 + 8) * 2  # layers × heads × (key + value length) × 2 bytes
    monkeypatch.setattr(llamacpp_sizes, "_memory", lambda: 8 * 3 * 4096 * each)
    decoder = load(model, slots=8, threads=1)
    decoder.close()
    assert (decoder.info.context_length, decoder.info.slots) == (2048, 6)


# -- a request


def test_the_memory_told_is_that_of_the_worker(decoder: LlamaCppDecoder) -> None:
    assert decoder.info.memory
    assert decoder.info.memory > 2**20


@given(st.text())
def test_any_text_survives_tokenizing(decoder: LlamaCppDecoder, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert decoder.detokenize(decoder.tokenize(text, special=False)) == text


def test_control_tokens_are_read_as_such_only_on_request(decoder: LlamaCppDecoder) -> None:
    assert decoder.tokenize("<|im_end|>", special=True) == [2]
    assert decoder.tokenize("<|im_end|>", special=False) != [2]
    assert decoder.info.end_ids == (0, 2)


def test_text_is_tokenized_while_the_model_decodes(decoder: LlamaCppDecoder) -> None:
    answer = endless(decoder)
    assert decoder.detokenize(decoder.tokenize("hello", special=False)) == "hello"
    decoder.cancel(answer.request.id)
    assert answer.done.reason == "cancelled"


@pytest.mark.parametrize("prompt", [[-1], [10**9], []])
def test_ids_that_are_none_never_reach_the_native_code(decoder: LlamaCppDecoder, prompt: list[int]) -> None:
    assert isinstance(ask(decoder, prompt).done.error, ValidationError)


def test_unknown_ids_are_not_detokenized(decoder: LlamaCppDecoder) -> None:
    with pytest.raises(ValidationError):
        decoder.detokenize([decoder.info.vocabulary_size])


def test_a_prompt_longer_than_the_context_says_how_long_both_are(model: Path) -> None:
    decoder = load(model, context_length=256, slots=1, threads=1)
    error = ask(decoder, [5] * 300).done.error
    decoder.close()
    assert isinstance(error, ContextLengthError)
    assert (error.prompt_tokens, error.context_length) == (300, 256)


def test_control_tokens_show_as_text_only_on_request(decoder: LlamaCppDecoder) -> None:
    only = ((1, 100.0),)
    assert ask(decoder, max_tokens=2, logit_bias=only).text == ""
    assert ask(decoder, max_tokens=2, logit_bias=only, special=True).text == "<|im_start|>" * 2


@pytest.mark.parametrize("special", [False, True])
def test_the_end_token_never_shows(decoder: LlamaCppDecoder, special: bool) -> None:
    answer = ask(decoder, max_tokens=5, logit_bias=((2, 100.0),), special=special)
    assert (answer.text, answer.ids, answer.done.reason) == ("", [], "stop")
    assert answer.done.generated_tokens == 0


@pytest.mark.parametrize("limit", range(1, 8))
def test_characters_split_over_tokens_keep_every_id_up_to_the_limit(decoder: LlamaCppDecoder, limit: int) -> None:
    text = "é🐟世"
    answer = ask(decoder, max_tokens=limit, grammar=f'start: "{text}"')
    assert answer.ids == decoder.tokenize(text, special=False)[:limit]
    assert answer.text == text.encode()[:limit].decode("utf-8", "ignore")
    assert answer.done.generated_tokens == limit


def test_a_grammar_that_llama_cpp_would_silently_drop_is_an_error(decoder: LlamaCppDecoder) -> None:
    """CONTRACT 18: a constraint can't fail to bind."""
    answer = ask(decoder, max_tokens=20_000, grammar='start: "never closed')
    assert answer.done.reason == "error"
    assert "grammar" in str(answer.done.error)


def test_more_requests_than_slots_wait_in_order_and_a_waiting_one_can_be_cancelled(decoder: LlamaCppDecoder) -> None:
    """CONTRACT 7, 10: a request that waits never decodes when it is cancelled."""
    running = [endless(decoder), endless(decoder)]
    waiting = [ask(decoder), ask(decoder)]
    decoder.cancel(waiting[0].request.id)
    assert waiting[0].done == Done("cancelled", raw_reason="queued")
    assert len(waiting[0].reports) == 1
    assert not waiting[1].reports
    decoder.cancel(running[0].request.id)
    assert waiting[1].done.reason in {"stop", "length"}
    decoder.cancel(running[1].request.id)
    assert running[1].done.reason == "cancelled"


def test_a_long_prompt_reports_its_progress_and_can_be_cancelled(fresh: LlamaCppDecoder) -> None:
    """CONTRACT 7: during prefill decoding stops within one batch."""
    answer = ask(fresh, [5] * 60_000)
    answer.until(Prefill)
    fresh.cancel(answer.request.id)
    assert answer.done.reason == "cancelled"
    assert answer.prefills[-1].done < 60_000


def test_an_id_in_use_is_refused_and_the_first_request_goes_on(decoder: LlamaCppDecoder) -> None:
    first = endless(decoder, id="same")
    second = ask(decoder, id="same")
    assert isinstance(second.done.error, EngineError)
    decoder.cancel("same")
    assert first.done.reason == "cancelled"


def test_the_kernel_wakes_at_most_forty_times_a_second(decoder: LlamaCppDecoder) -> None:
    started = time.monotonic()
    answer = ask(decoder, max_tokens=2000, logit_bias=tuple((id_, -100.0) for id_ in decoder.info.end_ids))
    assert answer.done.reason == "length"
    reports = sum(isinstance(report, Tokens) for report in answer.reports)
    assert reports <= 2 + (time.monotonic() - started) / 0.025


def test_a_reader_that_fails_does_not_stop_the_others(
    decoder: LlamaCppDecoder, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("reader")

    decoder.decode(DecodeRequest("failing", (5,), 1, Sampling()), fail)
    assert ask(decoder).done.reason in {"stop", "length"}
    assert "couldn't be delivered" in caplog.text


def test_a_long_prompt_s_seeded_text_is_the_same_cold_warm_and_in_company(fresh: LlamaCppDecoder) -> None:
    """CONTRACT 42: same seed, same text, whatever else is running."""

    def seeded(**fields: Any) -> Answer:
        return ask(fresh, prompt, 40, seed=7, temperature=1.0, logprobs=1, **fields)

    prompt = fresh.tokenize("hello world, " * 100, special=False)
    cold = seeded()
    cold.until(Done)
    warm = seeded()
    warm.until(Done)
    company = endless(fresh)
    accompanied = [seeded(), seeded(reuse_prefix=False)]
    assert warm.done.cached_tokens == len(prompt) - 1
    for answer in (warm, *accompanied):
        assert answer.ids == cold.ids
        probabilities = [token.logprob for token in answer.tokens]
        assert probabilities == pytest.approx([token.logprob for token in cold.tokens], abs=1e-4)
    fresh.cancel(company.request.id)
    assert company.done.reason == "cancelled"


# -- prefixes on disk


def test_a_prefix_moves_to_another_process(decoder: LlamaCppDecoder, fresh: LlamaCppDecoder, tmp_path: Path) -> None:
    """CONTRACT 9: a cache can be saved to disk."""
    prompt = fresh.tokenize("hello world " * 50, special=False)
    assert decoder.save_prefix(prompt, tmp_path / "prefix") == len(prompt)
    assert fresh.load_prefix(tmp_path / "prefix") == len(prompt)
    assert ask(fresh, prompt).done.cached_tokens == len(prompt) - 1


def test_a_prefix_can_be_saved_while_others_decode(decoder: LlamaCppDecoder, tmp_path: Path) -> None:
    answer = endless(decoder)
    assert decoder.save_prefix([5, 6, 7], tmp_path / "prefix") == 3
    decoder.cancel(answer.request.id)
    assert answer.done.reason == "cancelled"


@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_a_damaged_prefix_file_is_an_error_and_the_model_lives_on(
    decoder: LlamaCppDecoder, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "prefix").write_bytes(content)
    with pytest.raises(EngineError, match="couldn't save or restore"):
        decoder.load_prefix(tmp_path / "prefix")
    assert ask(decoder).done.reason in {"stop", "length"}


def test_a_missing_prefix_file_is_an_error(decoder: LlamaCppDecoder, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        decoder.load_prefix(tmp_path / "missing")


# -- the worker's life


def test_close_ends_everything_at_once_and_twice_is_nothing(fresh: LlamaCppDecoder) -> None:
    """CONTRACT 8: close ends runs, frees everything, and is a no-op the second time."""
    answer, pid, folder = endless(fresh), fresh._worker.pid, fresh._worker.folder
    started = time.monotonic()
    fresh.close()
    assert time.monotonic() - started < 1
    assert answer.done.reason == "cancelled"
    assert gone(pid, 0)
    assert not folder.exists()
    fresh.close()
    assert isinstance(ask(fresh, [5]).done.error, EngineError)
    with pytest.raises(EngineError, match="unloaded"):
        fresh.tokenize("a", special=False)


def test_a_worker_that_dies_ends_every_request_with_the_cause(fresh: LlamaCppDecoder) -> None:
    """CONTRACT 3: every ending settles, with a value or an error."""
    answers = [endless(fresh), endless(fresh), ask(fresh)]
    folder = fresh._worker.folder
    os.kill(fresh._worker.pid, signal.SIGKILL)
    for answer in answers:
        assert answer.done.reason == "error"
        assert "SIGKILL" in str(answer.done.error)
        assert "Load the model again" in str(answer.done.error)
    assert not folder.exists()
    assert "SIGKILL" in str(ask(fresh, [5]).done.error)


def test_an_abort_in_the_native_code_is_told_with_its_last_words(fresh: LlamaCppDecoder) -> None:
    answer = endless(fresh)
    os.kill(fresh._worker.pid, signal.SIGABRT)
    assert "SIGABRT" in str(answer.done.error)


def test_an_interrupt_of_the_whole_process_group_does_not_reach_the_worker(fresh: LlamaCppDecoder) -> None:
    os.kill(fresh._worker.pid, signal.SIGINT)
    assert os.getpgid(fresh._worker.pid) != os.getpgid(0)
    assert ask(fresh).done.reason in {"stop", "length"}


def test_the_worker_outlives_the_thread_that_loaded_it(model: Path) -> None:
    loaded: list[LlamaCppDecoder] = []
    thread = threading.Thread(target=lambda: loaded.append(load(model, slots=1, threads=1)))
    thread.start()
    thread.join()
    assert ask(loaded[0]).done.reason in {"stop", "length"}
    loaded[0].close()


PARENT = """
import sys, time
from pathlib import Path
from llmkit.engines.llamacpp import load
from llmkit.engines.decoder import DecodeRequest, Sampling, Tokens
decoders = [load(Path(sys.argv[1]), context_length=65536, slots=1, threads=1) for _ in range(int(sys.argv[2]))]
def report(decoder):
    def tell(report):
        if isinstance(report, Tokens) and not told.get(decoder):
            told[decoder] = True
            print(decoder._worker.pid, decoder._worker.folder, flush=True)
    return tell
told = {}
for decoder in decoders:
    bias = tuple((id_, -100.0) for id_ in decoder.info.end_ids)
    decoder.decode(DecodeRequest("a", (5,), 60000, Sampling(logit_bias=bias)), report(decoder))
if sys.argv[3] == "wait":
    time.sleep(60)
while len(told) < len(decoders):
    time.sleep(0.01)
"""


def start_parent(model: Path, count: int, then: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PARENT, str(model), str(count), then]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.parametrize("count", [1, 2])
def test_a_killed_kernel_leaves_no_worker_behind_not_even_a_suspended_one(model: Path, count: int) -> None:
    parent = start_parent(model, count, "wait")
    assert parent.stdout is not None
    lines = [parent.stdout.readline().split() for _ in range(count)]
    parent.kill()
    for pid, _ in lines:
        assert gone(int(pid))
    parent.communicate()
    load(model, slots=1, threads=1).close()  # which sweeps up
    assert not any(Path(folder).exists() for _, folder in lines)


def test_a_kernel_that_ends_in_mid_stream_ends_cleanly(model: Path) -> None:
    """CONTRACT 8: closing at interpreter exit."""
    parent = start_parent(model, 1, "end")
    out, err = parent.communicate(timeout=60)
    assert (parent.returncode, err) == (0, "")
    assert gone(int(out.split()[0]))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_is_told_that_it_cannot_use_the_model(fresh: LlamaCppDecoder) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        reports: list[Any] = []
        fresh.decode(DecodeRequest("a", (5,), 1), reports.append)
        fresh.cancel("a")
        fresh.close()
        os.write(writing, str(reports[0].error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    assert "forked" in os.read(reading, 1000).decode()
    os.close(reading)
    assert ask(fresh).done.reason in {"stop", "length"}  # and the parent's model still works


# -- no open door


def call(folder: Path, key: str | None) -> int:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(folder / "x.sock"))
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    connection.request("POST", "/completion", json.dumps({"prompt": "a", "n_predict": 1}), headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_worker_listens_on_no_port(decoder: LlamaCppDecoder) -> None:
    connections = psutil.Process(decoder._worker.pid).net_connections("inet")
    assert not connections


def test_the_socket_asks_for_the_key_and_its_folder_is_private(decoder: LlamaCppDecoder) -> None:
    folder = decoder._worker.folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert call(folder, None) == 401
    assert call(folder, "guess") == 401
    command = " ".join(psutil.Process(decoder._worker.pid).cmdline())
    key = decoder._door._headers["Authorization"].removeprefix("Bearer ")
    assert key not in command
    assert call(folder, key) == 200


# -- two models


def test_two_busy_models_take_turns_and_both_get_on(decoder: LlamaCppDecoder, fresh: LlamaCppDecoder) -> None:
    first, second = endless(decoder), endless(fresh)
    stopped: set[int] = set()
    pids = {decoder._worker.pid, fresh._worker.pid}
    deadline, waiting = time.monotonic() + 20, threading.Event()
    while stopped != pids and time.monotonic() < deadline:
        stopped |= {pid for pid in pids if psutil.Process(pid).status() == psutil.STATUS_STOPPED}
        waiting.wait(0.005)
    assert stopped == pids
    for each, answer in ((decoder, first), (fresh, second)):
        each.cancel(answer.request.id)
        assert answer.done.reason == "cancelled"
    assert {psutil.Process(pid).status() for pid in pids}.isdisjoint({psutil.STATUS_STOPPED})


def test_closing_one_of_two_busy_models_frees_the_other(decoder: LlamaCppDecoder, fresh: LlamaCppDecoder) -> None:
    first, second = endless(decoder), endless(fresh)
    fresh.close()
    assert second.done.reason == "cancelled"
    count = len(first.reports)
    first_more: Callable[[], bool] = lambda: len(first.reports) > count + 20  # noqa: E731
    with first._grown:
        assert first._grown.wait_for(first_more, 30)
    decoder.cancel(first.request.id)
    assert first.done.reason == "cancelled"
