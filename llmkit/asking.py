"""What a caller asks for, checked and merged with the session's own into one request."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.approval.policy import policy_from
from llmkit.engines.remote.config import is_remote
from llmkit.errors import ValidationError
from llmkit.lifecycle import callbacks_in
from llmkit.messages import messages_from
from llmkit.request import INCLUDABLE, RunRequest
from llmkit.stopping import ONE_STEP, conditions_from, step_count_is
from llmkit.tools.choice import active_from, choice_from, tools_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.approval.pending import PendedRun
    from llmkit.messages import Message, Prompt
    from llmkit.output.spec import OutputSpec
    from llmkit.run import Run
    from llmkit.session import Session


ARGUMENTS = (
    "model",
    "system",
    "stream",
    "profiling",
    "cache",
    "metadata",
    "output",
    "tools",
    "tool_choice",
    "active_tools",
    "approval",
    "stop_when",
    "prepare_step",
    "repair",
    "context",
    "function_id",
    "headers",
    "provider_options",
    "include",
)
"""What :meth:`llmkit.Session.complete` takes besides the prompt, ``show``, settings and callbacks."""


def request_from(
    session: Session,
    prompt: Prompt,
    options: Mapping[str, Any],
    *,
    callbacks: Sequence[Mapping[str, Any]] = (),
    open_calls: frozenset[str] = frozenset(),
) -> RunRequest:
    """Return a run's request.

    Parameters
    ----------
    session : Session
        Whose own settings, policy and callbacks come first.
    prompt : str, Message, dict, or a sequence of the latter two
        What to answer.
    options : Mapping
        :data:`ARGUMENTS`, settings and callbacks by name.
    callbacks : sequence of mappings
        Of those between session and call: an agent's.
    open_calls : frozenset of str
        The ids of calls in the conversation that may be without a result.

    Raises
    ------
    ValidationError
        For what can't be used; names the field.
    """
    own, rest = callbacks_in(options)
    asked = {name: rest.pop(name, None) for name in ARGUMENTS}
    settings = session.settings.merged(rest)
    tools = tools_from(asked["tools"])
    messages = messages_from(prompt, system=asked["system"], default_system=session.system)
    _check_answered(messages, open_calls)
    return RunRequest(
        run_id=secrets.token_hex(6),
        session_id=session.id,
        model=session.resident(asked["model"]).name,
        messages=messages,
        settings=settings,
        seed=settings.seed if settings.seed is not None else secrets.randbits(32),
        stream=asked["stream"] is not False,
        profiling=session.profiling if asked["profiling"] is None else asked["profiling"],
        cache=asked["cache"],
        metadata=_mapping("metadata", asked),
        output=_output(asked["output"]),
        tools=tools,
        tool_choice=choice_from(asked["tool_choice"], tools),
        active_tools=active_from(asked["active_tools"], tools),
        approval=policy_from(asked["approval"], session.approval),
        stop_when=ONE_STEP if asked["stop_when"] is None else conditions_from(asked["stop_when"]),
        prepare_step=_function("prepare_step", asked),
        repair=_function("repair", asked),
        callbacks=(session.callbacks, *callbacks, own),
        context=asked["context"],
        function_id=asked["function_id"],
        headers=_mapping("headers", asked),
        provider_options=_mapping("provider_options", asked),
        include=_included(asked["include"]),
    )


def resumed_from(
    session: Session, value: Run | PendedRun | str | Path, tools: Any, options: Mapping[str, Any]
) -> RunRequest:
    """Return the request that goes on with a pended run: its calls first, then one answer, if nothing else is said.

    A run that is still here keeps its ``output``; of a saved one nobody knows it, so it has to be passed again.

    Raises
    ------
    ValidationError
        For a tool that is missing or has changed, and for what :func:`request_from` refuses.
    """
    pended = pended_from(value)
    if is_remote(pended.model) and options.get("model") is None and not session.knows(pended.model):
        raise ValidationError(
            f"The run was left on the server {pended.model}, which this session doesn't use. Resuming it sends the "
            "conversation there: pass model=… if that is meant.",
            field="model",
        )
    given = pended.checked(tools)
    request = request_from(
        session,
        pended.messages,
        {
            "model": pended.model,
            "metadata": pended.metadata,
            "function_id": pended.function_id,
            "stop_when": step_count_is(2),
            "output": value.request.output if hasattr(value, "request") else None,
            **pended.settings.model_dump(exclude_unset=True),
            **options,
            "tools": given,
        },
        open_calls=frozenset(call.id for call in pended.pending),
    )
    return replace(request, resumed=pended.pending)


def pended_from(value: Run | PendedRun | str | Path) -> PendedRun:
    """Return the pended run that a value is or tells of.

    Raises
    ------
    ValidationError
        For a run that left nothing open, a file that isn't there, and text that can't be read.
    """
    from llmkit.approval.pending import PendedRun

    if isinstance(value, PendedRun):
        return value
    if hasattr(value, "pended"):
        return value.pended
    text = str(value)
    if isinstance(value, Path) or not text.lstrip().startswith("{"):
        try:
            text = Path(value).expanduser().read_text(encoding="utf-8")
        except OSError as error:
            raise ValidationError(f"{value} can't be read: {error.strerror}.", field="pended") from error
    return PendedRun.from_json(text)


def _included(value: Any) -> tuple[str, ...]:
    if value is None:
        return INCLUDABLE
    names = (value,) if isinstance(value, str) else tuple(value)
    strange = next((name for name in names if name not in INCLUDABLE), None)
    if strange is not None:
        raise ValidationError(f"include= can't name {strange!r}; it may name {', '.join(INCLUDABLE)}.", field="include")
    return names


def _output(value: Any) -> OutputSpec | None:
    """Return what the answer must be; what it takes to tell is imported only if something is asked."""
    if value is None:
        return None
    from llmkit.output.declare import output_from

    return output_from(value)


def _mapping(name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    value = asked[name]
    if value is not None and not isinstance(value, Mapping):
        raise ValidationError(f"{name} is a dict, not {type(value).__name__}.", field=name)
    return dict(value or {})


def _function(name: str, asked: Mapping[str, Any]) -> Any:
    value = asked[name]
    if value is not None and not callable(value):
        raise ValidationError(f"{name} is a function, not {type(value).__name__}.", field=name)
    return value


def _check_answered(messages: Sequence[Message], open_calls: frozenset[str]) -> None:
    """Refuse a conversation in which a call was made and nothing came of it yet.

    Raises
    ------
    ValidationError
        Names the call.
    """
    answered = open_calls | {message.tool_call_id for message in messages if message.role == "tool"}
    for message in messages:
        for call in message.tool_calls:
            if call.id not in answered:
                raise ValidationError(
                    f"The call of {call.name!r} ({call.id}) has no result yet. If it waits for approval, "
                    "session.resume(run) goes on with it; else add a message with role 'tool' and its "
                    "tool_call_id, or drop the call (llmkit.prune).",
                    field="messages",
                )
