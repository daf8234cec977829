"""The step loop: when it goes on, when it stops, what may be changed on the way, what is checked."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

import llmkit as lk
from llmkit.tools.calls import ToolCall, ToolCallError
from tests.unit.lifecycle_runs import population, session, weather

if TYPE_CHECKING:
    from collections.abc import Sequence

CALL = lk.Answer(tool_calls=[("weather", {"city": "Tokyo"})])
WRONG = lk.Answer(tool_calls=[("weather", {"town": "Tokyo"})])


def codes(run: Any) -> list[str]:
    return [error.code for step in run.steps for error in step.tool_call_errors]


def test_complete_takes_one_step_and_runs_what_it_calls_for() -> None:
    """CONTRACT 39: one step for ``complete``."""
    run = session(CALL, "never").complete("Weather?", tools=[weather], approval="allow")

    assert run.stop_reason == "step_count_is(1)"
    assert run.finish_reason == "tool-calls"
    assert run.tool_results[0].output == {"temperature": 22, "city": "Tokyo"}


def test_an_agent_takes_twenty_steps_at_most() -> None:
    """CONTRACT 39: 20 steps for ``Agent``."""
    answers = [lk.Answer(tool_calls=[("weather", {"city": f"Town {number}"})]) for number in range(30)]
    agent = lk.Agent(session(*answers), tools=[weather], approval="allow")
    run = agent.stream("Go")

    assert len(run.steps) == 20
    assert run.stop_reason == "step_count_is(20)"


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (lk.has_tool_call("weather"), "has_tool_call('weather')"),
        ([lk.step_count_is(9), lk.has_tool_call("weather")], "has_tool_call('weather')"),
        (1, "step_count_is(1)"),
    ],
)
def test_any_condition_stops_the_loop(condition: Any, reason: str) -> None:
    """CONTRACT 39: any of several conditions."""
    run = session(CALL, "never").complete("Go", tools=[weather], approval="allow", stop_when=condition)

    assert run.stop_reason == reason
    assert len(run.steps) == 1


def test_a_condition_may_be_a_function_of_the_steps_sync_or_async() -> None:
    async def long_enough(steps: Sequence[Any]) -> bool:
        return len(steps) == 2

    answers = [lk.Answer(tool_calls=[("weather", {"city": f"Town {number}"})]) for number in range(5)]
    run = session(*answers).complete("Go", tools=[weather], approval="allow", stop_when=long_enough)

    assert len(run.steps) == 2
    assert run.stop_reason.endswith("long_enough")


@pytest.mark.parametrize("condition", [0, -1, "soon", [], [3, "soon"]])
def test_what_is_no_condition_is_refused(condition: Any) -> None:
    with pytest.raises(lk.ValidationError) as caught:
        session("Hi.").complete("Go", stop_when=condition)
    assert caught.value.field == "stop_when"


def test_the_loop_stops_at_a_call_without_a_result() -> None:
    """CONTRACT 39: the loop goes on only while every call of the step has a result; 11: no handler."""
    schema = {"name": "weather", "description": "Weather.", "parameters": weather_schema()}
    run = session(CALL, "never").complete("Go", tools=[schema], stop_when=9)

    assert run.stop_reason == "a call has no result"
    assert run.tool_calls[0].status == "unhandled"
    with pytest.raises(lk.ValidationError, match="no handler"):
        run.tool_calls[0].invoke()


def weather_schema() -> dict[str, Any]:
    return {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def test_the_same_failing_call_again_and_again_stops_with_a_reason() -> None:
    """Loop hygiene: a model that repeats a call that fails doesn't go on for ever."""

    def broken(city: str) -> str:
        """Break."""
        raise OSError(city)

    answer = lk.Answer(tool_calls=[("broken", {"city": "Rome"})])
    run = session(*[answer] * 9).complete("Go", tools=[broken], approval="allow", stop_when=9)

    assert len(run.steps) == 3
    assert run.stop_reason == "the same failing call of broken was made 3 times in a row"


def test_different_failing_calls_go_on() -> None:
    answers = [lk.Answer(tool_calls=[("population", {"city": f"Nowhere {number}"})]) for number in range(5)]
    run = session(*answers, "I give up.").complete("Go", tools=[population], approval="allow", stop_when=9)

    assert run.text == "I give up."


