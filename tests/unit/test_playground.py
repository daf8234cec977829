"""The playground: what is filled in and what it means, the code that reproduces a run, and what pages are told."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmkit as lk
from llmkit.notebook import playground_static
from llmkit.notebook.budget import Budget
from llmkit.notebook.playground_view import PlaygroundView
from llmkit.playing.controls import controls
from llmkit.playing.form import Form, fields_of, read, written

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., lk.Session]

HOSTILE = '</textarea><script>alert("x")</script>\n\u202eevil $x$ `'

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "max_output_tokens": st.none() | st.integers(1, 10**6),
    "temperature": st.floats(0, 5),
    "top_p": st.floats(0, 1, exclude_min=True),
    "top_k": st.integers(0, 10**9),
    "min_p": st.floats(0, 1),
    "presence_penalty": st.floats(-2, 2),
    "frequency_penalty": st.floats(-2, 2),
    "repetition_penalty": st.floats(0, 10, exclude_min=True),
    "stop": st.lists(st.text(min_size=1), max_size=4).map(tuple),
    "seed": st.none() | st.integers(0, 2**32 - 1),
    "logit_bias": st.dictionaries(st.integers(0, 10**6), st.floats(-100, 100), max_size=4),
    "logprobs": st.none() | st.integers(0, 20),
    "reasoning": st.none() | st.booleans(),
    "reasoning_budget": st.none() | st.integers(0, 10**6),
    "timeout": st.builds(lk.Timeouts, total=st.none() | st.floats(1, 99), chunk=st.none() | st.floats(1, 99)),
    "max_retries": st.integers(0, 99),
}


class FakePage:
    """The widget's part, and a page's: it keeps the state as the front end does."""

    def __init__(self, snapshot: Callable[[], dict[str, Any]], receive: Callable[[Any], None]) -> None:
        self.receive = receive
        self.state = snapshot()
        self._changed = threading.Condition()

    def send(self, content: dict[str, Any]) -> None:
        with self._changed:
            match content:
                case {"kind": "snapshot", "state": state}:
                    self.state = state
                case {"kind": "patch", "seq": seq, "set": change}:
                    assert seq == self.state["seq"] + 1
                    self.state |= {"seq": seq, **change}
                case {"kind": "answer", "run": run, "message": {"kind": "snapshot", "state": state}}:
                    if run == self.state["shown"]:
                        self.state["answer"] = state
            self._changed.notify_all()

    def until(self, there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: there(self.state), 20), self.state
        return self.state

    def edit(self, **form: Any) -> None:
        self.receive({"kind": "edit", "page": "p", "count": 1, "form": form})

    def push_state(self) -> None:
        pass

    def mimebundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {}

    def close(self) -> None:
        pass


def opened(playground: lk.Playground) -> tuple[PlaygroundView, Any]:
    view = PlaygroundView(playground, FakePage, on_change=lambda _view: None, budget=Budget())
    view.open()
    return view, view.page


def test_each_setting_has_a_control_with_its_own_name_and_range() -> None:
    """Issue 7: settings as sliders with the field's names; the ranges are those of the settings themselves."""
    by_name = {control.name: control for control in controls()}
    tops = list(dict.fromkeys(name.partition(".")[0] for name in by_name))
    assert tops == list(lk.Settings.model_fields) == list(VALUES)
    for control in by_name.values():
        assert control.help
        top, _, part = control.name.partition(".")
        for bound, beyond in ((control.least, -1), (control.most, 1)):
            if bound is not None and control.kind in {"number", "integer"}:
                value = bound + beyond
                with pytest.raises(lk.ValidationError):
                    lk.Settings().merged({top: {part: value} if part else value})
    assert by_name["temperature"].slider == {"least": 0, "most": 5, "step": 0.05}
    assert by_name["top_p"].slider == {"least": 0.01, "most": 1, "step": 0.01}
    assert by_name["seed"].slider is None


@settings(max_examples=60)
@given(st.fixed_dictionaries({}, optional=VALUES))
def test_what_is_filled_in_means_what_was_set(values: dict[str, Any]) -> None:
    """A setting's text is read as its value again, whatever that is."""
    own = lk.Settings()
    form = Form("x", fields=fields_of(values, own))
    assert form.problems() == {}
    assert own.merged(form.settings(own)) == own.merged(values)


@given(st.text())
def test_any_text_is_a_value_or_an_error_by_name(text: str) -> None:
    for control in controls():
        with contextlib.suppress(lk.ValidationError):
            value = read(control, text)
            assert repr(read(control, written(control, value))) == repr(value)


@pytest.mark.parametrize(
    ("own", "asked"),
    [
        ({}, {}),
        ({"temperature": 0.2, "seed": 7}, {"top_p": 0.5}),
        ({"timeout": {"step": 50.0}}, {"timeout": {"total": 30}, "stop": ["'\n\"", "\\"], "reasoning": False}),
        ({"stop": "#", "max_output_tokens": 5}, {"stop": (), "max_output_tokens": None, "logit_bias": {3: 1.5}}),
    ],
)
@pytest.mark.parametrize("prompt", ["Hi", HOSTILE])
def test_the_code_asks_for_the_same_again(
    scripted: Make, own: dict[str, Any], asked: dict[str, Any], prompt: str
) -> None:
    """Issue 7: "copy as code" reproduces the run exactly."""
    session = scripted(lk.Answer(["a b c", "a c b", "b c a", "c a b"]), session={"system": "Be brief.", **own})
    playground = session.playground(prompt, system="Be 'long'.", **asked)
    run = playground.ask()
    again = eval(playground.code, {"session": session})  # noqa: S307 - which is what is tested
    assert again.text == run.text
    assert again.request.messages == run.request.messages
    assert (again.request.seed, again.request.model) == (run.request.seed, run.request.model)
    assert again.request.settings.model_copy(update={"seed": None}) == run.request.settings.model_copy(
        update={"seed": None}
    )
    assert "Be brief" not in playground.code
    assert ("seed" in playground.code) == ("seed" not in own)


