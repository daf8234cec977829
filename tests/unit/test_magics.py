from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import llmkit as lk
from llmkit.notebook.magics.line import read_line
from llmkit.notebook.magics.options import llm_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def one_shell() -> Any:
    shell: Any = InteractiveShell
    made = shell(config=Config(HistoryManager={"enabled": False}))
    made.extension_manager.load_extension("llmkit")
    return made


@pytest.fixture(scope="module")
def one_session() -> Iterator[lk.Session]:
    with lk.Session(engine=lk.Scripted(["Because."]), show=False, ledger=None) as session:
        yield session


@pytest.fixture
def shell(one_shell: Any) -> Iterator[Any]:
    """Give a shell with llmkit's magics and nothing in its namespace."""
    before = set(one_shell.user_ns)
    yield one_shell
    for name in set(one_shell.user_ns) - before:
        del one_shell.user_ns[name]


@pytest.fixture
def session(shell: Any, one_session: lk.Session) -> lk.Session:
    """Give a session that is the notebook's `session`."""
    shell.push({"session": one_session})
    return one_session


def _cell(shell: Any, text: str) -> Any:
    outcome = shell.run_cell(text)
    outcome.raise_error()
    return outcome.result


def _refusal(shell: Any, text: str) -> str:
    outcome = shell.run_cell(text)
    assert type(outcome.error_in_exec) is UsageError
    assert isinstance(outcome.error_in_exec.__cause__, lk.Error)
    return str(outcome.error_in_exec)


def _complete(shell: Any, text: str) -> set[str]:
    """Return what may take the place of ``|`` in a cell, as the texts that the cell would have."""
    place = text.index("|")
    whole = text.replace("|", "")
    with provisionalcompleter():
        found = list(shell.Completer.completions(whole, place))
    return {whole[: each.start] + each.text for each in found}


def test_importing_llmkit_leaves_ipython_alone() -> None:
    assert "load_ipython_extension" in dir(lk)


def test_a_line_asks_what_it_says_apostrophes_included(shell: Any, session: lk.Session) -> None:
    run = _cell(shell, "%llm --temperature 0 What's the sky's colour?")

    assert run.result().text == "Because."
    assert run.messages[0].text == "What's the sky's colour?"
    assert run.request.settings.temperature == 0
    assert run.request.session_id == session.id


@pytest.mark.usefixtures("session")
def test_a_cell_asks_with_settings_and_the_run_goes_into_a_variable(shell: Any) -> None:
    shell.push({"most": 50, "style": "terse"})

    shown = _cell(
        shell,
        '%%llm --max-output-tokens most --top_p=0.5 --stop ["\\n\\n", "END"] --system \'Be {style}.\' -o run\n'
        "Explain it.\nIn two lines.",
    )

    run = shell.user_ns["run"]
    assert shown is None
    assert [each.text for each in run.messages[:2]] == ["Be terse.", "Explain it.\nIn two lines."]
    assert (run.request.settings.max_output_tokens, run.request.settings.top_p) == (50, 0.5)
    assert run.request.settings.stop == ("\n\n", "END")


@pytest.mark.usefixtures("session")
def test_variables_are_text_and_never_read_again(shell: Any) -> None:
    shell.push({"topic": "{secret} {0} $HOME {topic.__class__}", "secret": "hunter2"})

    run = _cell(shell, "%%llm\nExplain {topic}; $secret and {{braces}}.")

    assert run.messages[0].text == "Explain {secret} {0} $HOME {topic.__class__}; $secret and {braces}."


@pytest.mark.usefixtures("session")
def test_a_line_is_not_evaluated_by_ipython(shell: Any) -> None:
    shell.push({"ran": []})

    assert "no plain name" in _refusal(shell, "%llm Is {ran.append(1)} run?")
    assert shell.user_ns["ran"] == []


@pytest.mark.usefixtures("session")
def test_raw_text_keeps_its_braces(shell: Any) -> None:
    assert _cell(shell, '%%llm --raw\nFix {"a": {b}}').messages[0].text == 'Fix {"a": {b}}'


