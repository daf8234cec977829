"""A model judges a comparison: pairs of answers that differ in one factor, each in both orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.judging.pairs import pairs
from llmkit.judging.verdict import SCHEMA, SYSTEM, Judgement, judge_prompt, opinion
from llmkit.records.columns import Column
from llmkit.records.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd

    from llmkit.comparing.comparison import Comparison
    from llmkit.judging.pairs import Pair
    from llmkit.session import Session

JUDGED: tuple[Column, ...] = (
    Column("a_cell", "Int64", "", "The number of one of the cells."),
    Column("b_cell", "Int64", "", "The number of the other."),
    Column("a_label", "string", "", "The factor's level of the one."),
    Column("b_label", "string", "", "The factor's level of the other."),
    Column("verdict", "category", "", "``a``, ``b`` or ``tie``; NA if there is none."),
    Column("flipped", "boolean", "", "Whether the verdict went with the order, which makes it a tie."),
    Column("reason", "string", "", "Why, in the judge's words."),
    Column("error", "string", "", "Why there is no verdict; NA if there is one."),
)
"""The columns of what a judge says."""


def judge_comparison(
    session: Session,
    comparison: Comparison,
    factor: str,
    *,
    question: str,
    criteria: str,
    limit: int | None,
    **how: Any,
) -> pd.DataFrame:
    """Have a model judge pairs of answers and keep its votes; see ``Comparison.judge``.

    The questions are a job (:meth:`llmkit.Session.map`): it shows how far it is, asks many at a time, and takes from
    the ledger what it was told before.
    """
    import pandas as pd

    if limit is not None and limit < 1:
        raise ValidationError(f"limit is a number of pairs, at least 1, not {limit!r}.", field="limit")
    found = sorted(pairs_of(comparison, factor)[:limit], key=lambda pair: (pair.a, pair.b))
    prompts = [text for pair in found for text in _prompts(comparison, pair, question, criteria)]
    table = pd.DataFrame({"prompt": pd.Series(prompts, dtype=object)})
    answers = session.map(table, "{prompt}", **{"temperature": 0, **how, "system": SYSTEM, "output": SCHEMA}).frame
    judge = session.resident(how.get("model")).name
    rows: list[tuple[Any, ...]] = []
    for number, pair in enumerate(found):
        labels = (comparison.cells[each].labels[factor] for each in (pair.a, pair.b))
        both = answers.iloc[2 * number : 2 * number + 2]
        errors = both["error"].dropna().tolist()
        said: tuple[Any, ...] = (None, None, None, errors[0] if errors else None)
        if not errors:
            one, other = both["output"]
            judgement = Judgement((opinion(one, "a"), opinion(other, "b")), judge, question)
            comparison.vote(pair.a, pair.b, **judgement.vote)
            said = (judgement.verdict, judgement.flipped, judgement.reason, None)
        rows.append((pair.a, pair.b, *labels, *said))
    return frame_of(rows, JUDGED)


def pairs_of(comparison: Comparison, factor: str) -> list[Pair]:
    """Return the pairs of answers that differ in a factor alone, in an order that doesn't change.

    Raises
    ------
    ValidationError
        If there is none.
    """
    places = {cell.index: cell.labels for cell in comparison.cells if cell.status == "done" and cell.text.strip()}
    found = pairs(places, factor, seed=factor)
    if not found:
        raise ValidationError(f"There are no two answers that differ in {factor!r} alone.", field="factor")
    return found


def _prompts(comparison: Comparison, pair: Pair, question: str, criteria: str) -> tuple[str, str]:
    """Return what is asked about a pair: with ``a`` first, and with ``b`` first."""
    a, b = comparison.cells[pair.a], comparison.cells[pair.b]
    request = a.prompt if a.prompt == b.prompt else ""
    return (
        judge_prompt(a.text, b.text, request, question, criteria),
        judge_prompt(b.text, a.text, request, question, criteria),
    )
