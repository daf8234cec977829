"""A response's tokens, as openai-agents-js counts them (``UsageData`` in its ``protocol.ts``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit.responses.wire import Misfit, Record, each, integer, mapping, reads

if TYPE_CHECKING:
    from llmkit.results import Usage

Details: TypeAlias = "dict[str, Any] | tuple[dict[str, Any], ...]"


def _known(value: Any) -> int | None:
    return None if value is None else integer(value)


def _details(value: Any) -> Details:
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        read: tuple[dict[str, Any], ...] = each(mapping)(value)
        return read
    raise Misfit


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseUsage(Record):
    """Tokens read and written; ``None`` is unknown.

    Parameters
    ----------
    input_tokens, output_tokens, total_tokens : int, optional
        Prompt tokens, generated tokens, and both.
    requests : int, optional
        How many times the model was asked.
    input_tokens_details, output_tokens_details : dict or tuple of dict
        ``{"cached_tokens": 31}``, ``{"reasoning_tokens": 7}``, ….
    request_usage_entries : tuple of dict, optional
        The requests' own counts.
    """

    requests: int | None = field(default=None, metadata=reads(integer))
    input_tokens: int | None = field(metadata=reads(_known))
    output_tokens: int | None = field(metadata=reads(_known))
    total_tokens: int | None = field(metadata=reads(_known))
    input_tokens_details: Details = field(default_factory=dict, metadata=reads(_details))
    output_tokens_details: Details = field(default_factory=dict, metadata=reads(_details))
    request_usage_entries: tuple[dict[str, Any], ...] | None = field(default=None, metadata=reads(each(mapping)))

    @classmethod
    def of(cls, usage: Usage) -> ResponseUsage:
        """Return a step's tokens."""
        cached, thought = usage.cache_read_tokens, usage.reasoning_tokens
        return cls(
            requests=usage.requests,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            total_tokens=usage.total_tokens,
            input_tokens_details={} if cached is None else {"cached_tokens": cached},
            output_tokens_details={} if thought is None else {"reasoning_tokens": thought},
        )
