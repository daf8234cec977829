"""Answers in plain text: one of several, of a pattern, of a grammar, or free."""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.output.failure import unfit
from llmkit.output.grammar import grammar_problem
from llmkit.output.partial import MISSING
from llmkit.output.schema.patterns import PatternError, full
from llmkit.output.schema.room import SHORTEST, rounded
from llmkit.output.spec import Reading
from llmkit.tools.dialects.base import literal
from llmkit.tools.dialects.grammar import json_expression
from llmkit.tools.problems import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llmkit.output.spec import OutputKind, OutputReader


class TextReader:
    """Reads a text; shows what a function makes of it so far.

    Parameters
    ----------
    certain : Callable, optional
        From the text so far and whether it is all, what is certain of the value; without, the text itself.
    """

    def __init__(self, certain: Callable[[str, bool], Any] | None = None) -> None:
        self._certain = certain
        self._pieces: list[str] = []
        self._closed = False

    @property
    def value(self) -> Any:
        """What is certain so far."""
        text = "".join(self._pieces)
        return text if self._certain is None else self._certain(text, self._closed)

    def feed(self, text: str) -> bool:
        """Read a piece; return whether the value changed."""
        if self._certain is None:
            self._pieces.append(text)
            return bool(text)
        before = self.value
        self._pieces.append(text)
        return bool(self.value is not before)

    def close(self) -> bool:
        """Say that the text has ended; return whether the value changed."""
        before = self.value if self._certain is not None else None
        self._closed = True
        return self._certain is not None and self.value is not before

    def take_elements(self) -> Sequence[Any]:
        """Return nothing: a text has no elements."""
        return ()


class _TextOutput(Reading):
    """An answer that isn't JSON."""

    @property
    def schema(self) -> dict[str, Any] | None:
        """Nothing."""
        return None

    def response_format(self) -> dict[str, Any] | None:
        """Return nothing: OpenAI-style servers have no common form for it."""
        return None

    def reader(self) -> OutputReader:
        """Return a reader of an answer in the making."""
        return TextReader()


class TextOutput(_TextOutput):
    """An answer in free text."""

    kind: OutputKind = "text"

    def rules(self, *, room: int | None = None) -> None:
        """Return nothing: it is free."""

    def instructions(self) -> None:
        """Return nothing."""

    def parse(self, text: str, *, finish_reason: str | None = None) -> str:  # noqa: ARG002 - any text fits
        """Return the text."""
        return text


