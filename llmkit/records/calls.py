"""A run's tool calls and decisions as the ledger keeps them: events folded into rows of two tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.events import (
    Abort,
    ApprovalDecided,
    ApprovalRequested,
    End,
    Event,
    Failure,
    ToolCallFailed,
    ToolCallMade,
    ToolDenied,
    ToolFailed,
    ToolFinished,
    ToolStarted,
)
from llmkit.records.columns import APPROVALS, TOOL_CALLS
from llmkit.records.outputs import MAX_OUTPUT, output_json
from llmkit.records.values import bounded, error_text, plain, to_bounded_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.approval.decision import Ruling
    from llmkit.approval.request import ApprovalRequest
    from llmkit.records.columns import Column
    from llmkit.tools.results import ToolResult

MAX_ARGUMENTS = 1 << 20
"""So many characters are kept of a call's arguments and raw text; a model's call of more is refused."""

MAX_NAME = 1 << 10
"""So many characters are kept of ids and names, which may come from anywhere."""

CALL_EVENTS: frozenset[type[Event]] = frozenset(
    {
        ToolCallMade,
        ToolCallFailed,
        ApprovalRequested,
        ApprovalDecided,
        ToolStarted,
        ToolFinished,
        ToolFailed,
        ToolDenied,
    }
)
"""The events that rows are made of. They may come after the run's end, too."""

Row = dict[str, Any]


class Table:
    """Rows of one table, numbered in the order in which they came.

    Parameters
    ----------
    columns : iterable of Column
        The declared ones; a new row is NA in all.

    Attributes
    ----------
    unsaved : dict of int to dict
        By number, the rows that are new or have changed since they were saved.
    """

    def __init__(self, columns: Iterable[Column]) -> None:
        self.unsaved: dict[int, Row] = {}
        self._empty: Row = dict.fromkeys(each.name for each in columns if each.name not in {"run_id", "session_id"})
        self._count = 0

    def add(self, **values: Any) -> Row:
        """Begin a row and return it."""
        row = {"number": self._count, **self._empty}
        self._count += 1
        self.change(row, **values)
        return row

    def change(self, row: Row, **values: Any) -> None:
        """Set values of a row."""
        row |= values
        self.unsaved[row["number"]] = row


