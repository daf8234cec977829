"""Calls in tags, an element a parameter: Qwen3-Coder, GLM, MiniMax, DeepSeek's DSML and their like.

Texts are written as they are, without quotes or escapes; all else as JSON. So the tool's schema says what is meant.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.tools.dialects.arguments_row import Argument, arguments_of
from llmkit.tools.dialects.base import literal
from llmkit.tools.dialects.grammar import alternatives, free_text, json_expression, repeated, rules
from llmkit.tools.dialects.json_calls import JsonReader
from llmkit.tools.dialects.json_scan import value
from llmkit.tools.dialects.reading import Markers
from llmkit.tools.dialects.tape import Broken, CutOff, Script
from llmkit.tools.dialects.values import Parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.tools.dialects.base import Reader, Token
    from llmkit.tools.tool import Tool

_NAME = re.compile(r"[^<>\n]*")
_KEY = re.compile(r"[^\s<>\"'=]+")


@dataclass(frozen=True, slots=True)
class Tags:
    """What stands between the markers.

    Parameters
    ----------
    name_end : str
        What follows the tool's name.
    key_begin, key_end : str
        What stands around a parameter's name.
    value_begin, value_end : str
        What stands around its value; what comes before ``value_begin`` but blanks belongs to ``key_end``.
    line : str
        What is written after each tag that closes: a line end, or nothing.
    padded : bool
        Whether a value has lines of its own.
    typed : bool
        Whether a tag tells texts by ``string="true"``.
    cdata : bool
        Whether a value may stand in ``<![CDATA[…]]>``.
    """

    name_end: str
    key_begin: str
    key_end: str
    value_end: str
    value_begin: str = ""
    line: str = "\n"
    padded: bool = False
    typed: bool = False
    cdata: bool = False


@dataclass(frozen=True, slots=True)
class TaggedDialect:
    """Calls in tags.

    Parameters
    ----------
    name : str
        The dialect's name.
    marked : Markers
        What stands around a call, and around a section.
    tags : Tags
        What stands within.
    shared : bool
        Whether several calls share a section; if not, each has its own.
    """

    name: str
    marked: Markers
    tags: Tags
    shared: bool = False
    reasons: bool = False

    @property
    def markers(self) -> tuple[str, ...]:
        """The texts that a tokenizer may hold as control tokens."""
        tags = self.tags
        within = (tags.key_begin, tags.key_end, tags.value_begin, tags.value_end)
        return (*self.marked.all, *(each for each in within if each[:1] == "<" and each[-1] == ">"))

    def reader(self, tools: Sequence[Tool]) -> Reader:
        """Return a reader for one answer."""
        return TaggedReader(self.marked, self.tags, tools)

    def grammar(self, tools: Sequence[Tool], *, many: bool, token: Token = literal) -> str:
        """Return Lark rules that let a model write nothing but calls."""
        written = _TaggedGrammar(self.marked, self.tags, token)
        definitions = written.calls(tools)
        line = literal(self.tags.line)
        begin, end = self.marked.section or ("", "")
        if not begin:
            whole = repeated("calls_one", line, many=many)
        elif self.shared:
            whole = f"{token(begin)} {line} {repeated('calls_one', line, many=many)} {line} {token(end)}"
        else:
            definitions.append(("calls_section", f"{token(begin)} {line} calls_one {line} {token(end)}"))
            whole = repeated("calls_section", line, many=many)
        return rules([("calls", whole), *definitions])


class _TaggedGrammar:
    def __init__(self, marked: Markers, tags: Tags, token: Token) -> None:
        self._marked = marked
        self._tags = tags
        self._token = token

    def calls(self, tools: Sequence[Tool]) -> list[tuple[str, str]]:
        definitions = [("calls_one", alternatives([f"calls_{number}" for number in range(len(tools))]))]
        for number, tool in enumerate(tools):
            parts = [
                self._token(self._marked.openings[0]),
                literal(f"{tool.name}{self._tags.name_end}{self._tags.line}"),
            ]
            for place, argument in enumerate(arguments_of(tool, _KEY)):
                rule = f"calls_{number}_{place}"
                definitions += self._argument(rule, argument)
                parts.append(rule if argument.required else f"( {rule} )?")
            definitions.append((f"calls_{number}", " ".join([*parts, self._token(self._marked.closing)])))
        return definitions

    def _argument(self, rule: str, argument: Argument) -> list[tuple[str, str]]:
        tags = self._tags
        name = argument.name + (f'" string="{str(argument.is_text).lower()}' if tags.typed else "")
        begin = f"{self._tag(tags.key_begin)} {literal(name)} {self._tag(tags.key_end)}"
        if tags.value_begin:
            begin += f" {literal(tags.line)} {self._tag(tags.value_begin)}"
        pad, line = "\n" * tags.padded, literal(tags.line)
        if argument.is_text:
            text = f"{rule}_value"
            written = free_text(text, argument.schema, tags.value_end, self._tag, pad=pad)
            return [(rule, f"{begin} {literal(pad)} {text} {line}"), *written]
        return [
            (rule, f"{begin} {literal(pad)} {self._json(argument)} {literal(pad)} {self._tag(tags.value_end)} {line}")
        ]

    def _json(self, argument: Argument) -> str:
        choices = argument.schema.get("enum", ())
        if choices and not self._tags.typed and all(map(self._is_plain, choices)):
            return alternatives([literal(each) for each in choices])
        return json_expression(argument.schema)

    def _is_plain(self, choice: object) -> bool:
        return isinstance(choice, str) and choice == choice.strip() != "" and self._tags.value_end not in choice

    def _tag(self, text: str) -> str:
        return self._token(text) if text[:1] == "<" and text[-1] == ">" else literal(text)


class TaggedReader(JsonReader):
    """Reads text with calls in tags in it."""

    def __init__(self, markers: Markers, tags: Tags, tools: Sequence[Tool]) -> None:
        super().__init__(markers, tools)
        self._tags = tags

    def call(self) -> Script[None]:
        """Read a call after its opening."""
        tape = self.tape
        yield from tape.blanks()
        if (yield from tape.next_of(("{", "["))):
            yield from super().call()
            return
        name = yield from self._name()
        parameters = Parameters(self.tools[name].parameters if name in self.tools else None)
        arguments: dict[str, str] = {}
        self.call_begins(name)
        tape.showing = True
        yield from tape.blanks()
        while (yield from tape.accept(self._tags.key_begin)):
            key, is_text = yield from self._key()
            if key in arguments:
                raise Broken(f"It has {key!r} twice.")
            arguments[key] = yield from self._value(parameters, key, is_text=is_text)
            yield from tape.blanks()
        tape.showing = False
        yield from self.call_closes()
        self.call_ends("{" + ", ".join(f"{json.dumps(key)}: {text}" for key, text in arguments.items()) + "}")

    def _name(self) -> Script[str]:
        tape = self.tape
        start = tape.mark
        yield from tape.run(_NAME)
        name = tape.since(start).strip().strip("\"'")
        if not name:
            yield from self.nothing()
        if len(name.split()) > 1:
            raise Broken(f"{name[:80]!r} isn't a tool's name.")
        if self._tags.name_end and not (yield from tape.accept(self._tags.name_end.lstrip('"'))):
            if not (yield from tape.peek()):
                raise CutOff("It was cut off before its arguments.")
            raise Broken(f"The name {name[:80]!r} isn't followed by {self._tags.name_end!r}.")
        return name

    def _key(self) -> Script[tuple[str, bool | None]]:
        """Take what follows the beginning of a key; return the key, and whether its value is a text if that is told."""
        tape, tags = self.tape, self._tags
        start = tape.mark
        found = yield from tape.until((tags.key_end.lstrip('"'), self.markers.closing))
        if found != tags.key_end.lstrip('"'):
            raise CutOff("It was cut off within a parameter's name.")
        key, _, attributes = tape.since(start).strip().lstrip("\"'").partition('"')
        tape.take(len(found))
        if tags.value_begin:
            yield from tape.blanks()
            if not (yield from tape.accept(tags.value_begin)):
                raise Broken(f"The parameter {key[:80]!r} has no value.")
        told = {"true": True, "false": False}.get(attributes.partition('string="')[2].partition('"')[0])
        return key.strip().rstrip("'"), told if tags.typed else None

    def _value(self, parameters: Parameters, key: str, *, is_text: bool | None) -> Script[str]:
        tape, tags = self.tape, self._tags
        if tags.padded:
            yield from tape.accept("\n")
        if not (parameters.is_text(key) if is_text is None else is_text):
            start = tape.mark
            try:
                return (yield from self._json())
            except Broken:  # then it is no JSON, but perhaps a text
                tape.rewind(start)
        quoted = bool(tags.cdata and (yield from tape.accept("<![CDATA[")))
        text = yield from self._text_before("]]>" if quoted else tags.value_end)
        if quoted:
            yield from self._text_before(tags.value_end)
        text = text.removesuffix("\n") if tags.padded else text
        return json.dumps(text, ensure_ascii=False) if is_text else parameters.json_of(key, text)

    def _text_before(self, end: str) -> Script[str]:
        """Take a text and what ends it; return the text."""
        start = self.tape.mark
        if not (yield from self.tape.until((end,))):
            raise CutOff("It was cut off within a value.")
        text = self.tape.since(start)
        self.tape.take(len(end))
        return text

    def _json(self) -> Script[str]:
        """Take a value that is JSON, which may have what ends it in its texts."""
        tape = self.tape
        yield from tape.blanks()
        if not (yield from tape.next_of(("{", "[", '"'))):
            raise Broken("It is no JSON.")
        text = yield from value(tape)
        yield from tape.blanks()
        if not (yield from tape.accept(self._tags.value_end)):
            raise Broken("It is no JSON.")
        return text


_GLM = Markers(("<tool_call>",), "</tool_call>")


def _dsml(section: str) -> Markers:
    return Markers(('<｜DSML｜invoke name="',), "</｜DSML｜invoke>", (f"<｜DSML｜{section}>", f"</｜DSML｜{section}>"))


_DSML = Tags('">', '<｜DSML｜parameter name="', '">', "</｜DSML｜parameter>", typed=True)

DIALECTS = (
    TaggedDialect(
        "qwen3-coder",
        Markers(("<function=",), "</function>", ("<tool_call>", "</tool_call>")),
        Tags(">", "<parameter=", ">", "</parameter>", padded=True),
    ),
    TaggedDialect(
        "seed-oss",
        Markers(("<function=",), "</function>", ("<seed:tool_call>", "</seed:tool_call>")),
        Tags(">", "<parameter=", ">", "</parameter>"),
    ),
    TaggedDialect("glm-4.5", _GLM, Tags("", "<arg_key>", "</arg_key>", "</arg_value>", "<arg_value>")),
    TaggedDialect("glm-4.7", _GLM, Tags("", "<arg_key>", "</arg_key>", "</arg_value>", "<arg_value>", line="")),
    TaggedDialect(
        "longcat",
        Markers(("<longcat_tool_call>",), "</longcat_tool_call>"),
        Tags("", "<longcat_arg_key>", "</longcat_arg_key>", "</longcat_arg_value>", "<longcat_arg_value>"),
    ),
    TaggedDialect(
        "minimax-m2",
        Markers(('<invoke name="',), "</invoke>", ("<minimax:tool_call>", "</minimax:tool_call>")),
        Tags('">', '<parameter name="', '">', "</parameter>"),
        shared=True,
    ),
    TaggedDialect("deepseek-v3.2", _dsml("function_calls"), _DSML, shared=True),
    TaggedDialect("deepseek-v4", _dsml("tool_calls"), _DSML, shared=True),
    TaggedDialect(
        "muse",
        Markers(('<atem:invoke name="',), "</atem:invoke>", ("<atem:function_calls>", "</atem:function_calls>")),
        Tags('">', '<atem:parameter name="', '">', "</atem:parameter>"),
    ),
    TaggedDialect(
        "minicpm5",
        Markers(('<function name="',), "</function>"),
        Tags('">', '<param name="', '">', "</param>", line="", cdata=True),
    ),
)