class ChoiceOutput(_TextOutput):
    """An answer that is one of several texts.

    Parameters
    ----------
    options : iterable of str or Enum
        Texts; or members of an enumeration, or the enumeration itself, whose values are the texts.

    Raises
    ------
    ValidationError
        If there are none, or two are alike.
    """

    kind: OutputKind = "choice"

    def __init__(self, options: Iterable[str | Enum]) -> None:
        self.options: dict[str, str | Enum] = {}
        for option in options:
            text = option.value if isinstance(option, Enum) else option
            if not isinstance(text, str) or not text or text in self.options or not text.isprintable():
                raise ValidationError(
                    f"The choice {shown(repr(option))} can't be an output: choices are printable texts, all different.",
                    field="output",
                )
            self.options[text] = option
        if not self.options:
            raise ValidationError("The output is a choice of nothing; name at least one text.", field="output")

    def __repr__(self) -> str:
        return f"ChoiceOutput({', '.join(map(shown, self.options))})"

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema, for servers that know no other form."""
        return {"type": "string", "enum": list(self.options)}

    def rules(self, *, room: int | None = None) -> str:  # noqa: ARG002 - it ends by itself
        """Return Lark rules that bind the answer."""
        return f"answer: {' | '.join(map(literal, self.options))}"

    def instructions(self) -> str:
        """Return what to tell the model in the prompt."""
        return f"Answer with exactly one of these and nothing else: {', '.join(self.options)}"

    def response_format(self) -> dict[str, Any]:
        """Return ``response_format`` of a request to an OpenAI-style server, whose answer is a JSON string."""
        return {"type": "json_schema", "json_schema": {"name": "choice", "schema": self.schema, "strict": False}}

    def reader(self) -> OutputReader:
        """Return a reader of an answer in the making."""
        return TextReader(self._certain)

    def parse(self, text: str, *, finish_reason: str | None = None) -> str | Enum:
        """Return the option; a text that is a JSON string counts as what it stands for.

        Raises
        ------
        OutputError
            If it is none of them.
        """
        for found in (text, text.strip(), _unquoted(text)):
            if found in self.options:
                return self.options[found]
        raise unfit(text, [f"it is none of {', '.join(map(shown, self.options))}"], finish_reason)

    def _certain(self, text: str, closed: bool) -> Any:
        """Return the option once no other may come of the text."""
        left = [option for option in self.options if option.startswith(text)] if text else []
        if closed:
            found = next((each for each in (text, text.strip(), _unquoted(text)) if each in self.options), None)
            return MISSING if found is None else found
        return left[0] if len(left) == 1 else MISSING


class RegexOutput(_TextOutput):
    """An answer that a regular expression matches from beginning to end.

    Parameters
    ----------
    pattern : str
        The expression, in what Python's :mod:`re` and ECMA-262 have in common; no lookaround, no back references.

    Raises
    ------
    ValidationError
        If it can't be enforced.
    """

    kind: OutputKind = "regex"

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        try:
            self._pattern = full(pattern)
        except PatternError as error:
            raise ValidationError(
                f"The regex {shown(pattern)} can't be enforced: it {error}.", field="output"
            ) from error
        _check(f"start: answer\n{self.rules()}", f"The regex {shown(pattern)} can't be enforced")

    def __repr__(self) -> str:
        return f"RegexOutput({self.pattern!r})"

    def rules(self, *, room: int | None = None) -> str:
        """Return Lark rules that bind the answer; if there is room for so many tokens, to as many characters."""
        rules = f"answer: ANSWER_TEXT\nANSWER_TEXT: /{self._pattern.rust}/"
        if room is None:
            return rules
        most = max(rounded(room), SHORTEST)
        as_json = {"type": "string", "pattern": f"^{self._pattern.rust}$", "maxLength": most}
        # Of an expression by itself it isn't found out beforehand that no text is short enough.
        impossible = grammar_problem(f"start: {json_expression(as_json)}") is not None
        return rules if impossible else f"{rules} & /(?s:.{{0,{most}}})/"

    def instructions(self) -> str:
        """Return what to tell the model in the prompt."""
        return f"Answer with a text that this regular expression matches, and nothing else: {self.pattern}"

    def parse(self, text: str, *, finish_reason: str | None = None) -> str:
        """Return the text.

        Raises
        ------
        OutputError
            If the expression doesn't match all of it.
        """
        if not self._pattern.matches(text):
            raise unfit(text, [f"it doesn't match {shown(self.pattern)}"], finish_reason)
        return text


class GrammarOutput(_TextOutput):
    """An answer of a grammar.

    Parameters
    ----------
    grammar : str
        A grammar in llguidance's Lark, with a rule ``start``:
        https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md

    Raises
    ------
    ValidationError
        If it can't be read.
    """

    kind: OutputKind = "grammar"

    def __init__(self, grammar: str) -> None:
        self.grammar = grammar
        # As a whole: a bracket too many would end the inner grammar and begin rules of the outer one.
        _check(grammar, "The grammar can't be used")
        _check(f"start: answer\n{self.rules()}", "The grammar can't be used")

    def __repr__(self) -> str:
        return f"GrammarOutput({shown(self.grammar)})"

    def rules(self, *, room: int | None = None) -> str:  # noqa: ARG002 - nobody knows where it may end
        """Return Lark rules that bind the answer; the grammar is one of its own within them."""
        return f"answer: %lark {{\n{self.grammar}\n}}"

    def instructions(self) -> None:
        """Return nothing: a grammar tells a model little."""

    def parse(self, text: str, *, finish_reason: str | None = None) -> str:
        """Return the text.

        Raises
        ------
        OutputError
            If it isn't of the grammar.
        """
        from llguidance import LLMatcher

        from llmkit.output.grammar import byte_tokenizer

        matcher = LLMatcher(byte_tokenizer(), LLMatcher.grammar_from_lark(self.grammar), log_level=0)
        tokens = list(text.encode("utf-8", "surrogatepass"))
        if matcher.try_consume_tokens(tokens) != len(tokens) or not matcher.is_accepting():
            raise unfit(text, ["it isn't of the grammar"], finish_reason)
        return text


def _check(grammar: str, message: str) -> None:
    problem = grammar_problem(grammar)
    if problem is not None:
        raise ValidationError(f"{message}: {problem}", field="output")


def _unquoted(text: str) -> str | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str) else None
