"""What every decoder does, on real weights: streaming, stopping, sampling, sharing, reusing, failing."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from llmkit.engines.decoder import Done, Prefill, Sampling, Tokens

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.conftest import Asker, Subject

TEXTS = ["Hello, world!", "  two  spaces\n\nand lines", "naïve café", "日本語のテキスト", "🐟🎣 3.14159", "a\tb"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_survives_tokenizing(subject: Subject, text: str) -> None:
    ids = subject.decoder.tokenize(text, special=False)
    assert ids
    assert subject.decoder.detokenize(ids) == text


def test_an_answer_is_prefill_then_tokens_then_one_done(ask: Asker) -> None:
    """CONTRACT 1, 2: pieces come in order and the end comes once."""
    answer = ask()
    assert answer.done.reason in {"length", "stop"}
    kinds = [type(report) for report in answer.reports]
    assert kinds.count(Done) == 1
    assert kinds[-1] is Done
    first_tokens = kinds.index(Tokens)
    assert Prefill not in kinds[first_tokens:]


def test_token_texts_join_to_what_the_ids_say(ask: Asker, subject: Subject) -> None:
    """CONTRACT 2: no text is lost or doubled between tokens."""
    answer = ask()
    assert answer.text == subject.decoder.detokenize([token.id for token in answer.tokens])


def test_counts_and_times_are_told_at_the_end(ask: Asker) -> None:
    """CONTRACT 5: prompt, cached and generated tokens, prefill and decode time."""
    answer = ask(max_tokens=4)
    assert answer.done.prompt_tokens == len(answer.request.prompt)
    assert answer.done.generated_tokens == len(answer.tokens) == 4
    assert answer.done.cached_tokens is not None
    assert 0 <= answer.done.cached_tokens < len(answer.request.prompt)
    assert answer.done.prefill_time is not None
    assert answer.done.decode_time is not None
    assert answer.done.decode_time > 0


def test_max_tokens_ends_with_length(ask: Asker) -> None:
    """CONTRACT 42: max_output_tokens."""
    answer = ask(max_tokens=1)
    assert answer.done.reason == "length"
    assert len(answer.tokens) == 1


def test_cancel_in_decode_stops_within_tokens(ask: Asker, subject: Subject) -> None:
    """CONTRACT 7: decoding stops at once and the end says cancelled."""
    answer = ask(max_tokens=subject.many)
    answer.until(Tokens, count=2)
    subject.decoder.cancel(answer.request.id)
    assert answer.done.reason == "cancelled"
    assert len(answer.tokens) < subject.many


def test_cancel_in_prefill_decodes_nothing(ask: Asker, subject: Subject) -> None:
    """CONTRACT 7: during prefill, a cancel takes effect within a chunk."""
    words = " ".join(f"{number} fish" for number in range(subject.long_prompt // 4))
    answer = ask(f"{time.perf_counter()} {words}", max_tokens=subject.many)
    answer.until(Prefill)
    subject.decoder.cancel(answer.request.id)
    assert answer.done.reason == "cancelled"
    assert not answer.tokens


def test_the_cache_is_sound_after_a_cancel(ask: Asker, subject: Subject) -> None:
    """CONTRACT 9: an aborted run never poisons the cache."""
    text = "The lighthouse keeper counted the ships: one, two, three,"
    undisturbed = ask(text, reuse_prefix=False).text
    cut = ask(text, max_tokens=subject.many)
    cut.until(Tokens, count=2)
    subject.decoder.cancel(cut.request.id)
    assert cut.done.reason == "cancelled"
    assert ask(text).text == undisturbed


def test_cancelling_an_unknown_request_is_ignored(subject: Subject) -> None:
    subject.decoder.cancel("no such request")
    assert subject.decoder.info.slots


def test_stop_strings_end_the_text_and_are_not_in_it(ask: Asker) -> None:
    """CONTRACT 42: stop sequences, also when split over tokens."""
    whole = ask().text
    middle = len(whole) // 2
    stop = whole[middle - 2 : middle + 3]
    answer = ask(stop=(stop,))
    assert answer.done.reason == "stop"
    assert answer.text == whole[: whole.index(stop)]


def test_a_stop_string_that_never_comes_takes_nothing_away(ask: Asker) -> None:
    """CONTRACT 42: text held back as a possible stop string comes out in the end."""
    whole = ask().text
    assert ask(stop=(whole[-3:] + "\x00",)).text == whole


def test_greedy_text_is_always_the_same(ask: Asker) -> None:
    """CONTRACT 42: temperature 0 is greedy."""
    assert ask().text == ask(reuse_prefix=False).text


def test_a_seed_gives_the_same_text_in_company(ask: Asker) -> None:
    """CONTRACT 42: same seed, same text, whatever else is running."""
    sampling = Sampling(temperature=1.0, seed=7)
    alone = ask(sampling=sampling).text
    company = [ask("Quite another beginning:", sampling=Sampling(temperature=1.0, seed=seed)) for seed in (1, 2)]
    together = ask(sampling=sampling).text
    assert all(each.done.reason in {"stop", "length"} for each in company)
    assert together == alone


def test_several_decode_at_once_each_as_if_alone(ask: Asker) -> None:
    """CONTRACT 10: continuous batching changes nobody's text."""
    prompts = ["The sea was", "Bread is made of", "In the mountains,"]
    alone = [ask(prompt, max_tokens=6).text for prompt in prompts]
    together = [ask(prompt, max_tokens=6) for prompt in prompts]
    assert [answer.text for answer in together] == alone


