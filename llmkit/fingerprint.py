"""What decides a run's text, and a digest of it: two runs of the same fingerprint were asked for the same.

The engine and its build aren't in it, though they may change a word: they are recorded beside it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Protocol

from llmkit.stopping import ONE_STEP, words_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.engines.decoder import Token
    from llmkit.messages import Message
    from llmkit.settings import Settings
    from llmkit.stopping import StopCondition
    from llmkit.tools.choice import ToolChoice
    from llmkit.tools.tool import Tool

FINGERPRINT_VERSION = 1
"""Raised whenever the same request gets another fingerprint than before."""

NOT_DECISIVE = frozenset({"seed", "timeout", "max_retries", "logprobs"})
"""Settings that the text doesn't depend on; the seed counts as it was used."""


class Asked(Protocol):
    """A run's request, or the event that tells of it."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def messages(self) -> Sequence[Message]:
        """The conversation, system message included."""

    @property
    def settings(self) -> Settings:
        """As merged from session and call."""

    @property
    def seed(self) -> int | None:
        """The seed that is used."""

    @property
    def tools(self) -> Sequence[Tool]:
        """What the model may call."""

    @property
    def tool_choice(self) -> ToolChoice:
        """Whether it may, must or must not."""

    @property
    def active_tools(self) -> Sequence[str] | None:
        """The names of those it is offered."""

    @property
    def stop_when(self) -> Sequence[StopCondition]:
        """What ends the loop of steps."""

    @property
    def provider_options(self) -> dict[str, Any]:
        """For servers."""

    @property
    def output(self) -> Any:
        """What the answer must be."""

    @property
    def beginning(self) -> Sequence[Token]:
        """Tokens that the answer begins with."""

    @property
    def functions(self) -> Sequence[str]:
        """The caller's own functions that change steps or calls, in words."""


def extras(asked: Asked) -> dict[str, Any]:
    """Return what was asked beyond model, messages, settings and seed, as JSON values; only what was asked at all."""
    said = {
        "tools": [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters} for tool in asked.tools
        ],
        "tool_choice": str(asked.tool_choice) if asked.tools else "",
        "active_tools": None if asked.active_tools is None else list(asked.active_tools),
        "stop_when": [] if asked.stop_when in {(), ONE_STEP} else [words_for(each) for each in asked.stop_when],
        "provider_options": asked.provider_options,
        "output": _output(asked.output),
        "functions": list(asked.functions),
        "beginning": [{"id": token.id, "text": token.text} for token in asked.beginning],
    }
    return {name: value for name, value in said.items() if value not in (None, "", [], {})}


def fingerprint(asked: Asked, revision: str | None) -> str:
    """Return a digest of all that decides the text: 32 hexadecimal digits, the same in every process.

    It is the BLAKE2b digest of JSON without spaces, in ASCII; keys keep their order, since that of a schema decides
    what is written first. With a temperature of 0 nothing is drawn, so that the seed isn't in it.

    Parameters
    ----------
    asked : RunRequest or Start
        What was asked.
    revision : str, optional
        Which weights the model's name stands for (:func:`llmkit.models.revision.revision_of`).
    """
    settings = asked.settings.model_dump(mode="json", exclude=set(NOT_DECISIVE))
    settings["logit_bias"] = sorted(asked.settings.logit_bias.items())
    decisive = {
        "version": FINGERPRINT_VERSION,
        "model": asked.model,
        "revision": revision,
        "messages": [message.to_dict() for message in asked.messages],
        "settings": settings,
        "seed": asked.seed if asked.settings.temperature else None,
        **extras(asked),
    }
    return digest(decisive)


def digest(value: Any) -> str:
    """Return a digest of JSON values: 32 hexadecimal digits; what JSON has no word for counts as its ``repr``."""
    text = json.dumps(value, separators=(",", ":"), default=repr)
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _output(spec: Any) -> dict[str, Any] | None:
    if spec is None:
        return None
    words = (getattr(spec, name, None) for name in ("pattern", "grammar", "schema"))
    return {"kind": spec.kind, "definition": next((each for each in words if each is not None), None)}
