"""What a run was, as far as another can be measured by it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmkit.events import Start, StepStart
from llmkit.fingerprint import extras, fingerprint
from llmkit.records.values import to_json

if TYPE_CHECKING:
    from llmkit.run import Run

_CONDITIONS = ("status", "model", "revision", "engine", "build", "device", "seed")


@dataclass(frozen=True, slots=True)
class Difference:
    """Something in which two runs differ, other than their texts.

    Parameters
    ----------
    what : str
        ``status``, ``model``, ``revision`` (of the weights), ``engine``, ``build``, ``device``, ``seed``, a setting's
        name, or a part of what was asked: ``messages``, ``tools``, ``output``, ….
    before, now : Any
        What it was, and what it is in the replay.
    """

    what: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.what}: {_short(self.before)} → {_short(self.now)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What is known of a run that has ended; ``None`` is unknown.

    Parameters
    ----------
    run_id, status, model, engine, build, revision, device, seed, fingerprint
        As in the ledger.
    text, reasoning : str
        The last step's.
    settings : dict
        All of them by name, as JSON values.
    asked : dict, optional
        Messages and whatever else was asked by name, as JSON values; ``None`` if it isn't recorded.
    """

    run_id: str
    status: str
    model: str | None
    engine: str | None
    build: str | None
    revision: str | None
    device: str | None
    seed: int | None
    text: str
    reasoning: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, Any] | None = None
    fingerprint: str | None = None


def account_of(run: Run) -> Account:
    """Return what is known of a run of this process; waits for its end."""
    run.wait()
    events = list(run.events)
    start = next(event for event in events if isinstance(event, Start))
    builds = [event.build for event in events if isinstance(event, StepStart)]
    end, request, stats = events[-1], run.request, run.stats
    return Account(
        run_id=run.id,
        status=run.status,
        model=start.model,
        engine=start.engine,
        build=builds[-1] if builds else None,
        revision=start.revision,
        device=stats.device if stats is not None else None,
        seed=request.seed,
        text=end.text,  # type: ignore[attr-defined] # a run's last event is its end
        reasoning=end.reasoning,  # type: ignore[attr-defined] # as above
        settings=json.loads(to_json(request.settings.model_dump())),
        asked=json.loads(to_json({"messages": [each.to_dict() for each in request.messages], **extras(request)})),
        fingerprint=fingerprint(request, start.revision),
    )


def differences(before: Account, now: Account) -> tuple[Difference, ...]:
    """Return in what two runs differ, texts apart; of what one of them doesn't tell nothing is said."""
    found = [
        Difference(name, getattr(before, name), getattr(now, name))
        for name in _CONDITIONS
        if _differs(getattr(before, name), getattr(now, name))
    ]
    for one, other in ((before.settings, now.settings), (before.asked or {}, now.asked or {})):
        if one and other:
            # The seed counts as it was used.
            every = dict.fromkeys((*one, *other)).keys() - {"seed"}
            names = sorted(name for name in every if one.get(name) != other.get(name))
            found += [Difference(name, one.get(name), other.get(name)) for name in names]
    return tuple(found)


def _differs(one: object, other: object) -> bool:
    return one is not None and other is not None and one != other


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