# -- what is checked -------------------------------------------------------------------------------------------------


def test_arguments_that_do_not_fit_are_an_error_that_the_model_reads() -> None:
    """CONTRACT 14, 12: VALIDATION_ERROR for extra and missing keys; nobody runs it, the model is told."""
    run = session(WRONG, "Sorry.").complete("Go", tools=[weather], approval="allow", stop_when=5)

    assert codes(run) == ["VALIDATION_ERROR"]
    error = run.steps[0].tool_call_errors[0]
    assert (error.name, error.arguments) == ("weather", {"town": "Tokyo"})
    assert "weather" in error.raw
    told = [message for message in run.messages if message.role == "tool"]
    assert [message.tool_call_id for message in told] == [error.id]
    assert "city" in told[0].text


def test_a_tool_that_is_not_offered_is_unknown_and_its_neighbour_runs() -> None:
    """CONTRACT 15: UNKNOWN_TOOL; neighbouring valid calls are unaffected."""
    answer = lk.Answer(tool_calls=[("launch", {}), ("weather", {"city": "Tokyo"})])
    run = session(answer).complete("Go", tools=[weather], approval="allow")

    assert codes(run) == ["UNKNOWN_TOOL"]
    assert [call.name for call in run.tool_calls] == ["weather"]
    assert run.tool_results[0].success


def test_a_tool_that_is_not_active_is_unknown_for_the_step() -> None:
    """CONTRACT 15: offered, but not among ``active_tools``."""
    run = session(CALL).complete("Go", tools=[weather, population], active_tools=["population"], approval="allow")

    assert codes(run) == ["UNKNOWN_TOOL"]
    assert "isn't active" in run.steps[0].tool_call_errors[0].message


def test_what_cannot_be_read_is_a_parse_error_with_its_raw_text() -> None:
    """CONTRACT 13: bad JSON; the raw text is kept."""
    run = session('<tool_call>\n{"name": "weather", "arguments": {"city": }}\n</tool_call>', "Sorry.").complete(
        "Go", tools=[weather], approval="allow", stop_when=5
    )

    assert codes(run) == ["PARSE_ERROR"]
    assert '{"city": }' in run.steps[0].tool_call_errors[0].raw
    assert run.text == "Sorry."


def test_the_call_stream_has_calls_and_errors_as_they_are_parsed() -> None:
    """CONTRACT 2: ``tool_call_stream``; 4: empty with ``stream=False``."""
    answer = lk.Answer(tool_calls=[("launch", {}), ("weather", {"city": "Tokyo"})])
    run = session(answer).complete("Go", tools=[weather], approval="allow")
    quiet = session(answer).complete("Go", tools=[weather], approval="allow", stream=False)

    assert [type(item) for item in run.tool_call_stream] == [ToolCallError, ToolCall]
    assert list(quiet.tool_call_stream) == []
    assert [call.name for call in quiet.tool_calls] == ["weather"]


def test_the_dialect_can_be_said() -> None:
    """CONTRACT 17: detected from the template, overridable."""
    words = '[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Tokyo"}}]'
    told = session(words, dialect="mistral").complete("Go", tools=[weather], approval="allow")
    untold = session(words).complete("Go", tools=[weather], approval="allow")
    unknown = session(words, dialect="klingon").complete("Go", tools=[weather])

    assert [call.name for call in told.tool_calls] == ["weather"]
    assert untold.text == words
    with pytest.raises(lk.ValidationError, match="klingon"):
        unknown.result()


def test_a_name_written_twice_counts_once_where_a_grammar_binds_and_is_refused_elsewhere() -> None:
    """CONTRACT 18: no grammar forbids a repeated key, and a bound call can't fail; 13: a free one is a parse error."""

    def move(to: dict[str, float]) -> str:
        """Move."""
        return str(to)

    words = '<tool_call>\n{"name": "move", "arguments": {"to": {"x": 1.0, "y": 3.0, "x": 2.0}}}\n</tool_call>'
    bound = session(words).complete("Go", tools=[move], approval="allow", tool_choice="required")
    free = session(words).complete("Go", tools=[move], approval="allow")

    assert bound.tool_results[0].output == "{'x': 2.0, 'y': 3.0}"
    assert codes(free) == ["PARSE_ERROR"]


