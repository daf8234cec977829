"""Prefix reuse on MLX: what is reused is right, what is saved is bound to its model, nothing is ever poisoned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmkit.engines.decoder import DecodeRequest, Prefill, Tokens
from llmkit.engines.mlx import load
from llmkit.errors import ContextLengthError, EngineError, ModelFileError, ValidationError
from tests.unit.mlx_models import Answer, ask, write_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmkit.engines.mlx import MLXDecoder

PROMPT = [20 + number % 250 for number in range(100)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def decoder(folder: Path) -> Iterator[MLXDecoder]:
    decoder = load(folder, slots=2)
    yield decoder
    decoder.close()


def test_a_prefix_is_reused_and_changes_no_text(decoder: MLXDecoder) -> None:
    """CONTRACT 9: prefixes are reused between runs by default."""
    cold = ask(decoder, PROMPT, reuse_prefix=False)
    assert cold.done.cached_tokens == 0
    assert ask(decoder, PROMPT).done.cached_tokens == 0  # the first kept nothing
    warm = ask(decoder, PROMPT)
    assert warm.done.cached_tokens == len(PROMPT) - 1  # an exact hit still reads one token
    assert warm.ids == cold.ids
    assert warm.prefills[0] == Prefill(99, 100, 99)
    longer = ask(decoder, [*PROMPT, 50, 51])
    assert longer.done.cached_tokens == len(PROMPT)
    assert longer.ids == ask(decoder, [*PROMPT, 50, 51], reuse_prefix=False).ids
    branch = ask(decoder, [*PROMPT[:60], 50])
    assert branch.done.cached_tokens == 60
    assert branch.ids == ask(decoder, [*PROMPT[:60], 50], reuse_prefix=False).ids


def test_the_next_turn_reuses_what_was_generated(decoder: MLXDecoder) -> None:
    """CONTRACT 9: a conversation is read once."""
    first = ask(decoder, PROMPT)
    following = [*PROMPT, *first.ids, 60, 61]
    assert ask(decoder, following).done.cached_tokens == len(PROMPT) + len(first.ids)


def test_requests_started_together_read_a_common_prefix_once(decoder: MLXDecoder) -> None:
    """CONTRACT 9: cells of a comparison share their system prompt though none has ended yet."""
    first = ask(decoder, [*PROMPT, 30], max_tokens=100)
    others = [ask(decoder, [*PROMPT, 31 + n], max_tokens=3) for n in range(3)]
    assert first.done.cached_tokens == 0
    assert [answer.done.cached_tokens for answer in others] == [len(PROMPT)] * 3


@pytest.mark.parametrize("phase", [Prefill, Tokens])
def test_an_aborted_request_never_poisons_the_cache(decoder: MLXDecoder, phase: type) -> None:
    """CONTRACT 9: an aborted run never poisons the cache."""
    cold = ask(decoder, PROMPT, reuse_prefix=False).ids

    class Cancelling(Answer):
        def _report(self, report: Any) -> None:
            if isinstance(report, phase) and not (isinstance(report, Prefill) and report.done == 0):
                decoder.cancel("aborted")
            super()._report(report)

    aborted = Cancelling(decoder, DecodeRequest("aborted", tuple(PROMPT), 300))
    assert aborted.done.reason == "cancelled"
    after = ask(decoder, PROMPT)
    assert after.ids == cold
    assert after.done.cached_tokens
    assert ask(decoder, PROMPT).ids == cold


def test_a_failed_step_never_poisons_the_cache(decoder: MLXDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 9: what a failed step left half written is forgotten."""
    cold = ask(decoder, PROMPT, reuse_prefix=False).ids
    running = ask(decoder, PROMPT, max_tokens=300)
    running.until(Tokens)
    monkeypatch.setattr(decoder._thread.loop._generator, "next", lambda: 1 / 0)
    assert running.done.reason == "error"
    after = ask(decoder, PROMPT)
    assert (after.ids, after.done.cached_tokens) == (cold, 0)


