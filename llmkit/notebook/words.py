"""The words for a run's state, where it doesn't move: in saved notebooks and in terminals."""

from __future__ import annotations

from typing import Any

STATUS_WORDS = {
    "starting": "Starting",
    "loading": "Loading",
    "queued": "Queued",
    "prefill": "Reading the prompt",
    "decoding": "Answering",
    "done": "Done",
    "cancelled": "Cancelled",
    "error": "Failed",
}
FINISH_WORDS = {
    "length": "cut at the token limit",
    "content-filter": "stopped by the content filter",
    "tool-calls": "tool calls",
    "cancelled": "",
    "error": "",
}


def how_it_went(state: dict[str, Any]) -> str:
    """Return the stats and why the run ended."""
    reason = state["finish_reason"] or ""
    stats = state["stats"]["summary"] if state["stats"] else ""
    return joined(stats, FINISH_WORDS.get(reason, reason))


def summary(state: dict[str, Any]) -> str:
    """Return a line on who answered and how it went."""
    return joined(STATUS_WORDS[state["status"]], state["model"], state["engine"], how_it_went(state))


def error_line(state: dict[str, Any]) -> str:
    """Return what went wrong, or nothing."""
    error = state["error"]
    return f"{error['kind']}: {error['message']}" if error is not None else ""


def joined(*parts: str) -> str:
    """Return those parts that say something, with dots between."""
    return " · ".join(part for part in parts if part)