# -- repair ----------------------------------------------------------------------------------------------------------


def test_repair_may_mend_a_call() -> None:
    """CONTRACT 21: a fixed call takes the place of the wrong one."""
    seen: list[tuple[str, str]] = []

    def repair(call: ToolCall, error: ToolCallError, tools: Any, messages: Any) -> ToolCall:
        seen.append((call.name, error.code))
        assert [tool.name for tool in tools] == ["weather"]
        assert messages[0].text == "Go"
        return ToolCall(call.id, call.name, {"city": call.arguments["town"]})

    run = session(WRONG).complete("Go", tools=[weather], approval="allow", repair=repair)

    assert run.tool_results[0].output["city"] == "Tokyo"
    assert seen == [("weather", "VALIDATION_ERROR")]
    assert codes(run) == []


def test_repair_may_keep_the_error_or_make_it_no_better() -> None:
    """CONTRACT 21: ``None`` keeps the error; what it gives is checked again."""
    kept = session(WRONG).complete("Go", tools=[weather], approval="allow", repair=lambda *_: None)
    worse = session(WRONG).complete(
        "Go", tools=[weather], approval="allow", repair=lambda call, *_: ToolCall(call.id, "weather", {"x": 1})
    )

    assert codes(kept) == codes(worse) == ["VALIDATION_ERROR"]
    assert "After repair" in worse.steps[0].tool_call_errors[0].message


def test_repair_that_raises_fails_the_run() -> None:
    """CONTRACT 21: raising gives ``ToolCallRepairError``."""

    def repair(*_: Any) -> None:
        raise KeyError("town")

    run = session(WRONG).complete("Go", tools=[weather], approval="allow", repair=repair)

    with pytest.raises(lk.ToolCallRepairError, match="KeyError") as caught:
        run.result()
    assert isinstance(caught.value.__cause__, KeyError)


# -- prepare_step ----------------------------------------------------------------------------------------------------


def test_prepare_step_changes_one_step_and_only_context_persists() -> None:
    """CONTRACT 40: what it is called with, what it may replace, what persists."""
    calls: list[dict[str, Any]] = []

    async def prepare(**known: Any) -> dict[str, Any] | None:
        calls.append(known)
        if known["step_number"] == 0:
            return {"system": "Hurry.", "settings": {"temperature": 0.1}, "active_tools": ["weather"], "context": 1}
        return {"tool_choice": "none"}

    run = session(CALL, "22.", temperature=0.9, system="Be brief.").complete(
        "Go", tools=[weather, population], approval="allow", stop_when=5, prepare_step=prepare, context=0
    )
    first, second = run.steps

    assert [call["step_number"] for call in calls] == [0, 1]
    assert [call["context"] for call in calls] == [0, 1]
    assert [len(call["steps"]) for call in calls] == [0, 1]
    assert set(calls[0]) == {"step_number", "steps", "messages", "model", "context"}
    assert first.request is not None
    assert second.request is not None
    assert (first.request.messages[0].text, second.request.messages[0].text) == ("Hurry.", "Be brief.")
    assert (first.request.settings.temperature, second.request.settings.temperature) == (0.1, 0.9)
    assert [tool.name for tool in first.request.offered] == ["weather"]
    assert second.request.offered == ()


def test_prepare_step_may_take_only_what_it_needs() -> None:
    seen: list[int] = []

    def look(step_number: int) -> None:
        seen.append(step_number)

    session("Hi.").complete("Go", prepare_step=look).wait()

    assert seen == [0]


def test_a_change_that_does_not_exist_fails_the_run_and_names_it() -> None:
    run = session("Hi.").complete("Go", prepare_step=lambda: {"temprature": 0})

    with pytest.raises(lk.ValidationError, match="temprature"):
        run.result()


def test_prepare_step_can_prune_what_grows() -> None:
    """CONTRACT 48: a helper prunes; the conversation itself stays whole."""
    answers = [lk.Answer(tool_calls=[("weather", {"city": f"Town {number}"})]) for number in range(4)]
    run = session(*answers, "Done.").complete(
        "Go",
        tools=[weather],
        approval="allow",
        stop_when=9,
        prepare_step=lambda messages: {"messages": lk.prune(messages, keep_last=2)},
    )

    assert [len(step.request.messages) for step in run.steps if step.request] == [1, 3, 3, 3, 3]
    assert len(run.messages) == 1 + 4 * 2 + 1


