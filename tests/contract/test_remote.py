"""What the remote engine does with real servers, on real weights: llama.cpp's, and mlx_lm.server."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from llmkit.cancellation import CancelToken
from llmkit.engines.base import Decoded, Note, TextPiece
from llmkit.engines.decoder import Done, Prefill
from llmkit.engines.raw import RawRequest
from llmkit.engines.remote.config import Remote
from llmkit.engines.remote.source import connect
from llmkit.errors import APIError, ContextLengthError
from llmkit.output import output_from
from llmkit.settings import settings_from
from llmkit.tools.choice import ToolChoice
from llmkit.tools.define import tool_from
from tests.contract.remote_servers import KEY, running
from tests.unit.fault_server import Heard, asked, hear, on_loop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmkit.engines.remote.engine import RemoteEngine

QUESTION = "Name a colour."


@dataclass(frozen=True)
class Subject:
    """A server under test.

    ``few`` and ``many`` are numbers of tokens that take it around a second, and long; ``words`` of a prompt, a while.
    """

    name: str
    engine: RemoteEngine
    few: int
    many: int
    words: int

    @property
    def remote(self) -> Remote:
        return self.engine.remote

    def ask(self, prompt: str = QUESTION, **fields: Any) -> Heard:
        cancel = fields.pop("cancel", None)
        return hear(self.engine, asked(prompt, **{"max_output_tokens": self.few, "temperature": 0, **fields}), cancel)


@pytest.fixture(scope="module", params=["llamacpp", "mlx_lm"])
def subject(
    request: pytest.FixtureRequest, model_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    name = request.param
    sizes = (24, 400, 150) if name == "llamacpp" else (4, 100, 2)
    with running(name, model_path, tmp_path_factory.mktemp(name)) as url:
        engine = connect(Remote(url, api_key=KEY))
        yield Subject(name, engine, *sizes)
        engine.close()


def test_the_server_says_what_it_has(subject: Subject) -> None:
    """CONTRACT 58: the one model of a server needs no name; its context's length, where it tells."""
    info = subject.engine.info
    assert info.engine == "remote"
    expected = ("llamacpp", 1024) if subject.name == "llamacpp" else ("mlx_lm", None)
    assert (info.build, info.context_length) == expected


def test_an_answer_streams_and_is_counted(subject: Subject) -> None:
    """CONTRACT 2, 47, 58: pieces in order, usage in the last chunk."""
    heard = subject.ask()
    pieces = heard.all(TextPiece)
    assert len(pieces) >= 3
    assert heard.done.reason in {"stop", "length"}
    assert heard.done.prompt_tokens == 34
    assert 1 <= (heard.done.generated_tokens or 0) <= subject.few
    assert heard.done.cached_tokens is not None
    kinds = [type(each) for each in heard.deltas]
    assert kinds.index(Decoded) < kinds.index(TextPiece)


def test_greedy_text_is_always_the_same_and_prefixes_are_reused(subject: Subject) -> None:
    """CONTRACT 9, 42: temperature 0 is greedy."""
    first, second = subject.ask(), subject.ask()
    assert first.text == second.text
    assert (second.done.cached_tokens or 0) >= 30


def test_a_seed_gives_the_same_text(subject: Subject) -> None:
    """CONTRACT 42: same seed, same text."""
    one, again = (subject.ask(temperature=1.5, seed=7).text for _ in range(2))
    assert one == again


def test_max_tokens_ends_with_length(subject: Subject) -> None:
    """CONTRACT 42, 46."""
    done = subject.ask(max_output_tokens=1).done
    assert (done.reason, done.raw_reason, done.generated_tokens) == ("length", "length", 1)


def test_stop_strings_end_the_text_and_are_not_in_it(subject: Subject) -> None:
    """CONTRACT 42: stop sequences, also when split over tokens."""
    whole = subject.ask().text
    middle = len(whole) // 2
    stop = whole[middle - 1 : middle + 2]
    heard = subject.ask(stop=[stop])
    assert heard.done.reason == "stop"
    assert heard.text == whole[: whole.index(stop)]


def test_cancelling_disconnects_and_the_server_stops(subject: Subject) -> None:
    """CONTRACT 7: the end says cancelled, at once; the next request is answered as before."""
    usual = subject.ask().text
    cancel = CancelToken()
    began = time.perf_counter()
    heard = hear(
        subject.engine,
        asked("Count to a thousand.", max_output_tokens=subject.many, temperature=0),
        cancel,
        lambda each: isinstance(each, TextPiece) and cancel.cancel(),
    )
    ended = time.perf_counter()
    assert heard.done.reason == "cancelled"
    assert heard.text
    assert subject.ask().text == usual
    assert time.perf_counter() - ended < max(10.0, 5 * (ended - began)), "the server went on decoding"


def test_cancelling_in_prefill_decodes_nothing(subject: Subject) -> None:
    """CONTRACT 7: during prefill too."""
    cancel = CancelToken()
    timer = threading.Timer(0.05, cancel.cancel)
    timer.start()
    words = " ".join(f"{number} fish" for number in range(subject.words))
    heard = subject.ask(f"{time.time()} {words}", cancel=cancel)
    timer.join()
    assert heard.done.reason == "cancelled"
    assert heard.text == ""