def test_output_and_tools_are_named_by_their_variables(shell: Any, scripted: Callable[..., lk.Session]) -> None:
    shell.push({"session": scripted('{"name": "Ada"}')})
    _cell(shell, "from dataclasses import dataclass\n@dataclass\nclass Person:\n    name: str\n")

    run = _cell(shell, "%%llm --output Person\nWho wrote the first program?")

    assert run.output.name == "Ada"

    _cell(shell, "def get_time(city: str) -> str:\n    'The time.'\n    return '12'")
    assert [tool.name for tool in _cell(shell, "%llm --tools get_time --tool-choice none Hi").request.tools] == [
        "get_time"
    ]


def test_the_newest_open_session_is_asked_unless_one_is_named(shell: Any, scripted: Callable[..., lk.Session]) -> None:
    first, second, third = (scripted(f"I am {name}.") for name in ("first", "second", "third"))
    shell.push({"a": third, "b": first, "c": second})
    third.close()

    assert _cell(shell, "%llm Who?").text == "I am second."
    assert _cell(shell, "%llm --session b Who?").text == "I am first."
    assert "closed" in _refusal(shell, "%llm --session a Who?")
    assert "no session" in _refusal(shell, "a_number = 1\n%llm --session a_number Who?")


def test_a_session_is_made_at_first_use_and_kept(
    shell: Any, scripted: Callable[..., lk.Session], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Made(lk.Session):
        def __init__(self) -> None:
            super().__init__(engine=lk.Scripted(["Hello."]), show=False, ledger=None)

    monkeypatch.setattr("llmkit.notebook.magics.scope.Session", Made)
    assert "no open session" in _refusal(shell, "%llm_stats")

    first, second = _cell(shell, "%llm Hi"), _cell(shell, "%llm Hi")

    assert first.request.session_id == second.request.session_id == shell.user_ns["llm_session"].id
    assert capsys.readouterr().out.count("llm_session") == 1
    shell.user_ns["llm_session"].close()


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%llm --temprature 0 Hi", "Did you mean --temperature?"),
        ("%llm --temperature 9 Hi", "temperature=9 can't be used"),
        ("%llm --temperature warm Hi", "no variable of that name"),
        ("%llm --temperature 1+1 Hi", "neither a Python literal nor a variable"),
        ("%llm --output Missing Hi", "no variable of that name"),
        ("%llm --system 'Be Hi", "isn't closed"),
        ("%llm --temperature 0 --temperature 1 Hi", "given twice"),
        ("%llm --temperature", "has no value"),
        ("%llm Explain {missing}.", "no variable 'missing'"),
        ("%llm Explain {.", "--raw takes the text as it is"),
        ("%llm --temperature 0", "nothing to ask"),
        ("%%llm What?\nThe cell.", "goes into the lines below"),
        ("%%llm -o 1st\nHi", "no name of a variable"),
        ("%%compare topic=['a', 'b'\n{topic}", "isn't closed"),
        ("%%compare topic gravity\n{topic}", "neither an option nor a factor"),
        ("%llm_stats nonsense", "There is no table"),
    ],
)
@pytest.mark.usefixtures("session")
def test_what_is_wrong_is_said_in_a_line(shell: Any, cell: str, words: str) -> None:
    said = _refusal(shell, cell)

    assert said.startswith("ValidationError: ")
    assert words in said
    assert "\n" not in said


@pytest.mark.usefixtures("session")
def test_compare_varies_lists_and_takes_the_rest_from_the_notebook(shell: Any) -> None:
    shell.push({"who": ["a child", "a physicist"], "warmth": [0, 0.8], "place": "Rome"})

    _cell(
        shell,
        '%%compare topic=["gravity", "DNA"] temperature=warmth repeat=2 -o grid\nExplain {topic} to {who} in {place}.',
    )

    grid = shell.user_ns["grid"]
    assert {name: len(levels) for name, levels in grid.factors.items()} == {
        "topic": 2,
        "who": 2,
        "temperature": 2,
        "repeat": 2,
    }
    assert grid.wait(10)
    assert grid.cells[0].prompt == "Explain gravity to a child in Rome."


