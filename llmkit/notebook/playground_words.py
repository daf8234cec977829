"""The words for a playground's runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.notebook.visible import one_line
from llmkit.playing.controls import controls

if TYPE_CHECKING:
    from llmkit.playing import Playground
    from llmkit.playing.playground import Try
    from llmkit.run import Run

LONGEST_VALUE = 40
"""So many characters tell what a setting was."""

LONGEST_CHANGES = 300
"""So many characters tell of all of them."""


def kept_class(playground: Playground) -> str:
    """Return the class of what a saved notebook keeps; a live view hides it as long as it is on the page."""
    return f"llmkit-playground-kept-{playground.id}"


def changes_words(each: Try) -> str:
    """Return what was set for a run, on one line with nothing hidden."""
    form = each.form
    parts = [f"model {form.model}"] if form.model else []
    parts += [f"system {one_line(form.system, LONGEST_VALUE)}"] if form.system else []
    parts += [
        f"{control.name} {one_line(form.fields[control.name], LONGEST_VALUE)}"
        for control in controls()
        if control.name in form.fields
    ]
    return one_line(" · ".join(parts), LONGEST_CHANGES)


def how_it_stands(run: Run) -> tuple[str, float | None]:
    """Return a run's status, as its list has it, and its tokens per second."""
    if not run.ended:
        return "running", None
    status = {"done": "done", "cancelled": "cancelled"}.get(run.status, "error")
    return status, None if run.stats is None else run.stats.tokens_per_second


def how_it_was_told(state: dict[str, Any]) -> tuple[str, float | None]:
    """Return the same of a run's state, as :meth:`llmkit.notebook.run_state.RunState.to_dict` gives it."""
    status = state["status"] if state["status"] in {"done", "cancelled", "error"} else "running"
    return status, state["stats"]["tokens_per_second"] if state["stats"] else None
