"""Language models in your notebook: resident in the kernel, streaming into live widgets, every run a row.

>>> import llmkit as lk
>>> session = lk.Session()                                # doctest: +SKIP
>>> session.complete("Why is the sky blue?")              # doctest: +SKIP
"""

from llmkit.engines.scripted import Answer, Scripted
from llmkit.errors import (
    APIError,
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
    ValidationError,
)
from llmkit.messages import Image, Message, prune
from llmkit.records import LedgerWarning, aggregate, export_json, history
from llmkit.run import Run
from llmkit.session import Session
from llmkit.settings import Settings, Timeouts

__all__ = [
    "APIError",
    "Answer",
    "ContextLengthError",
    "EngineError",
    "Error",
    "FetchError",
    "Image",
    "LedgerError",
    "LedgerWarning",
    "Message",
    "ModelError",
    "ModelFileError",
    "ModelNotFound",
    "QueueError",
    "QueueFull",
    "QueueTimeout",
    "RequestError",
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
    "ValidationError",
    "aggregate",
    "export_json",
    "history",
    "prune",
]
