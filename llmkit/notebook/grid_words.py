"""The words for a comparison's state, where it doesn't move: in saved notebooks and in terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.notebook.visible import one_line
from llmkit.notebook.words import STATUS_WORDS, joined

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_LABEL = 200


def summary(state: dict[str, Any]) -> str:
    """Return a line on how many cells there are and how it went."""
    progress = state["progress"]
    total, failed = progress["total"], progress["failed"]
    cancelled = sum(cell["status"] == "cancelled" for cell in state["cells"])
    rate = f"{rate_words(progress['rate'])} tokens/s in all" if progress["rate"] else ""
    return joined(
        f"{total} cell{'' if total == 1 else 's'}",
        f"{failed} failed" if failed else "",
        f"{cancelled} cancelled" if cancelled else "",
        f"{progress['tokens']:,} tokens" if progress["tokens"] else "",
        rate,
        f"{progress['time']:.1f} s" if progress["time"] is not None else "",
    )


def cell_words(cell: dict[str, Any]) -> str:
    """Return how a cell went, in short."""
    rate, first = cell["rate"], cell["time_to_first_token"]
    return joined(
        "" if cell["status"] == "done" else STATUS_WORDS[cell["status"]],
        f"{cell['tokens']:,} tokens" if cell["tokens"] else "",
        f"{rate_words(rate)}/s" if rate else "",
        f"{first:.2f} s to first" if first is not None else "",
        "cut at the token limit" if cell["finish_reason"] == "length" else "",
        *(f"{name} {value:.3g}" for name, value in cell["scores"].items()),
    )


def rate_words(rate: float | None) -> str:
    """Return tokens per second with as many digits as mean something."""
    return "" if rate is None else f"{rate:.{1 if rate < 10 else 0}f}"


def varied(state: dict[str, Any], names: list[str]) -> list[int]:
    """Return which of the factors with these names have several levels, by their number."""
    numbers = {factor["name"]: number for number, factor in enumerate(state["factors"])}
    return [numbers[name] for name in names if len(state["factors"][numbers[name]]["levels"]) > 1]


def fixed(state: dict[str, Any]) -> str:
    """Return what is the same in all cells."""
    return joined(
        *(f"{factor['name']} {label(factor['levels'][0])}" for factor in state["factors"] if len(factor["levels"]) == 1)
    )


def axes(state: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Return the numbers of the factors that make rows and columns; a factor that was given no place makes rows."""
    columns = varied(state, state["columns"])
    rows = varied(state, state["rows"])
    rest = varied(state, [factor["name"] for factor in state["factors"]])
    return [*rows, *(number for number in rest if number not in rows and number not in columns)], columns


def combinations(state: dict[str, Any], factors: list[int]) -> Iterator[tuple[int, ...]]:
    """Yield each combination of these factors' levels that some cell has, in order."""
    yield from sorted({tuple(cell["place"][factor] for factor in factors) for cell in state["cells"]})


def level(state: dict[str, Any], factor: int, number: int) -> str:
    """Return a level's label."""
    return label(state["factors"][factor]["levels"][number])


def label(text: str) -> str:
    """Return a label on one line with nothing hidden."""
    return one_line(text, LONGEST_LABEL) or "(empty)"
