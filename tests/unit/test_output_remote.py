"""Outputs on servers: what they are sent to hold an answer, and what is said where they can't be held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

import llmkit as lk
from llmkit.engines.base import Note
from llmkit.engines.remote.body import chat_body
from llmkit.engines.remote.probe import Server
from llmkit.output import output_from
from llmkit.tools.choice import ToolChoice
from tests.unit.fault_server import FaultServer, Opened, asked, delta, hear, hello, opened, stream, whole
from tests.unit.prompting_models import WEATHER

if TYPE_CHECKING:
    from collections.abc import Iterator

open_ = pytest.fixture(opened)


class Person(BaseModel):
    name: str


SCHEMA = output_from(Person).schema  # type: ignore[union-attr]
YEAR = lk.Output.regex(r"\d{4}")
COLOUR = lk.Output.choice(["red", "blue"])


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as each:
        yield each


def body(output: Any, kind: str = "", **fields: Any) -> Any:
    request = asked("Who?", output=output_from(output), **fields)
    return chat_body(request, Server("m", kind), options=request.provider_options)


@pytest.mark.parametrize("kind", ["", "vllm", "llamacpp", "openai"])
def test_a_schema_goes_as_response_format_and_is_told(kind: str) -> None:
    """CONTRACT 49: servers are held to it by the field that most of them take."""
    sent = body(Person, kind)
    assert sent.fields["response_format"]["json_schema"]["schema"] == SCHEMA
    assert "name" in sent.fields["messages"][0]["content"]
    assert not sent.notes


@pytest.mark.parametrize(
    ("output", "kind", "fields"),
    [
        (YEAR, "vllm", {"structured_outputs": {"regex": r"\d{4}"}}),
        (YEAR, "tabbyapi", {"regex_pattern": r"\d{4}"}),
        (Person, "tabbyapi", {"json_schema": SCHEMA}),
    ],
)
def test_servers_with_fields_of_their_own_get_those(output: Any, kind: str, fields: dict[str, Any]) -> None:
    sent = body(output, kind).fields
    assert {name: sent[name] for name in fields} == fields
    assert "response_format" not in sent


def test_what_a_server_isnt_known_to_hold_is_refused_unless_its_own_field_is_named() -> None:
    """CONTRACT 50: nothing is skipped in silence."""
    for output, kind in [(YEAR, ""), (YEAR, "llamacpp"), (lk.Output.grammar('start: "a"'), "vllm")]:
        with pytest.raises(lk.ValidationError, match="provider_options") as caught:
            body(output, kind)
        assert caught.value.field == "output"
    sent = body(YEAR, "llamacpp", provider_options={"grammar": "root ::= [0-9]+"})
    assert sent.fields["grammar"] == "root ::= [0-9]+"
    assert "response_format" not in sent.fields


def test_where_a_server_cant_be_held_it_is_said() -> None:
    """CONTRACT 49, 52: the answer is checked all the same."""
    for sent in (body(Person, "mlx_lm"), body(Person, "vllm", tools=WEATHER)):
        assert "response_format" not in sent.fields
        assert "checked" in sent.notes[0]
    held = [body(Person, "openai", tools=WEATHER), body(Person, "vllm", tools=WEATHER, tool_choice=ToolChoice("none"))]
    assert all("response_format" in sent.fields for sent in held)


def test_a_server_that_refuses_response_format_is_asked_without(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 49: and asked with it again the next time, for it may have been that one schema."""
    refusal = whole({"error": {"message": "response_format isn't supported", "code": 400}}, 400)
    server.play(refusal, hello(), refusal, hello())
    engine = open_(server)
    for _ in range(2):
        heard = hear(engine, asked("Who?", output=output_from(Person)))
        assert [each.text for each in heard.deltas if isinstance(each, Note)] == [
            "The server refuses response_format; the answer isn't held to the output, it is told of it and checked."
        ]
    assert ["response_format" in each for each in server.bodies] == [True, False, True, False]


def test_an_answer_that_doesnt_fit_is_an_output_error_and_a_filtered_one_says_so(server: FaultServer) -> None:
    """CONTRACT 49: raises with the partial text and finish reason."""
    good, bad = stream(delta('{"name": "A"}'), delta(finish="stop")), stream(delta("A!"), delta(finish="stop"))
    server.play(good, bad, stream(delta('{"na'), delta(finish="content_filter")))
    with lk.Session(lk.Remote(server.url), show=False, ledger=None) as session:
        assert session.complete("Who?", output=Person).output == Person(name="A")
        with pytest.raises(lk.OutputError) as caught:
            _ = session.complete("Who?", output=Person).output
        assert (caught.value.text, caught.value.finish_reason) == ("A!", "stop")
        with pytest.raises(lk.OutputError, match="filter") as caught:
            _ = session.complete("Who?", output=Person).output
        assert (caught.value.text, caught.value.finish_reason) == ('{"na', "content-filter")
        assert session.complete("Who?", output=COLOUR).error is None