# -- calls in code ---------------------------------------------------------------------------------------------------


def test_invoke_returns_the_result_and_runs_the_handler_once() -> None:
    """CONTRACT 19: ``invoke()`` runs the handler once; again only with ``rerun=True``."""
    runs: list[str] = []

    def count(city: str) -> int:
        """Count."""
        runs.append(city)
        return len(runs)

    answer = lk.Answer(tool_calls=[("count", {"city": "Rome"})])
    call = session(answer).complete("Go", tools=[count], approval="allow").tool_calls[0]

    assert [call.invoke(), call.invoke()] == [1, 1]
    assert runs == ["Rome"]
    assert [call.invoke(rerun=True), call.invoke()] == [2, 2]
    assert call.status == "done"


def test_results_are_worth_reading() -> None:
    run = session(CALL).complete("Go", tools=[weather], approval="allow")
    denied = session(CALL).complete("Go", tools=[weather], approval=[lk.Rule("*", "deny", reason="no")])

    assert repr(run.tool_results[0]).startswith(
        "<ToolResult weather(city='Tokyo') success: {'temperature': 22, 'city': 'Tokyo'} · "
    )
    assert repr(denied.tool_results[0]) == "<ToolResult weather(city='Tokyo') denied: no>"


def test_invoke_raises_what_came_of_the_call() -> None:
    """CONTRACT 19, 27: a denied call raises ToolDenied, a failed one ToolError with its cause."""
    denied = session(CALL).complete("Go", tools=[weather], approval="deny").tool_calls[0]
    answer = lk.Answer(tool_calls=[("population", {"city": "Atlantis"})])
    failed = session(answer).complete("Go", tools=[population], approval="allow").tool_calls[0]

    with pytest.raises(lk.ToolDenied):
        denied.invoke()
    with pytest.raises(lk.ToolError) as caught:
        failed.invoke()
    assert isinstance(caught.value.__cause__, KeyError)
    assert (denied.status, failed.status) == ("denied", "failed")


def test_calls_can_be_decided_in_code_as_they_are_parsed() -> None:
    """CONTRACT 25: the same decisions exist in code."""
    answer = lk.Answer(tool_calls=[("weather", {"city": "Rome"}), ("weather", {"city": "Bonn"})])
    run = session(answer).complete("Go", tools=[weather], approval=lk.ApprovalPolicy(headless="wait", timeout=30))
    for call in run.tool_call_stream:
        assert isinstance(call, ToolCall)
        if call.arguments["city"] == "Rome":
            assert call.approve({"city": "Milan"})
            assert not call.approve()
        else:
            assert call.deny("too far")

    milan, bonn = run.tool_results
    assert (milan.output["city"], milan.arguments) == ("Milan", {"city": "Milan"})
    assert milan.call.arguments == {"city": "Rome"}
    assert (bonn.outcome, bonn.reason) == ("denied", "too far")


def test_nobody_there_means_denied_and_the_reason_says_so() -> None:
    """CONTRACT 31: headless, the run never hangs; the policy denies and says why."""
    run = session(CALL, "I can't.").complete("Go", tools=[weather], stop_when=5)

    assert run.text == "I can't."
    assert run.steps[0].tool_results[0].outcome == "denied"
    assert "nobody was there" in run.steps[0].tool_results[0].reason


class Lab:
    """A place where somebody could be asked."""

    def audience(self) -> bool:
        return True

    def show(self, run: Any, *, asked: bool) -> None:
        """Show nothing."""


@pytest.mark.parametrize(("show", "outcomes"), [(False, ["denied"]), (True, [])])
def test_nobody_can_be_asked_about_a_run_that_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, *, show: bool, outcomes: list[str]
) -> None:
    """CONTRACT 31: somebody is in the notebook, but a run that isn't shown has no panel; it never hangs."""
    one = session(CALL)
    monkeypatch.setattr("llmkit.session.presenter", Lab)
    asked = threading.Event()
    run = one.complete("Go", tools=[weather], show=show, on_approval_request=lambda _: asked.set())
    assert asked.wait(10)
    if show:
        assert [request.call.name for request in run.pending_approvals] == ["weather"]
        run.cancel()
    run.wait()

    assert [result.outcome for step in run.steps for result in step.tool_results] == (outcomes or ["cancelled"])


