"""What an answer comes to at the end: a value, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.output.failure import OutputError

if TYPE_CHECKING:
    from llmkit.output.spec import OutputSpec


@dataclass(frozen=True, slots=True)
class Settled:
    """What an answer came to.

    Parameters
    ----------
    value : Any
        Its value; ``None`` if it doesn't fit.
    error : OutputError, optional
        Why it doesn't.
    """

    value: Any = None
    error: OutputError | None = None


def settled(spec: OutputSpec, text: str, finish_reason: str) -> Settled:
    """Return what an answer comes to. Validators of the user's own may take their time: call it in a thread."""
    try:
        return Settled(spec.parse(text, finish_reason=finish_reason))
    except OutputError as error:
        return Settled(error=error)
    except Exception as error:  # noqa: BLE001 - whatever a validator of the user's own raises
        raised = OutputError(
            f"The answer can't be made a value: {type(error).__name__}: {error}", text=text, finish_reason=finish_reason
        )
        raised.__cause__ = error
        return Settled(error=raised)


def unanswered(text: str, finish_reason: str) -> Settled:
    """Return what a run comes to whose last step made calls: no answer followed them."""
    return Settled(
        error=OutputError(
            "The run ended with tool calls and without an answer. Let it go on with stop_when=…, or use an Agent.",
            text=text,
            finish_reason=finish_reason,
        )
    )
