"""A run whose approvals were left open, as JSON, to be gone on with in this kernel or another.

What the JSON says is checked like anything from outside. It holds no approval: every call that was left open is
validated and decided on anew when the run is resumed, so a changed file can ask for something but not run it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from pydantic import ValidationError as PydanticError

from llmkit.approval.request import digest_of, sha256_of
from llmkit.errors import ValidationError
from llmkit.messages import Message
from llmkit.settings import Settings, settings_from
from llmkit.tools.arguments import read_arguments
from llmkit.tools.calls import ToolCall
from llmkit.tools.choice import tools_from
from llmkit.tools.problems import field_path, shown
from llmkit.tools.results import Outcome, json_value

if TYPE_CHECKING:
    from llmkit.events import End
    from llmkit.request import RunRequest
    from llmkit.tools.tool import Tool

VERSION = 1
"""Of the JSON that is written and read."""

MAX_LENGTH = 1 << 26
"""The longest JSON that is read, in characters."""

_KIND = "llmkit-pended-run"


@dataclass(frozen=True, slots=True)
class PendedCall:
    """A call of the step that was left open.

    Parameters
    ----------
    call : ToolCall
        The call.
    outcome : {"success", "error", "timeout", "cancelled", "denied"}, optional
        How it ended; ``None`` if it still waits for a decision.
    result : str
        What the model reads of it.
    """

    call: ToolCall
    outcome: Outcome | None = None
    result: str = ""

    @property
    def digest(self) -> str:
        """What a decision on it must carry."""
        return digest_of(self.call)


@dataclass(frozen=True, slots=True)
class PendedRun:
    """A run that ended with calls left open; ``session.resume`` goes on with it.

    Parameters
    ----------
    run_id, session_id : str
        Which run it was.
    model : str
        The model's name.
    messages : tuple of Message
        The conversation so far, down to the answer that made the calls and the results that are there.
    calls : tuple of PendedCall
        The calls of the last step, in order.
    tools : dict of str to str
        A digest of each tool's schema, by its name.
    settings : Settings
        The run's.
    metadata : dict
        The caller's own, as JSON values.
    function_id : str, optional
        The caller's name for what the run does.
    time : float
        Unix time at which it was left.
    """

    run_id: str
    session_id: str
    model: str
    messages: tuple[Message, ...]
    calls: tuple[PendedCall, ...]
    tools: dict[str, str]
    settings: Settings = field(default_factory=Settings)
    metadata: dict[str, Any] = field(default_factory=dict)
    function_id: str | None = None
    time: float = field(default_factory=time.time)

    version: ClassVar[int] = VERSION

    @classmethod
    def of(cls, request: RunRequest, end: End) -> PendedRun:
        """Return a run that has ended, as one that can be gone on with.

        Raises
        ------
        ValidationError
            If it left no call open.
        """
        open_ids = {each.call.id for each in end.pending_approvals}
        if not open_ids:
            raise ValidationError("The run left no approval open, so there is nothing to resume.", field="pended")
        results = {result.call.id: result for result in end.tool_results}
        calls = [
            PendedCall(_apart(call))
            if call.id in open_ids
            else PendedCall(_apart(call), results[call.id].outcome, results[call.id].model_text)
            for call in end.tool_calls
            if call.id in open_ids or call.id in results
        ]
        asked = {each.call.name: each.parameters for each in end.pending_approvals}
        schemas = {**{tool.name: tool.parameters for tool in request.tools}, **asked}
        added = [message for step in end.steps for message in step.response.messages]
        return cls(
            run_id=request.run_id,
            session_id=request.session_id,
            model=request.model,
            messages=(*request.messages, *added),
            calls=tuple(calls),
            tools={name: sha256_of(schema) for name, schema in schemas.items()},
            settings=request.settings,
            metadata=json_value(request.metadata),
            function_id=request.function_id,
        )

    @property
    def pending(self) -> tuple[ToolCall, ...]:
        """The calls that wait for a decision, in order."""
        return tuple(each.call for each in self.calls if each.outcome is None)

    def checked(self, tools: Any) -> tuple[Tool, ...]:
        """Return the tools to go on with, after seeing that they are the run's and that its open calls still fit.

        Parameters
        ----------
        tools : sequence or mapping
            What ``tools=`` takes. More tools than the run had may be there, not fewer.

        Raises
        ------
        ToolArgumentsError
            If a call's arguments don't fit any more.
        ValidationError
            If a tool is missing, or has another schema than the calls were checked against.
        """
        given = tools_from(tools)
        by_name = {tool.name: tool for tool in given}
        for name, digest in self.tools.items():
            if name not in by_name:
                raise ValidationError(
                    f"The run had a tool {shown(name)}, which isn't among tools=; resume it with all of its tools.",
                    field="tools",
                )
            if sha256_of(by_name[name].parameters) != digest:
                raise ValidationError(
                    f"The parameters of the tool {shown(name)} have changed since the run was left: resume it with "
                    "the tool as it was, or ask anew.",
                    field="tools",
                )
        for call in self.pending:
            by_name[call.name].validate(call.arguments)
        return given

    def to_json(self) -> str:
        """Return the run as JSON text, for :meth:`from_json`. It holds the whole conversation: keep it as private."""
        document = {
            "kind": _KIND,
            "version": VERSION,
            "run_id": self.run_id,
            "session_id": self.session_id,
            "model": self.model,
            "messages": [message.to_dict() for message in self.messages],
            "calls": [
                {**each.call.to_dict(), "digest": each.digest, "outcome": each.outcome, "result": each.result}
                for each in self.calls
            ],
            "tools": self.tools,
            "settings": self.settings.model_dump(mode="json", exclude_unset=True),
            "metadata": json_value(self.metadata),
            "function_id": self.function_id,
            "time": self.time,
        }
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text that could be read again

    @classmethod
    def from_json(cls, text: str) -> PendedRun:
        """Return the run that :meth:`to_json` wrote.

        Raises
        ------
        ValidationError
            For text that isn't such JSON, that another version of llmkit wrote, or that was changed by hand so that
            it doesn't fit together.
        """
        try:
            document = _read(text)
            run = cls(
                run_id=document.run_id,
                session_id=document.session_id,
                model=document.model,
                messages=tuple(_message(each) for each in document.messages),
                calls=tuple(_call(each) for each in document.calls),
                tools=document.tools,
                settings=settings_from(document.settings),
                metadata=json_value(document.metadata),
                function_id=document.function_id,
                time=document.time,
            )
        except RecursionError as error:
            raise _unreadable("it is nested too deep") from error
        _check(run)
        return run


class _Document(BaseModel):
    """The JSON, as far as its shape goes."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    kind: Literal["llmkit-pended-run"]
    version: int
    run_id: str
    session_id: str
    model: str
    messages: list[_MessageDocument]
    calls: list[_CallDocument]
    tools: dict[str, str]
    settings: dict[str, Any]
    metadata: dict[str, Any]
    function_id: str | None
    time: float


