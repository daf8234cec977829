"""What a chat template can show, found by rendering small conversations and looking for what was put in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Fill = Callable[[list[dict[str, Any]], list[dict[str, Any]] | None], str]

_NEEDLE, _OTHER, _RESULT, _TOOL = "k7wq2", "v5zx8", "r3jm6", "t4pg9"
_USER = {"role": "user", "content": "Hello"}


class RefusedError(Exception):
    """A template refused a conversation."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a chat template can show.

    Parameters
    ----------
    system : bool
        A system message.
    tools : bool
        The tools that are offered.
    calls : bool
        Calls of an assistant message.
    several : bool
        Several calls in one message.
    arguments_as_text : bool
        Whether it wants a call's arguments as JSON text rather than as a mapping.
    """

    system: bool
    tools: bool
    calls: bool
    several: bool
    arguments_as_text: bool


def abilities_of(fill: Fill) -> Abilities:
    """Return what a template can show.

    Parameters
    ----------
    fill : Callable
        Renders messages and tools; raises :class:`RefusedError` for what the template refuses.
    """

    def shows(*needles: str, messages: list[dict[str, Any]], tools: bool = True) -> bool:
        try:
            text = fill([_USER, *messages], [_tool()] if tools else None)
        except RefusedError:
            return False
        return all(needle in text for needle in needles)

    system = {"role": "system", "content": _NEEDLE}
    mapped, written = {"a": _NEEDLE}, f'{{"a": "{_NEEDLE}"}}'
    takes_mapping = shows(_NEEDLE, messages=[_calling(mapped), _result(0)])
    # A mapping that a template puts out as it is comes out as Python writes it.
    as_text = not takes_mapping or shows("{'a'", messages=[_calling(mapped), _result(0)])
    takes_text = as_text and shows(_NEEDLE, messages=[_calling(written), _result(0)])
    two = [written, written.replace(_NEEDLE, _OTHER)] if takes_text else [mapped, {"a": _OTHER}]
    return Abilities(
        system=_shows_system(fill, system),
        tools=shows(_TOOL, messages=[]),
        calls=takes_mapping or takes_text,
        several=shows(_NEEDLE, _OTHER, _RESULT, messages=[_calling(*two), _result(0), _result(1)]),
        arguments_as_text=takes_text,
    )


def _shows_system(fill: Fill, system: dict[str, Any]) -> bool:
    for tools in (None, [_tool()]):
        try:
            if _NEEDLE in fill([system, _USER], tools):
                return True
        except RefusedError:
            continue
    return False


def _calling(*arguments: Any) -> dict[str, Any]:
    calls = [
        {"id": f"a0b1c2d3{number}", "type": "function", "function": {"name": _TOOL, "arguments": each}}
        for number, each in enumerate(arguments)
    ]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def _result(number: int) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"a0b1c2d3{number}", "name": _TOOL, "content": _RESULT}


def _tool() -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {"a": {"type": "string", "description": "It."}},
        "required": ["a"],
    }
    return {"type": "function", "function": {"name": _TOOL, "description": "Asks.", "parameters": parameters}}