def test_the_memory_of_prefixes_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmkit.engines.mlx._PREFIX_BYTES", 100_000)
    decoder = load(folder)
    weights = decoder.info.memory or 0
    for start in range(8):
        assert ask(decoder, [start + 20, *PROMPT]).done.reason == "length"
    assert ask(decoder, PROMPT, max_tokens=1).done.reason == "length"
    assert 0 < (decoder.info.memory or 0) - weights <= 200_000
    decoder.close()


def test_a_saved_prefix_is_reused_by_another_decoder(decoder: MLXDecoder, folder: Path, tmp_path: Path) -> None:
    """CONTRACT 9: a named cache can be saved to disk."""
    path = tmp_path / "new folder" / "pinned.kv"
    cold = ask(decoder, [*PROMPT, 40], reuse_prefix=False).ids
    assert decoder.save_prefix(PROMPT, path) == len(PROMPT)
    assert [file.name for file in path.parent.iterdir()] == ["pinned.kv"]
    fresh = load(folder)
    assert fresh.load_prefix(path) == len(PROMPT)
    answer = ask(fresh, [*PROMPT, 40])
    assert (answer.done.cached_tokens, answer.ids) == (len(PROMPT), cold)
    fresh.close()


def test_a_prefix_may_fill_the_context(decoder: MLXDecoder, tmp_path: Path) -> None:
    assert decoder.save_prefix([30] * 512, tmp_path / "full") == 512


def test_a_prefix_that_cannot_be_saved_says_why(decoder: MLXDecoder, tmp_path: Path) -> None:
    with pytest.raises(ContextLengthError):
        decoder.save_prefix([30] * 513, tmp_path / "a")
    with pytest.raises(ValidationError):
        decoder.save_prefix([], tmp_path / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="folder"):
        decoder.save_prefix(PROMPT, tmp_path / "file" / "a")
    assert ask(decoder).done.reason == "length"


def test_a_prefix_of_another_model_is_refused(decoder: MLXDecoder, tmp_path: Path) -> None:
    """CONTRACT 9: a saved cache is bound to its model."""
    decoder.save_prefix(PROMPT, tmp_path / "a")
    other = load(write_model(tmp_path / "other", seed=1))
    with pytest.raises(ModelFileError, match="another model"):
        other.load_prefix(tmp_path / "a")
    other.close()


@pytest.mark.parametrize("size", [0, 7, 200, -50])
def test_a_damaged_prefix_is_refused(decoder: MLXDecoder, tmp_path: Path, size: int) -> None:
    decoder.save_prefix(PROMPT, tmp_path / "a")
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes()[:size])
    with pytest.raises(ModelFileError):
        decoder.load_prefix(tmp_path / "b")
    assert ask(decoder).done.reason == "length"


def test_a_prefix_whose_tokens_were_changed_is_refused(decoder: MLXDecoder, tmp_path: Path) -> None:
    decoder.save_prefix(PROMPT, tmp_path / "a")
    raw = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(raw.replace(b"[20, 21, 22,", b"[20, 2122,  "))
    with pytest.raises(ModelFileError, match="99 tokens"):
        decoder.load_prefix(tmp_path / "a")


def test_weights_are_no_prefix(decoder: MLXDecoder, folder: Path) -> None:
    with pytest.raises(ModelFileError, match="saved"):
        decoder.load_prefix(folder / "model.safetensors")


def test_a_missing_prefix_is_a_model_file_error(decoder: MLXDecoder, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="No such file"):
        decoder.load_prefix(tmp_path / "nothing")


def test_a_closed_decoder_saves_and_loads_nothing(folder: Path, tmp_path: Path) -> None:
    decoder = load(folder)
    decoder.close()
    with pytest.raises(EngineError, match="unloaded"):
        decoder.save_prefix(PROMPT, tmp_path / "a")
    with pytest.raises(EngineError, match="unloaded"):
        decoder.load_prefix(tmp_path / "a")