def test_a_callback_may_decide_where_nobody_is_there() -> None:
    """CONTRACT 25, 31: code that is told of a request decides before the headless answer; async ones too."""

    async def decide(event: Any) -> None:
        event.request.call.approve({"city": "Oslo"})

    run = session(CALL).complete("Go", tools=[weather], on_approval_request=decide)

    assert run.tool_results[0].output["city"] == "Oslo"


def test_a_session_rule_holds_for_later_runs_until_it_is_revoked() -> None:
    """CONTRACT 29: session scope; revocable."""
    one = session(CALL, CALL, CALL)
    rule = one.rules.add(("weather", "allow"))

    assert one.complete("Go", tools=[weather]).tool_results[0].outcome == "success"
    assert one.complete("Go", tools=[weather]).tool_results[0].outcome == "success"
    assert one.rules.revoke(rule.id)
    assert one.complete("Go", tools=[weather]).tool_results[0].outcome == "denied"


def test_a_conversation_with_an_open_call_is_refused_by_its_name() -> None:
    """CONTRACT 33: a new message while a call has no result: an error that names the call."""
    one = session(CALL, "never")
    run = one.complete("Go", tools=[weather], approval="pend")
    run.wait()
    assert len(run.pending_approvals) == 1

    with pytest.raises(lk.ValidationError, match=f"weather.*{run.tool_calls[0].id}"):
        one.complete([*run.messages, lk.Message("user", "Well?")])


def test_tool_context_tells_the_handler_of_its_call() -> None:
    """CONTRACT 19: call id, messages so far, cancellation token, user context."""
    seen: list[lk.ToolContext] = []

    def look(context: lk.ToolContext) -> str:
        """Look."""
        seen.append(context)
        return "ok"

    run = session(lk.Answer(tool_calls=[("look", {})])).complete(
        "Go", tools=[look], approval="allow", context={"user": 7}
    )
    call = run.tool_calls[0]

    assert seen[0].call_id == call.id
    assert [message.text for message in seen[0].messages] == ["Go"]
    assert seen[0].context == {"user": 7}
    assert not seen[0].cancel.cancelled


def test_a_tools_own_timeout_may_end_the_run() -> None:
    """CONTRACT 20: per-tool timeout: error as result (default) or raised."""
    release = threading.Event()

    @lk.tool(timeout=0.05, timeout_error="raise")
    def slow() -> None:
        """Slow."""
        release.wait(30)

    run = session(lk.Answer(tool_calls=[("slow", {})])).complete("Go", tools=[slow], approval="allow")
    with pytest.raises(lk.TimeoutError, match="slow"):
        run.result()
    release.set()


def test_approval_and_tool_time_are_stats_of_their_own() -> None:
    """CONTRACT 5: tool and approval time each on its own."""
    stats = (
        session(CALL)
        .complete(
            "Go",
            tools=[weather],
            approval=lk.ApprovalPolicy(headless="wait", timeout=30),
            on_approval_request=lambda event: event.request.call.approve(),
        )
        .stats
    )

    assert stats is not None
    assert stats.tool_time is not None
    assert stats.approval_time is not None


def test_the_total_limit_does_not_count_while_somebody_is_asked() -> None:
    """CONTRACT 43: approval time counts against nothing but its own limit."""
    run = session(CALL).complete(
        "Go", tools=[weather], timeout=0.2, approval=lk.ApprovalPolicy(headless="wait", timeout=0.6)
    )

    assert run.tool_results[0].outcome == "denied"
    assert run.finish_reason == "tool-calls"


def test_a_nearly_full_context_is_told_of_before_it_overflows() -> None:
    """Loop hygiene: context overflow is foreseen and reported before it happens."""

    def long() -> str:
        """Long."""
        return "word " * 300

    small = lk.Session(
        engine=lk.Scripted([lk.Answer(tool_calls=[("long", {})])], context_length=400), show=False, ledger=None
    )
    run = small.complete("Go", tools=[long], approval="allow")

    assert any("context holds 400" in warning for warning in run.steps[0].warnings)


