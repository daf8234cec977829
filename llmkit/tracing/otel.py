"""Runs as OpenTelemetry spans, with the names of its semantic conventions for generative AI.

A run with tools is a span ``invoke_agent``, each of its steps a ``chat {model}`` and each handler's run an
``execute_tool {tool}`` in it; a run without tools is a ``chat {model}``. What else takes time is told too: ``queue``,
``load``, ``prefill``, ``decode``, ``reasoning``, ``retry`` and ``approval {tool}``. See
:mod:`llmkit.tracing.conventions` for the attributes. Prompts, answers, arguments and results are only told when they
are asked for.

Needs the package ``opentelemetry-api`` (``pip install 'llmkit[otel]'``), and an SDK that is set up to send them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from llmkit import events
from llmkit.errors import ValidationError
from llmkit.records.values import clean
from llmkit.tracing import conventions
from llmkit.tracing.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry import trace as otel
    from opentelemetry.context import Context

    from llmkit.run import Run
    from llmkit.tools.tool import Tool
    from llmkit.tracing.conventions import Attributes
    from llmkit.tracing.span import Span

_ANSWER = frozenset({"prefill", "decode", "reasoning", "retry"})
_OWN_ATTRIBUTES = ("prompt_tokens", "cache_tokens", "generated_tokens", "tokens_per_second", "decided_by", "edited")


class Telemetry:
    """Where runs are told as OpenTelemetry spans.

    Parameters
    ----------
    tracer_provider : TracerProvider, optional
        ``None`` is the global one.
    content : bool, optional
        Whether spans hold prompts, answers, arguments and results: private, and long. ``None`` does as the environment
        variable ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` says.

    Raises
    ------
    ValidationError
        OpenTelemetry isn't installed.

    Examples
    --------
    >>> session = lk.Session(telemetry=Telemetry(content=True))  # doctest: +SKIP
    """

    def __init__(self, tracer_provider: otel.TracerProvider | None = None, *, content: bool | None = None) -> None:
        try:
            from opentelemetry import trace
        except ImportError as error:
            raise ValidationError(
                "Telemetry needs the package opentelemetry-api: pip install 'llmkit[otel]'.", field="telemetry"
            ) from error
        from importlib.metadata import version

        self._tracer = trace.get_tracer("llmkit", version("llmkit"), tracer_provider)
        self._content = conventions.content_wanted() if content is None else content

    def recorder(self) -> Callable[[events.Event], None]:
        """Return what takes the events of one run, for ``run.subscribe``; its spans are part of the caller's."""
        return _Exporter(self._tracer, content=self._content).take


def telemetry_from(value: object) -> Telemetry | None:
    """Return what ``Session(telemetry=…)`` means: ``True``, a tracer provider, a :class:`Telemetry`, or none.

    Raises
    ------
    ValidationError
        It is neither, or OpenTelemetry isn't installed.
    """
    if value is None or value is False:
        return None
    if isinstance(value, Telemetry):
        return value
    if value is True:
        return Telemetry()
    if hasattr(value, "get_tracer"):
        return Telemetry(cast("otel.TracerProvider", value))
    raise ValidationError(
        f"telemetry is True, a tracer provider or a Telemetry, not {type(value).__name__}.", field="telemetry"
    )


def export_run(run: Run, tracer_provider: otel.TracerProvider | None = None, *, content: bool | None = None) -> None:
    """Tell a run as OpenTelemetry spans, as it goes on or after its end, with the times at which things happened.

    Parameters
    ----------
    run : Run
        The run.
    tracer_provider, content
        As for :class:`Telemetry`.

    Raises
    ------
    ValidationError
        OpenTelemetry isn't installed.
    """
    run.subscribe(Telemetry(tracer_provider, content=content).recorder())


def export_events(
    log: Iterable[events.Event], tracer_provider: otel.TracerProvider | None = None, *, content: bool | None = None
) -> None:
    """Tell the events of a run, from the first on, as OpenTelemetry spans; see :func:`export_run`."""
    take = Telemetry(tracer_provider, content=content).recorder()
    for event in log:
        take(event)


class _Exporter:
    """Tells one run. The run's own span is open as long as the run; all others are told when they are over."""

    def __init__(self, tracer: otel.Tracer, *, content: bool) -> None:
        from opentelemetry import context

        self._tracer = tracer
        self._content = content
        self._outside = context.get_current()
        self._spans = Spans()
        self._start: events.Start | None = None
        self._asked: events.StepStart | None = None
        self._run: otel.Span | None = None
        self._inside = self._outside
        self._tools: dict[str, Tool] = {}
        self._answer: dict[int, None] = {}

    def take(self, event: events.Event) -> None:
        """Take the run's next event."""
        changed = self._spans.take(event)
        match event:
            case events.Start():
                self._begin(event)
            case events.StepStart():
                self._asked = event
        if self._run is None:
            return
        for span in changed:
            if span.kind in _ANSWER:
                self._answer[span.id] = None
            elif span.kind == "step" and span.end is not None:
                self._tell_step(span, event)
            elif span.kind == "tool" and span.end is not None:
                self._tell_tool(span, event)
            elif span.end is not None and span.kind not in {"run", "step"}:
                self._tell_own(span, self._inside)
        if isinstance(event, events.End):
            self._end(event)

    def _begin(self, start: events.Start) -> None:
        from opentelemetry.trace import set_span_in_context

        self._start = start
        self._tools = {each.name: each for each in start.tools}
        if start.tools:
            name = f"invoke_agent {start.function_id}" if start.function_id else "invoke_agent"
            self._run = self._open(name, start.time, self._outside, conventions.agent(start))
        else:
            attributes = conventions.answer(start) | (conventions.asked_content(start) if self._content else {})
            self._run = self._open(f"chat {start.model}", start.time, self._outside, attributes, engine=start.engine)
        self._inside = set_span_in_context(self._run, self._outside)

    def _tell_step(self, step: Span, event: events.Event) -> None:
        """Tell what the model did in a step; when it ended with the step, or before its calls were settled."""
        from opentelemetry.trace import set_span_in_context

        assert self._start is not None  # noqa: S101 - nothing is told before
        assert self._run is not None  # noqa: S101 - nothing is told before
        result = event.result if isinstance(event, events.StepFinish) else None
        told = [self._spans[id_] for id_ in self._answer]
        self._answer.clear()
        attributes = {} if result is None else conventions.response(result, stream=self._start.stream)
        if self._content and result is not None:
            attributes |= conventions.answered_content(result)
        if not self._start.tools:
            self._run.set_attributes(attributes)
            self._tell_answer(told, self._inside)
        elif result is None or result.usage.requests:  # a step that only settles an earlier run's calls asks no model
            chat = self._open_chat(step)
            chat.set_attributes(attributes)
            self._tell_answer(told, set_span_in_context(chat, self._inside))
            if step.status == "error":
                self._fail(chat, *_reason(event))
            ends = [span.end for span in told if span.kind == "decode" and span.end is not None]
            chat.end(_nanoseconds(max(ends, default=step.end or step.start)))

    def _open_chat(self, step: Span) -> otel.Span:
        assert self._start is not None  # noqa: S101 - nothing is told before
        asked, start = self._asked, self._start
        engine = (asked.engine if asked is not None else "") or start.engine
        model = (asked.model if asked is not None else "") or start.model
        settings = asked.settings if asked is not None else start.settings
        attributes = conventions.request(engine, model, settings, stream=start.stream)
        if self._content:
            attributes |= conventions.asked_content(asked if asked is not None else start)
        return self._open(f"chat {model}", step.start, self._inside, attributes, engine=engine)

    def _tell_answer(self, spans: list[Span], context: Context) -> None:
        from opentelemetry.trace import set_span_in_context

        contexts: dict[int | None, Context] = {}
        for span in spans:
            told = self._tell_own(span, contexts.get(span.parent, context))
            contexts[span.id] = set_span_in_context(told, context)

    def _tell_tool(self, span: Span, event: events.Event) -> None:
        attributes = conventions.tool(span, self._tools.get(span.name))
        if self._content and isinstance(event, events.ToolFinished | events.ToolFailed):
            attributes |= conventions.tool_content(event.result)
        told = self._open(f"execute_tool {span.name}", span.start, self._inside, attributes)
        if span.status in {"error", "timeout"}:
            self._fail(told, span.attributes.get("error_kind", "_OTHER"), span.attributes.get("error", ""))
        told.end(_nanoseconds(span.end or span.start))

    def _tell_own(self, span: Span, context: Context) -> otel.Span:
        """Tell a span for which the conventions have no name."""
        attributes = {f"llmkit.{name}": span.attributes.get(name) for name in _OWN_ATTRIBUTES}
        name = str(span.kind)
        if span.kind == "approval":
            name = f"approval {span.name}"
        if span.kind in {"approval", "call-error"}:
            attributes |= {"gen_ai.tool.name": span.name[:64], "gen_ai.tool.call.id": span.attributes.get("call_id")}
        told = self._open(name, span.start, context, conventions.known({**attributes, "llmkit.status": span.status}))
        if span.status == "error":
            self._fail(told, span.attributes.get("error_code", "_OTHER"), "")
        told.end(_nanoseconds(span.end or span.start))
        return told

    def _end(self, event: events.End) -> None:
        assert self._run is not None  # noqa: S101 - take() saw to it
        self._run.set_attributes(conventions.ending(event))
        if isinstance(event, events.Failure):
            self._fail(self._run, conventions.error_type(event.error), event.error.message)
        self._run.end(_nanoseconds(event.time))

    def _open(
        self, name: str, start: float, context: Context, attributes: Attributes, *, engine: str = ""
    ) -> otel.Span:
        from opentelemetry.trace import SpanKind

        kind = SpanKind.CLIENT if engine == "remote" else SpanKind.INTERNAL
        return self._tracer.start_span(
            clean(name), context=context, kind=kind, attributes=attributes, start_time=_nanoseconds(start)
        )

    def _fail(self, span: otel.Span, kind: str, message: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        span.set_attribute("error.type", kind)
        span.set_status(Status(StatusCode.ERROR, clean(message) or None))


def _reason(event: events.Event) -> tuple[str, str]:
    """Return the kind of an answer's failure, and what went wrong, as far as the event that ends it tells."""
    if isinstance(event, events.Failure):
        return conventions.error_type(event.error), event.error.message
    return "_OTHER", ""


def _nanoseconds(time: float) -> int:
    return round(time * 1e9)