class CallRecord:
    """What is known of a run's tool calls, and of the decisions on them.

    Attributes
    ----------
    calls, approvals : Table
        The rows.
    """

    def __init__(self) -> None:
        self.calls = Table(TOOL_CALLS)
        self.approvals = Table(APPROVALS)
        self._by_id: dict[str, Row] = {}
        self._open: dict[str, Row] = {}
        self._requested: dict[str, float | None] = {}

    def add(self, event: Event) -> None:
        """Fold the run's next event in; those of other matters change nothing."""
        match event:
            case ToolCallMade(call=call):
                self.calls.change(
                    self._row(call.id, call.name, event),
                    arguments=_arguments(call.arguments),
                    raw=bounded(call.raw, MAX_ARGUMENTS),
                )
            case ToolCallFailed():
                self._add_failed(event)
            case ApprovalRequested(request=request):
                self._add_request(request, event)
            case ApprovalDecided(ruling=ruling):
                self._add_ruling(ruling, event)
            case ToolStarted(call=call):
                row = self._row(call.id, call.name, event)
                executed, executions = _arguments(event.arguments), (row["executions"] or 0) + 1
                self.calls.change(row, started=_time(event.time), executed_arguments=executed, executions=executions)
            case ToolFinished(result=result) | ToolFailed(result=result) | ToolDenied(result=result):
                self._settle(result, event)
            case Abort() | Failure():
                self._end(event)

    def saved(self) -> None:
        """Note that all of it is on disk."""
        self.calls.unsaved.clear()
        self.approvals.unsaved.clear()

    def _row(self, call_id: str, tool: str, event: Any) -> Row:
        """Return the row of a call, begun if it is the first that is heard of it."""
        row = self._by_id.get(call_id)
        if row is None:
            row = self.calls.add(**_identity(call_id, tool, event.step), created=_time(event.time), outcome="pending")
            self._by_id[call_id] = row
        return row

    def _add_failed(self, event: ToolCallFailed) -> None:
        error = event.error
        self.calls.add(
            **_identity(error.id, error.name, event.step),
            created=_time(event.time),
            error_code=error.code,
            error_message=bounded(error.message, MAX_OUTPUT),
            arguments=_arguments(error.arguments),
            raw=bounded(error.raw, MAX_ARGUMENTS),
        )

    def _add_request(self, request: ApprovalRequest, event: ApprovalRequested) -> None:
        requested = self._requested[request.call.id] = _time(request.time)
        self._open[request.call.id] = self.approvals.add(
            **_identity(request.call.id, request.call.name, event.step),
            requested=requested,
            request_reason=bounded(request.reason, MAX_OUTPUT) or None,
            shown_arguments=_arguments(request.call.arguments),
        )

    def _add_ruling(self, ruling: Ruling, event: ApprovalDecided) -> None:
        """Record a ruling: the one that decides closes the request's row, every other has a row of its own."""
        row = self._open.pop(ruling.call_id, None) if ruling.accepted else None
        if row is None:
            requested = self._requested.get(ruling.call_id)
            row = self.approvals.add(**_identity(ruling.call_id, ruling.tool, event.step), requested=requested)
        shown = ruling.shown_arguments
        self.approvals.change(
            row,
            decided=_time(ruling.time),
            verdict=ruling.verdict,
            decided_by=ruling.by,
            accepted=ruling.accepted,
            edited=None if ruling.arguments is None else ruling.edited,
            waited=plain(ruling.waited, "Float64"),
            reason=bounded(ruling.reason, MAX_OUTPUT) or None,
            refusal=bounded(ruling.refusal, MAX_OUTPUT) or None,
            shown_arguments=row["shown_arguments"] if shown is None else _arguments(shown),
            executed_arguments=_arguments(ruling.arguments),
        )
        call = self._by_id.get(ruling.call_id)
        if ruling.accepted and ruling.verdict != "pend" and call is not None:
            self._decide(call, ruling)

    def _decide(self, call: Row, ruling: Ruling) -> None:
        self.calls.change(call, decided_by=ruling.by, approval_time=plain(ruling.waited, "Float64"))
        outcome = {"deny": "denied", "cancel": "cancelled"}.get(ruling.verdict)
        if outcome and call["outcome"] == "pending":
            reason = bounded(ruling.reason, MAX_OUTPUT) or None
            self.calls.change(call, outcome=outcome, ended=_time(ruling.time), error=reason)

    def _settle(self, result: ToolResult, event: ToolFinished | ToolFailed | ToolDenied) -> None:
        row = self._row(result.call.id, result.call.name, event)
        error = result.reason if result.error is None else error_text(result.error)
        executed = row["executed_arguments"] if result.arguments is None else _arguments(result.arguments)
        self.calls.change(
            row,
            outcome=result.outcome,
            ended=_time(event.time),
            executed_arguments=executed,
            output=output_json(result.output) if result.success else None,
            error=bounded(error, MAX_OUTPUT) or None,
            printed=bounded(result.printed, MAX_OUTPUT) or None,
            duration=plain(result.duration, "Float64"),
        )

    def _end(self, event: End) -> None:
        """Note that no call of a run that was cancelled or failed will be settled, but those left open on purpose."""
        left_open = {request.call.id for request in event.pending_approvals}
        for call_id, row in self._by_id.items():
            if row["outcome"] == "pending" and call_id not in left_open:
                self.calls.change(row, outcome="cancelled", ended=_time(event.time))


def _identity(call_id: str, tool: str, step: int) -> Row:
    return {
        "step": plain(step, "Int64"),
        "call_id": bounded(call_id, MAX_NAME) or None,
        "tool": bounded(tool, MAX_NAME) or None,
    }


def _time(value: float) -> Any:
    return plain(value, "datetime64[ns, UTC]")


def _arguments(arguments: Any) -> str | None:
    return None if arguments is None else to_bounded_json(arguments, MAX_ARGUMENTS)
