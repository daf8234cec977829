"""Requests made again from what the ledger holds of them."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.asking import request_from
from llmkit.engines.decoder import Token
from llmkit.engines.remote.config import is_remote
from llmkit.errors import SessionClosed, ValidationError
from llmkit.messages import Message
from llmkit.replaying.account import Account
from llmkit.replaying.replay import Replayed, replayed
from llmkit.settings import Settings
from llmkit.stopping import has_tool_call, step_count_is
from llmkit.tools.choice import tools_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmkit.records.answers import RecordedRun
    from llmkit.request import RunRequest
    from llmkit.session import Session

_CONDITION = re.compile(r"(step_count_is|has_tool_call)\((.*)\)", re.DOTALL)


def replay_recorded(session: Session, run_id: str, given: Mapping[str, Any], *, show: bool | None) -> Replayed:
    """Do what :meth:`llmkit.Session.replay` says."""
    if session.closed:
        raise SessionClosed("The session was closed. Make a new one: llmkit.Session().")
    recorded = session.ledger.run(run_id)
    if recorded is None:
        raise ValidationError(f"The ledger {session.ledger.path or 'in memory'} has no run {run_id!r}.", field="run_id")
    request = restored_request(session, recorded, {name: value for name, value in given.items() if value is not None})
    return replayed(session, request, run_id, lambda: _account(recorded), show=show)


def restored_request(session: Session, recorded: RecordedRun, given: Mapping[str, Any]) -> RunRequest:
    """Return what a recorded run was asked.

    Parameters
    ----------
    session : Session
        Who is to be asked.
    recorded : RecordedRun
        What the ledger holds.
    given : Mapping
        What it doesn't hold: ``tools``, ``output``, ``stop_when``, ``prepare_step``, ``repair``, ``model``.

    Raises
    ------
    ValidationError
        If something that is needed isn't recorded; says what, and how to give it.
    """
    if recorded.messages is None or recorded.settings is None:
        raise ValidationError(f"What the run {recorded.run_id} was asked isn't recorded.", field="run_id")
    asked = json.loads(recorded.extras or "{}")
    settings = {name: value for name, value in json.loads(recorded.settings).items() if name in Settings.model_fields}
    if recorded.seed is None and settings.get("temperature"):
        raise ValidationError(f"The seed of the run {recorded.run_id} isn't recorded: it had no stats.", field="run_id")
    messages = tuple(Message.from_dict(each) for each in json.loads(recorded.messages))
    _check_tools(asked, given)
    _check_functions(asked, given)
    restored: dict[str, Callable[[], Any]] = {
        "model": lambda: _model(session, recorded),
        "stop_when": lambda: [_condition(each) for each in asked.get("stop_when", ())] or None,
        "output": lambda: _output(asked["output"]) if "output" in asked else None,
    }
    options = {
        **settings,
        **{name: asked.get(name) for name in ("tool_choice", "active_tools", "provider_options")},
        **{name: restore() for name, restore in restored.items() if name not in given},
        **given,
        "metadata": json.loads(recorded.metadata or "{}"),
    }
    open_calls = frozenset(call.id for message in messages for call in message.tool_calls)
    request = request_from(session, messages, options, open_calls=open_calls)
    beginning = tuple(Token(each["id"], each["text"]) for each in asked.get("beginning", ()))
    # The messages as they were: the session's own system message is none of theirs.
    return replace(request, messages=messages, seed=recorded.seed or 0, beginning=beginning)


def _model(session: Session, recorded: RecordedRun) -> str | None:
    if recorded.model is not None and is_remote(recorded.model) and not session.knows(recorded.model):
        raise ValidationError(
            f"The run was on the server {recorded.model}, which this session doesn't use. Replaying it sends the "
            "conversation there: pass model=… if that is meant.",
            field="model",
        )
    return recorded.model


def _check_tools(asked: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    there = {tool.name for tool in tools_from(given.get("tools"))}
    missing = [each["name"] for each in asked.get("tools", ()) if each["name"] not in there]
    if missing:
        raise ValidationError(
            f"The run had the tools {', '.join(missing)}, and what a tool does isn't recorded: pass tools=[…].",
            field="tools",
        )


def _check_functions(asked: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    for words in asked.get("functions", ()):
        name, _, function = words.partition("=")
        if name not in given:
            raise ValidationError(
                f"The run had {name}={function}, and what a function does isn't recorded: pass {name}=….", field=name
            )


def _condition(words: str) -> Any:
    found = _CONDITION.fullmatch(words)
    if found is None:
        raise ValidationError(
            f"The run ended by the condition {words}, and what a function does isn't recorded: pass stop_when=….",
            field="stop_when",
        )
    kinds: dict[str, Callable[[Any], Any]] = {"step_count_is": step_count_is, "has_tool_call": has_tool_call}
    return kinds[found[1]](ast.literal_eval(found[2]))


def _output(asked: Mapping[str, Any]) -> Any:
    """Return what the answer had to be; typed values come as plain JSON, since a type isn't recorded."""
    from llmkit.output.declare import Output
    from llmkit.output.json_output import ArrayOutput

    kinds: dict[str, Callable[[Any], Any]] = {
        "json": Output.json,
        "array": ArrayOutput,
        "choice": lambda schema: Output.choice(schema["enum"]),
        "regex": Output.regex,
        "grammar": Output.grammar,
        "text": lambda _: Output.text(),
    }
    return kinds[asked["kind"]](asked["definition"])


def _account(recorded: RecordedRun) -> Account:
    asked = None
    if recorded.messages is not None and recorded.fingerprint is not None:
        asked = {"messages": json.loads(recorded.messages), **json.loads(recorded.extras or "{}")}
    return Account(
        run_id=recorded.run_id,
        status=recorded.status,
        model=recorded.model,
        engine=recorded.engine,
        build=recorded.build,
        revision=recorded.revision,
        device=recorded.device,
        seed=recorded.seed,
        text=recorded.text or "",
        reasoning=recorded.reasoning or "",
        settings=json.loads(recorded.settings or "{}"),
        asked=asked,
        fingerprint=recorded.fingerprint,
    )
