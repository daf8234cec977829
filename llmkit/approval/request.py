"""A request for a decision on one tool call."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmkit.tools.calls import ToolCall


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A tool call that waits for a decision. It was validated before anybody is asked.

    Parameters
    ----------
    call : ToolCall
        What the model wants; ``call.approve()`` and ``call.deny()`` decide on it.
    step : int
        The step that made it.
    description : str
        What the tool does.
    parameters : dict
        The JSON schema of its arguments.
    reason : str
        Why it is asked, when that isn't plain: a ``needs_approval`` function that raised, a rule.
    time : float
        Unix time.
    """

    call: ToolCall
    step: int = 0
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    time: float = field(default_factory=time.time)

    @property
    def digest(self) -> str:
        """What a decision must carry: it stands for this call of this tool with exactly these arguments."""
        return digest_of(self.call)

    def to_dict(self) -> dict[str, Any]:
        """Return the request as JSON values, its digest included."""
        return {
            "call": self.call.to_dict(),
            "step": self.step,
            "description": self.description,
            "parameters": self.parameters,
            "reason": self.reason,
            "time": self.time,
            "digest": self.digest,
        }


def digest_of(call: ToolCall) -> str:
    """Return the SHA-256 of a call's id, tool and arguments, as hexadecimal digits."""
    return sha256_of([call.id, call.name, call.arguments])


def sha256_of(value: Any) -> str:
    """Return the SHA-256 of JSON values in their canonical text, as hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """Return JSON values as text that is the same for the same values, and tells 1, 1.0 and true apart."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
