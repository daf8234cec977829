"""The approval panel under a cell, worked as a person works it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.harness import Notebook


def panel(notebook: Notebook, cell: int) -> Locator:
    """Return the live view of the run under a cell."""
    return notebook.output(cell).locator("section.llmkit-run")


def cards(notebook: Notebook, cell: int) -> Locator:
    """Return the cards of the run's calls, in order."""
    return panel(notebook, cell).locator(".llmkit-run-card")


def button(place: Locator, name: str) -> Locator:
    """Return the button with exactly this name."""
    return place.get_by_role("button", name=name, exact=True)


def expect_statuses(notebook: Notebook, cell: int, *statuses: str) -> None:
    """Wait until there is a card for each of these statuses, and has it."""
    shown = cards(notebook, cell)
    expect(shown).to_have_count(len(statuses))
    for index, status in enumerate(statuses):
        expect(shown.nth(index)).to_have_attribute("data-status", status)


def press(card: Locator, key: str) -> None:
    """Wait until a card has the focus and takes keys, and press one."""
    expect(card).to_be_focused()
    expect(card).to_have_attribute("data-armed", "")  # one that took the focus by itself ignores keys for a moment
    card.page.keyboard.press(key)


def wait_for_end(notebook: Notebook, cell: int) -> None:
    """Wait until static output has taken the live view's place."""
    expect(panel(notebook, cell)).to_have_count(0)
    expect(notebook.output(cell)).to_contain_text("Done")


def unfold(notebook: Notebook, cell: int) -> None:
    """Open everything that is folded in a cell's static output."""
    for folded in notebook.output(cell).locator("details").all():
        folded.evaluate("element => { element.open = true; }")
