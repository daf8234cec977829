"""One suite for every engine: the fixtures that say which, and how much of it a test can afford."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from llmkit.engines.choice import Choice, load_decoder
from llmkit.engines.decoder import Decoder, DecodeRequest, Done, Prefill, Report, Sampling, Token, Tokens
from llmkit.engines.scripted import Scripted, ScriptedDecoder
from llmkit.models.catalog import resolve
from llmkit.models.fetch import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STORY = "Once upon a time there was a small village by the sea, and in it lived an old fisherman who"


@dataclass(frozen=True)
class Subject:
    """An engine under test.

    ``few`` and ``many`` are numbers of tokens that take it around a second, and long enough to be interrupted.
    """

    name: str
    decoder: Decoder
    few: int
    many: int
    long_prompt: int

    @property
    def real(self) -> bool:
        return self.name != "scripted"


class Answer:
    """A request in flight, and all that was reported of it."""

    def __init__(self, decoder: Decoder, request: DecodeRequest) -> None:
        self.request = request
        self.reports: list[Report] = []
        self._grown = threading.Condition()
        self._decoder = decoder
        decoder.decode(request, self._report)

    def _report(self, report: Report) -> None:
        with self._grown:
            self.reports.append(report)
            self._grown.notify_all()

    def until(self, kind: type[Report], *, count: int = 1) -> None:
        """Wait until ``count`` reports of a kind have come."""
        with self._grown:
            assert self._grown.wait_for(lambda: sum(isinstance(r, kind) for r in self.reports) >= count, 120)

    @property
    def done(self) -> Done:
        self.until(Done)
        last = self.reports[-1]
        assert isinstance(last, Done)
        return last

    @property
    def tokens(self) -> list[Token]:
        assert self.done
        return [token for report in self.reports if isinstance(report, Tokens) for token in report.tokens]

    @property
    def prefills(self) -> list[Prefill]:
        return [report for report in self.reports if isinstance(report, Prefill)]

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens) + self.done.tail


class Asker:
    """Asks an engine, each time with a new request id."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._count = 0

    def __call__(self, text: str = STORY, *, max_tokens: int | None = None, **fields: object) -> Answer:
        decoder = self.subject.decoder
        self._count += 1
        sampling = fields.pop("sampling", Sampling())
        return Answer(
            decoder,
            DecodeRequest(
                id=f"test-{id(self)}-{self._count}",
                prompt=tuple(decoder.tokenize(text, special=True)),
                max_tokens=max_tokens or self.subject.few,
                sampling=sampling,  # type: ignore[arg-type]
                **fields,  # type: ignore[arg-type]
            ),
        )


def story_of(prompt: str) -> str:
    """Answer from the prompt alone, at length."""
    return f" caught {len(prompt)} fish, café 🐟, and went home." * 40


@pytest.fixture(scope="session")
def model_path() -> Path:
    return fetch(resolve("embedded"), engine_format="gguf", progress=None)


@pytest.fixture(scope="session", params=["scripted", "llamacpp", "mlx"])
def subject(request: pytest.FixtureRequest, model_path: Path) -> Iterator[Subject]:
    name = request.param
    if name == "scripted":
        script = Scripted([story_of], tokens_per_second=2000, prompt_tokens_per_second=4000, slots=4)
        subject = Subject(name, ScriptedDecoder(script), few=24, many=400, long_prompt=2000)
    else:
        decoder = load_decoder(
            Choice(name, "under test", "gguf"), model_path, context_length=4096, slots=4, progress=lambda _: None
        )
        sizes = (24, 400, 3000) if name == "llamacpp" else (6, 60, 600)
        subject = Subject(name, decoder, *sizes)
    yield subject
    subject.decoder.close()


@pytest.fixture
def ask(subject: Subject) -> Asker:
    return Asker(subject)
