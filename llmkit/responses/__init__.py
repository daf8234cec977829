"""What a model answered, as openai-agents-js tells it: items, usage, and JSON that keeps what it doesn't know."""

from llmkit.responses.items import (
    ComputerCallItem,
    FunctionCallItem,
    HostedToolCallItem,
    Item,
    MessageItem,
    ReasoningItem,
    UnknownItem,
)
from llmkit.responses.parts import InputText, OutputText, Part, ReasoningText, Refusal, UnknownPart
from llmkit.responses.response import ModelResponse
from llmkit.responses.usage import ResponseUsage

__all__ = [
    "ComputerCallItem",
    "FunctionCallItem",
    "HostedToolCallItem",
    "InputText",
    "Item",
    "MessageItem",
    "ModelResponse",
    "OutputText",
    "Part",
    "ReasoningItem",
    "ReasoningText",
    "Refusal",
    "ResponseUsage",
    "UnknownItem",
    "UnknownPart",
]
