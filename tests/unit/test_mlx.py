"""The MLX decoder on a tiny model: streaming, batching, cancelling, sampling, constraints, errors, closing."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from llmkit.engines.decoder import Done, Prefill, Tokens
from llmkit.engines.mlx import load
from llmkit.errors import ContextLengthError, EngineError, ModelFileError, ModelNotFound, ValidationError
from tests.unit.mlx_models import VOCABULARY, Answer, ask, write_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmkit.engines.mlx import MLXDecoder

LONG = "hello world " * 15  # 45 tokens: three chunks
FRESH = (f"{number} hello world " * 5 for number in itertools.count())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def decoder(folder: Path) -> Iterator[MLXDecoder]:
    decoder = load(folder, slots=3)
    yield decoder
    decoder.close()


def test_loading_tells_progress_and_what_the_model_is(folder: Path) -> None:
    """CONTRACT 8: loading reports progress."""
    parts: list[float] = []
    decoder = load(folder, context_length=64, progress=parts.append)
    info = decoder.info
    decoder.close()
    assert parts == sorted(parts)
    assert (parts[0], parts[-1]) == (0.0, 1.0)
    assert (info.engine, info.context_length, info.vocabulary_size, info.slots) == ("mlx", 64, VOCABULARY, 8)
    assert (info.bos_token, info.eos_token, info.add_bos) == ("<|im_start|>", "<|im_end|>", False)
    assert set(info.end_ids) == {0, 2}
    assert info.chat_template == "{{ messages }}"
    assert info.device in {"cpu", "metal"}
    assert "mlx" in info.build


def test_the_context_is_never_longer_than_the_model_s(folder: Path) -> None:
    decoder = load(folder, context_length=10**6)
    assert decoder.info.context_length == 512
    decoder.close()


def test_an_answer_is_prefill_tokens_and_one_done(decoder: MLXDecoder) -> None:
    """CONTRACT 7: prefill is told chunk by chunk."""
    answer = ask(decoder, f"<|im_start|>{LONG}", max_tokens=5)
    done = answer.done
    kinds = [type(report) for report in answer.reports]
    first_tokens = kinds.index(Tokens)
    assert set(kinds[:first_tokens]) == {Prefill}
    assert kinds[-1] is Done
    assert kinds.count(Done) == 1
    counts = [prefill.done for prefill in answer.prefills]
    total = len(answer.request.prompt)
    assert counts[0] == 0
    assert counts[-1] == total
    assert counts == sorted(counts)
    assert len(counts) > 3
    assert (done.reason, done.prompt_tokens, done.cached_tokens, done.generated_tokens) == ("length", total, 0, 5)
    assert done.prefill_time is not None
    assert done.prefill_time > 0
    assert done.decode_time is not None
    assert done.decode_time > 0


@pytest.mark.parametrize("seed", range(6))
def test_token_texts_and_tail_are_the_text_of_the_ids(decoder: MLXDecoder, seed: int) -> None:
    """CONTRACT 2: random weights write broken characters; none is lost or doubled."""
    answer = ask(decoder, "he", max_tokens=60, temperature=2.0, seed=seed, special=True)
    assert answer.text == decoder.detokenize(answer.ids)


def test_max_tokens_are_cut_to_what_the_context_holds(decoder: MLXDecoder) -> None:
    """CONTRACT 42: prompt and output never pass the context."""
    prompt = [100] * 505
    answer = ask(decoder, prompt, max_tokens=100, logit_bias=((0, -100.0), (2, -100.0)))
    assert (answer.done.reason, answer.done.generated_tokens) == ("length", 7)


def test_the_end_token_ends_and_is_not_counted(decoder: MLXDecoder) -> None:
    """CONTRACT 46: stop, and the end token is neither text nor token."""
    answer = ask(decoder, logit_bias=((2, 100.0),))
    assert (answer.done.reason, answer.done.generated_tokens, answer.tokens) == ("stop", 0, [])


def test_a_stop_string_over_several_tokens_ends_the_text(decoder: MLXDecoder) -> None:
    """CONTRACT 42: stop sequences are never in the text, also when split over tokens."""
    free = ask(decoder, max_tokens=40, special=True)
    stop = free.text[8:14]
    answer = ask(decoder, max_tokens=40, special=True, stop=(stop,))
    assert answer.text == free.text[: free.text.index(stop)]
    assert (answer.done.reason, answer.done.raw_reason, answer.done.tail) == ("stop", "stop_string", "")
    assert ask(decoder, max_tokens=40, special=True).text == free.text


def test_text_held_for_a_stop_string_comes_in_the_tail(decoder: MLXDecoder) -> None:
    free = ask(decoder, max_tokens=10, special=True)
    answer = ask(decoder, max_tokens=10, special=True, stop=(f"{free.text[-1]}\0never",))
    assert answer.done.tail == free.text[-1]
    assert answer.text == free.text


def test_seeded_text_is_the_same_alone_and_in_company(decoder: MLXDecoder) -> None:
    """CONTRACT 42: same seed, same text, whatever else is running."""
    sampling: dict[str, Any] = {"temperature": 1.0, "top_p": 0.9, "top_k": 40, "min_p": 0.01}
    alone = ask(decoder, seed=3, **sampling).ids
    company = [ask(decoder, seed=seed, **sampling) for seed in (1, 3, 5, 3)] + [ask(decoder, next(FRESH))]
    assert [answer.ids == alone for answer in company[:4]] == [False, True, False, True]


def test_penalties_and_bias_change_only_their_own_request(decoder: MLXDecoder) -> None:
    """CONTRACT 42: penalties and logit_bias."""
    plain = ask(decoder, max_tokens=16)
    banned = ask(decoder, max_tokens=16, logit_bias=((plain.ids[0], -100.0),))
    unrepeated = ask(decoder, max_tokens=16, presence_penalty=2.0, frequency_penalty=2.0, repetition_penalty=10.0)
    other = ask(decoder, max_tokens=16)
    assert plain.ids[0] not in banned.ids
    assert len(set(unrepeated.ids)) == len(unrepeated.ids)
    assert other.ids == plain.ids


def test_logprobs_are_those_before_sampling(decoder: MLXDecoder) -> None:
    """CONTRACT 56: log-probabilities with alternatives, best first."""
    plain = ask(decoder, max_tokens=4, logprobs=3)
    for token in plain.tokens:
        assert token.logprob == token.alternatives[0].logprob
        assert token.alternatives[0].id == token.id
        values = [alternative.logprob for alternative in token.alternatives]
        assert values == sorted(values, reverse=True)
        assert len(values) == 3
        assert max(values) <= 0
    second = plain.tokens[0].alternatives[1]
    biased = ask(decoder, max_tokens=1, logprobs=0, logit_bias=((plain.ids[0], -100.0),))
    assert biased.ids == [second.id]
    assert biased.tokens[0].logprob == pytest.approx(second.logprob, abs=1e-4)
    assert biased.tokens[0].alternatives == ()
    assert all(token.logprob is None for token in ask(decoder, max_tokens=2).tokens)


def test_a_grammar_binds_the_text_and_then_allows_only_the_end(decoder: MLXDecoder) -> None:
    """CONTRACT 49: constrained text parses, and ends when it is complete."""
    answer = ask(decoder, max_tokens=60, grammar='start: "{" /[a-c]{3,6}/ "}"', temperature=1.5, seed=4)
    assert answer.done.reason == "stop"
    assert answer.text[0] + answer.text[-1] == "{}"
    assert 3 <= len(answer.text[1:-1]) <= 6
    assert set(answer.text[1:-1]) <= set("abc")


def test_a_grammar_binds_only_its_own_request(decoder: MLXDecoder) -> None:
    """CONTRACT 10: requests of one model share it without touching one another."""
    free = ask(decoder).ids
    bound = [ask(decoder, grammar='start: "yes" | "no"'), ask(decoder), ask(decoder, grammar='start: "maybe"')]
    assert bound[0].text in {"yes", "no"}
    assert bound[1].ids == free
    assert bound[2].text == "maybe"


def test_a_bad_grammar_is_an_error_of_its_own_request(decoder: MLXDecoder) -> None:
    bad, good = ask(decoder, grammar="start: nothing_of_that_name"), ask(decoder)
    assert bad.done.reason == "error"
    assert isinstance(bad.done.error, ValidationError)
    assert good.done.reason == "length"


def test_a_failing_logits_step_ends_its_own_request_alone(decoder: MLXDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception there would end the step for every request in it."""
    calls = itertools.count()

    def fail(_self: object, _token: int) -> None:
        if next(calls) == 2:
            raise RuntimeError("boom")

    monkeypatch.setattr("llmkit.engines.mlx_constraint.GrammarMask._consume", fail)
    bad = ask(decoder, max_tokens=40, grammar="start: /[a-z]+/")
    good = ask(decoder, max_tokens=40)
    assert isinstance(bad.done.error, EngineError)
    assert "boom" in str(bad.done.error)
    assert len(bad.tokens) == 3
    assert good.done.reason == "length"