# -- pended runs -----------------------------------------------------------------------------------------------------


def test_a_pended_run_ends_with_its_open_approvals_and_goes_on_from_json() -> None:
    """CONTRACT 31, 32: ``pend``; saved to JSON and resumed; what was allowed before isn't run again."""
    ran: list[str] = []

    @lk.tool(needs_approval=False)
    def look(city: str) -> str:
        """Look."""
        ran.append(f"look {city}")
        return "sunny"

    @lk.tool
    def go(city: str) -> str:
        """Go."""
        ran.append(f"go {city}")
        return "there"

    answer = lk.Answer(tool_calls=[("look", {"city": "Rome"}), ("go", {"city": "Rome"})])
    run = session(answer).complete("Go", tools=[look, go], approval="pend", metadata={"trip": 1})
    assert run.finish_reason == "tool-calls"
    assert [request.call.name for request in run.pending_approvals] == ["go"]
    with pytest.raises(lk.ApprovalPending):
        run.tool_calls[1].invoke()
    assert not run.tool_calls[1].approve()

    text = run.pended.to_json()
    later = session("Arrived.").resume(text, tools=[look, go], approval="allow")

    assert later.text == "Arrived."
    assert ran == ["look Rome", "go Rome"]
    assert [message.role for message in later.messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert later.steps[0].tool_results[0].output == "there"
    assert later.request.metadata == {"trip": 1}


def test_resuming_checks_tools_and_text() -> None:
    """CONTRACT 32: arguments re-validated on resume; unknown versions refused."""
    run = session(CALL).complete("Go", tools=[weather], approval="pend")
    run.wait()
    text = run.pended.to_json()
    one = session("never")

    with pytest.raises(lk.ValidationError, match="weather"):
        one.resume(text, tools=[population])
    with pytest.raises(lk.ValidationError, match="version"):
        one.resume(text.replace('"version": 1', '"version": 2'), tools=[weather])
    with pytest.raises(lk.ValidationError, match="can't be read"):
        one.resume("/no/such/file.json", tools=[weather])


def test_a_run_that_left_nothing_open_cannot_be_resumed() -> None:
    run = session("Hi.").complete("Go")

    with pytest.raises(lk.ValidationError, match="nothing to resume"):
        session("never").resume(run, tools=[])


# -- many at once ----------------------------------------------------------------------------------------------------


def test_fifty_agents_at_once_lose_no_event() -> None:
    """CONTRACT 2, 10: 50 agents on one session; each has all its events, numbered without gaps, and its own results."""

    def answer(prompt: str) -> lk.Answer | str:
        number = max(int(found) for found in re.findall(r"agent (\d+)", prompt))
        asked = prompt.count("seen")
        return (
            f"agent {number} is done" if asked >= 2 else lk.Answer(tool_calls=[("look", {"at": f"{number}/{asked}"})])
        )

    def look(at: str) -> str:
        """Look."""
        return f"seen {at}"

    one = lk.Session(engine=lk.Scripted([answer], slots=8, context_length=8192), show=False, ledger=None)
    heard: dict[str, list[int]] = {}
    agent = lk.Agent(one, tools=[lk.tool(needs_approval=False)(look)], system="Look twice.")
    runs = [agent.stream(f"I am agent {number}.") for number in range(50)]
    for run in runs:
        run.subscribe(lambda event, run_id=run.id: heard.setdefault(run_id, []).append(event.index))  # type: ignore[misc]

    for number, run in enumerate(runs):
        assert run.text == f"agent {number} is done"
        assert [event.index for event in run.events] == list(range(len(list(run.events))))
        assert [result.output for step in run.steps for result in step.tool_results] == [
            f"seen {number}/{asked}" for asked in (0, 1)
        ]
    one.load()  # by way of the loop's thread, where the subscribers are told before
    assert all(heard[run.id] == [event.index for event in run.events] for run in runs)
    assert len(one.runs) == 50
    assert set(one.runs["status"]) == {"done"}
    assert len(one.steps) == 150
