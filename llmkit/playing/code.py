"""The code that asks for a run again: what differs from the session's own, and the seed that was drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.settings import Settings, Timeouts

if TYPE_CHECKING:
    from llmkit.session import Session

WIDEST = 88
"""A call that is longer has a line an argument."""


def code_for(
    session: Session,
    prompt: str,
    *,
    settings: Settings,
    seed: int | None = None,
    system: str | None = None,
    model: str | None = None,
) -> str:
    """Return a call of :meth:`llmkit.Session.complete` as Python source.

    Evaluated where ``session`` is the session, it asks for the same again.

    Parameters
    ----------
    session : Session
        What needn't be said is left out: what is its own already.
    prompt : str
        The prompt.
    settings : Settings
        As merged from session and call.
    seed : int, optional
        The seed that was drawn.
    system, model : str, optional
        In place of the session's.
    """
    arguments = [repr(prompt)]
    if model:
        arguments.append(f"model={model!r}")
    if system:
        arguments.append(f"system={system!r}")
    values = changed(session.settings, settings)
    if seed is not None and session.settings.seed != seed:
        values["seed"] = seed
    arguments += [f"{name}={_literal(value)}" for name, value in values.items()]
    line = f"session.complete({', '.join(arguments)})"
    if len(line) <= WIDEST:
        return line
    return "session.complete(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"


def changed(own: Settings, settings: Settings) -> dict[str, Any]:
    """Return the settings that a call has to name: those with another value, or that the session leaves open."""
    return {
        name: getattr(settings, name)
        for name in Settings.model_fields
        if getattr(settings, name) != getattr(own, name)
        or (name in settings.model_fields_set and name not in own.model_fields_set)
    }


def _literal(value: Any) -> str:
    match value:
        case Timeouts(step=None, chunk=None):
            return repr(value.total)
        case Timeouts():
            return repr(value.model_dump(exclude_none=True))
        case tuple():
            return repr(list(value))
        case _:
            return repr(value)