class _MessageDocument(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    role: str
    content: str | list[dict[str, Any]]
    reasoning_content: str = ""
    tool_calls: list[_MessageCallDocument] = []
    tool_call_id: str | None = None
    name: str | None = None


class _MessageCallDocument(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    type: Literal["function"]
    function: _FunctionDocument


class _FunctionDocument(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    arguments: str


class _CallDocument(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    name: str
    arguments: dict[str, Any]
    raw: str
    digest: str
    outcome: Outcome | None
    result: str


def _read(text: str) -> _Document:
    """Return the checked document, its version first of all."""
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        raise _unreadable(f"it is no text, or longer than {MAX_LENGTH:,} characters")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise _unreadable(f"it is no JSON ({type(error).__name__}: {error})") from error
    if not isinstance(value, dict) or value.get("kind") != _KIND:
        raise _unreadable(f"it has no kind {_KIND!r}")
    version = value.get("version")
    if isinstance(version, bool) or version != VERSION:
        raise _unreadable(f"it is of version {shown(version)}, and this llmkit reads version {VERSION}")
    try:
        return _Document.model_validate(value)
    except PydanticError as error:
        first = error.errors(include_url=False)[0]
        raise _unreadable(f"{field_path(first['loc']) or 'it'}: {first['msg']}") from error


def _message(document: _MessageDocument) -> Message:
    try:
        return Message.from_dict(document.model_dump(exclude_unset=True))
    except (ValueError, TypeError) as error:
        raise _unreadable(f"a message can't be used ({error})") from error


def _call(document: _CallDocument) -> PendedCall:
    try:
        arguments = read_arguments(document.arguments)
    except ValidationError as error:
        raise _unreadable(f"the call {shown(document.id)} can't be used: {error.message}") from error
    made = PendedCall(ToolCall(document.id, document.name, arguments, document.raw), document.outcome, document.result)
    if made.digest != document.digest:
        raise _unreadable(f"the call {shown(document.id)} was changed: it doesn't fit its digest")
    return made


def _check(run: PendedRun) -> None:
    """See that the calls are those of the conversation, and that one waits."""
    ids = [each.call.id for each in run.calls]
    step = max((number for number, message in enumerate(run.messages) if message.tool_calls), default=0)
    made = {call.id: digest_of(call) for message in run.messages[step : step + 1] for call in message.tool_calls}
    answered = {message.tool_call_id for message in run.messages[step + 1 :] if message.role == "tool"}
    if len(set(ids)) < len(ids):
        raise _unreadable("two of its calls have the same id")
    if not run.pending:
        raise _unreadable("none of its calls waits for a decision")
    for each in run.calls:
        if made.get(each.call.id) != each.digest:
            raise _unreadable(f"the call {shown(each.call.id)} isn't in the conversation as it is listed")
        if (each.call.id in answered) is (each.outcome is None):
            raise _unreadable(f"the conversation and the call {shown(each.call.id)} don't agree on its result")
    for call in run.pending:
        if call.name not in run.tools:
            raise _unreadable(f"the call {shown(call.id)} is of a tool it doesn't list")


def _apart(call: ToolCall) -> ToolCall:
    """Return a call that belongs to no run."""
    return ToolCall(call.id, call.name, read_arguments(call.arguments), call.raw)


def _unreadable(why: str) -> ValidationError:
    return ValidationError(f"This can't be read as a run that was left open: {why}.", field="pended")
