"""Showing timelines where the user is: a live widget as long as the run goes on, and the picture everywhere else.

A live notebook's output first holds the widget. When the run ends, the picture takes its place, because a saved widget
can't be shown without its kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.notebook import waiting
from llmkit.notebook.frontend import frontend
from llmkit.notebook.output import Output, display_data
from llmkit.notebook.trace_view import TraceView
from llmkit.tracing.trace import timeline_bundle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.notebook.trace_view import Log
    from llmkit.tracing.span import Span


def show_timeline(spans: Iterable[Span], log: Log | None, *, live: bool = False) -> None:
    """Show a timeline where the user is.

    Parameters
    ----------
    spans : iterable of Span
        The run's spans so far.
    log : Log, optional
        Its events, when there are more to come or details to be had.
    live : bool
        Also of a run that has ended, give a live view. It can't be saved with the notebook.
    """
    here = frontend()
    bundle = timeline_bundle(spans)
    if here == "script":
        print(bundle["text/plain"])  # noqa: T201 - a script's page
    elif here == "live" and log is not None and (live or log.end is None):
        _show_widget(log, bundle["text/plain"], keep=log.end is not None)
    else:
        display_data(bundle)


def _show_widget(log: Log, plain: str, *, keep: bool) -> None:
    """Display the widget; unless it is to be kept, the picture takes its place when the run ends."""
    from llmkit.notebook.trace_widget import TraceWidget

    waiting.install()
    output = Output(lambda: timeline_bundle(view.spans))
    view = TraceView(log, TraceWidget, on_end=None if keep else output.settle)
    output.open(view, plain)
