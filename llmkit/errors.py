"""Every error llmkit raises, in one tree.

::

    Error
    ├── ValidationError          a setting, argument or prompt that can't be used; names the field
    │   ├── ContextLengthError   a prompt longer than the model's context
    │   └── ToolArgumentsError   arguments that a tool can't be called with; in ``llmkit.tools.arguments``
    ├── ModelError               a model that can't be had or read
    │   ├── ModelNotFound
    │   ├── ModelFileError       truncated, garbage, or of a kind the engine can't read
    │   └── FetchError           network, disk or hash trouble while fetching
    ├── EngineError              the engine failed or isn't installed
    ├── APIError                 a server answered with an error status
    ├── RequestError             no answer came from a server; wraps the cause
    ├── QueueError
    │   ├── QueueFull
    │   └── QueueTimeout
    ├── StreamError
    │   └── StreamClosed         a stream was read after it was closed
    ├── TimeoutError             a time limit of the run passed; also a built-in ``TimeoutError``
    ├── RunCancelled             carries the partial text, tool calls and stats
    ├── ToolError                a tool call that came to nothing; its cause is what the handler raised
    │   ├── ToolDenied           it was denied, or nobody could be asked
    │   └── ApprovalPending      it still waits for a decision
    ├── ToolCallRepairError      a ``repair`` function failed
    ├── OutputError              text that isn't the structured output asked for
    ├── SessionClosed
    └── LedgerError              the ledger can't be opened or is from a newer version

Each has a ``code``: one of the words that OpenAI-style servers use (``invalid_request``, ``not_found``,
``context_length_exceeded``, ``rate_limit_exceeded``, ``server_error``, …) or llmkit's own.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class Error(Exception):
    """Base of all llmkit errors.

    Attributes
    ----------
    message : str
        What went wrong and what to do about it.
    code : str
        A stable word for the kind of error.
    retryable : bool
        Whether the same request may succeed a moment later.
    retry_after : float or None
        Seconds that a server asked to wait before the next try.
    """

    code: str = "error"

    retryable: bool = False
    retry_after: float | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ValidationError(Error, ValueError):
    """A value that can't be used.

    Attributes
    ----------
    field : str or None
        The name of the setting or argument at fault.
    """

    code = "invalid_request"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ContextLengthError(ValidationError):
    """A prompt that doesn't fit the model's context.

    Attributes
    ----------
    prompt_tokens, context_length : int or None
        How long the prompt is and how long it may be; ``None`` where a server doesn't say.
    """

    code = "context_length_exceeded"

    def __init__(self, message: str, *, prompt_tokens: int | None, context_length: int | None) -> None:
        super().__init__(message, field="prompt")
        self.prompt_tokens = prompt_tokens
        self.context_length = context_length


class ModelError(Error):
    """A model that can't be had or read."""

    code = "model_error"


class ModelNotFound(ModelError):
    """No model of that name: not embedded, not a file or folder, not on the hub."""

    code = "not_found"


class ModelFileError(ModelError):
    """A model file that is truncated, damaged, or of a kind the engine can't read."""

    code = "model_file_error"


class FetchError(ModelError):
    """Fetching a model failed: no network, no disk space, or a wrong hash."""

    code = "fetch_error"


class EngineError(Error):
    """The engine failed while loading or decoding, or isn't installed."""

    code = "server_error"


class APIError(Error):
    """A server answered with an error.

    Attributes
    ----------
    status : int or None
        HTTP status.
    details : Any
        The error body's further fields, as the server sent them.
    request_id : str or None
        The server's id for the request.
    """

    code = "server_error"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "server_error",
        details: Any = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retryable = status is not None and (status in {408, 409, 429} or status >= 500)
        self.retry_after = retry_after
        self.code = code
        self.details = details
        self.request_id = request_id


class RequestError(Error):
    """No answer came: connection refused, dropped, or unreadable. ``__cause__`` says why."""

    code = "connection_error"
    retryable = True


class QueueError(Error):
    """A run that couldn't wait its turn."""

    code = "rate_limit_exceeded"


class QueueFull(QueueError):
    """As many runs wait for the model as ``queue_limit`` allows."""


class QueueTimeout(QueueError):
    """A run waited longer than ``queue_timeout`` for its turn."""


class StreamError(Error):
    """A stream that broke off."""

    code = "stream_error"


class StreamClosed(StreamError):
    """A stream was read after it was closed."""

    code = "stream_closed"


class TimeoutError(Error, builtins.TimeoutError):  # noqa: A001 - the field's name, and it is a builtin TimeoutError
    """A time limit passed.

    Attributes
    ----------
    limit : str
        Which limit: ``"total"``, ``"step"``, ``"chunk"``, ``"tool"``, ``"start"`` of a tool server, or ``"wait"`` for
        ``run.result(timeout=…)``.
    """

    code = "timeout"

    def __init__(self, message: str, *, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class RunCancelled(Error):
    """The run was cancelled before it ended.

    Attributes
    ----------
    text : str
        The text so far.
    tool_calls : Sequence
        The tool calls so far.
    stats : Stats or None
        The stats so far; ``None`` when profiling is off.
    """

    code = "cancelled"

    def __init__(
        self,
        message: str = "The run was cancelled.",
        *,
        text: str = "",
        tool_calls: Sequence[Any] = (),
        stats: Any = None,
    ) -> None:
        super().__init__(message)
        self.text = text
        self.tool_calls = tuple(tool_calls)
        self.stats = stats


class ToolError(Error):
    """A tool call that came to nothing; ``__cause__`` is what the handler raised.

    Attributes
    ----------
    tool, call_id : str
        The tool's name and the call's id.
    """

    code = "tool_error"

    def __init__(self, message: str, *, tool: str, call_id: str) -> None:
        super().__init__(message)
        self.tool = tool
        self.call_id = call_id


class ToolDenied(ToolError):
    """The call was denied, or nobody could be asked; the message says why."""

    code = "tool_denied"


class ApprovalPending(ToolError):
    """The call still waits for a decision: ``call.approve()``, ``call.deny()`` or ``session.resume(…)``."""

    code = "approval_pending"


class ToolCallRepairError(Error):
    """A ``repair`` function raised, or gave something that is no call; ``__cause__`` says which."""

    code = "tool_call_repair_error"


class SessionClosed(Error):
    """The session was closed; make a new one."""

    code = "session_closed"


class LedgerError(Error):
    """The ledger can't be opened, or was written by a newer llmkit."""

    code = "ledger_error"
