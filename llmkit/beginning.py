"""What the events at a run's and a step's beginning tell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.cancellation import CancelToken
    from llmkit.preparing import StepPlan
    from llmkit.request import RunRequest
    from llmkit.resident import Resident
    from llmkit.results import StepResult


_SECRET = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)


def start_fields(request: RunRequest, resident: Resident, cancel: CancelToken) -> dict[str, Any]:
    """Return the fields of a run's :class:`llmkit.events.Start`."""
    said = [message.text for message in request.messages if message.role == "user"]
    copied = (
        "run_id session_id model messages settings stream metadata tools tool_choice active_tools stop_when "
        "provider_options include function_id context output seed beginning "
        "functions"
    )
    return {
        **{name: getattr(request, name) for name in copied.split()},
        "engine": resident.engine_name,
        "revision": resident.revision,
        "note": resident.note,
        "system": next((message.text for message in request.messages if message.role == "system"), None),
        "prompt": said[-1] if said else "",
        "cancel": cancel,
        "headers": {name: "***" if _SECRET.search(name) else value for name, value in request.headers.items()},
    }


def step_fields(plan: StepPlan, request: RunRequest, resident: Resident, steps: Sequence[StepResult]) -> dict[str, Any]:
    """Return the fields of a step's :class:`llmkit.events.StepStart`."""
    copied = ("messages", "settings", "tools", "tool_choice", "active_tools", "output", "context")
    return {
        **{name: getattr(plan, name) for name in copied},
        "step": plan.number,
        "model": resident.name,
        "engine": resident.engine_name,
        "build": resident.build,
        "steps": steps,
        "function_id": request.function_id,
        "metadata": request.metadata,
    }