def test_in_code_it_is_filled_in_asked_and_chosen_again(scripted: Make) -> None:
    session = scripted("one", "two")
    playground = session.playground("Hi", temperature=0.2)
    assert (playground.run, playground.runs) == (None, ())
    assert playground.code == "session.complete('Hi', temperature=0.2)"
    first = playground.ask()
    first.wait()
    playground.fill(playground.form.edited({"prompt": "Ho", "fields": {"temperature": "", "nonsense": "1"}}))
    second = playground.ask()
    assert (playground.runs, playground.run, playground.settings) == ((first, second), second, {})
    playground.choose(first)
    assert (playground.prompt, playground.settings) == ("Hi", {"temperature": 0.2})
    assert [run.request.settings.temperature for run in (first, second)] == [0.2, 0.7]
    assert (first.text, second.text) == ("one", "two")


def test_what_cannot_be_used_is_refused_by_name(scripted: Make) -> None:
    session = scripted("one")
    refused: list[tuple[dict[str, Any], str]] = [({"temperature": 9}, "temperature"), ({"tempo": 1}, "tempo")]
    for bad, field in refused:
        with pytest.raises(lk.ValidationError) as caught:
            session.playground("Hi", **bad)
        assert caught.value.field == field
    with pytest.raises(lk.ValidationError) as caught:
        session.playground().ask()
    assert caught.value.field == "prompt"


def test_a_page_edits_runs_and_chooses_and_hears_of_errors_by_field(scripted: Make) -> None:
    playground = scripted("said one", "said two").playground("Hi")
    _view, page = opened(playground)
    page.receive({"kind": "hello"})
    page.edit(prompt="one", fields={"top_p": "7", "temperature": "warm", "seed": "5", "bad": "1"})
    page.receive({"kind": "run"})
    state = page.until(lambda state: len(state["errors"]) == 2)
    assert set(state["errors"]) == {"top_p", "temperature"}
    assert state["form"]["fields"] == {"top_p": "7", "temperature": "warm", "seed": "5"}
    assert playground.runs == ()
    page.edit(fields={"top_p": "", "temperature": "0.5"})
    page.receive({"kind": "run"})
    state = page.until(lambda state: bool(state["runs"]) and state["runs"][-1]["status"] == "done")
    assert state["errors"] == {}
    assert state["code"] == "session.complete('one', temperature=0.5, seed=5)"
    assert playground.run is not None
    first = playground.run.id
    page.edit(prompt="two", fields={"temperature": "", "seed": ""})
    page.receive({"kind": "run"})
    page.until(lambda state: len(state["runs"]) == 2 and state["runs"][-1]["status"] == "done")
    page.receive({"kind": "choose", "run": first})
    state = page.until(lambda state: state["shown"] == first)
    assert state["answer"]["text"] == "said one"
    assert state["form"] == {"prompt": "one", "system": "", "model": "", "fields": {"temperature": "0.5", "seed": "5"}}
    assert [entry["changes"] for entry in state["runs"]] == ["temperature 0.5 · seed 5", ""]
    page.receive({"kind": "edit", "page": "p", "count": 3, "form": {"prompt": ""}})
    page.receive({"kind": "run"})
    assert set(page.until(lambda state: bool(state["errors"]))["errors"]) == {"prompt"}
    for nonsense in (None, {}, {"kind": "edit"}, {"kind": "choose", "run": "no"}, {"kind": "answer", "run": "x"}, 5):
        page.receive(nonsense)
    page.receive({"kind": "resync"})
    assert page.state["form"]["prompt"] == ""


def test_a_page_stops_the_run_that_it_shows(scripted: Make) -> None:
    playground = scripted("word " * 500, tokens_per_second=50).playground("Hi")
    _view, page = opened(playground)
    page.receive({"kind": "hello"})
    page.receive({"kind": "run"})
    page.until(lambda state: state["shown"] is not None)
    page.receive({"kind": "stop"})
    state = page.until(lambda state: state["runs"][-1]["status"] == "cancelled")
    assert state["shown"] == state["runs"][-1]["id"]


def test_what_is_saved_is_the_answer_its_settings_and_the_code_with_nothing_that_runs(scripted: Make) -> None:
    playground = scripted(HOSTILE.replace("\u202e", "")).playground(HOSTILE, temperature=0.5, stop=["<b>"])
    assert "ask()" in playground_static.bundle(playground)["text/plain"]
    playground.ask().wait()
    bundle = playground_static.bundle(playground)
    assert "<script" not in bundle["text/html"]
    assert "&lt;script&gt;" in bundle["text/html"]
    prose = [line for line in bundle["text/markdown"].splitlines() if not line.startswith("    ")]  # what isn't code
    assert "<script" not in "\n".join(prose)
    for form in bundle.values():
        assert "\u202e" not in form
        assert "temperature" in form
        assert "session.complete(" in form


def test_without_a_page_it_says_how_to_use_it(scripted: Make, capsys: pytest.CaptureFixture[str]) -> None:
    playground = scripted("one").playground("Hi", show=True)
    assert "playground.ask()" in capsys.readouterr().out
    playground.ask().wait()
    playground.show()
    assert "one" in capsys.readouterr().out