def test_a_failing_receiver_ends_its_own_request_alone(decoder: MLXDecoder, caplog: pytest.LogCaptureFixture) -> None:
    """No exception is swallowed without a record."""
    answer = ask(decoder, max_tokens=40)
    answer.until(Tokens)
    assert answer.done.reason == "length"
    ended = threading.Event()

    def report(event: object) -> None:
        if isinstance(event, Done):
            ended.set()
        raise RuntimeError("receiver")

    from llmkit.engines.decoder import DecodeRequest

    decoder.decode(DecodeRequest("failing", (100, 101), 400), report)
    assert ended.wait(30)
    assert "receiver" in caplog.text
    assert ask(decoder).done.reason == "length"


def test_a_failed_step_ends_what_was_in_it_and_the_decoder_lives_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    decoder = load(folder)
    running = ask(decoder, max_tokens=400)
    running.until(Tokens)

    def fail() -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(decoder._thread.loop._generator, "next", fail)
    assert running.done.reason == "error"
    assert isinstance(running.done.error, EngineError)
    assert "out of memory" in caplog.text
    assert ask(decoder).done.reason == "length"
    decoder.close()


def test_cancel_in_decode_stops_at_once(decoder: MLXDecoder) -> None:
    """CONTRACT 7: decoding stops within one token; the others go on."""
    answer, other = ask(decoder, max_tokens=480), ask(decoder, max_tokens=30)
    answer.until(Tokens)
    decoder.cancel(answer.request.id)
    assert answer.done.reason == "cancelled"
    assert 0 < (answer.done.generated_tokens or 0) < 480
    assert answer.text.startswith(answer.tokens[0].text)
    assert other.done.reason == "length"


