"""What is said of a span: its label, its duration, and what is worth knowing of it. All on one line, nothing hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.notebook.visible import one_line

if TYPE_CHECKING:
    from llmkit.tracing.span import Span

MAX_LABEL, MAX_DETAIL = 40, 90

_VERDICTS = {"ok": "allowed", "denied": "denied", "pending": "left open", "cancelled": "cancelled"}
_STATUSES = {"error": "failed", "timeout": "timed out", "cancelled": "cancelled"}


def label(span: Span) -> str:
    """Return what kind of span it is, and of which tool."""
    if span.kind in {"approval", "tool", "call-error"}:
        return one_line(f"{span.kind.replace('-', ' ')} · {span.name}", MAX_LABEL)
    return one_line(span.name, MAX_LABEL)


def duration(seconds: float | None) -> str:
    """Return a duration in the unit that reads best; an ellipsis for one that goes on, nothing for none at all."""
    if not seconds:
        return "…" if seconds is None else ""
    if seconds < 0.0995:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.00995 else f"{seconds * 1000:.0f} ms"
    if seconds < 99.5:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def detail(span: Span) -> str:
    """Return what is worth knowing of a span: tokens and rates, who decided, arguments and result, what went wrong."""
    return one_line(" · ".join(part for part in _parts(span, span.attributes) if part), MAX_DETAIL)


def _parts(span: Span, known: dict[str, Any]) -> list[str]:
    status = _STATUSES.get(span.status, "")
    match span.kind:
        case "run":
            parts = [status, known.get("error", ""), known.get("reason", ""), _count(known.get("steps"), "step")]
            parts += [_count(known.get("output_tokens"), "token")]
        case "step":
            parts = [status, "" if status else known.get("finish_reason", "")]
        case "prefill":
            cached = known.get("cache_tokens")
            parts = [status, _count(known.get("prompt_tokens"), "token"), f"{cached:,} cached" if cached else ""]
            parts += [_rate(known)]
        case "decode":
            parts = [status, _count(known.get("generated_tokens"), "token"), _rate(known)]
        case "approval":
            parts = _decision(span, known)
        case "tool":
            parts = [status, known.get("error", ""), _exchange(known.get("arguments", ""), known.get("output", ""))]
        case "call-error" | "retry":
            parts = [known.get("error_code", ""), known.get("error", "")]
        case "load":
            size = known.get("bytes")
            parts = [status, known.get("file", ""), f"{size / 1e6:,.0f} MB" if size else ""]
        case _:
            parts = [status]
    return parts


def _decision(span: Span, known: dict[str, Any]) -> list[str]:
    if span.status == "open":
        return ["waiting", _exchange(known.get("arguments", ""))]
    by = f" by {known['decided_by']}" if "decided_by" in known else ""
    edited = ", edited" if known.get("edited") else ""
    return [f"{_VERDICTS.get(span.status, span.status)}{by}{edited}", known.get("reason", "")]


def _exchange(arguments: str, output: str = "") -> str:
    given = "" if arguments == "{}" else arguments
    return f"{given} → {output}".lstrip() if output else given


def _count(number: int | None, noun: str) -> str:
    return "" if number is None else f"{number:,} {noun}{'' if number == 1 else 's'}"


def _rate(known: dict[str, Any]) -> str:
    rate = known.get("tokens_per_second")
    return "" if rate is None else f"{rate:,.0f}/s" if rate >= 99.5 else f"{rate:.1f}/s"
