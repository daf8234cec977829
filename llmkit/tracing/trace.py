"""A run's trace as a value: it shows itself as a timeline, and is a DataFrame, JSON or spans when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.log import EventLog
from llmkit.presenting import Displayed
from llmkit.tracing.frame import spans_frame
from llmkit.tracing.picture import timeline_svg
from llmkit.tracing.plain import timeline_text
from llmkit.tracing.span import spans_to_json
from llmkit.tracing.spans import spans_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from llmkit.events import Event
    from llmkit.tracing.span import Span


class Trace(Displayed):
    """What a run did, and when. Shows as a timeline in a notebook, prints as one in plain text.

    As a value it is of the moment when it was made. In a notebook that somebody looks at, the timeline of a run that
    goes on fills in live, and its rows unfold to messages, arguments and results; at the run's end a picture takes its
    place, which can be saved.

    Parameters
    ----------
    log : iterable of Event
        The run's events from the first on, all or as many as there are.

    Attributes
    ----------
    spans : tuple of Span
        The run itself, then what it did.
    """

    def __init__(self, log: Iterable[Event]) -> None:
        self._log = log if isinstance(log, EventLog) else None
        self.spans: tuple[Span, ...] = spans_of(log)

    @property
    def frame(self) -> pd.DataFrame:
        """A row a span; see :func:`llmkit.tracing.trace_frame` for the columns."""
        return spans_frame(self.spans)

    @property
    def svg(self) -> str:
        """The timeline as an image of its own, to be saved as an ``.svg`` file."""
        return timeline_svg(self.spans, alone=True)

    def to_json(self) -> str:
        """Return the spans as a JSON list."""
        return spans_to_json(self.spans)

    def show(self) -> None:
        """Show it live, also when the run has ended; where nobody looks, as it is."""
        self._show(live=True)

    def __iter__(self) -> Iterator[Span]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self.spans)

    def __repr__(self) -> str:
        return timeline_text(self.spans)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return the timeline for the page it is shown on, as an image of its own, and in plain text."""
        bundle = timeline_bundle(self.spans)
        wanted = set(include or bundle) - set(exclude or ())
        return {kind: content for kind, content in bundle.items() if kind in wanted}

    def _ipython_display_(self) -> None:
        self._show(live=False)

    def _show(self, *, live: bool) -> None:
        from llmkit.notebook.trace_display import show_timeline

        show_timeline(self.spans, self._log, live=live)


def timeline_bundle(spans: Iterable[Span]) -> dict[str, str]:
    """Return the picture of a run's spans as a MIME bundle, the run itself first."""
    listed = tuple(spans)
    svg, text = timeline_svg(listed, alone=True), timeline_text(listed)
    return {"text/html": _in_page(listed), "image/svg+xml": svg, "text/plain": text}


def _in_page(spans: tuple[Span, ...]) -> str:
    # Jupyter typesets what stands between two dollar signs, unless a class forbids it.
    return f'<div class="tex2jax_ignore mathjax_ignore">{timeline_svg(spans)}</div>'
