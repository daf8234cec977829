"""A run: one completion in flight, to be read while it goes and after."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from llmkit import waiting
from llmkit.errors import Error, RunCancelled, TimeoutError, ValidationError  # noqa: A004 - a built-in TimeoutError too
from llmkit.events import Abort, End, Event, Failure, Finish, TextDelta, ToolCallFailed, ToolCallMade
from llmkit.log import EventLog, Replay
from llmkit.presenting import Displayed, presenter
from llmkit.results import Result, result_from

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    import pandas as pd

    from llmkit.approval.gate import Gate
    from llmkit.approval.pending import PendedRun
    from llmkit.approval.request import ApprovalRequest
    from llmkit.branching import BranchPoint, RunTree
    from llmkit.cancellation import CancelToken
    from llmkit.engines.decoder import Alternative
    from llmkit.lifecycle import CallbackError, Lifecycle
    from llmkit.messages import Message
    from llmkit.output.streams import OutputStream
    from llmkit.replaying import Replayed
    from llmkit.request import RunRequest
    from llmkit.responses.response import ModelResponse
    from llmkit.results import Stats, StepResult, Usage
    from llmkit.session import Session
    from llmkit.settings import FinishReason
    from llmkit.tokenview import TokenView
    from llmkit.tools.calls import ToolCall, ToolCallError
    from llmkit.tools.results import ToolResult
    from llmkit.tracing import Trace

T = TypeVar("T")


class Run(Displayed):
    """One completion in flight; :meth:`llmkit.Session.complete` makes it and returns at once.

    Streams (``token_stream``, ``tool_call_stream``, ``partial_output_stream``, ``element_stream``, ``events``) are
    replays from the first token, in any number, early or late, with ``for`` and ``async for``; iterating the run is
    iterating ``token_stream``. The settled values (``text``, ``output``, ``reasoning``, ``tool_calls``, ``steps``, …)
    wait for the end. ``await run`` and ``run.result()`` give all of them at once. A run that was cancelled raises
    :class:`llmkit.RunCancelled` there, with what there was; one that failed raises its error. ``finish_reason``,
    ``usage``, ``total_usage``, ``stats`` and ``steps`` tell what is known in either case, and ``error`` says what went
    wrong.

    Attributes
    ----------
    id : str
        The run's id, known at once.
    request : RunRequest
        What was asked.
    approvals : Gate
        Where its tool calls wait for decisions: ``approvals.pending``, ``approvals.rules``.
    parent : Run or None
        The run that it branched from.
    branch_point : BranchPoint or None
        Where it left that one.
    """

    def __init__(
        self,
        request: RunRequest,
        log: EventLog,
        cancel: CancelToken,
        gate: Gate,
        lifecycle: Lifecycle,
        session: Session | None = None,
    ) -> None:
        self.id = request.run_id
        self.request = request
        self.approvals = gate
        self._log = log
        self._cancel = cancel
        self._lifecycle = lifecycle
        # Weak, so that a run which is kept doesn't keep a model in memory that nobody can ask any more.
        self._asked_in = None if session is None else weakref.ref(session)
        self.parent: Run | None = None
        self.branch_point: BranchPoint | None = None
        self._branches: list[Run] = []
        self._branch_watchers: list[Callable[[Run], None]] = []

    # -- streams ------------------------------------------------------------------------------------------------

    @property
    def token_stream(self) -> Replay[str]:
        """The text's pieces as they are decoded; empty with ``stream=False``."""
        return Replay(self._log, lambda event: event.text if isinstance(event, TextDelta) else None, _failure)

    @property
    def tool_call_stream(self) -> Replay[ToolCall | ToolCallError]:
        """Tool calls and tool-call errors as they are parsed; empty with ``stream=False``."""
        return Replay(self._log, self._call_in, _failure)

    @property
    def partial_output_stream(self) -> OutputStream[Any]:
        """The output as far as it is certain, in plain JSON values, whenever there is more; nothing is taken back.

        Empty with ``stream=False``. If the answer doesn't fit in the end, iterating raises what ``output`` does.
        """
        from llmkit.output.streams import OutputStream, PartialValues

        return OutputStream(self._log, lambda: PartialValues(self.request.output), _output_failure)

    @property
    def element_stream(self) -> OutputStream[Any]:
        """The elements of an output that is an array, each once it is whole, as values of their type.

        Empty with ``stream=False``. If the answer doesn't fit in the end, iterating raises what ``output`` does.

        Raises
        ------
        ValidationError
            If the output that was asked for has no elements.
        """
        from llmkit.output.streams import Elements, OutputStream

        spec = self.request.output
        if spec is None or spec.kind not in {"array", "json"}:
            raise ValidationError(
                "Only an array has elements: ask for output=Output.array(…), or output=list[…].", field="output"
            )
        return OutputStream(self._log, lambda: Elements(spec), _output_failure)

    @property
    def events(self) -> Replay[Event]:
        """Everything that happens, numbered from 0; always ends cleanly."""
        return Replay(self._log, lambda event: event)

    def __iter__(self) -> Iterator[str]:
        """Iterate the text's pieces."""
        return iter(self.token_stream)

    def __aiter__(self) -> AsyncIterator[str]:
        """Iterate the text's pieces."""
        return self.token_stream.__aiter__()

    def subscribe(self, callback: Callable[[Event], None]) -> None:
        """Call ``callback`` with every event from the first on, on llmkit's event loop thread.

        Parameters
        ----------
        callback : Callable
            Must be quick and thread-safe. What it raises is logged, and the run goes on.
        """
        self._log.subscribe(callback)

    # -- settled values -----------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, whatever it is.

        Parameters
        ----------
        timeout : float, optional
            Seconds at most.

        Returns
        -------
        bool
            Whether the run has ended.
        """
        return waiting.wait(self._log.over, timeout)

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the end and return all settled values.

        Parameters
        ----------
        timeout : float, optional
            Seconds at most. The run goes on when they pass.

        Raises
        ------
        RunCancelled
            If it was cancelled; carries what there was.
        TimeoutError
            If ``timeout`` passed.
        Error
            What the run failed with.
        """
        if not self.wait(timeout):
            raise TimeoutError(
                f"The run hasn't ended in {timeout:g} s; it goes on. run.cancel() stops it.", limit="wait"
            )
        return self._settled()

    def __await__(self) -> Generator[Any, None, Result]:
        """Wait for the end in any event loop and return all settled values."""
        return self._ended().__await__()

    @property
    def text(self) -> str:
        """The text of the last step."""
        return self.result().text

    @property
    def reasoning(self) -> str:
        """The reasoning of the last step."""
        return self.result().reasoning

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls of the last step."""
        return self.result().tool_calls

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        """What the last step's tool calls came to."""
        return self.result().tool_results

    @property
    def pending_approvals(self) -> tuple[ApprovalRequest, ...]:
        """The calls that wait for a decision now, or were left open by a run that has ended; doesn't wait."""
        return self.approvals.pending or self.approvals.left_open

    @property
    def pended(self) -> PendedRun:
        """The run with its open approvals, to be saved and gone on with: ``session.resume(run.pended)``.

        Raises
        ------
        ValidationError
            If it left none open.
        """
        from llmkit.approval.pending import PendedRun

        return PendedRun.of(self.request, self._end())

    @property
    def output(self) -> Any:
        """What was asked for with ``output=``, as a value of its type; without, the text.

        Raises
        ------
        OutputError
            If the answer doesn't fit, as when ``max_output_tokens`` cut it off; carries the text and the finish reason.
            ``text``, ``stats`` and everything else can still be read.
        """
        return self.result().output

    @property
    def response(self) -> ModelResponse:
        """The last step's answer as openai-agents-js tells it: id, output items, usage, provider data."""
        return self.result().response

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole conversation, the answer included; ready to pass on."""
        return self.result().messages

    @property
    def steps(self) -> tuple[StepResult, ...]:
        """The steps that were finished."""
        return self._end().steps

    @property
    def usage(self) -> Usage:
        """Tokens of the last step."""
        end = self._end()
        return end.steps[-1].usage if end.steps else end.usage

    @property
    def total_usage(self) -> Usage:
        """Tokens of all steps together."""
        return self._end().usage

    @property
    def stats(self) -> Stats | None:
        """How it went: times, rates, memory; ``None`` when profiling is off."""
        return self._end().stats

    @property
    def finish_reason(self) -> FinishReason:
        """Why it ended: stop, length, tool-calls, error, cancelled, …."""
        return self._end().finish_reason

    @property
    def raw_finish_reason(self) -> str:
        """Why it ended, in the engine's own word."""
        return self._end().raw_finish_reason

    @property
    def stop_reason(self) -> str:
        """Why no further step was taken: a condition of ``stop_when``, no more calls, a call without a result, …."""
        return self._end().stop_reason

    @property
    def callback_errors(self) -> tuple[CallbackError, ...]:
        """What lifecycle callbacks raised so far; doesn't wait."""
        return tuple(self._lifecycle.errors)

    @property
    def error(self) -> Error | None:
        """What it failed with, :class:`llmkit.RunCancelled` if it was cancelled, ``None`` if it is done."""
        return _failure(self._end())

    @property
    def tokens(self) -> pd.DataFrame:
        """The decoded tokens, a row each; needs ``logprobs=`` when the run is made."""
        from llmkit.records.frames import tokens_frame_of

        return tokens_frame_of(self.steps)

    def token_view(self, by: Literal["probability", "entropy"] = "probability") -> TokenView:
        """Return a view of the tokens: each coloured by its probability or the entropy of its place, with alternatives.

        In a notebook with a browser, an alternative can be clicked: the run branches there. All branches of the
        run, and the run that it branched from, are in the same view. It shows itself at the end of a cell;
        ``.show()`` does so anywhere.

        Parameters
        ----------
        by : {"probability", "entropy"}
            What colours them at first. The entropy, in bits, is −Σ pᵢ log₂ pᵢ over the alternatives that the run kept
            and one more for all others together: a lower bound, and the better the more ``logprobs`` it kept.

        Raises
        ------
        ValidationError
            For another ``by``.
        """
        from llmkit.tokenview import TokenView

        return TokenView.of(self, by)

    # -- branches -----------------------------------------------------------------------------------------------

    def branch(
        self,
        position: int,
        token: str | int | Alternative | None = None,
        *,
        rank: int | None = None,
        step: int | None = None,
        show: bool | None = None,
        **settings: Any,
    ) -> Run:
        """Go on from one of the tokens, with another in its place; return the new run at once.

        The prompt and the tokens before are in the KV cache, so it begins almost immediately. The new run's text and
        tokens are the whole answer, what it shares with this one included; its usage counts what was decoded. Of a
        run that is going on, this waits for the end.

        Parameters
        ----------
        position : int
            The token's place in the answer, from 0, as in ``tokens``; −1 is the last.
        token : str, int or Alternative, optional
            The alternative to put there: its text or its id. Without, and without ``rank``, the token is drawn anew.
        rank : int, optional
            The alternative's place among ``alternatives`` instead: 0 is the likeliest.
        step : int, optional
            The step, in a run of several; the last one by default.
        show : bool, optional
            Whether to show the new run now, in place of the session's choice.
        **settings
            Settings in place of this run's: ``temperature``, ``seed``, ``max_output_tokens``, which counts the whole
            answer, …. Random numbers begin anew with the seed.

        Returns
        -------
        Run
            Its ``parent`` is this run; it is one of this run's ``branches``.

        Raises
        ------
        ValidationError
            If the run kept no tokens (``logprobs=``), for a position or an alternative that isn't there, and for
            settings as :meth:`llmkit.Session.complete` does.
        SessionClosed
            If the session was closed.
        """
        from llmkit.branching import branch_of
        from llmkit.errors import SessionClosed

        request, point = branch_of(self.request, self.steps, position, token, rank=rank, step=step, settings=settings)
        session = self._session
        if session is None:
            raise SessionClosed("The run's session is gone. Keep it in a variable for as long as its runs branch.")
        run = session.start(request, show=show)
        run.parent, run.branch_point = self, point
        self._branches.append(run)
        for watch in tuple(self._branch_watchers):
            watch(run)
        return run

    @property
    def branches(self) -> tuple[Run, ...]:
        """The runs that branched from this one, in the order in which they did; doesn't wait."""
        return tuple(self._branches)

    def on_branch(self, callback: Callable[[Run], None]) -> None:
        """Call ``callback`` with every run that branches from this one from now on, in the thread that branches.

        Parameters
        ----------
        callback : Callable
            Must be quick, and not raise.
        """
        self._branch_watchers.append(callback)

    @property
    def tree(self) -> RunTree:
        """The run that this one and its like branched from, with all its branches; doesn't wait."""
        from llmkit.branching import RunTree

        return RunTree(self)

    def replay(self, *, show: bool | None = None) -> Replayed:
        """Ask again what this run was asked, and compare; return at once.

        The same model with the same messages, settings, seed and tools gives the same text on the same engine and
        build. Tools are invoked anew, with the approvals that they need.

        Parameters
        ----------
        show : bool, optional
            Whether to show the new run now, in place of the session's choice.

        Returns
        -------
        Replayed
            The new run; whether the text is the same, where it differs, and what else does.

        Raises
        ------
        SessionClosed
            If the session was closed.
        """
        from llmkit.replaying import replay_run

        return replay_run(self._session, self, show=show)

    @property
    def trace(self) -> pd.DataFrame:
        """What took how long: steps, prefill, decode, approvals, tools, a row each; doesn't wait."""
        from llmkit.tracing import trace_frame

        return trace_frame(self._log)

    @property
    def timeline(self) -> Trace:
        """The same as a picture, with a ``frame`` and an ``svg``; doesn't wait."""
        from llmkit.tracing import Trace

        return Trace(self._log)

    # -- state --------------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether it has ended; doesn't wait."""
        return self._log.end is not None

    @property
    def status(self) -> str:
        """Where it is: queued, loading, prefill, decoding, asking, running tools, done, …; doesn't wait."""
        end = self._log.end
        if end is not None:
            return {"finish": "done", "abort": "cancelled"}.get(end.type, "failed")
        for index in range(len(self._log) - 1, -1, -1):
            status = _STATUS.get(self._log[index].type)
            if status is not None:
                return status
        return "new"

    @property
    def text_so_far(self) -> str:
        """The text as far as it has come; doesn't wait and never raises."""
        end = self._log.end
        if end is not None:
            return end.text
        deltas = (self._log[index] for index in range(len(self._log)))
        return "".join(event.text for event in deltas if isinstance(event, TextDelta))

    def cancel(self, reason: str = "cancelled by the caller") -> bool:
        """Stop it: within one token, in prefill within a chunk.

        Parameters
        ----------
        reason : str
            Kept in the record.

        Returns
        -------
        bool
            Whether this call stopped it; ``False`` if it had ended or was being cancelled already.
        """
        return not self.ended and self._cancel.cancel(reason)

    def show(self) -> None:
        """Show it: a live view in a notebook, the text as it streams in a terminal or script."""
        presenter().show(self, asked=True)

    def __repr__(self) -> str:
        text = self.text_so_far
        shown = text if len(text) <= 80 else f"{text[:79]}…"
        parts = [self.status, self.request.model]
        end = self._log.end
        if end is not None and end.stats is not None:
            parts.append(str(end.stats))
        return f"<Run {self.id} · {' · '.join(parts)}: {shown!r}>"

    def __str__(self) -> str:
        return self.text_so_far

    def _ipython_display_(self) -> None:
        if not presenter().shown_here(self):
            presenter().show(self, asked=False)

    async def _ended(self) -> Result:
        await waiting.wait_async(self._log.over)
        return self._settled()

    @property
    def _session(self) -> Session | None:
        return None if self._asked_in is None else self._asked_in()

    def _end(self) -> End:
        self.wait()
        end = self._log.end
        assert end is not None  # noqa: S101 - wait() returns at the end
        return end

    def _settled(self) -> Result:
        end = self._end()
        error = _failure(end)
        if error is not None:
            raise error
        assert isinstance(end, Finish)  # noqa: S101 - the other endings are failures
        return result_from(end, self.request.messages)

    def _call_in(self, event: Event) -> ToolCall | ToolCallError | None:
        if not self.request.stream:
            return None
        if isinstance(event, ToolCallMade):
            return event.call
        return event.error if isinstance(event, ToolCallFailed) else None


_STATUS = {
    "start": "new",
    "load": "loading",
    "queue": "queued",
    "step-start": "prefill",
    "prefill": "prefill",
    "text-delta": "decoding",
    "reasoning-delta": "decoding",
    "tokens": "decoding",
    "tool-input-start": "decoding",
    "approval-request": "waiting for approval",
    "approval-decision": "running tools",
    "tool-start": "running tools",
}


def _output_failure(end: End) -> Error | None:
    return end.output_error if isinstance(end, Finish) else _failure(end)


def _failure(end: End) -> Error | None:
    if isinstance(end, Failure):
        return end.error
    if isinstance(end, Abort):
        message = f"The run was cancelled: {end.reason}." if end.reason else "The run was cancelled."
        return RunCancelled(message, text=end.text, tool_calls=end.tool_calls, stats=end.stats)
    return None
