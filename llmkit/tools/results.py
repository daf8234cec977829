"""What a call came to, for the model, for a person and for the record."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from llmkit.tools.calls import ToolCall

MAX_MODEL_TEXT = 1 << 16
"""So many characters of a result reach the model; it is told of the rest."""

_MAX_DEPTH = 32

Outcome = Literal["success", "error", "timeout", "cancelled", "denied"]


@dataclass(frozen=True, slots=True, repr=False)
class ToolResult:
    """What a call came to.

    Parameters
    ----------
    call : ToolCall
        The call, as the model made it.
    outcome : {"success", "error", "timeout", "cancelled", "denied"}
        How it ended.
    arguments : dict, optional
        What the handler was given, as JSON values; ``None`` if it didn't run.
    output : Any
        What it returned, or yielded last.
    error : BaseException, optional
        What it raised, or why it was stopped.
    reason : str
        Why it was denied.
    duration : float, optional
        Seconds that the handler ran.
    printed : str
        What it printed.
    displayed : tuple of dict
        What it displayed in a notebook, each as data by MIME type.
    """

    call: ToolCall
    outcome: Outcome
    arguments: dict[str, Any] | None = None
    output: Any = None
    error: BaseException | None = None
    reason: str = ""
    duration: float | None = None
    printed: str = ""
    displayed: tuple[dict[str, Any], ...] = ()

    @property
    def success(self) -> bool:
        """Whether there is an output."""
        return self.outcome == "success"

    @property
    def model_text(self) -> str:
        """What the model reads."""
        match self.outcome:
            case "success":
                text = model_text(self.output)
            case "denied":
                text = f"This call was denied: {self.reason}" if self.reason else "This call was denied."
            case _:
                text = f"Error: {type(self.error).__name__}: {self.error}"
        return text if len(text) <= MAX_MODEL_TEXT else f"{text[:MAX_MODEL_TEXT]}… ({len(text):,} characters in all)"

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in (self.arguments or self.call.arguments).items())
        told = {"success": repr(self.output), "denied": self.reason}.get(self.outcome, repr(self.error))
        took = "" if self.duration is None else f" · {self.duration:.3g} s"
        return f"<ToolResult {_short(f'{self.call.name}({arguments})')} {self.outcome}: {_short(told)}{took}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "call": self.call.to_dict(),
            "outcome": self.outcome,
            "arguments": self.arguments,
            "output": json_value(self.output),
            "error": None if self.error is None else f"{type(self.error).__name__}: {self.error}",
            "reason": self.reason,
            "duration": self.duration,
            "printed": self.printed,
            "displayed": list(self.displayed),
        }


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}…"


def model_text(value: Any) -> str:
    """Return a result as a model reads it: text as it is, a table as CSV, everything else as JSON."""
    if isinstance(value, str):
        return value
    if hasattr(value, "to_csv"):  # a DataFrame or Series, without importing pandas to find out
        return str(value.to_csv(index=False))
    return json.dumps(json_value(value), ensure_ascii=False)


def json_value(value: Any, depth: int = 0) -> Any:
    """Return any value as JSON values; what has no JSON form as its ``str``."""
    plain: Any
    if value is None or isinstance(value, bool | int | str):
        plain = value
    elif isinstance(value, float):
        plain = value if math.isfinite(value) else str(value)
    elif depth >= _MAX_DEPTH:
        plain = "…"
    elif isinstance(value, dict):
        plain = {str(key): json_value(item, depth + 1) for key, item in value.items()}
    elif isinstance(value, list | tuple | set | frozenset):
        plain = [json_value(item, depth + 1) for item in value]
    elif hasattr(value, "model_dump"):  # pydantic
        plain = value.model_dump(mode="json")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {each.name: json_value(getattr(value, each.name), depth + 1) for each in dataclasses.fields(value)}
    elif hasattr(value, "to_dict") and hasattr(value, "columns"):  # a DataFrame
        plain = json_value(value.to_dict(orient="records"), depth + 1)
    elif hasattr(value, "tolist"):  # numpy
        plain = json_value(value.tolist(), depth + 1)
    else:
        plain = str(value)
    return plain
