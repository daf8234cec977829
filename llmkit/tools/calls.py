"""What a model asked for: a call, or why its words are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

ToolCallErrorCode = Literal["PARSE_ERROR", "VALIDATION_ERROR", "UNKNOWN_TOOL"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made.

    Parameters
    ----------
    id : str
        Unique within the run.
    name : str
        The tool's name.
    arguments : dict
        JSON values by parameter name.
    raw : str
        The text the model wrote for it.
    """

    id: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    raw: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallError:
    """Words of the model that were meant as a call but are none.

    Parameters
    ----------
    code : str
        ``PARSE_ERROR``, ``VALIDATION_ERROR`` or ``UNKNOWN_TOOL``.
    message : str
        What is wrong, for a person and for the model.
    raw : str
        The text the model wrote.
    """

    code: ToolCallErrorCode
    message: str
    raw: str
