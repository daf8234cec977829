"""Showing tokens where the user is: a live widget, static output at the end of the cell, or text in a terminal.

The widget stays, for there is always a token left to branch at. It comes with static output beside it, which GitHub and
nbconvert show; in a notebook that is opened without its kernel only what the widget's button puts in its place is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.notebook import tokens_static, waiting
from llmkit.notebook.cells import at_end_of_cell
from llmkit.notebook.frontend import frontend
from llmkit.notebook.output import Output, display_data
from llmkit.notebook.tokens_lanes import Lane, lane_of
from llmkit.notebook.tokens_view import TokensView

if TYPE_CHECKING:
    from llmkit.run import Run


def show_runs(root: Run, by: str) -> None:
    """Show the tokens of a run and its branches.

    Parameters
    ----------
    root : Run
        The run that the others branched from.
    by : {"probability", "entropy"}
        What colours the tokens at first.
    """
    waiting.install()
    match frontend():
        case "live":
            _show_widget(root, by)
        case "headless":
            at_end_of_cell(lambda: display_data(tokens_static.bundle(runs_state(root, by))))
        case _:
            print(tokens_static.plain(runs_state(root, by)))  # noqa: T201 - a script's page


def show_static(state: dict[str, Any]) -> None:
    """Show tokens that nothing branches from."""
    if frontend() in {"live", "headless"}:
        display_data(tokens_static.bundle(state))
    else:
        print(tokens_static.plain(state))  # noqa: T201 - a script's page


def runs_state(root: Run, by: str) -> dict[str, Any]:
    """Return the state of a run and its branches, once all of them have ended."""
    from llmkit.branching import RunTree

    lanes: list[Lane] = []
    for run in RunTree(root):
        lane, origin = lane_of(run, lanes)
        lanes.append(lane)
        for event in run.events:
            lane.take(event, origin)
    return {"by": by, "lanes": [lane.state for lane in lanes]}


def _show_widget(root: Run, by: str) -> None:
    from llmkit.branching import RunTree
    from llmkit.notebook.tokens_widget import TokensWidget

    output = Output(lambda: tokens_static.bundle(view.state()))
    view = TokensView(root, by, TokensWidget, on_keep=output.settle)
    if all(run.ended for run in RunTree(root)):
        view.page.beside = tokens_static.bundle(runs_state(root, by))
    output.open(view, view.page.beside.get("text/plain", f"Tokens of run {root.id}"))
