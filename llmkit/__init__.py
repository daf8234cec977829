"""Language models in your notebook: resident in the kernel, streaming into live widgets, every run a row.

>>> import llmkit as lk
>>> session = lk.Session()                                # doctest: +SKIP
>>> session.complete("Why is the sky blue?")              # doctest: +SKIP
"""

from typing import TYPE_CHECKING

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
from llmkit.lazy import lazily
from llmkit.lifecycle import CallbackWarning
from llmkit.mapping.accessor import register_accessor
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

if TYPE_CHECKING:
    from llmkit.branching import BranchPoint, RunTree
    from llmkit.chatting import Chat, Turn
    from llmkit.comparing import Cell, Comparison, Diff, ScoreWarning
    from llmkit.comparing.saved import comparison
    from llmkit.completions import Completion, CompletionChoice, CompletionLogprobs, CompletionStream, CompletionUsage
    from llmkit.mapping import Job
    from llmkit.mcp import Media, Toolset, mcp_tools
    from llmkit.notebook.magics import load_ipython_extension
    from llmkit.output import Output, OutputError
    from llmkit.playing import Playground
    from llmkit.plotting import Figure
    from llmkit.replaying import Replayed
    from llmkit.scoring import Score
    from llmkit.tokenview import TokenView
else:
    __getattr__, __dir__ = lazily(
        globals(),
        {
            "llmkit.branching": ["BranchPoint", "RunTree"],
            "llmkit.chatting": ["Chat", "Turn"],
            "llmkit.comparing": ["Cell", "Comparison", "Diff", "ScoreWarning"],
            "llmkit.comparing.saved": ["comparison"],
            "llmkit.completions": [
                "Completion",
                "CompletionChoice",
                "CompletionLogprobs",
                "CompletionStream",
                "CompletionUsage",
            ],
            "llmkit.mapping": ["Job"],
            "llmkit.mcp": ["Media", "Toolset", "mcp_tools"],
            "llmkit.notebook.magics": ["load_ipython_extension"],
            "llmkit.output": ["Output", "OutputError"],
            "llmkit.playing": ["Playground"],
            "llmkit.plotting": ["Figure"],
            "llmkit.replaying": ["Replayed"],
            "llmkit.scoring": ["Score"],
            "llmkit.tokenview": ["TokenView"],
        },
    )

__all__ = [
    "APIError",
    "Agent",
    "Answer",
    "ApprovalPending",
    "ApprovalPolicy",
    "BranchPoint",
    "CallbackWarning",
    "CancelToken",
    "Cell",
    "Chat",
    "Comparison",
    "Completion",
    "CompletionChoice",
    "CompletionLogprobs",
    "CompletionStream",
    "CompletionUsage",
    "ContextLengthError",
    "Decision",
    "Diff",
    "EngineError",
    "Error",
    "FetchError",
    "Figure",
    "Image",
    "Job",
    "LedgerError",
    "LedgerWarning",
    "Media",
    "Message",
    "ModelError",
    "ModelFileError",
    "ModelNotFound",
    "Output",
    "OutputError",
    "Playground",
    "QueueError",
    "QueueFull",
    "QueueTimeout",
    "Remote",
    "Replayed",
    "RequestError",
    "Rule",
    "Run",
    "RunCancelled",
    "RunTree",
    "Score",
    "ScoreWarning",
    "Scripted",
    "Session",
    "SessionClosed",
    "Settings",
    "StreamClosed",
    "StreamError",
    "TimeoutError",
    "Timeouts",
    "TokenView",
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
    "Turn",
    "ValidationError",
    "aggregate",
    "comparison",
    "define_handler",
    "export_json",
    "has_tool_call",
    "history",
    "load_ipython_extension",
    "mcp_tools",
    "prune",
    "step_count_is",
    "tool",
    "tool_from",
]

register_accessor()  # frame.llm