def test_cancel_in_prefill_stops_within_a_chunk(decoder: MLXDecoder) -> None:
    """CONTRACT 7: during prefill, decoding stops within one prefill chunk."""
    prompt = decoder.tokenize(next(FRESH), special=False) * 10
    answer = CancelAtPrefill(decoder, prompt[:480])
    assert answer.answer.done.reason == "cancelled"
    assert answer.answer.tokens == []
    assert len(answer.answer.prefills) <= 3
    assert answer.answer.done.prefill_time is None


class CancelAtPrefill:
    """Cancels from within the first report, so that nothing depends on timing."""

    def __init__(self, decoder: MLXDecoder, prompt: list[int]) -> None:
        from llmkit.engines.decoder import DecodeRequest

        class Cancelling(Answer):
            def _report(self, report: Any) -> None:
                super()._report(report)
                decoder.cancel("prefilling")

        self.answer = Cancelling(decoder, DecodeRequest("prefilling", tuple(prompt), 5))


def test_a_request_cancelled_in_the_queue_never_decodes(decoder: MLXDecoder) -> None:
    """CONTRACT 7: a run cancelled while queued never decodes."""
    running = [ask(decoder, next(FRESH), max_tokens=400) for _ in range(3)]
    waiting = ask(decoder, max_tokens=5)
    decoder.cancel(waiting.request.id)
    assert waiting.done.reason == "cancelled"
    assert [type(report) for report in waiting.reports] == [Done]
    for answer in running:
        decoder.cancel(answer.request.id)


def test_an_unknown_cancel_is_ignored(decoder: MLXDecoder) -> None:
    decoder.cancel("never heard of")
    assert ask(decoder, max_tokens=2).done.reason == "length"


def test_more_requests_than_slots_are_served_in_order(decoder: MLXDecoder) -> None:
    """CONTRACT 10: up to a limit at once, then in order."""
    started: list[str] = []

    class Starting(Answer):
        def _report(self, report: Any) -> None:
            if isinstance(report, Prefill) and self.request.id not in started:
                started.append(self.request.id)
            super()._report(report)

    from llmkit.engines.decoder import DecodeRequest

    prompts = [tuple(decoder.tokenize(next(FRESH), special=False)) for _ in range(7)]
    answers = [Starting(decoder, DecodeRequest(f"q{n}", prompt, 20)) for n, prompt in enumerate(prompts)]
    assert {answer.done.reason for answer in answers} <= {"length", "stop"}
    assert started == [f"q{n}" for n in range(7)]


def test_batched_texts_are_those_decoded_alone(decoder: MLXDecoder) -> None:
    """CONTRACT 10: continuous batching changes no text."""
    prompts = [decoder.tokenize(next(FRESH), special=False)[: 5 * n] for n in range(1, 6)]
    alone = [ask(decoder, prompt, reuse_prefix=False).ids for prompt in prompts]
    together = [ask(decoder, prompt, reuse_prefix=False) for prompt in prompts]
    assert [answer.ids for answer in together] == alone


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"prompt": []}, ValidationError),
        ({"prompt": [VOCABULARY]}, ValidationError),
        ({"prompt": [-1]}, ValidationError),
        ({"prompt": [5] * 512}, ContextLengthError),
        ({"logit_bias": ((VOCABULARY, 1.0),)}, ValidationError),
    ],
)
def test_an_impossible_request_is_an_error_inside_done(
    decoder: MLXDecoder, fields: dict[str, Any], kind: type[Exception]
) -> None:
    answer = ask(decoder, **fields)
    assert answer.done.reason == "error"
    assert isinstance(answer.done.error, kind)
    assert [type(report) for report in answer.reports] == [Done]


