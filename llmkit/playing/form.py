"""What is filled in in a playground, as text, and the settings that it means.

Texts are kept as they were typed, so that a page that reloads loses nothing; an empty one leaves the setting to the
session. ``none`` is the value ``None`` where that is one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.playing.controls import Control, controls
from llmkit.settings import Settings, Timeouts, settings_from

if TYPE_CHECKING:
    from collections.abc import Mapping

NONE = "none"
NO_STRINGS = "\\"
"""The text of a list without strings: a single backslash, which no string is written as."""

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_WRITTEN = {character: f"\\{letter}" for letter, character in _ESCAPES.items()}


@dataclass(frozen=True, slots=True)
class Form:
    """What is filled in.

    Parameters
    ----------
    prompt, system, model : str
        Texts; without a system message or a model, the session's own.
    fields : dict of str to str
        The settings that were set, as text by the name of their control.
    """

    prompt: str = ""
    system: str = ""
    model: str = ""
    fields: dict[str, str] = field(default_factory=dict)

    def edited(self, changes: Mapping[str, Any]) -> Form:
        """Return the form with some texts replaced; what a form doesn't have is left out."""
        texts = {name: changes[name] for name in ("prompt", "system", "model") if isinstance(changes.get(name), str)}
        given = changes.get("fields")
        if isinstance(given, dict):
            fields = {**self.fields, **given}
            texts["fields"] = {
                control.name: fields[control.name]
                for control in controls()
                if isinstance(fields.get(control.name), str) and not _blank(control, fields[control.name])
            }
        return replace(self, **texts)

    def settings(self, own: Settings) -> dict[str, Any]:
        """Return the settings that are set, by field.

        Parameters
        ----------
        own : Settings
            The session's: time limits that aren't set stay as they are there.

        Raises
        ------
        ValidationError
            For a text that can't be read; names the control.
        """
        values: dict[str, Any] = {}
        limits: dict[str, Any] = {}
        for control in controls():
            if control.name in self.fields:
                value = read(control, self.fields[control.name])
                top, _, part = control.name.partition(".")
                if part:
                    limits[part] = value
                else:
                    values[top] = value
        if limits:
            values["timeout"] = {**own.timeout.model_dump(), **limits}
        return values

    def problems(self) -> dict[str, str]:
        """Return what is wrong with the settings, by control."""
        found: dict[str, str] = {}
        for control in controls():
            if control.name in self.fields:
                top, _, part = control.name.partition(".")
                try:
                    value = read(control, self.fields[control.name])
                    settings_from({top: {part: value} if part else value})
                except ValidationError as error:
                    found[control.name] = error.message
        return found


def fields_of(values: Mapping[str, Any], own: Settings) -> dict[str, str]:
    """Return the texts of settings.

    Parameters
    ----------
    values : Mapping
        Settings by field.
    own : Settings
        The session's: a time limit that isn't given is lifted where the session has one.

    Raises
    ------
    ValidationError
        For an unknown field or a value out of range; names the field.
    """
    checked = settings_from(values)
    texts = {}
    for control in controls():
        top, _, part = control.name.partition(".")
        if top not in values:
            continue
        value = getattr(checked, top)
        if part:
            value = getattr(value, part)
            if value is None and getattr(own.timeout, part) is None:
                continue
        texts[control.name] = written(control, value)
    return texts


def own_texts(own: Settings) -> dict[str, str]:
    """Return the texts of a session's own settings, which hold where nothing is set."""
    values = {name: getattr(own, name) for name in Settings.model_fields}
    texts = {}
    for control in controls():
        top, _, part = control.name.partition(".")
        value = getattr(values[top], part) if isinstance(values[top], Timeouts) else values[top]
        texts[control.name] = "" if value is None or value in ((), {}) else written(control, value)
    return texts


def read(control: Control, text: str) -> Any:
    """Return the value that a text means.

    Raises
    ------
    ValidationError
        If it means none; names the control.
    """
    word = text.strip().lower()
    if control.optional and word == NONE:
        return None
    try:
        match control.kind:
            case "integer":
                return int(word)
            case "number":
                return float(word)
            case "switch":
                return {"true": True, "false": False}[word]
            case "strings":
                return _strings(text)
            case "pairs":
                return _pairs(word)
    except (ValueError, KeyError) as error:
        wanted = _WANTED[control.kind]
        raise ValidationError(f"{control.name} can't be {text[:80]!r}: {wanted}.", field=control.name) from error


_WANTED = {
    "integer": "a whole number is wanted",
    "number": "a number is wanted",
    "switch": "true or false is wanted",
    "strings": "texts are wanted, a line each",
    "pairs": "token ids and biases are wanted, such as 42: -5, 7: 2.5",
}


def written(control: Control, value: Any) -> str:
    """Return the text that means a value."""
    if value is None:
        return NONE
    match control.kind:
        case "integer" | "number":
            return repr(value).removesuffix(".0")
        case "switch":
            return json.dumps(value)
        case "strings":
            return "\n".join(map(_line, value)) if value else NO_STRINGS
        case "pairs":
            return ", ".join(f"{token}: {bias!r}" for token, bias in value.items()) if value else NONE


def _blank(control: Control, text: str) -> bool:
    """Whether a text leaves the setting alone; of strings, spaces are one."""
    return not (text.strip("\n") if control.kind == "strings" else text.strip())


def _strings(text: str) -> tuple[str, ...]:
    if text == NO_STRINGS:
        return ()
    lines = [line for line in text.split("\n") if line]
    return tuple(re.sub(r"\\([ntr\\])", lambda found: _ESCAPES[found[1]], line) for line in lines)


def _line(string: str) -> str:
    return "".join(_WRITTEN.get(character, character) for character in string)


def _pairs(text: str) -> dict[int, float]:
    if text == NONE:
        return {}
    pairs = [pair.split(":") for pair in re.split(r"[,\n;]", text.strip("{} \n")) if pair.strip()]
    return {int(token.strip(" \"'")): float(bias) for token, bias in pairs}
