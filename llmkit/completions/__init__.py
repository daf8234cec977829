"""Raw completions: prompts continued as they are, without messages and templates."""

from llmkit.completions.completion import Completion, CompletionChoice, CompletionLogprobs, CompletionUsage
from llmkit.completions.stream import CompletionStream

__all__ = [
    "Completion",
    "CompletionChoice",
    "CompletionLogprobs",
    "CompletionStream",
    "CompletionUsage",
]