def test_several_at_once_say_what_they_say_alone(subject: Subject) -> None:
    """CONTRACT 10: company changes nobody's text."""
    prompts = [QUESTION, "Name a fish."]
    alone = [subject.ask(prompt, max_output_tokens=2).text for prompt in prompts]
    together: dict[str, str] = {}

    def ask(prompt: str) -> None:
        together[prompt] = subject.ask(prompt, max_output_tokens=2, id_=prompt).text

    threads = [threading.Thread(target=ask, args=(prompt,)) for prompt in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[prompt] for prompt in prompts] == alone


def test_logprobs_are_there_or_their_absence_is_noted(subject: Subject) -> None:
    """CONTRACT 56: mlx_lm.server streams none."""
    heard = subject.ask(logprobs=2, max_output_tokens=3)
    tokens = [token for each in heard.all(Decoded) for token in each.tokens]
    if subject.name == "mlx_lm":
        assert tokens == []
        assert "log-probabilities" in heard.all(Note)[-1].text
        return
    assert "".join(token.text for token in tokens) == heard.text
    for token in tokens:
        assert token.logprob is not None
        assert token.logprob <= 1e-4
        assert token.id >= 0
        assert len(token.alternatives) == 2


def test_progress_is_told_where_the_server_does(subject: Subject) -> None:
    """CONTRACT 5: prefill."""
    heard = subject.ask(max_output_tokens=1)
    assert bool(heard.all(Prefill)) == (subject.name == "llamacpp")
    assert (heard.done.prefill_time is not None) == (subject.name == "llamacpp")


def test_a_tool_choice_that_the_server_ignores_is_noted(subject: Subject) -> None:
    """CONTRACT 18, 58: the embedded model's template has no tools."""

    def now() -> str:
        """Tell the time."""
        return ""

    heard = subject.ask(tools=(tool_from(now),), tool_choice=ToolChoice("required"))
    assert heard.calls or heard.unread or "tool_choice" in heard.all(Note)[-1].text


def test_a_setting_of_the_wrong_type_is_an_invalid_request(subject: Subject) -> None:
    """CONTRACT 57: real error bodies."""
    engine = connect(Remote(subject.remote.base_url, subject.engine.server.model, api_key=KEY, options={"top_p": "x"}))
    with pytest.raises(APIError, match="top_p") as caught:
        hear(engine, asked(max_output_tokens=1))
    assert (caught.value.status, caught.value.code, caught.value.retryable) == (400, "invalid_request", False)
    engine.close()


def test_a_wrong_key_or_model_is_refused(subject: Subject) -> None:
    """CONTRACT 57, 58: llama.cpp's server checks keys, mlx_lm.server checks models."""
    wrong = Remote(subject.remote.base_url, "owner/no-such-model", api_key="a-wrong-key")
    engine = connect(wrong)
    with pytest.raises(APIError) as caught:
        hear(engine, asked(max_output_tokens=1))
    expected = (401, "authentication_error") if subject.name == "llamacpp" else (404, "not_found")
    assert (caught.value.status, caught.value.code) == expected
    assert "a-wrong-key" not in str(caught.value)
    engine.close()


def test_a_prompt_beyond_the_context_is_refused_with_both_lengths(subject: Subject) -> None:
    """CONTRACT 57: context_length_exceeded; mlx_lm.server knows no limit."""
    if subject.name == "mlx_lm":
        assert subject.engine.info.context_length is None
        return
    with pytest.raises(ContextLengthError) as caught:
        subject.ask("fish " * 2000)
    assert caught.value.context_length == 1024
    assert (caught.value.prompt_tokens or 0) > 2000


def test_raw_completions_continue_a_text(subject: Subject) -> None:
    """CONTRACT 54, 58."""
    request = RawRequest("raw", "The capital of France is", settings_from({"temperature": 0, "max_output_tokens": 3}))

    async def collect() -> list[Any]:
        return [each async for each in subject.engine.complete_raw(request, CancelToken())]

    pieces = on_loop(collect)
    assert "Paris" in "".join(each.delta.text for each in pieces if isinstance(each.delta, TextPiece))
    whole = pieces[-1]
    assert whole.index is None
    assert isinstance(whole.delta, Done)
    assert (whole.delta.reason, whole.delta.generated_tokens) == ("length", 3)


def test_an_output_is_held_to_where_the_server_can_and_said_where_it_cant(subject: Subject) -> None:
    """CONTRACT 49: response_format; the answer is checked in either case, by the run."""
    spec = output_from({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]})
    assert spec is not None
    heard = subject.ask("Is the sky blue?", output=spec)
    notes = [delta.text for delta in heard.deltas if isinstance(delta, Note)]
    if subject.name == "llamacpp":
        assert spec.parse(heard.text)["ok"] in {True, False}
        assert notes == []
    else:
        assert "no structured output" in notes[0]
        assert heard.text
