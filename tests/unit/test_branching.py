"""Branches: what a run that goes on from another's token begins with, where it ends, and what is refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmkit as lk
from llmkit.cancellation import CancelToken
from llmkit.engines.base import Begun, Decoded, EngineRequest, TextPiece
from llmkit.engines.decoder import Done, Prefill, Token
from llmkit.engines.local import LocalEngine
from llmkit.engines.local_beginning import Beginning
from llmkit.engines.mlx_constraint import GrammarMask
from llmkit.engines.scripted import Scripted, ScriptedDecoder
from llmkit.messages import Message
from llmkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Make = Callable[..., lk.Session]

FOXES = lk.Answer(["The red fox ran off.", "The red dog sat down.", "The blue fox ran on."])


def ask(make: Make, **options: Any) -> lk.Run:
    return make(FOXES).complete("Hi", **{"logprobs": 5, "temperature": 0, **options})


def test_a_branch_is_the_whole_answer_and_counts_what_was_decoded(scripted: Make) -> None:
    run = ask(scripted)
    branch = run.branch(2, " dog")
    assert branch.text == "The red dog sat down."
    assert "".join(branch.tokens.text) == "".join(branch) == branch.text
    assert branch.steps[0].raw_text == branch.text
    assert branch.messages[-1].text == branch.text
    assert branch.usage.output_tokens == len(branch.tokens) - 3
    assert branch.usage.input_tokens == (run.usage.input_tokens or 0) + 3
    assert branch.stats is not None
    assert branch.stats.cache_tokens == branch.usage.input_tokens - 1
    assert branch.tokens.logprob[2] == run.tokens.alternatives[2][1]["logprob"]


def test_a_branch_keeps_the_settings_and_the_seed_unless_told(scripted: Make) -> None:
    run = ask(scripted, stop=["zebra"])
    same, other = run.branch(1), run.branch(1, seed=7, temperature=0.5)
    assert (same.request.settings, same.request.seed) == (run.request.settings, run.request.seed)
    assert (other.request.seed, other.request.settings.temperature, other.request.settings.stop) == (7, 0.5, ("zebra",))
    with pytest.raises(lk.ValidationError, match="tempo"):
        run.branch(1, tempo=1)


def test_an_alternative_is_named_by_text_id_rank_or_itself(scripted: Make) -> None:
    run = ask(scripted)
    place = run.steps[0].tokens[1]
    blue = place.alternatives[1]
    texts = {
        run.branch(1, " blue").text,
        run.branch(1, "blue").text,
        run.branch(1, blue.id).text,
        run.branch(1, rank=1).text,
        run.branch(-len(run.tokens) + 1, blue).text,
    }
    assert texts == {"The blue fox ran on."}


@pytest.mark.parametrize(
    ("arguments", "options", "field"),
    [
        ((99,), {}, "position"),
        ((True,), {}, "position"),
        ((1, "zebra"), {}, "token"),
        ((1, 10**6), {}, "token"),
        ((1,), {"rank": 9}, "rank"),
        ((1, " blue"), {"rank": 1}, "rank"),
        ((1,), {"step": 3}, "step"),
    ],
)
def test_what_is_not_there_is_refused_by_name(
    scripted: Make, arguments: tuple[Any, ...], options: dict[str, Any], field: str
) -> None:
    with pytest.raises(lk.ValidationError) as caught:
        ask(scripted).branch(*arguments, **options)
    assert caught.value.field == field


def test_a_run_without_logprobs_says_what_it_takes(scripted: Make) -> None:
    with pytest.raises(lk.ValidationError, match="logprobs=5"):
        ask(scripted, logprobs=None).branch(0)


def test_a_stop_string_ends_a_branch_also_where_it_began_before(scripted: Make) -> None:
    """CONTRACT 42: stop sequences are never in the text, also when split over tokens."""
    run = ask(scripted)
    inside, across = run.branch(2, " fox", stop=["fox"]), run.branch(3, " ran", stop=["n of"])
    assert (inside.text, inside.finish_reason, inside.usage.output_tokens) == ("The red ", "stop", 0)
    assert (across.text, across.finish_reason) == ("The red fox ra", "stop")
    assert "".join(token.text for token in across.steps[0].tokens) == across.text


def test_the_limit_counts_the_whole_answer(scripted: Make) -> None:
    run = ask(scripted)
    assert len(run.branch(1, " blue", max_output_tokens=3).tokens) == 3
    full = run.branch(1, " blue", max_output_tokens=2)
    assert (full.text, full.finish_reason, full.usage.output_tokens) == ("The blue", "length", 0)


def test_an_end_token_as_alternative_ends_the_answer() -> None:
    engine = LocalEngine(decoder := ScriptedDecoder(Scripted(["a b"])), "scripted")
    kept = [Token(id_, text) for id_, text in zip(decoder.tokenize("a b", special=False), ["a", " b"], strict=True)]
    deltas = generate(engine, (*kept, Token(decoder.info.end_ids[0], "<|end|>")))
    assert [delta for delta in deltas if isinstance(delta, TextPiece)] == [TextPiece("a b")]
    assert deltas[0] == Begun(tuple(kept))
    assert isinstance(deltas[-1], Done)
    assert (deltas[-1].reason, deltas[-1].generated_tokens) == ("stop", 0)


def test_the_beginning_comes_with_the_first_token_in_one_piece() -> None:
    engine = LocalEngine(decoder := ScriptedDecoder(Scripted(["a b c d"])), "scripted")
    kept = tuple(Token(id_, text) for id_, text in zip(decoder.tokenize("a b", special=False), "a ", strict=False))
    deltas = [delta for delta in generate(engine, kept) if not isinstance(delta, Prefill)]
    assert [type(delta) for delta in deltas[:4]] == [Begun, TextPiece, Decoded, TextPiece]
    assert deltas[1:4:2] == [TextPiece("a b"), TextPiece(" c")]


def generate(engine: LocalEngine, beginning: tuple[Token, ...]) -> list[Any]:
    async def collect() -> list[Any]:
        request = EngineRequest("x", (Message("user", "Hi"),), Settings(), 0, beginning=beginning)
        return [delta async for delta in engine.generate(request, CancelToken())]

    return asyncio.run(collect())


class Bytes:
    """A decoder whose tokens are bytes; 256 ends an answer."""

    info = replace(ScriptedDecoder(Scripted([])).info, end_ids=(256,))

    def detokenize(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")


@given(st.text(st.characters(exclude_characters="\ufffd", codec="utf-8"), min_size=1, max_size=12), st.data())
@settings(max_examples=150)
def test_texts_join_to_the_answer_wherever_it_is_cut(text: str, draw: st.DataObject) -> None:
    """Also inside a character, and with texts of the tokens before that were held back."""
    data = text.encode()
    cut, held = draw.draw(st.integers(1, len(data))), draw.draw(st.integers(1, 4))
    known = [Token(byte, "") for byte in data[:cut]]
    if cut > 1:
        known[0] = Token(data[0], data[: max(0, cut - held)].decode("utf-8", "ignore"))
    beginning = Beginning(Bytes(), b"?", known)  # type: ignore[arg-type] # as much of a decoder as it needs
    spelled = "".join(token.text for token in beginning.tokens)
    assert spelled == data[:cut].decode("utf-8", "ignore")
    for byte in data[cut:]:
        if not beginning.unfinished:
            break
        spelled += beginning.take(Token(byte, "\ufffd")).text
    assert text.startswith(spelled)
    assert not beginning.unfinished


def test_a_grammar_goes_on_after_the_beginning_and_refuses_a_wrong_one() -> None:
    """CONTRACT 49: constrained decoding, also from the midst of an answer."""
    from llguidance import LLTokenizer

    tokenizer = LLTokenizer("byte")
    mask = GrammarMask(tokenizer, 'start: "abc" | "abd"', list(b"ab"))
    import mlx.core as mx

    allowed = mask(mx.array([0]), mx.zeros((1, tokenizer.vocab_size)))[0]
    assert {chr(byte) for byte in range(128) if float(allowed[byte]) == 0.0} == {"c", "d"}
    with pytest.raises(lk.ValidationError, match="beginning"):
        GrammarMask(tokenizer, 'start: "abc"', list(b"x"))


def test_a_script_goes_on_where_its_output_was_branched(scripted: Make) -> None:
    """CONTRACT 49: the answer as a whole is what must fit."""
    answer = lk.Answer(['{"a":1}', '{"a":2}'])
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    run = scripted(answer).complete("Hi", logprobs=3, temperature=0, output=schema)
    place = next(at for at, token in enumerate(run.steps[0].tokens) if token.text == "1")
    assert run.branch(place, "2").output == {"a": 2}


def test_branches_form_a_tree_that_can_be_read_and_compared(scripted: Make) -> None:
    run = ask(scripted)
    dog, blue = run.branch(2, " dog"), run.branch(1, " blue")
    deep = blue.branch(-1)
    deep.wait()
    assert (deep.parent, run.branches, list(run.tree)) == (blue, (dog, blue), [run, dog, blue, deep])
    assert deep.tree.root is run
    assert repr(run.tree).splitlines() == [
        f"“The red fox ran off.” · {run.id} · done",
        f"├─ 2 “dog” (50%) → “…dog sat down.” · {dog.id} · done",
        f"└─ 1 “blue” (33%) → “…blue fox ran on.” · {blue.id} · done",
        f"   └─ 5 → the same text · {deep.id} · done",
    ]
    assert str(run.tree.diff(run, dog)) == "The red [-fox ran off-]{+dog sat down+}."
    frame = run.tree.frame
    assert list(frame.position.dropna()) == [2, 1, 5]
    assert frame.set_index("run_id").parent[deep.id] == blue.id


def test_a_later_step_of_a_loop_is_branched_with_the_calls_before_it(scripted: Make) -> None:
    @lk.tool(needs_approval=False)
    def dice() -> int:
        """Throw dice."""
        return 4

    session = scripted(lk.Answer(tool_calls=[("dice", {})]), "You threw four.", "You threw four.")
    run = session.complete("Throw", tools=[dice], stop_when=5, logprobs=2)
    branch = run.branch(2, step=1)
    assert branch.text == "You threw four."
    assert [message.role for message in branch.request.messages] == ["user", "assistant", "tool"]
    assert len(branch.steps) == 1


def test_a_server_says_that_it_cannot_branch() -> None:
    from llmkit.engines.remote.engine import RemoteEngine

    engine = RemoteEngine.__new__(RemoteEngine)
    engine.remote = lk.Remote("http://127.0.0.1:1/v1", model="m")
    request = EngineRequest("x", (Message("user", "Hi"),), Settings(), 0, beginning=(Token(1, "a"),))

    async def collect() -> None:
        async for _ in engine.generate(request, CancelToken()):
            pass

    with pytest.raises(lk.ValidationError, match="midst"):
        asyncio.run(collect())
