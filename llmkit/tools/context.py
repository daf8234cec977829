"""What a handler may know of the call it serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmkit.cancellation import CancelToken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.messages import Message


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Given to a handler that has a parameter ``context: ToolContext``; the model never sees that parameter.

    Parameters
    ----------
    call_id : str
        The call's id, unique within the run.
    messages : sequence of Message
        The conversation so far, without this call's result.
    cancel : CancelToken
        Thrown when the run is cancelled or the tool's time is over. A handler in a thread can't be stopped from
        outside: a long one looks at ``context.cancel.cancelled`` now and then.
    context : Any
        The user's own, as given to the session, agent or call.
    """

    call_id: str = ""
    messages: Sequence[Message] = ()
    cancel: CancelToken = field(default_factory=CancelToken)
    context: Any = None
