"""Outputs on every engine, with real weights: the way from a type to a value of it.

A script can't be bound: what it says is parsed as it is. The real engines are asked for little, since reading another
prompt of a hundred tokens takes MLX seconds on a CPU.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import pytest
from pydantic import BaseModel, Field

import llmkit as lk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TEXT = "Maria is 27 years old."


class Person(BaseModel):
    name: Annotated[str, Field(max_length=12)]
    age: Annotated[int, Field(ge=0, le=120)]


@dataclass
class Size:
    kind: Literal["small", "large"]


class Answer(TypedDict):
    yes: bool


def get_weather(city: str) -> dict[str, Any]:
    """Current weather for a city."""  # noqa: D401 - the model reads it
    return {"temperature": 22, "condition": "sunny"}


class Asker:
    """A session with one engine."""

    def __init__(self, name: str, answers: list[Any], model: Path) -> None:
        self.name = name
        self._answers = answers
        engine: Any = lk.Scripted([lambda _: answers.pop(0)]) if name == "scripted" else name
        options: dict[str, Any] = {} if name == "scripted" else {"model": model, "context_length": 1024}
        self.session = lk.Session(
            engine=engine, show=False, ledger=None, temperature=0, max_output_tokens=60, **options
        )

    def __call__(self, prompt: str, output: Any, *script: Any, **options: Any) -> lk.Run:
        """Ask; the script is what the scripted engine says."""
        self._answers[:] = script
        return self.session.complete(prompt, output=output, **options)


@pytest.fixture(scope="module", params=["scripted", "llamacpp", "mlx"])
def ask(request: pytest.FixtureRequest, model_path: Path) -> Iterator[Asker]:
    asker = Asker(request.param, [], model_path)
    yield asker
    asker.session.close()


def test_a_pydantic_model_is_filled_in_and_streams_as_it_grows(ask: Asker) -> None:
    """CONTRACT 49, 51: typed in the end, plain and growing on the way."""
    run = ask(f"Who is it? {TEXT}", Person, '{"name": "Maria", "age": 27}')
    assert run.output == Person(name="Maria", age=27)
    values = list(run.partial_output_stream)
    assert values[-1] == {"name": "Maria", "age": 27}
    assert {"name": "Maria"} in values
    assert run.finish_reason == "stop"


@pytest.mark.parametrize(
    ("output", "script", "check"),
    [
        (Size, '{"kind": "small"}', lambda value: value in (Size("small"), Size("large"))),
        (Answer, '{"yes": true}', lambda value: value in ({"yes": True}, {"yes": False})),
        (lk.Output.choice(["cat", "dog"]), "dog", lambda value: value in {"cat", "dog"}),
        (re.compile(r"[A-Z][a-z]{2,7}!"), "Hello!", lambda value: re.fullmatch("[A-Z][a-z]{2,7}!", value)),
        (lk.Output.grammar('start: "go " ("left" | "right")'), "go left", lambda value: value.startswith("go ")),
        ({"type": "integer", "minimum": 7, "maximum": 9}, "8", lambda value: value in {7, 8, 9}),
    ],
)
def test_every_form_of_output_binds(ask: Asker, output: Any, script: str, check: Callable[[Any], object]) -> None:
    """CONTRACT 49: on a prompt that has nothing to do with it, hot."""
    if ask.name == "mlx" and script not in {"dog", "go left"}:
        return  # a schema it has in the other tests, and each prompt takes it seconds
    run = ask("Hi.", output, script, temperature=1.0, seed=3)
    assert check(run.output)
    assert run.text.isprintable()


def test_elements_of_an_array_come_while_it_is_written(ask: Asker) -> None:
    """CONTRACT 51: each typed, and whole before the answer is."""
    count = 1 if ask.name == "mlx" else 2
    output = lk.Output.array(Person, min_items=count, max_items=count)
    people = '[{"name": "Ann", "age": 1}, {"name": "Bob", "age": 2}]'
    run = ask("Name two people.", output, people)
    elements = iter(run.element_stream)
    first = next(elements)
    assert isinstance(first, Person)
    assert [first, *elements] == run.output
    assert len(run.output) == count


def test_a_list_without_a_limit_comes_to_an_end(ask: Asker) -> None:
    """CONTRACT 49: also where a small model would go on for ever."""
    run = ask("List all whole numbers.", list[int], "[1, 2]", max_output_tokens=32)
    assert run.finish_reason == "stop"
    assert all(isinstance(number, int) for number in run.output)


def test_an_answer_cut_off_raises_with_what_there_is(ask: Asker) -> None:
    """CONTRACT 49: cut by length, with the partial text and finish reason."""
    run = ask("Name two people.", Person, '{"name": "Ann", "age": 1}', max_output_tokens=4)
    with pytest.raises(lk.OutputError) as caught:
        _ = run.output
    assert caught.value.finish_reason == "length"
    assert caught.value.text == run.text
    assert run.text.startswith('{"name"')


def test_tools_come_first_and_the_output_on_the_final_step(ask: Asker) -> None:
    """CONTRACT 52."""
    call = lk.Answer(tool_calls=[("get_weather", {"city": "Tokyo"})])

    class Weather(BaseModel):
        temperature: Annotated[int, Field(ge=-50, le=60)]
        condition: Annotated[str, Field(max_length=12)]

    if ask.name == "mlx":  # twenty seconds for the prompt
        return
    run = ask(
        "What's the weather in Tokyo?", Weather, call, '{"temperature": 22, "condition": "sunny"}',
        tools=[get_weather], approval="allow", stop_when=3,
    )  # fmt: skip
    assert run.output == Weather(temperature=22, condition="sunny")
    assert [[call.name for call in step.tool_calls] for step in run.steps] == [["get_weather"], []]


def test_a_schema_that_cant_be_enforced_never_reaches_the_model(ask: Asker) -> None:
    """CONTRACT 50."""
    with pytest.raises(lk.ValidationError, match="uniqueItems"):
        ask("List.", {"type": "array", "uniqueItems": True})
