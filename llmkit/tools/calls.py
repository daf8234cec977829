"""What a model asked for: a call, or why its words are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.approval.rules import Scope

ToolCallErrorCode = Literal["PARSE_ERROR", "VALIDATION_ERROR", "UNKNOWN_TOOL"]
CallStatus = Literal["pending", "approved", "running", "done", "failed", "denied", "cancelled", "unhandled"]


class Desk(Protocol):
    """Where the calls of a run are decided on and run; all methods may be called from any thread."""

    def approve(self, call: ToolCall, arguments: Mapping[str, Any] | str | None, always: Scope | None) -> bool:
        """Allow a call."""

    def deny(self, call: ToolCall, reason: str, always: Scope | None) -> bool:
        """Deny a call."""

    def invoke(self, call: ToolCall, *, rerun: bool) -> Any:
        """Return a call's result, waiting for its decision and its end."""

    def status(self, call: ToolCall) -> CallStatus:
        """Return where a call is in its life."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made.

    Parameters
    ----------
    id : str
        Unique within the run.
    name : str
        The tool's name.
    arguments : dict
        JSON values by parameter name.
    raw : str
        The text the model wrote for it.
    """

    id: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    raw: str = ""
    _desk: Desk | None = field(default=None, repr=False, compare=False)

    @property
    def status(self) -> CallStatus:
        """Where it is: pending, approved, running, done, failed, denied, cancelled; unhandled without a handler."""
        return "unhandled" if self._desk is None else self._desk.status(self)

    def approve(
        self, arguments: Mapping[str, Any] | str | None = None, *, always: Literal["run", "session"] | None = None
    ) -> bool:
        """Allow the call, as the panel's Approve does.

        Parameters
        ----------
        arguments : mapping or str, optional
            What to run it with instead; validated, and kept in the record as edited.
        always : {"run", "session"}, optional
            Also allow every later call of this tool, in this run or in the session.

        Returns
        -------
        bool
            Whether this decided it; ``False`` if it was decided before or the run is over.

        Raises
        ------
        ToolArgumentsError
            If the arguments don't fit the tool's schema; the call stays pending.
        ValidationError
            If the call belongs to no run.
        """
        return self._at_desk().approve(self, arguments, always)

    def deny(self, reason: str = "", *, always: Literal["run", "session"] | None = None) -> bool:
        """Deny the call, as the panel's Deny does; the model reads the reason.

        Parameters
        ----------
        reason : str
            Why; part of the tool's result.
        always : {"run", "session"}, optional
            Also deny every later call of this tool.

        Returns
        -------
        bool
            Whether this decided it.
        """
        return self._at_desk().deny(self, reason, always)

    def invoke(self, *, rerun: bool = False) -> Any:
        """Return the call's result; waits until it is approved and has run.

        The handler runs once: a second call returns the same result.

        Parameters
        ----------
        rerun : bool
            Run the handler once more, with the approved arguments.

        Raises
        ------
        ToolDenied
            If it was denied, or nobody could be asked; carries the reason.
        ToolError
            If the handler raised; its cause is what it raised.
        RunCancelled
            If the run was cancelled before it was decided or done.
        ValidationError
            If the tool has no handler, or the call belongs to no run.
        """
        return self._at_desk().invoke(self, rerun=rerun)

    def to_dict(self) -> dict[str, Any]:
        """Return the call as JSON values."""
        return {"id": self.id, "name": self.name, "arguments": self.arguments, "raw": self.raw}

    def _at_desk(self) -> Desk:
        if self._desk is None:
            raise ValidationError(
                f"The call of {self.name!r} belongs to no run of this session, so it can't be decided on or run.",
                field="call",
            )
        return self._desk


@dataclass(frozen=True, slots=True)
class ToolCallError:
    """Words of the model that were meant as a call but are none.

    Parameters
    ----------
    code : str
        ``PARSE_ERROR``, ``VALIDATION_ERROR`` or ``UNKNOWN_TOOL``.
    message : str
        What is wrong, for a person and for the model.
    raw : str
        The text the model wrote.
    id : str
        Unique within the run.
    name : str
        The tool that was meant, as far as that could be read.
    arguments : dict, optional
        The arguments, if they could be read.
    """

    code: ToolCallErrorCode
    message: str
    raw: str
    id: str = ""
    name: str = ""
    arguments: dict[str, Any] | None = None