def test_more_requests_than_slots_all_end(ask: Asker, subject: Subject) -> None:
    """CONTRACT 10: what doesn't fit waits."""
    answers = [ask(f"{number} little fish", max_tokens=2) for number in range(subject.decoder.info.slots + 2)]
    assert all(answer.done.reason in {"stop", "length"} for answer in answers)


def test_a_common_prefix_is_reused(ask: Asker) -> None:
    """CONTRACT 9: prefixes are reused between requests by default."""
    text = f"{time.perf_counter()}: the ferryman told a tale of the river, of its bends and its moods, and then"
    first = ask(text, max_tokens=4)
    assert first.done.reason == "length"
    second = ask(text + first.text + " and so the tale went on", max_tokens=2)
    assert second.done.cached_tokens is not None
    assert second.done.cached_tokens >= len(first.request.prompt) - 2
    assert ask(text, max_tokens=2, reuse_prefix=False).done.cached_tokens == 0


def test_logprobs_tell_each_token_and_its_alternatives(ask: Asker, subject: Subject) -> None:
    """CONTRACT 56: the log-probability of every token and the likeliest others, best first."""
    answer = ask(logprobs=3, max_tokens=4)
    assert answer.done.reason == "length"
    for token in answer.tokens:
        assert token.logprob is not None
        assert token.logprob <= 1e-4
        ranked = [alternative.logprob for alternative in token.alternatives]
        assert ranked == sorted(ranked, reverse=True)
        assert len(ranked) == (3 if subject.real else 1)
        assert token.alternatives[0].id == token.id, "greedy decoding takes the likeliest"
    assert all(token.logprob is None for token in ask(max_tokens=2).tokens)


def test_a_grammar_binds(ask: Asker, subject: Subject) -> None:
    """CONTRACT 18, 49: constrained decoding."""
    if not subject.real:
        return
    answer = ask("The year was", grammar='start: " " /[12][0-9]{3}/', max_tokens=12)
    assert re.fullmatch(r" [12][0-9]{3}", answer.text)
    assert answer.done.reason == "stop"


def test_logit_bias_forbids_a_token(ask: Asker, subject: Subject) -> None:
    """CONTRACT 42: logit_bias."""
    if not subject.real:
        return
    usual = ask(max_tokens=1).tokens[0].id
    biased = ask(max_tokens=1, sampling=Sampling(logit_bias=((usual, -100.0),))).tokens[0].id
    assert biased != usual


def test_penalties_break_a_loop(ask: Asker, subject: Subject) -> None:
    """CONTRACT 42: repetition, presence and frequency penalties reach the sampler."""
    if not subject.real:
        return
    text = "fish fish fish fish fish fish fish fish"
    plain = ask(text, max_tokens=6).text
    for sampling in (Sampling(repetition_penalty=5.0), Sampling(frequency_penalty=2.0, presence_penalty=2.0)):
        assert ask(text, max_tokens=6, sampling=sampling).text != plain


def test_a_saved_prefix_is_there_again(ask: Asker, subject: Subject, tmp_path: Path) -> None:
    """CONTRACT 9: a cache can be saved to disk and used again."""
    text = f"{time.perf_counter()}: the mill stood where two brooks met, and its wheel turned day and night"
    first = ask(text, max_tokens=2)
    assert first.done.reason == "length"
    path = tmp_path / "prefix.cache"
    saved = subject.decoder.save_prefix(first.request.prompt, path)
    assert saved >= len(first.request.prompt) - 1
    assert path.stat().st_size > 0
    assert subject.decoder.load_prefix(path) == saved
    assert ask(text, max_tokens=2).text == first.text
