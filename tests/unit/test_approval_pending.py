"""A run whose approvals were left open survives JSON, and nothing that JSON says is taken on trust."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.approval.pending import VERSION, PendedCall, PendedRun
from llmkit.approval.request import ApprovalRequest, digest_of
from llmkit.errors import ValidationError
from llmkit.events import Finish
from llmkit.messages import Image, Message
from llmkit.request import RunRequest
from llmkit.results import Response, StepResult, Usage
from llmkit.settings import Settings, Timeouts
from llmkit.tools.arguments import ToolArgumentsError
from llmkit.tools.calls import ToolCall
from llmkit.tools.define import tool_from
from llmkit.tools.results import ToolResult
from tests.unit.gate_runs import WEATHER, get_weather

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN = ToolCall("call-1", "get_weather", {"city": "Tokyo", "days": 2}, '{"city": "Tokyo", "days": 2}')
DONE = ToolCall("call-2", "other", {"city": "<b>Kyōto</b>"}, "raw")
OTHER = tool_from(get_weather, name="other")
ASKED = (Message("system", "Be brief."), Message("user", ("What is this?", Image("data:image/png;base64,AA=="))))
ANSWER = Message("assistant", "Let me see.", "hm", (OPEN, DONE))
TOLD = Message("tool", '{"city": "Kyōto"}', tool_call_id="call-2", name="other")


def pended(**changes: Any) -> PendedRun:
    """Return what a run leaves that made two calls, of which one was allowed and ran."""
    result = ToolResult(DONE, "success", DONE.arguments, output={"city": "Kyōto"})
    step = StepResult(
        step_number=0,
        model="tiny",
        text="Let me see.",
        reasoning="hm",
        finish_reason="tool-calls",
        raw_finish_reason="tool_calls",
        usage=Usage(),
        stats=None,
        response=Response("r-0", 0.0, "tiny", (ANSWER, TOLD)),
        tool_calls=(OPEN, DONE),
        tool_results=(result,),
    )
    request = RunRequest(
        run_id="r",
        session_id="s",
        model="tiny",
        messages=ASKED,
        settings=Settings(temperature=0, stop=("END",), logit_bias={5: -1.5}, timeout=Timeouts(total=9)),
        metadata={"lesson": 2, "odd": float("nan")},
        tools=(WEATHER, OTHER),
        function_id="demo",
    )
    approvals = (ApprovalRequest(OPEN, description=WEATHER.description, parameters=WEATHER.parameters),)
    fields: dict[str, Any] = {
        "text": "Let me see.",
        "reasoning": "hm",
        "finish_reason": "tool-calls",
        "raw_finish_reason": "tool_calls",
        "usage": Usage(),
        "stats": None,
        "tool_calls": (OPEN, DONE),
        "tool_results": (result,),
        "pending_approvals": approvals,
        "steps": (step,),
        **changes,
    }
    return PendedRun.of(request, Finish(index=9, **fields))


def test_a_run_that_left_calls_open_knows_all_that_is_needed_to_go_on() -> None:
    """CONTRACT 32: a pended run holds the conversation, the calls, and what came of those that ran."""
    run = pended()
    assert (run.run_id, run.session_id, run.model, run.function_id) == ("r", "s", "tiny", "demo")
    assert run.messages == (*ASKED, ANSWER, TOLD)
    assert run.pending == (OPEN,)
    assert run.calls == (PendedCall(OPEN), PendedCall(DONE, "success", '{"city": "Kyōto"}'))
    assert run.calls[0].digest == digest_of(OPEN)
    assert set(run.tools) == {"get_weather", "other"}
    assert run.metadata == {"lesson": 2, "odd": "nan"}
    assert run.version == VERSION


def test_a_run_that_left_nothing_open_can_not_be_resumed() -> None:
    with pytest.raises(ValidationError, match="left no approval open"):
        pended(pending_approvals=())


def test_it_comes_back_from_json_as_it_went() -> None:
    """CONTRACT 32: a pended run can be saved to JSON and read in another kernel."""
    run = pended()
    read = PendedRun.from_json(run.to_json())
    assert read.to_json() == run.to_json()
    assert (read.calls, read.settings, read.tools, read.metadata) == (run.calls, run.settings, run.tools, run.metadata)
    assert [message.to_dict() for message in read.messages] == [message.to_dict() for message in run.messages]
    assert read.settings.model_fields_set == run.settings.model_fields_set
    assert read.checked([get_weather, OTHER])[0].name == "get_weather"


def test_half_a_surrogate_pair_in_a_prompt_does_not_spoil_the_file() -> None:
    run = pended()
    spoilt = PendedRun(
        **{name: getattr(run, name) for name in ("run_id", "session_id", "model", "calls", "tools")},
        messages=(Message("user", "a\ud800b"), *run.messages[2:]),
    )
    assert PendedRun.from_json(spoilt.to_json()).messages[0].text == "a?b"


@pytest.mark.parametrize("version", [0, VERSION + 1, 99, "1", None, True, 1.5, [1]])
def test_unknown_versions_are_refused(version: Any) -> None:
    """CONTRACT 32: versioned schema, unknown versions refused."""
    document = json.loads(pended().to_json()) | {"version": version, "news": True}
    with pytest.raises(ValidationError, match=f"reads version {VERSION}") as caught:
        PendedRun.from_json(json.dumps(document))
    assert caught.value.field == "pended"


def fewer_days(city: str) -> str:
    """Take less than before."""
    return city


def test_a_missing_tool_or_a_changed_schema_is_refused_by_name() -> None:
    """CONTRACT 32: arguments are re-validated on resume."""
    run = pended()
    assert [tool.name for tool in run.checked({"get_weather": get_weather, "other": OTHER, "more": get_weather})] == [
        "get_weather",
        "other",
        "more",
    ]
    with pytest.raises(ValidationError, match='had a tool "other"'):
        run.checked([get_weather])
    with pytest.raises(ValidationError, match='parameters of the tool "get_weather" have changed'):
        run.checked([tool_from(fewer_days, name="get_weather"), OTHER])


def test_arguments_that_the_types_behind_the_schema_refuse_are_refused_on_resume() -> None:
    """CONTRACT 32: arguments are re-validated on resume, by more than the schema."""
    from pydantic import BaseModel, field_validator

    class Place(BaseModel):
        city: str
        days: int = 1

        @field_validator("days")
        @classmethod
        def check(cls, value: int) -> int:
            if value > 1:
                raise ValueError("one day at most")
            return value

    tool = tool_from(Place, name="get_weather", handler=lambda _: None)
    asked = (ApprovalRequest(OPEN, parameters=tool.parameters),)
    with pytest.raises(ToolArgumentsError, match="one day at most"):
        pended(pending_approvals=asked).checked([tool, OTHER])


def _set(*path: Any) -> Callable[[dict[str, Any]], None]:
    *way, last, value = path

    def change(document: dict[str, Any]) -> None:
        target: Any = document
        for step in way:
            target = target[step]
        target[last] = value

    return change


CHANGES = {
    "other arguments": (_set("calls", 0, "arguments", "city", "Kyoto"), "doesn't fit its digest"),
    "another tool": (_set("calls", 0, "name", "other"), "doesn't fit its digest"),
    "a decision": (_set("calls", 0, "outcome", "success"), "none of its calls waits"),
    "an approval": (_set("calls", 0, "approved", True), "calls[0].approved"),
    "a taken back result": (_set("calls", 1, "outcome", None), "don't agree on its result"),
    "another conversation": (
        _set("messages", 2, "tool_calls", 0, "function", "arguments", '{"city": "x"}'),
        "isn't in the conversation",
    ),
    "no such call": (_set("messages", 2, "tool_calls", 0, "id", "call-3"), "isn't in the conversation"),
    "twice": (lambda document: document["calls"].append(document["calls"][0]), "have the same id"),
    "no tool": (_set("tools", {}), "of a tool it doesn't list"),
    "no arguments": (_set("calls", 0, "arguments", []), "calls[0].arguments"),
    "broken arguments": (_set("messages", 2, "tool_calls", 0, "function", "arguments", "{"), "can't be used"),
    "listed arguments": (_set("messages", 2, "tool_calls", 0, "function", "arguments", "[1]"), "can't be used"),
    "a strange role": (_set("messages", 0, "role", "root"), "role is one of"),
    "a part": (_set("messages", 1, "content", [{"type": "file"}]), "part of a message"),
    "a setting": (_set("settings", {"temperature": -4}), "temperature"),
    "no setting": (_set("settings", {"nonsense": 1}), "no setting 'nonsense'"),
    "time": (_set("time", float("nan")), "time"),
    "a field": (_set("owner", "me"), "owner"),
    "another kind": (_set("kind", "x"), "no kind"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_was_changed_is_refused(name: str) -> None:
    """CONTRACT 26, 32: no approval comes out of a file, and what doesn't fit together isn't resumed."""
    change, why = CHANGES[name]
    document = json.loads(pended().to_json())
    change(document)
    with pytest.raises(ValidationError) as caught:
        PendedRun.from_json(json.dumps(document))
    assert why in caught.value.message


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "{", "[" * 100_000, '{"a":' * 100_000, "1" * 5_000, "\ud800"])
def test_what_is_no_such_json_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="can't be read as a run"):
        PendedRun.from_json(text)
    with pytest.raises(ValidationError, match="it is no text"):
        PendedRun.from_json(text.encode("utf-8", "replace"))  # type: ignore[arg-type]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


PLACES_FOR_DEPTH = [
    ("settings", "stop"),
    ("settings", "nonsense"),
    ("metadata", "x"),
    ("calls", 0, "arguments", "city"),
    ("messages", 1, "content"),
]


@pytest.mark.parametrize("where", PLACES_FOR_DEPTH)
@pytest.mark.parametrize("depth", [80, 300, 900])
def test_deep_nesting_is_refused_or_cut(where: tuple[Any, ...], depth: int) -> None:
    document = json.loads(pended().to_json())
    _set(*where, nested(depth))(document)
    run = read_or_refused(document)
    assert (run is None) is (where[0] != "metadata")
    if run is not None:
        assert len(json.dumps(run.metadata)) < 200


def read_or_refused(document: Any) -> PendedRun | None:
    """Return what a document is read as; ``None`` if it is refused as it should be."""
    try:
        return PendedRun.from_json(json.dumps(document))
    except ValidationError:
        return None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


DOCUMENT = json.loads(pended().to_json())
PLACES = _places(DOCUMENT)[1:]


@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES, st.booleans()), min_size=1, max_size=3))
def test_hostile_json_gives_a_validation_error_or_a_run_that_holds_together(
    changes: list[tuple[tuple[Any, ...], Any, bool]],
) -> None:
    """CONTRACT 32: never a crash, and never a call that the conversation doesn't hold."""
    document = copy.deepcopy(DOCUMENT)
    for (*way, last), value, removed in changes:
        target = document
        try:
            for step in way:
                target = target[step]
            if removed:
                del target[last]
            else:
                target[last] = value
        except (KeyError, IndexError, TypeError):
            continue
    run = read_or_refused(document)
    if run is not None:
        assert run.pending == (OPEN,)
        assert PendedRun.from_json(run.to_json()).to_json() == run.to_json()