@pytest.mark.usefixtures("session")
def test_compare_takes_a_table(shell: Any) -> None:
    shell.push({"rows": [{"word": "one"}, {"word": "two"}]})

    grid = _cell(shell, "%%compare data=rows\nSay {word}.")

    assert [cell.prompt for cell in grid.cells] == ["Say one.", "Say two."]
    assert grid.wait(10)


def test_stats_are_the_session_s_tables(shell: Any, session: lk.Session) -> None:
    _cell(shell, "%llm Hi").result()

    assert _cell(shell, "%llm_stats runs")["run_id"].tolist() == session.runs["run_id"].tolist()
    assert "output_tokens" in _cell(shell, "%llm_stats").to_string()
    assert _cell(shell, "%llm_stats models -o frame") is None
    assert shell.user_ns["frame"]["model"].tolist() == ["scripted"]


@pytest.mark.parametrize("name", ["temperature", "max_output_tokens", "model", "system", "output", "session", "into"])
def test_every_option_is_in_the_help(shell: Any, name: str) -> None:
    help_text = shell.find_cell_magic("llm").__doc__

    assert f"\n--{name.replace('_', '-')}\n    " in help_text
    assert set(lk.Settings.model_fields) <= set(llm_options())
    assert all(option.about for option in llm_options().values())


@pytest.mark.parametrize(
    ("cell", "completed"),
    [
        ("%llm --max-o|", "%llm --max-output-tokens"),
        ("%%llm --temp|\nHi", "%%llm --temperature"),
        ("%%llm --output Per|\nHi", "%%llm --output Person"),
        ("%%llm --session se|\nHi", "%%llm --session session"),
        ("%%llm --model scr|\nHi", "%%llm --model scripted"),
        ("%%llm --model smollm2-1|\nHi", "%%llm --model smollm2-135m-instruct"),
        ("%%llm --tool-choice re|\nHi", "%%llm --tool-choice required"),
        ("%%llm\nExplain {top|}", "%%llm\nExplain {topic"),
        ("answer = %llm Explain {top|", "answer = %llm Explain {topic"),
        ("%%compare wh|\nExplain it to {whom}", "%%compare whom="),
        ("%%compare topic=top|\nExplain {topic}", "%%compare topic=topic"),
        ("%llm_stats tool|", "%llm_stats tool_calls"),
    ],
)
@pytest.mark.usefixtures("session")
def test_options_values_and_variables_are_completed(
    shell: Any, cell: str, completed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Model:
        name = "smollm2-135m-instruct"

    monkeypatch.setattr("llmkit.notebook.magics.completing.cached_models", lambda: [Model])
    shell.push({"topic": "gravity", "Person": type("Person", (), {})})

    assert _complete(shell, cell) == {completed}


@pytest.mark.usefixtures("session")
def test_completion_keeps_out_of_other_cells(shell: Any) -> None:
    assert not any("temperature" in each for each in _complete(shell, "print('%llm --temp|')"))
    assert not any("--" in each for each in _complete(shell, "%%llm\nIs --temp| an option?"))


@pytest.mark.parametrize(
    ("line", "options", "rest"),
    [
        ("--stop ['a b', \"]\"] What's it?", {"stop": "['a b', \"]\"]"}, "What's it?"),
        ("--logit-bias {15: -100} -o run", {"logit_bias": "{15: -100}", "into": "run"}, ""),
        ("-- --temperature is what?", {}, "--temperature is what?"),
        ("--seed=7 a=1", {"seed": "7"}, "a=1"),
        ("-5 degrees?", {}, "-5 degrees?"),
        (r'--stop "a\"b" c', {"stop": r'"a\"b"'}, "c"),
    ],
)
def test_a_line_is_options_then_words(line: str, options: dict[str, str], rest: str) -> None:
    read = read_line(line)

    assert (read.options, read.rest) == (options, rest)
