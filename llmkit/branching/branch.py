"""A branch: where it leaves a run's answer, with which token, and what is asked then."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmkit.engines.decoder import Alternative, Token
from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmkit.request import RunRequest
    from llmkit.results import StepResult


@dataclass(frozen=True, slots=True)
class BranchPoint:
    """Where a run left the one that it branched from.

    Parameters
    ----------
    step : int
        The step whose answer it goes on from.
    position : int
        The place of the first token that may differ, from 0.
    token : Token, optional
        The token that was put there; ``None`` if it was drawn anew.
    """

    step: int
    position: int
    token: Token | None = None


def branch_of(
    request: RunRequest,
    steps: Sequence[StepResult],
    position: int,
    token: str | int | Alternative | None = None,
    *,
    rank: int | None = None,
    step: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> tuple[RunRequest, BranchPoint]:
    """Return the request of a run that goes on from a token of another, and the point where it leaves.

    Parameters
    ----------
    request : RunRequest
        Of the run to branch from.
    steps : sequence of StepResult
        What it came to.
    position, token, rank, step
        As for :meth:`llmkit.run.Run.branch`.
    settings : Mapping, optional
        Settings in place of the run's.

    Raises
    ------
    ValidationError
        If the run kept no tokens, or there is no such step, position or alternative.
    """
    number = _index("step", -1 if step is None else step, len(steps), "steps that are done")
    tokens = steps[number].tokens
    if not tokens:
        raise ValidationError(
            "The run kept no tokens, so nobody knows where it could branch. Ask with logprobs=5 (or another number of "
            "alternatives), as in session.complete(prompt, logprobs=5).",
            field="logprobs",
        )
    place = _index("position", position, len(tokens), "tokens")
    chosen = None if token is None and rank is None else _chosen(tokens[place], place, token, rank)
    merged = request.settings.merged(settings or {})
    kept = (*tokens[:place], *([] if chosen is None else [chosen]))
    asked = replace(
        request,
        run_id=secrets.token_hex(6),
        messages=_conversation(request, steps, number),
        settings=merged,
        seed=request.seed if merged.seed in {None, request.settings.seed} else merged.seed,
        beginning=kept,
        resumed=(),
    )
    return asked, BranchPoint(number, place, chosen)


def _index(field: str, value: int, count: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -count <= value < count:
        raise ValidationError(
            f"{field}={value!r} can't be used: there are {count:,} {what}, counted from 0.", field=field
        )
    return value % count


def _conversation(request: RunRequest, steps: Sequence[StepResult], number: int) -> tuple[Any, ...]:
    """Return the messages that the step answered."""
    plan = steps[number].request
    if plan is not None:
        return tuple(plan.messages)
    return (*request.messages, *(message for step in steps[:number] for message in step.response.messages))


def _chosen(token: Token, place: int, wanted: str | int | Alternative | None, rank: int | None) -> Token:
    """Return the token to put in ``token``'s place.

    Raises
    ------
    ValidationError
        If none of its alternatives is the wanted one, or several are.
    """
    known = [*token.alternatives]
    if all(each.id != token.id for each in known):
        known.append(Alternative(token.id, token.text, float("nan") if token.logprob is None else token.logprob))
    if rank is not None:
        if wanted is not None:
            raise ValidationError("Name the token or its rank, not both.", field="rank")
        found = [token.alternatives[_index("rank", rank, len(token.alternatives), "alternatives")]]
    elif isinstance(wanted, Alternative):
        found = [wanted]
    elif isinstance(wanted, str):
        found = [each for each in known if each.text == wanted] or [
            each for each in known if each.text.strip() == wanted.strip()
        ]
    else:
        found = [each for each in known if each.id == wanted]
    if len(found) == 1:
        (one,) = found
        logprob = None if one.logprob != one.logprob else one.logprob
        return Token(one.id, one.text, logprob, token.alternatives)
    listed = ", ".join(f"{each.text!r} (id {each.id})" for each in known)
    how = "several alternatives are" if found else "no alternative is"
    raise ValidationError(
        f"At position {place} {how} {wanted!r}; there are {listed}. Name one by its id, or ask the run with more "
        "logprobs.",
        field="token",
    )
