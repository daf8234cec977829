"""What every decoder does when it is closed; each test takes an engine of its own down."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from llmkit.engines.choice import Choice, load_decoder
from llmkit.engines.decoder import Decoder, Tokens
from llmkit.engines.scripted import Scripted, ScriptedDecoder
from llmkit.errors import EngineError
from tests.contract.conftest import Answer, Asker, Subject, story_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["scripted", "llamacpp", "mlx"])
def subject(request: pytest.FixtureRequest, model_path: Path) -> Subject:
    decoder: Decoder
    if request.param == "scripted":
        decoder = ScriptedDecoder(Scripted([story_of], tokens_per_second=200))
    else:
        choice = Choice(request.param, "under test", "gguf")
        decoder = load_decoder(choice, model_path, context_length=1024, slots=2, progress=lambda _: None)
    return Subject(request.param, decoder, few=4, many=300, long_prompt=300)


def test_close_ends_what_is_running_and_refuses_more(subject: Subject) -> None:
    """CONTRACT 8: close ends runs and frees everything, and is a no-op the second time."""
    ask = Asker(subject)
    running = ask(max_tokens=subject.many)
    running.until(Tokens)
    subject.decoder.close()
    assert running.done.reason in {"cancelled", "error"}
    subject.decoder.close()
    with pytest.raises(EngineError, match=r"closed|unloaded"):
        _refuse(Answer(subject.decoder, replace(running.request, id="late")))


def _refuse(answer: Answer) -> None:
    assert answer.done.reason == "error"
    assert answer.done.error is not None
    raise answer.done.error
