"""Language models in your notebook: resident in the kernel, streaming into live widgets, every run a row.

>>> import llmkit as lk
>>> session = lk.Session()                                # doctest: +SKIP
>>> session.complete("Why is the sky blue?")              # doctest: +SKIP
"""

from llmkit.agent import Agent
from llmkit.approval.decision import Decision
from llmkit.approval.policy import ApprovalPolicy
from llmkit.approval.rules import Rule
from llmkit.cancellation import CancelToken
from llmkit.engines.remote.config import Remote
from llmkit.engines.scripted import Answer, Scripted
from llmkit.errors import (
    APIError,
    ApprovalPending,
    ContextLengthError,
    EngineError,
    Error,
    FetchError,
    LedgerError,
    ModelError,
    ModelFileError,
    ModelNotFound,
    QueueError,
    QueueFull,
    QueueTimeout,
    RequestError,
    RunCancelled,
    SessionClosed,
    StreamClosed,
    StreamError,
    TimeoutError,  # noqa: A004 - the field's name, and a built-in TimeoutError too
    ToolCallRepairError,
    ToolDenied,
    ToolError,
    ValidationError,
)
from llmkit.lifecycle import CallbackWarning
from llmkit.mcp import Media, Toolset, mcp_tools
from llmkit.messages import Image, Message, prune
from llmkit.records import LedgerWarning, aggregate, export_json, history
from llmkit.run import Run
from llmkit.session import Session
from llmkit.settings import Settings, Timeouts
from llmkit.stopping import has_tool_call, step_count_is
from llmkit.tools.arguments import ToolArgumentsError
from llmkit.tools.calls import ToolCall, ToolCallError
from llmkit.tools.context import ToolContext
from llmkit.tools.define import define_handler, tool, tool_from
from llmkit.tools.results import ToolResult
from llmkit.tools.tool import Tool

__all__ = [
    "APIError",
    "Agent",
    "Answer",
    "ApprovalPending",
    "ApprovalPolicy",
    "CallbackWarning",
    "CancelToken",
    "ContextLengthError",
    "Decision",
    "EngineError",
    "Error",
    "FetchError",
    "Image",
    "LedgerError",
    "LedgerWarning",
    "Media",
    "Message",
    "ModelError",
    "ModelFileError",
    "ModelNotFound",
    "QueueError",
    "QueueFull",
    "QueueTimeout",
    "Remote",
    "RequestError",
    "Rule",
    "Run",
    "RunCancelled",
    "Scripted",
    "Session",
    "SessionClosed",
    "Settings",
    "StreamClosed",
    "StreamError",
    "TimeoutError",
    "Timeouts",
    "Tool",
    "ToolArgumentsError",
    "ToolCall",
    "ToolCallError",
    "ToolCallRepairError",
    "ToolContext",
    "ToolDenied",
    "ToolError",
    "ToolResult",
    "Toolset",
    "ValidationError",
    "aggregate",
    "define_handler",
    "export_json",
    "has_tool_call",
    "history",
    "mcp_tools",
    "prune",
    "step_count_is",
    "tool",
    "tool_from",
]
