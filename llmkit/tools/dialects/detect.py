"""Which dialect a model writes, from its chat template."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.errors import ValidationError
from llmkit.tools.dialects import bare_json, gemma, harmony, json_calls, named_calls, pythonic, tagged

if TYPE_CHECKING:
    from llmkit.tools.dialects.base import Dialect

_ALL: tuple[Dialect, ...] = (
    *json_calls.DIALECTS,
    *named_calls.DIALECTS,
    *tagged.DIALECTS,
    *gemma.DIALECTS,
    *pythonic.DIALECTS,
    *bare_json.DIALECTS,
    *harmony.DIALECTS,
)

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in _ALL}
"""All dialects by their names."""

# The first whose every text is in the template. What is more particular comes first: many templates that write tags
# also speak of <tool_call>. No dialect stands for families that are known and not read.
_SIGNS: tuple[tuple[str | None, tuple[str, ...]], ...] = (
    ("harmony", ("<|channel|>", "<|message|>", "functions.")),
    (None, ("]<]minimax[>[",)),
    (None, ("<arg_key{}>",)),
    (None, ("<|open|>", "<|sep|>")),
    ("muse", ("<atem:function_calls>",)),
    ("deepseek-v3.2", ("｜DSML｜", "function_calls>")),
    ("deepseek-v4", ("｜DSML｜",)),
    ("minimax-m2", ("<minimax:tool_call>",)),
    ("gemma4", ("<|tool_call>", "<tool_call|>")),
    ("function-gemma", ("<start_function_call>",)),
    ("longcat", ("<longcat_tool_call>",)),
    ("glm-4.5", ("</arg_key>\n<arg_value>",)),
    ("glm-4.5", ("</arg_key>\\n", "<arg_value>")),
    ("glm-4.5", ("\\n<arg_value>",)),
    ("glm-4.7", ("<arg_key>",)),
    ("lfm2", ("<|tool_call_start|>",)),
    ("lfm2", ("<|tool_list_start|>",)),
    ("lfm2", ("List of tools: [",)),
    ("seed-oss", ("<seed:tool_call>",)),
    ("qwen3-coder", ("<function=", "<parameter=")),
    ("minicpm5", ('<function name="', '<param name="')),
    ("kimi-k2", ("<|tool_calls_section_begin|>",)),
    ("mistral-args", ("[TOOL_CALLS]", "[ARGS]")),
    ("mistral", ("[TOOL_CALLS]",)),
    ("deepseek-v3", ("<｜tool▁call▁begin｜>", "```json")),
    ("deepseek-v3.1", ("<｜tool▁call▁begin｜>",)),
    ("command-r7b", ("<|START_ACTION|>",)),
    ("phi4", ("<|tool|>",)),
    ("functools", ("functools[",)),
    ("granite", ("<|tool_call|>",)),
    ("nemotron", ("<TOOLCALL>",)),
    ("apriel", ("<tool_calls>[",)),
    ("minimax-m1", ("<tool_calls>",)),
    ("hermes", ("<tool_call>",)),
    ("functionary", ("<function=", "</function>")),
    ("pythonic", ("[func_name1(",)),
    ("llama3", ('"name": ', '"parameters": ')),
)


def dialect_of(template: str | None) -> Dialect | None:
    """Return the dialect that a chat template speaks.

    Parameters
    ----------
    template : str, optional
        Its Jinja source.

    Returns
    -------
    Dialect or None
        ``None`` if the template knows no tools, or writes calls in no dialect known.
    """
    if not template or "tool" not in template:
        return None
    name = next((name for name, signs in _SIGNS if all(sign in template for sign in signs)), None)
    return DIALECTS[name] if name is not None else None


def dialect_named(name: str) -> Dialect:
    """Return a dialect by its name.

    Raises
    ------
    ValidationError
        For an unknown name; lists the known ones.
    """
    if name not in DIALECTS:
        raise ValidationError(
            f"There is no tool dialect {name!r}. Known are {', '.join(sorted(DIALECTS))}.", field="dialect"
        )
    return DIALECTS[name]
