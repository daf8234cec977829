"""The words for a run's state, where it doesn't move: in saved notebooks and in terminals."""

from __future__ import annotations

from typing import Any

from llmkit.notebook.visible import one_line

LONGEST_LINE = 300
"""So many characters tell of a call."""

STATUS_WORDS = {
    "starting": "Starting",
    "loading": "Loading",
    "queued": "Queued",
    "prefill": "Reading the prompt",
    "decoding": "Answering",
    "approval": "Waiting for a decision",
    "tools": "Running tools",
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


CALL_WORDS = {
    "writing": "being written",
    "made": "not run",
    "pending": "waits for a decision",
    "allowed": "",
    "running": "running",
    "done": "",
    "failed": "failed",
    "denied": "denied",
    "cancelled": "cancelled",
    "open": "left open",
    "invalid": "no valid call",
}
CALL_MARKS = {"done": "✓", "failed": "✗", "denied": "⊘", "cancelled": "⊘", "invalid": "✗", "open": "…"}
VERDICT_WORDS = {"allow": "allowed", "deny": "denied", "pend": "left open", "cancel": "cancelled"}
BY_WORDS = {
    "panel": "by you",
    "code": "by code",
    "rule": "by a rule",
    "tool": "",
    "timeout": "because nobody answered in time",
    "headless": "because nobody was there to ask",
    "cancel": "with the run",
}


def decision_words(card: dict[str, Any]) -> str:
    """Return who or what decided on a call, how and why; nothing for one that needed no decision."""
    decision = card["decision"]
    if decision is None or decision["by"] == "tool":
        return ""
    words = f"{VERDICT_WORDS[decision['verdict']]} {BY_WORDS[decision['by']]}"
    edited = " after an edit" if decision["edited"] else ""
    own = decision["verdict"] == "deny" and decision["by"] in {"panel", "code", "rule"}
    reason = f": {decision['reason']}" if own and decision["reason"] else ""
    return f"{words}{edited}{reason}"


def outcome(card: dict[str, Any]) -> str:
    """Return what a call came to, in short."""
    if card["status"] in {"failed", "invalid"} and card["error"] is not None:
        return f"{card['error']['kind']}: {card['error']['message']}"
    return card["result"]["short"] if card["result"] is not None else ""


def call_line(card: dict[str, Any]) -> str:
    """Return a call, its outcome and who decided, on one line with nothing hidden."""
    mark, name, told, ended = call_words(card)
    call = f"{mark} {name}({card['short']})"
    return one_line(joined(f"{call} → {told}" if told else call, ended), LONGEST_LINE)


def call_words(card: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return a call's mark, its tool, what it came to, and how that was decided and how long it took."""
    decided = decision_words(card)
    status = "" if decided and card["status"] in {"denied", "cancelled", "open"} else CALL_WORDS[card["status"]]
    mark = CALL_MARKS.get(card["status"], "·")
    told = one_line(outcome(card), LONGEST_LINE // 2)
    return (
        mark,
        one_line(card["name"] or "a call", 80),
        told,
        one_line(joined(status, decided, took(card["duration"])), LONGEST_LINE),
    )


def took(seconds: float | None) -> str:
    """Return how long a handler ran, in a unit that suits it."""
    if seconds is None:
        return ""
    return f"{1000 * seconds:.0f} ms" if seconds < 0.9995 else f"{seconds:.{1 if seconds < 10 else 0}f} s"


def how_it_went(state: dict[str, Any]) -> str:
    """Return the stats and why the run ended."""
    reason = state["finish_reason"] or ""
    stats = state["stats"]["summary"] if state["stats"] else ""
    return joined(stats, FINISH_WORDS.get(reason, reason))


def status_words(state: dict[str, Any]) -> str:
    """Return how far it is, or how it ended."""
    if state["output_error"] is None:
        return STATUS_WORDS[state["status"]]
    return "Cut off" if state["finish_reason"] == "length" else "Not what was asked for"


def summary(state: dict[str, Any]) -> str:
    """Return a line on who answered and how it went."""
    return joined(status_words(state), state["model"], state["engine"], how_it_went(state))


def error_line(state: dict[str, Any]) -> str:
    """Return what went wrong, or nothing."""
    error = state["error"] or state.get("output_error")
    return f"{error['kind']}: {error['message']}" if error is not None else ""


def joined(*parts: str) -> str:
    """Return those parts that say something, with dots between."""
    return " · ".join(part for part in parts if part)
