"""Branches and scores on real weights: what one engine does, all do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmkit.background import loop_thread
from llmkit.cancellation import CancelToken
from llmkit.engines.base import Begun, Decoded, EngineRequest, TextPiece
from llmkit.engines.decoder import Done, Token
from llmkit.engines.local import LocalEngine
from llmkit.engines.score import ScoreRequest
from llmkit.errors import ValidationError
from llmkit.messages import Message
from llmkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.contract.conftest import Asker, Subject

MESSAGES = (Message("user", "Write a sentence about the sea."),)
FEW = 6


def on_the_loop(work: Coroutine[Any, Any, Any]) -> Any:
    return loop_thread().start(lambda: work).result(120)


class Answers:
    """An engine's greedy answers of a few tokens."""

    def __init__(self, subject: Subject) -> None:
        self.engine = LocalEngine(subject.decoder, subject.name)
        self.text, self.tokens, _ = self.begun_with()

    def begun_with(self, *beginning: Token) -> tuple[str, list[Token], Done]:
        return on_the_loop(self._generate(beginning))  # type: ignore[no-any-return]

    async def _generate(self, beginning: tuple[Token, ...]) -> tuple[str, list[Token], Done]:
        settings = Settings(max_output_tokens=FEW, logprobs=3, temperature=0)
        request = EngineRequest(f"branch-{id(beginning)}", MESSAGES, settings, 0, beginning=beginning)
        text, tokens, done = "", list[Token](), Done("error")
        async for delta in self.engine.generate(request, CancelToken()):
            match delta:
                case TextPiece(piece):
                    text += piece
                case Begun(found) | Decoded(found):
                    tokens += found
                case Done():
                    done = delta
        return text, tokens, done


@pytest.fixture(scope="module")
def answers(subject: Subject) -> Answers:
    return Answers(subject)


def test_an_answer_that_goes_on_from_its_own_beginning_is_the_same(answers: Answers) -> None:
    """CONTRACT 9: the prefix is reused, and what follows is as if nothing had happened."""
    text, tokens, done = answers.begun_with(*answers.tokens[:3])
    assert (text, [token.id for token in tokens]) == (answers.text, [token.id for token in answers.tokens])
    assert done.generated_tokens == FEW - 3
    assert done.prompt_tokens is not None
    assert done.cached_tokens is not None
    assert done.cached_tokens >= done.prompt_tokens - 2


def test_another_token_leads_elsewhere(answers: Answers, subject: Subject) -> None:
    if not subject.real:
        return
    likely, other = answers.tokens[2].alternatives[:2]
    text, tokens, _ = answers.begun_with(*answers.tokens[:2], Token(other.id, other.text))
    assert [token.id for token in tokens[:3]] == [answers.tokens[0].id, answers.tokens[1].id, other.id]
    assert text.startswith("".join(token.text for token in tokens[:3]))
    assert likely.id == answers.tokens[2].id


def test_a_score_is_what_decoding_said(answers: Answers, subject: Subject) -> None:
    """CONTRACT 56: the log-probabilities of a text are those with which it was decoded."""
    request = ScoreRequest("score", tuple(token.id for token in answers.tokens), MESSAGES, alternatives=2)
    scored = on_the_loop(answers.engine.score(request, CancelToken()))
    assert [token.logprob for token in scored] == pytest.approx(
        [token.logprob for token in answers.tokens], abs=0.02 if subject.real else 1e-9
    )
    assert [len(token.alternatives) for token in scored] == [2 if subject.real else 1] * len(scored)


def test_tokens_within_a_character_are_scored_too(answers: Answers, subject: Subject) -> None:
    if not subject.real:
        return
    request = ScoreRequest("fish", "a 🐟", after="I saw")
    scored = on_the_loop(answers.engine.score(request, CancelToken()))
    assert all(token.logprob is not None and token.logprob < 0 for token in scored)
    assert "".join(token.text for token in scored).strip() == "a 🐟"


def test_a_bound_answer_goes_on_or_says_that_it_cannot(ask: Asker, subject: Subject) -> None:
    """CONTRACT 49: a grammar holds for the answer as a whole."""
    if not subject.real:
        return
    grammar = 'start: "The year was 19" /[0-9]{2}/'
    answer = ask(
        "The year was 19", grammar=grammar, begun=len(subject.decoder.tokenize("The year was 19", special=False))
    )
    if subject.name == "mlx":
        assert answer.text.isdecimal()
        assert len(answer.text) == 2
    else:
        assert isinstance(answer.done.error, ValidationError)
