"""What an answer must look like, as one grammar for the decoder.

This is the one place where grammars are put together: reasoning first if the model reasons, then what the answer may
be. Each is Lark text for llguidance (https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md), which both
local engines read, and is checked here, because llama.cpp goes on without a grammar that it can't read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.errors import ValidationError
from llmkit.output.grammar import grammar_problem
from llmkit.prompting.arguments import bound, loosely_bound
from llmkit.tools.dialects.base import literal
from llmkit.tools.dialects.harmony import HarmonyDialect
from llmkit.tools.generic import SPOKEN, GenericDialect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.output.spec import OutputSpec
    from llmkit.prompting.splitter import Markers
    from llmkit.tools.choice import ToolChoice
    from llmkit.tools.dialects.base import Dialect, Token
    from llmkit.tools.tool import Tool

FRAME_TOKENS = 64
"""About what a call takes beside its arguments."""


@dataclass(frozen=True, slots=True)
class Thought:
    """How reasoning may come before an answer.

    Parameters
    ----------
    markers : Markers
        What stands around it.
    open : bool
        Whether the prompt has opened it already.
    """

    markers: Markers
    open: bool


@dataclass(frozen=True, slots=True)
class Constraint:
    """The grammar of an answer.

    Parameters
    ----------
    grammar : str
        Of all that the model writes.
    answer : str
        Of what follows once its reasoning is closed.
    """

    grammar: str
    answer: str


def answer_rules(
    dialect: Dialect,
    tools: Sequence[Tool],
    choice: ToolChoice,
    *,
    room: int,
    output: OutputSpec | None = None,
    token: Token = literal,
) -> str | None:
    """Return Lark rules for an answer that is bound to calls, to an output, or to either; ``None`` if it is free.

    The rule to start from is ``answer``. Where the model has a format of its own for calls, may choose, and no output
    is asked for, it is free: it knows when to begin a call, and what it writes is checked afterwards. In the generic
    format it is always bound.

    Parameters
    ----------
    dialect : Dialect
        How the model writes calls.
    tools : sequence of Tool
        What it may call.
    choice : ToolChoice
        Whether it may, must or must not.
    room : int
        So many tokens it may write. Texts and lists without a limit get one that lets the answer end within them,
        mostly: small models go on without end where nothing stops them.
    output : OutputSpec, optional
        What the answer must be where it is no call.
    token : Callable
        Returns the Lark expression for a marker.

    Raises
    ------
    ValidationError
        For a tool whose schema can't be enforced and that must be called; names the tool and the keyword.
    """
    spoken = None if output is None else output.rules(room=room)
    generic = isinstance(dialect, GenericDialect)
    if choice.mode == "none" or not tools:
        return None if spoken is None else f"answer: {_before_words(dialect, token)} spoken\n{_renamed(spoken)}"
    if not (choice.binds or generic or spoken):
        return None
    offered = [tool for tool in tools if choice.mode != "named" or tool.name == choice.name]
    fitted = [(bound if choice.binds else loosely_bound)(tool, room - FRAME_TOKENS) for tool in offered]
    calls = dialect.grammar(fitted, many=choice.mode != "named", token=token)
    if choice.binds:
        return f"answer: calls\n{calls}"
    words = _renamed(spoken) if spoken is not None else "spoken: SPOKEN_WORDS\nSPOKEN_WORDS: /(?s:.*)/"
    before = literal(SPOKEN) if generic else _before_words(dialect, token)
    return f"answer: calls | {before} spoken\n{words}\n{calls}"


def _renamed(rules: str) -> str:
    """Return an output's rules with ``spoken`` for ``answer``, the name of their first."""
    return f"spoken:{rules.removeprefix('answer:')}"


def _before_words(dialect: Dialect, token: Token) -> str:
    """Return the Lark expression for what a model writes before the words of its answer."""
    return dialect.before_words(token) if isinstance(dialect, HarmonyDialect) else ""


def constraint(
    rules: str, *, ends: Sequence[int], thought: Thought | None = None, token: Token = literal
) -> Constraint:
    """Return the checked grammar of an answer, reasoning first.

    Parameters
    ----------
    rules : str
        Lark rules; the one to start from is ``answer``.
    ends : sequence of int
        Tokens that end a generation. The grammar names them because llama.cpp lets only one of them through, and that
        is often not the one which the model writes after a message: then answers never end.
    thought : Thought, optional
        How reasoning may come before; ``None``: not at all.
    token : Callable
        Returns the Lark expression for a marker.

    Raises
    ------
    ValidationError
        If llguidance can't read the grammar.
    """
    end = f"({' | '.join(f'<[{id_}]>' for id_ in ends)})?" if ends else ""
    answer = f"start: answer {end}\n{rules}\n"
    whole = answer if thought is None else f"{_after_thought(thought, token)} answer {end}\n{rules}\n"
    for grammar in {answer, whole}:
        check_grammar(grammar)
    return Constraint(whole, answer)


def check_grammar(grammar: str) -> None:
    """Raise for a grammar that llguidance can't read.

    Raises
    ------
    ValidationError
        With llguidance's own words.
    """
    problem = grammar_problem(grammar)
    if problem is not None:
        raise ValidationError(f"The grammar can't be used: {problem}", field="grammar")


def _after_thought(thought: Thought, token: Token) -> str:
    opening, closing = token(thought.markers.open), token(thought.markers.close)
    if closing.startswith("<["):  # a control token, which no text contains
        rest = f"thought_rest: THOUGHT_WORDS {closing}\nTHOUGHT_WORDS: /(?s:.*)/"
    else:
        rest = f"thought_rest[suffix={closing}]: /(?s:.*)/"
    start = "thought_rest" if thought.open else f"({opening} thought_rest)?"
    return f"{rest}\nTHOUGHT_BLANKS: /\\n{{0,2}}/\nstart: {start} THOUGHT_BLANKS"
