"""A comparison: many runs that differ in what makes them comparable, as one value."""

from __future__ import annotations

import logging
import secrets
import time
from typing import TYPE_CHECKING, Any, Literal

from llmkit import waiting
from llmkit.background import loop_thread
from llmkit.comparing.cell import Cell
from llmkit.comparing.design import arranged, design_from
from llmkit.comparing.diff import diff
from llmkit.comparing.schedule import Schedule
from llmkit.comparing.selection import selected
from llmkit.errors import SessionClosed, ValidationError
from llmkit.judging.verdict import CRITERIA, QUESTION
from llmkit.presenting import Displayed, presenter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from llmkit.comparing.design import Design
    from llmkit.comparing.diff import Diff
    from llmkit.comparing.factors import Factor
    from llmkit.engines.remote.config import Remote
    from llmkit.events import Event
    from llmkit.plotting import Figure
    from llmkit.records.ledger import Ledger
    from llmkit.session import Session

logger = logging.getLogger("llmkit")


class Comparison(Displayed):
    """Many runs that differ in what makes them comparable; :meth:`llmkit.Session.compare` makes it and returns at once.

    It shows itself as a grid whose cells stream, and is a value of which everything can be read: ``frame`` is a row a
    cell, ``pivot``, ``score``, ``diff``, ``plot`` and ``export`` make something of it. ``comparison[3]`` is a cell,
    ``comparison["DNA"]``, ``comparison["DNA", 0.8]`` and ``comparison[{"topic": "DNA"}]`` are those at these levels.
    What goes wrong in a cell stays there. ``await comparison`` waits for all of them.

    Parameters
    ----------
    session : Session
        Who is asked.
    design : Design
        The factors, and what each cell asks.
    ledger : Ledger
        Where votes are kept.

    Attributes
    ----------
    id : str
        Its id; the metadata of each run has it.
    cells : tuple of Cell
        All cells, in the order of the factors' product, the last factor fastest.
    rows, columns : tuple of str
        The factors that make rows and columns.
    scores : dict of str to dict of int to float
        Scores by name and cell.
    """

    def __init__(self, session: Session, design: Design, ledger: Ledger) -> None:
        self.id = secrets.token_hex(6)
        self.session_id = session.id
        self.design = design
        self._session = session
        self._ledger = ledger
        self._schedule = Schedule(session, self.id, self._tell)
        self.cells = tuple(Cell(index, point, self._schedule) for index, point in enumerate(design.points))
        self.rows, self.columns = arranged(design.factors, len(self.cells))
        self.scores: dict[str, dict[int, float]] = {}
        self._renewed: dict[int, float] = {}
        self._subscribers: list[Callable[[Any, Event | None], None]] = []

    # -- what it is made of --------------------------------------------------------------------------------------

    @property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """Short texts of the levels of each factor, in order, by the factor's name."""
        return {factor.name: factor.labels for factor in self.design.factors}

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells)

    def __getitem__(self, key: Any) -> Any:
        """Return a cell by its number; several by a slice, a level, a tuple of levels, or levels by factor."""
        if isinstance(key, int | slice) and not isinstance(key, bool):
            return self.cells[key]
        return selected(self.cells, self.design.factors, key)

    def select(self, **levels: Any) -> tuple[Cell, ...]:
        """Return the cells at these levels: ``comparison.select(topic="DNA", temperature=[0, 0.8])``.

        Parameters
        ----------
        **levels
            By the factor's name: a level, its label, or a list of them.

        Raises
        ------
        ValidationError
            For a factor or level that doesn't exist.
        """
        return selected(self.cells, self.design.factors, levels)

    def arrange(self, *, rows: str | Sequence[str] | None = None, columns: str | Sequence[str] | None = None) -> None:
        """Choose which factors make rows and which columns.

        Parameters
        ----------
        rows, columns : str or sequence of str, optional
            Names of factors. Where only one side is given, the factors that vary otherwise make the other; where both
            are, what is left out makes rows.

        Raises
        ------
        ValidationError
            For a factor that doesn't exist, or is named twice.
        """
        down, across = _names(rows), _names(columns)
        _check_names([*down, *across], self.factors)
        default = (*self.rows, *self.columns)
        rest = [name for name in default if name not in down and name not in across]
        if rows is None:
            down = (*rest, *down)
        elif columns is None:
            across = (*across, *rest)
        else:
            down = (*down, *rest)
        self.rows, self.columns = tuple(down), tuple(across)
        self._tell(None, None)

    # -- how it goes ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to ask; returns at once. :meth:`llmkit.Session.compare` has done so."""
        self._schedule.start(self.cells)

    def subscribe(self, take: Callable[[Any, Event | None], None]) -> None:
        """Call ``take`` with each cell and every event of its present run, past ones too, on llmkit's loop thread.

        Parameters
        ----------
        take : Callable
            Must be quick and thread-safe. It is called with a cell and ``None`` when the cell begins anew or its error
            changed, and with ``None`` twice when the scores or the arrangement did. What it raises is logged.
        """

        def follow() -> None:
            for cell in self.cells:
                if cell.error is not None:
                    _call(take, cell, None)
                for event in tuple(cell.events):
                    _call(take, cell, event)
            self._subscribers.append(take)

        loop_thread().call(follow)

    def cancel(self) -> None:
        """Stop all runs and don't begin those that wait; returns at once."""
        self._schedule.cancel(self.cells)

    @property
    def ended(self) -> bool:
        """Whether all cells have ended; doesn't wait."""
        return self._schedule.over.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of all cells, whatever it is.

        Parameters
        ----------
        timeout : float, optional
            Seconds at most.

        Returns
        -------
        bool
            Whether all have ended.
        """
        return waiting.wait(self._schedule.over, timeout)

    def __await__(self) -> Generator[Any, None, Comparison]:
        """Wait for the end of all cells in any event loop, and return the comparison."""
        return self._ended().__await__()

    async def _ended(self) -> Comparison:
        await waiting.wait_async(self._schedule.over)
        return self

    # -- as tables -----------------------------------------------------------------------------------------------

    @property
    def frame(self) -> pd.DataFrame:
        """A row a cell: its factors, text, stats and scores; see :func:`llmkit.comparing.frame.frame_of_cells`.

        Doesn't wait: what isn't known yet is NA.
        """
        from llmkit.comparing.frame import frame_of_cells

        return frame_of_cells(self)

    @property
    def tokens(self) -> pd.DataFrame:
        """The decoded tokens of all cells that have ended, with their factors; needs ``logprobs=``."""
        from llmkit.comparing.frame import tokens_of_cells

        return tokens_of_cells(self)

    def pivot(
        self,
        values: str = "text",
        *,
        rows: str | Sequence[str] | None = None,
        columns: str | Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return one column of ``frame`` with factors as rows and columns.

        Parameters
        ----------
        values : str
            The column.
        rows, columns : str or sequence of str, optional
            Names of factors; as the grid has them by default. Of numbers in several cells at one place it is the mean,
            of anything else the first.

        Raises
        ------
        ValidationError
            For a column or factor that doesn't exist.
        """
        from llmkit.comparing.frame import pivoted

        return pivoted(self, values, rows, columns)

    def export(self, path: str | Path, *, escape_formulas: bool = True) -> Path:
        """Write ``frame`` to a file: ``.parquet``, ``.csv``, ``.html`` or ``.md``.

        Parameters
        ----------
        path : str or Path
            Where to; its suffix says what. Text is text there, whatever it holds.
        escape_formulas : bool
            Whether in CSV an apostrophe goes before texts that begin with ``=``, ``+``, ``-``, ``@``, a tab or a line
            break: spreadsheets would run them as formulas. Pass ``False`` to get every text as it is, for a program.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ValidationError
            For another suffix.
        Error
            If Parquet can't be written because pyarrow isn't installed; names the extra.
        """
        from llmkit.comparing.export import export

        return export(self.frame, path, title=f"Comparison {self.id}", escape_formulas=escape_formulas)

    # -- judging -------------------------------------------------------------------------------------------------

    def score(self, scorer: Any, name: str | None = None) -> pd.DataFrame:
        """Rate every answer, wait for them first, and keep the scores as columns of ``frame``.

        Parameters
        ----------
        scorer : Callable or dict of str to Callable
            Returns a number. It is called with the text; with the run, the row of ``frame``, the cell or the output if
            its first parameter is called ``run``, ``row``, ``cell`` or ``output``.
        name : str, optional
            The column's; the function's own by default. Scores of that name that were there are replaced.

        Returns
        -------
        DataFrame
            The scores, a row a cell; NA for cells without an answer, and where the function raised. Of those one
            warning tells.

        Raises
        ------
        ValidationError
            For something that is no function, and for a name that ``frame`` has already for something else.
        """
        from llmkit.comparing.scoring import score

        self.wait()
        frame = score(self, scorer, name)
        self._tell(None, None)
        return frame

    def keep_scores(self, name: str, values: Mapping[int, float]) -> None:
        """Keep scores that were found elsewhere, by cell, as a column of ``frame``."""
        from llmkit.comparing.scoring import check_name

        check_name(self, name)
        self.scores[name] = dict(values)
        self._tell(None, None)

    def vote(
        self,
        a: int,
        b: int,
        verdict: Literal["a", "b", "tie"],
        *,
        first: Literal["a", "b"] = "a",
        judge: str = "person",
        question: str = "",
        reason: str | None = None,
    ) -> None:
        """Keep a verdict on two cells in the ledger.

        Parameters
        ----------
        a, b : int
            The cells' numbers.
        verdict : {"a", "b", "tie"}
            Which is the better.
        first : {"a", "b"}
            Which was shown first.
        judge : str
            ``"person"``, or a model's name.
        question : str
            What was asked about the two.
        reason : str, optional
            Why.

        Raises
        ------
        ValidationError
            For a verdict or cell that doesn't exist.
        """
        from llmkit.records import Vote

        for each in (a, b):
            if not 0 <= each < len(self.cells):
                raise ValidationError(f"There is no cell {each}; there are {len(self.cells)}.", field="cell")
        labels = [self._label(self.cells[each]) for each in (a, b)]
        self._ledger.vote(
            Vote(
                comparison_id=self.id,
                session_id=self.session_id,
                a_cell=a,
                b_cell=b,
                a_label=labels[0],
                b_label=labels[1],
                verdict=verdict,
                first=first,
                judge=judge,
                question=question,
                reason=reason or "",
            )
        )
        self._tell(None, None)

    @property
    def votes(self) -> pd.DataFrame:
        """The votes on its cells, a row each."""
        return self._ledger.votes(self.id)

    @property
    def standing_votes(self) -> pd.DataFrame:
        """Those of ``votes`` that still hold: on the answers that are there now, and of each judge the last word."""
        from llmkit.judging.standing import standing

        return standing(self.votes, self._renewed)

    def ranking(
        self,
        factor: str,
        *,
        judge: str | None = None,
        question: str | None = None,
        prior: float = 3.0,
        confidence: float = 0.95,
    ) -> pd.DataFrame:
        """Return the levels of a factor, the one that was voted best first, with intervals.

        What counts are ``standing_votes`` on cells that differ in this factor alone (and perhaps in their repeat).

        Parameters
        ----------
        factor : str
            The factor's name.
        judge, question : str, optional
            Only the votes of this judge (``"person"``, or a model's name); on this question.
        prior, confidence : float
            As :func:`llmkit.judging.ranking.ranking` takes them.

        Returns
        -------
        DataFrame
            A row a level: ``strength`` (log-odds against the average one) with ``low`` and ``high``, ``win_rate``,
            ``votes``, ``wins``, ``losses``, ``ties``.

        Raises
        ------
        ValidationError
            For a factor that doesn't exist, or a prior or confidence out of range.
        """
        from llmkit.judging.ranking import ranking
        from llmkit.judging.standing import matched

        _check_names([factor], self.factors)
        votes = matched(self.standing_votes, self.cells, factor)
        for column, wanted in (("judge", judge), ("question", question)):
            votes = votes if wanted is None else votes[votes[column] == wanted]
        labels = {cell.index: cell.labels[factor] for cell in self.cells}
        return ranking(votes, labels, prior=prior, confidence=confidence).rename_axis(factor)

    def judge(
        self,
        factor: str,
        *,
        model: str | Path | Remote | None = None,
        question: str = QUESTION,
        criteria: str = CRITERIA,
        limit: int | None = None,
        show: bool | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """Have a model say which of two answers is better, for pairs that differ in one factor; wait for it.

        Each pair is asked about twice, with the two swapped: a verdict that goes with the order is a tie. The verdicts
        are votes, which ``ranking`` adds up. A judge's answers are recorded like any others, so what it was asked
        before isn't asked again.

        Parameters
        ----------
        factor : str
            What to judge; all other factors, the repeat too, are the same within a pair.
        model : str, Path or Remote, optional
            The judge, in place of the session's model.
        question : str
            What to judge, in words.
        criteria : str
            What makes an answer good.
        limit : int, optional
            How many pairs at most.
        show : bool, optional
            Whether to show how far it is, in place of the session's choice.
        **options
            As :meth:`llmkit.Session.complete` takes them. ``temperature`` is 0 if it isn't given.

        Returns
        -------
        DataFrame
            A row a pair: ``a_label``, ``b_label``, ``verdict``, ``flipped``, ``reason``, or else the ``error``.

        Raises
        ------
        ValidationError
            For a factor that doesn't exist or has no two answers to choose between, or an option that doesn't exist.
        """
        from llmkit.judging.judged import judge_comparison

        _check_names([factor], self.factors)
        self.wait()
        asked: dict[str, Any] = {"model": model, "question": question, "criteria": criteria, "limit": limit}
        return judge_comparison(self._session, self, factor, show=show, **asked, **options)

    def diff(self, a: Any, b: Any) -> Diff:
        """Return how two answers differ, word by word.

        Parameters
        ----------
        a, b : int, Cell, Run or str
            Cells, or texts.
        """
        return diff(self._text(a), self._text(b))

    def plot(self, metric: str = "tokens_per_second", *, x: str | None = None, color: str | None = None) -> Figure:
        """Plot a number by factor, with intervals where there are repeats; waits for the end.

        Parameters
        ----------
        metric : str
            A column of numbers of ``frame``: ``tokens_per_second``, ``time_to_first_token``, ``output_tokens``,
            ``characters``, a score, ….
        x, color : str, optional
            Factors; the first two that vary by default.

        Returns
        -------
        Figure
            Interactive in JupyterLab, a picture in a saved notebook.

        Raises
        ------
        ValidationError
            For a metric or factor that doesn't exist; names those that do.
        """
        from llmkit.comparing.plot import plot

        self.wait()
        return plot(self, metric, x, color)

    # -- showing -------------------------------------------------------------------------------------------------

    def show(self) -> None:
        """Show it: a live grid in a notebook, a table in a terminal or script."""
        presenter().show_comparison(self, asked=True)

    def _ipython_display_(self) -> None:
        if not presenter().shown_here(self):
            presenter().show_comparison(self, asked=False)

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for cell in self.cells:
            counts[cell.status] = counts.get(cell.status, 0) + 1
        how = ", ".join(f"{count} {status}" for status, count in counts.items())
        number = f"{len(self.cells)} cell{'' if len(self.cells) == 1 else 's'}"
        lines = [f"<Comparison {self.id} · {number}: {how}>"]
        width = max((len(factor.name) for factor in self.design.factors), default=0)
        lines += [f"  {factor.name.ljust(width)}  {_levels(factor)}" for factor in self.design.factors]
        if self.scores:
            lines.append(f"  scores: {', '.join(self.scores)}")
        return "\n".join(lines)

    # -- inside --------------------------------------------------------------------------------------------------

    def _tell(self, cell: Cell | None, event: Event | None) -> None:
        if cell is not None and event is None:
            for values in self.scores.values():
                values.pop(cell.index, None)
            self._renewed[cell.index] = time.time()
        for take in tuple(self._subscribers):
            _call(take, cell, event)

    def _text(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, int):
            value = self.cells[value]
        return value.text if isinstance(value, Cell) else str(value)

    def _label(self, cell: Cell) -> str:
        varied = [factor.name for factor in self.design.factors if len(factor.levels) > 1]
        return " · ".join(cell.labels[name] for name in varied)


def compare(
    session: Session,
    template: Any,
    data: Any,
    given: Mapping[str, Any],
    *,
    repeat: int,
    models: Any = None,
    system: Any = None,
) -> Comparison:
    """Return a comparison that hasn't begun; :meth:`llmkit.Session.compare` is the way to it.

    Raises
    ------
    ValidationError
        For arguments that can't be used.
    SessionClosed
        If the session was closed.
    """
    if session.closed:
        raise SessionClosed("The session was closed. Make a new one: llmkit.Session().")
    if models is not None and "model" in given:
        raise ValidationError("Pass models= or model=, not both.", field="models")
    own = {name: value for name, value in (("system", system), ("model", models)) if value is not None}
    design = design_from(template, data, {**given, **own}, repeat=repeat, settings=session.settings)
    return Comparison(session, design, session.ledger)


def _names(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _check_names(names: Sequence[str], known: Mapping[str, Any]) -> None:
    for name in names:
        if name not in known:
            raise ValidationError(
                f"There is no factor {name!r}. Factors: {', '.join(known) or 'none'}.", field="factor"
            )
        if names.count(name) > 1:
            raise ValidationError(f"The factor {name!r} is named twice.", field="factor")


def _levels(factor: Factor) -> str:
    shown = " | ".join(label if len(label) <= 30 else f"{label[:29]}…" for label in factor.labels[:5])
    return shown if len(factor.labels) <= 5 else f"{shown} | … ({len(factor.labels)})"


def _call(take: Callable[[Any, Event | None], None], cell: Cell | None, event: Event | None) -> None:
    try:
        take(cell, event)
    except Exception:
        logger.exception("A subscriber of a comparison failed; the comparison goes on.")
