"""The tree that a run and its branches form."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmkit.notebook.visible import one_line
from llmkit.presenting import Displayed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from llmkit.comparing.diff import Diff
    from llmkit.run import Run


class RunTree(Displayed):
    """A run with all its branches, and theirs; ``run.tree`` gives it, from any of them.

    Iterating it gives the runs, each before its branches. Printed, it is a picture of the tree; in a notebook it is
    the token view of all of them.

    Parameters
    ----------
    run : Run
        Any run of the tree.
    """

    def __init__(self, run: Run) -> None:
        while run.parent is not None:
            run = run.parent
        self.root = run

    def __iter__(self) -> Iterator[Run]:
        waiting = [self.root]
        while waiting:
            run = waiting.pop()
            yield run
            waiting.extend(reversed(run.branches))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def frame(self) -> pd.DataFrame:
        """A row a run: id, parent, where it branched, with which token and how likely that was, text and status."""
        import pandas as pd

        rows = []
        for run in self:
            point = run.branch_point
            token = point.token if point is not None else None
            rows.append(
                {
                    "run_id": run.id,
                    "parent": None if run.parent is None else run.parent.id,
                    "step": None if point is None else point.step,
                    "position": None if point is None else point.position,
                    "token": None if token is None else token.text,
                    "logprob": None if token is None else token.logprob,
                    "text": run.text_so_far,
                    "status": run.status,
                }
            )
        dtypes = dict.fromkeys(("run_id", "parent", "token", "text"), "string") | {
            "step": "Int64",
            "position": "Int64",
            "logprob": "Float64",
            "status": "category",
        }
        return pd.DataFrame(rows).astype(dtypes)

    def diff(self, a: Run, b: Run) -> Diff:
        """Return how the texts of two runs differ, word by word; waits for both."""
        from llmkit.comparing.diff import diff

        return diff(a.text, b.text)

    def show(self) -> None:
        """Show the token view of all runs."""
        from llmkit.tokenview import TokenView

        TokenView.of(self.root).show()

    def __repr__(self) -> str:
        return "\n".join(_lines(self.root))

    def _ipython_display_(self) -> None:
        self.show()


def _lines(run: Run, before: str = "", own: str = "") -> Iterator[str]:
    yield own + _told(run)
    for number, branch in enumerate(run.branches, start=1):
        last = number == len(run.branches)
        yield from _lines(branch, before + ("   " if last else "│  "), before + ("└─ " if last else "├─ "))


def _told(run: Run) -> str:
    point = run.branch_point
    if point is None:
        return f"“{one_line(run.text_so_far, 60)}” · {run.id} · {run.status}"
    where = f"{point.position}"
    if point.token is not None:
        share = "" if point.token.logprob is None else f" ({math.exp(point.token.logprob):.0%})"
        where = f"{where} “{one_line(point.token.text, 24) or '␣'}”{share}"
    kept = "" if run.parent is None else run.parent.text_so_far
    text = run.text_so_far
    told = "the same text" if text == kept else f"“…{one_line(text[_common(kept, text) :], 60)}”"
    return f"{where} → {told} · {run.id} · {run.status}"


def _common(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
