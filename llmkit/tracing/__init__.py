"""What a run did, and when: spans made from its events, as a timeline, a DataFrame, JSON, or OpenTelemetry."""

from __future__ import annotations

from llmkit.tracing.frame import TRACE, spans_frame, trace_frame
from llmkit.tracing.span import Span, spans_to_json
from llmkit.tracing.spans import Spans, spans_of
from llmkit.tracing.trace import Trace

__all__ = ["TRACE", "Span", "Spans", "Trace", "spans_frame", "spans_of", "spans_to_json", "trace_frame"]