def test_an_id_in_use_is_refused(decoder: MLXDecoder) -> None:
    first, second = ask(decoder, max_tokens=60, id="twin"), ask(decoder, id="twin")
    assert isinstance(second.done.error, ValidationError)
    assert first.done.reason == "length"


def test_tokens_are_gathered_but_never_the_first(decoder: MLXDecoder) -> None:
    answer = ask(decoder, max_tokens=60)
    assert answer.done.reason == "length"
    batches = [report.tokens for report in answer.reports if isinstance(report, Tokens)]
    assert len(batches[0]) == 1
    assert len(batches) < 60


def test_close_ends_requests_and_frees_the_model(folder: Path) -> None:
    """CONTRACT 8: closing ends runs, frees everything, and is a no-op the second time, from any thread."""
    import mlx.core as mx

    gc.collect()
    before = mx.get_active_memory()
    decoder = load(folder, slots=1)
    running, waiting = ask(decoder, max_tokens=480), ask(decoder)
    running.until(Tokens)
    assert decoder.info.memory
    closers = [threading.Thread(target=decoder.close) for _ in range(3)]
    for closer in closers:
        closer.start()
    decoder.close()
    for closer in closers:
        closer.join(30)
    assert (running.done.reason, waiting.done.reason) == ("cancelled", "cancelled")
    assert decoder.info.memory == 0
    assert mx.get_active_memory() < before + 1000  # a thread keeps its random key of 8 bytes
    after = ask(decoder)
    assert isinstance(after.done.error, EngineError)
    decoder.cancel("anything")
    decoder.close()


def test_a_dropped_decoder_frees_its_model(folder: Path) -> None:
    decoder = load(folder)
    freed = decoder._thread._freed
    del decoder
    gc.collect()
    assert freed.wait(30)


@pytest.mark.parametrize("field", ["context_length", "slots"])
def test_an_impossible_argument_names_its_field(folder: Path, field: str) -> None:
    arguments: dict[str, Any] = {field: 0}
    with pytest.raises(ValidationError) as caught:
        load(folder, **arguments)
    assert caught.value.field == field


def test_no_model_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        load(tmp_path / "nothing")


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_says_which(tmp_path: Path, missing: str) -> None:
    (write_model(tmp_path) / missing).unlink()
    with pytest.raises(ModelFileError, match=missing.rsplit(".", maxsplit=1)[-1]):
        load(tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-100], lambda raw: raw[:40], lambda _: b"\xff" * 999, lambda _: b""]
)
def test_damaged_weights_are_an_error_and_no_crash(tmp_path: Path, damage: Any) -> None:
    file = write_model(tmp_path) / "model.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ModelFileError, match="safetensors"):
        load(tmp_path)


@pytest.mark.parametrize(
    "config", ["{", "[]", "{}", '{"model_type": "no_such"}', '{"model_type": "llama"}', '{"model_type": "../llama"}']
)
def test_a_config_mlx_cannot_use_is_a_model_file_error(tmp_path: Path, config: str) -> None:
    (write_model(tmp_path) / "config.json").write_text(config)
    with pytest.raises(ModelFileError, match="llamacpp"):
        load(tmp_path)


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        check=False, capture_output=True, text=True, timeout=100, env={**os.environ, **environment},
    )  # fmt: skip


def test_without_mlx_the_error_names_the_remedy(folder: Path) -> None:
    code = f"""
import pathlib, sys
sys.modules["mlx"] = None
from llmkit.engines.mlx import load
from llmkit.errors import EngineError
try:
    load(pathlib.Path({str(folder)!r}))
except EngineError as error:
    print(error)
"""
    done = run_python(code)
    assert 'pip install "llmkit[mlx]"' in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("last", ["", "del decoder", "decoder.close()"])
def test_a_process_can_fork_and_exit_while_decoding(folder: Path, last: str) -> None:
    """CONTRACT 8: at interpreter exit nothing hangs or aborts; a forked child gets an error, as it would hang."""
    code = f"""
import os, pathlib, threading
from llmkit.engines.decoder import DecodeRequest, Tokens
from llmkit.engines.mlx import load
decoder = load(pathlib.Path({str(folder)!r}))
child = os.fork()
if child == 0:
    reports = []
    decoder.decode(DecodeRequest("a", (5,), 3), reports.append)
    decoder.close()
    fine = "fork" in str(reports[0].error) and decoder.tokenize("hello", special=True)
    os._exit(0 if fine else 1)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
started = threading.Event()
decoder.decode(DecodeRequest("b", (5,), 500), lambda report: started.set() if isinstance(report, Tokens) else None)
print("decoding", started.wait(60))
{last}
"""
    done = run_python(code)
    assert done.stdout == "child 0\ndecoding True\n"
    assert (done.returncode, done.stderr) == (0, "")
