"""Scores: what a given text's tokens come to, how they are had, and who can't tell them."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import llmkit as lk
from llmkit.cancellation import CancelToken
from llmkit.engines.base import Decoded
from llmkit.engines.decoder import Alternative, DecodeRequest, Done, Token, Tokens
from llmkit.engines.local_score import scored
from llmkit.engines.raw import RawPiece, RawRequest
from llmkit.engines.remote.score import scored as scored_remotely
from llmkit.engines.score import ScoreRequest
from llmkit.engines.scripted import Scripted, ScriptedDecoder
from llmkit.uncertainty import entropy, rank

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    Make = Callable[..., lk.Session]


class Characters:
    """A decoder whose tokens are characters, and which has no way of its own to score."""

    info = replace(ScriptedDecoder(Scripted([])).info, end_ids=(0,), vocabulary_size=120)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        return [ord(character) for character in text]

    def detokenize(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))


def test_a_score_is_the_sum_the_mean_and_the_perplexity(scripted: Make) -> None:
    session = scripted(lk.Answer(["a b", "a c", "a b", "a b"]))
    score = session.score("a b", prompt="Hi", alternatives=2)
    assert (score.text, score.count) == ("a b", 2)
    assert score.logprob == pytest.approx(math.log(0.75))
    assert score.mean_logprob == pytest.approx(math.log(0.75) / 2)
    assert score.perplexity == pytest.approx(0.75**-0.5)
    assert list(score.tokens.columns) == list(session.complete("Hi", logprobs=1).tokens.columns)
    assert "perplexity 1.155" in repr(score)


def test_the_first_token_of_a_text_that_stands_alone_has_no_logprob(scripted: Make) -> None:
    alone = scripted("a b").score("a b")
    assert alone.tokens.logprob.isna().tolist() == [True, False]
    assert alone.count == 1


@pytest.mark.parametrize(
    ("text", "options", "field"),
    [
        ("", {}, "text"),
        ("a", {}, "text"),
        ("a b", {"system": "Be."}, "system"),
        ("a b", {"alternatives": -1}, "alternatives"),
    ],
)
def test_what_cannot_be_scored_is_refused(scripted: Make, text: str, options: dict[str, Any], field: str) -> None:
    with pytest.raises(lk.ValidationError) as caught:
        scripted("a b").score(text, **options)
    assert caught.value.field == field


def test_a_text_longer_than_the_context_is_refused(scripted: Make) -> None:
    with pytest.raises(lk.ContextLengthError):
        scripted("a", context_length=16).score("word " * 20)


def test_a_closed_session_scores_nothing(scripted: Make) -> None:
    session = scripted("a")
    session.close()
    with pytest.raises(lk.SessionClosed):
        session.score("a b")


def forced(text: str, *, silent: str = "") -> tuple[tuple[Token, ...], list[DecodeRequest]]:
    """Score a text on a decoder that has to write it, and that reports no token of those in `silent`."""
    asked: list[DecodeRequest] = []

    async def decode(request: DecodeRequest, cancel: CancelToken) -> AsyncIterator[Any]:
        asked.append(request)
        assert request.grammar is not None
        for id_ in [int(each) for each in request.grammar.replace("start: ", "").replace("<[", "").split("]>")[:-1]]:
            others = tuple(Alternative(each, chr(each), -float(each)) for each in range(120))[: request.logprobs]
            if chr(id_) not in silent:
                yield Tokens((Token(id_, chr(id_), -float(id_), others),))
        yield Done("stop")

    return score_by(decode, text), asked


def score_by(decode: Any, text: str) -> tuple[Token, ...]:
    request = ScoreRequest("s", text, after="?", alternatives=2)
    decoder: Any = Characters()
    tokens: tuple[Token, ...] = asyncio.run(_awaited(scored(decoder, None, decode, request, CancelToken())))  # type: ignore[arg-type] # there is nothing to render
    return tokens


async def _awaited(work: Any) -> Any:
    return await work


def test_a_decoder_is_made_to_write_the_text_and_nothing_else() -> None:
    tokens, asked = forced("abc")
    (request,) = asked
    assert [token.logprob for token in tokens] == [-97.0, -98.0, -99.0]
    assert (request.grammar, request.prompt, request.max_tokens) == ("start: <[97]> <[98]> <[99]>", (63,), 3)


def test_a_token_that_was_not_reported_is_looked_up_among_all() -> None:
    tokens, asked = forced("abc", silent="b")
    assert [token.logprob for token in tokens] == [-97.0, -98.0, -99.0]
    assert [len(token.alternatives) for token in tokens] == [2, 2, 2]
    assert asked[1].prompt == (63, 97)
    assert asked[1].logprobs == Characters.info.vocabulary_size


def test_an_answer_that_ends_in_an_error_raises_it() -> None:
    async def decode(request: DecodeRequest, cancel: CancelToken) -> AsyncIterator[Any]:
        yield Done("error", error=lk.EngineError("no"))

    with pytest.raises(lk.EngineError, match="no"):
        score_by(decode, "ab")


def echoed(*tokens: Token, text: str = "b c", after: str = "a ") -> tuple[Token, ...]:
    """Score a text on a server that echoes these tokens."""

    async def complete(request: RawRequest, cancel: CancelToken) -> AsyncIterator[RawPiece]:
        assert (request.echo, request.prompt, request.settings.max_output_tokens) == (True, after + text, 1)
        yield RawPiece(0, Decoded(tokens))
        yield RawPiece(0, Done("length"))

    request = ScoreRequest("s", text, after=after)
    scores: tuple[Token, ...] = asyncio.run(_awaited(scored_remotely(complete, request, CancelToken(), "host")))
    return scores


def test_a_server_echoes_the_text_with_its_logprobs() -> None:
    """CONTRACT 56: what is before the text, and the token that comes after it, aren't part of the score."""
    words = [Token(-1, "a "), Token(-1, "b", -1.0), Token(-1, " c", -2.0), Token(-1, " d", -9.0)]
    assert [token.logprob for token in echoed(*words)] == [-1.0, -2.0]


@pytest.mark.parametrize("tokens", [(), (Token(-1, " d", -1.0),), (Token(-1, "a b", -1.0), Token(-1, " c", -1.0))])
def test_a_server_that_echoes_nothing_or_otherwise_is_refused(tokens: tuple[Token, ...]) -> None:
    with pytest.raises(lk.EngineError, match="echo"):
        echoed(*tokens)


def test_entropy_counts_what_is_left_as_one_more() -> None:
    halves = Token(1, "a", math.log(0.5), (Alternative(1, "a", math.log(0.5)), Alternative(2, "b", math.log(0.25))))
    assert entropy(halves) == pytest.approx(1.5)
    assert entropy(Token(3, "c", math.log(0.25), halves.alternatives)) == pytest.approx(1.5)
    assert entropy(Token(1, "a", 0.0, (Alternative(1, "a", 1e-9),))) == 0.0
    assert entropy(Token(1, "a", -1.0)) is None
    assert (rank(halves), rank(Token(3, "c", None, halves.alternatives))) == (0, None)
