"""Raw completions on every engine and on real servers: one suite, real weights."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import llmkit as lk
from tests.contract.remote_servers import KEY, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMPT = "The capital of France is"
SCHEMA = {
    "type": "object",
    "properties": {"year": {"type": "integer", "minimum": 1000, "maximum": 1999}},
    "required": ["year"],
    "additionalProperties": False,
}


def paris(prompt: str) -> str:
    return ' {"year": 1889}'.strip() if "JSON" in prompt else " Paris, and the 🐟 swims. " * 40


@dataclass(frozen=True)
class Subject:
    """A model under test; ``few`` tokens take it around a second."""

    name: str
    session: lk.Session
    model: Any
    few: int

    @property
    def server(self) -> bool:
        return self.name.endswith("server")

    def create(self, prompt: Any = PROMPT, **options: Any) -> lk.Completion:
        given = {"model": self.model, "max_tokens": self.few, "temperature": 0, **options}
        return self.session.completions.create(prompt, **given)

    def stream(self, prompt: Any = PROMPT, **options: Any) -> lk.CompletionStream:
        given = {"model": self.model, "max_tokens": self.few, "temperature": 0, **options}
        return self.session.completions.create_stream(prompt, **given)


@pytest.fixture(scope="module", params=["scripted", "llamacpp", "mlx", "llamacpp server", "mlx_lm server"])
def subject(
    request: pytest.FixtureRequest, model_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    name, few = request.param, 3 if "mlx" in request.param else 6
    with ExitStack() as stack:
        model = None
        if name.endswith("server"):
            kind = name.removesuffix(" server")
            model = lk.Remote(
                stack.enter_context(running(kind, model_path, tmp_path_factory.mktemp(kind))), api_key=KEY
            )
        engine = name if name in {"llamacpp", "mlx"} else lk.Scripted([paris], tokens_per_second=500)
        session = lk.Session(engine=engine, show=False, ledger=None, context_length=1024, concurrency=2)
        stack.enter_context(session)
        yield Subject(name, session, model, few)


def test_the_text_goes_on_from_the_prompt(subject: Subject) -> None:
    """CONTRACT 54, 58: no template in between; usage is counted; the same whole and streamed."""
    completion = subject.create()
    # mlx_lm.server's detokenizer takes away a blank at the beginning (0.32.2).
    assert completion.text.startswith("Paris" if subject.name == "mlx_lm server" else " Paris")
    assert completion.finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 5
    assert completion.usage.completion_tokens == subject.few
    with subject.stream() as stream:
        chunks = list(stream)
    assert "".join(chunk.text for chunk in chunks) == completion.text
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == completion.usage.total_tokens
    assert subject.session.runs["prompt"].iloc[-1] == PROMPT


def test_prompts_and_choices_come_in_order(subject: Subject) -> None:
    """CONTRACT 54: a list of texts, n, seed and echo."""
    n = 1 if "mlx" in subject.name else 2
    options: dict[str, Any] = {"n": n, "max_tokens": 3, "temperature": 1.5, "seed": 11, "echo": True}
    prompts = ["Red and", PROMPT]
    first, again = subject.create(prompts, **options), subject.create("Red and", **{**options, "n": 1})
    assert again.text == first.texts[0]
    starts = [prompt for prompt in prompts for _ in range(n)]
    assert all(text.startswith(start) and text != start for text, start in zip(first.texts, starts, strict=True))
    if n > 1 and subject.name != "scripted":
        assert first.texts[2] != first.texts[3]


def test_tokens_join_to_the_text(subject: Subject) -> None:
    """CONTRACT 56: with echo and characters of several tokens, whole and streamed."""
    prompt = "A 🐟 in a café:"
    whole = subject.create(prompt, logprobs=2, echo=True, stop=["zzz"])
    with subject.stream(prompt, logprobs=2, echo=True) as stream:
        streamed = stream.result()
    for completion in (whole, streamed):
        assert completion.text.rstrip("\ufffd") == whole.text.rstrip("\ufffd")  # half a character at the end
        logprobs = completion.logprobs
        if subject.name == "mlx_lm server":
            assert logprobs is None
            assert "no log-probabilities" in completion.warnings[0]
            continue
        assert logprobs is not None
        begins = len(prompt) if subject.server else 0
        assert "".join(logprobs.tokens) == completion.text[begins:]
        for token, offset in zip(logprobs.tokens, logprobs.text_offset, strict=True):
            assert completion.text.startswith(token, offset)
        written = [at for at, offset in enumerate(logprobs.text_offset) if offset >= len(prompt)]
        # llama.cpp leaves out tokens that end within a character, its server even to count them.
        assert len(written) == subject.few or (subject.server and written)
        for at in written:
            value, top = logprobs.token_logprobs[at], logprobs.top_logprobs[at]
            assert (value is not None and value <= 1e-4 and top) or not logprobs.tokens[at]


def test_texts_are_held_to_schemas(subject: Subject) -> None:
    """CONTRACT 49, 50, 54: by local engines always; by a server where it has a field for it."""
    options: dict[str, Any] = {"json_schema": SCHEMA, "max_tokens": 24}
    if subject.name == "mlx_lm server":
        with pytest.raises(lk.ValidationError, match=r"mlx_lm\.server isn't known to hold"):
            subject.create(**options)
        return
    completion = subject.create("The tower was opened in this year, as JSON: ", **options)
    assert completion.finish_reason == "stop"
    assert isinstance(json.loads(completion.text)["year"], int)
    if not subject.server:
        assert 1000 <= json.loads(completion.text)["year"] <= 1999


def test_token_ids_and_what_was_written_can_be_gone_on_from(subject: Subject) -> None:
    """CONTRACT 9, 54: the prompt and its continuation are the next prompt, and in the cache."""
    if subject.name == "mlx_lm server":
        with pytest.raises(lk.ValidationError, match="no token ids"):
            subject.create([1, 2])
        return
    first = subject.create(max_tokens=2)
    after = subject.create(PROMPT + first.text, max_tokens=1)
    assert after.usage is not None
    assert (after.usage.cached_tokens or 0) >= 5
    if subject.name != "scripted":  # which begins anew each time
        assert subject.create(max_tokens=3).text == first.text + after.text
    ids = subject.create([0, 1, 2], max_tokens=1)
    assert ids.usage is not None
    assert ids.usage.prompt_tokens == 3


def test_closing_stops_and_the_next_is_sound(subject: Subject) -> None:
    """CONTRACT 55: decoding stops; the next completion says what it always says."""
    before = subject.create().text
    with subject.stream(max_tokens=300) as stream:
        next(stream)
    assert subject.session.runs["status"].iloc[-1] == "cancelled"
    with pytest.raises(lk.StreamClosed):
        next(stream)
    assert subject.create().text == before


def test_what_doesnt_fit_is_refused_with_both_lengths(subject: Subject) -> None:
    """CONTRACT 57: context_length_exceeded, whatever the engine; mlx_lm.server knows no limit."""
    if subject.name == "mlx_lm server":
        info = subject.session.resident(subject.model).info
        assert info is not None
        assert info.context_length is None
        return
    with pytest.raises(lk.ContextLengthError) as caught:
        subject.create("fish " * 5000)
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.context_length == (4096 if subject.name == "scripted" else 1024)
    assert (caught.value.prompt_tokens or 0) > 4096


def test_it_can_be_awaited(subject: Subject) -> None:
    """CONTRACT 54, 55."""

    async def main() -> None:
        completions, options = subject.session.completions, {"model": subject.model, "max_tokens": 1, "temperature": 0}
        whole = await completions.create_async(PROMPT, **options)
        async with completions.create_stream(PROMPT, **options) as stream:
            assert "".join([chunk.text async for chunk in stream]) == whole.text

    asyncio.run(main())
