"""One run as the ledger keeps it: its events folded into a row, its steps' rows and its tokens' rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.events import (
    Abort,
    End,
    Event,
    Failure,
    Finish,
    ReasoningDelta,
    Start,
    StepFinish,
    StepStart,
    TextDelta,
    TokensDecoded,
)
from llmkit.fingerprint import extras, fingerprint
from llmkit.records.calls import CallRecord
from llmkit.records.columns import RUNS, STEPS
from llmkit.records.process import this_process
from llmkit.records.store import save_run
from llmkit.records.values import clean, copied, plain, to_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from llmkit.engines.decoder import Token
    from llmkit.messages import Message
    from llmkit.results import StepResult

STATUS_OF_END: dict[type[End], str] = {Finish: "done", Abort: "cancelled", Failure: "failed"}


class RunRecord:
    """What is known of a run so far.

    Attributes
    ----------
    key : int or None
        The key of the run's row, once it is on disk.
    row : dict
        The row of ``runs``; empty before the run's start.
    steps, tokens : list of dict
        Rows of those tables that aren't on disk yet.
    calls : CallRecord
        The rows of its tool calls and approvals.
    """

    def __init__(self) -> None:
        self.key: int | None = None
        self.row: dict[str, Any] = {}
        self.steps: list[dict[str, Any]] = []
        self.tokens: list[dict[str, Any]] = []
        self.calls = CallRecord()
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._finished_steps: set[int] = set()
        self._positions: dict[int, int] = {}

    def add(self, event: Event) -> None:
        """Fold the run's next event in, also one that comes after its end."""
        self.calls.add(event)
        match event:
            case TextDelta():
                self._text.append(event.text)
            case ReasoningDelta():
                self._reasoning.append(event.text)
            case StepStart():
                self._text.clear()
                self._reasoning.clear()
                if self.row:
                    self.row["build"] = plain(event.build, "category")
            case TokensDecoded():
                self._add_tokens(event.step, event.tokens)
            case Start():
                self.row = _row_of_start(event)
            case StepFinish():
                self._add_step(event.result)
            case End():
                for step in event.steps:
                    self._add_step(step)
                self._end(event)

    @property
    def name(self) -> str:
        """What it is, for messages."""
        return f"Run {self.row.get('run_id')}"

    def draw_up(self) -> None:
        """Bring the row's text up to what has come; for a run that hasn't ended."""
        if self.row.get("status") == "running":
            self.row["text"] = clean("".join(self._text))
            self.row["reasoning"] = clean("".join(self._reasoning))

    def save(self, connection: sqlite3.Connection) -> int | None:
        """Write what isn't on disk yet, inside the caller's transaction; return the key of the run's row."""
        return save_run(connection, self)

    def saved(self, key: int) -> None:
        """Note that all of it is on disk, the run under ``key``."""
        self.key = key
        self.steps.clear()
        self.tokens.clear()
        self.calls.saved()

    def _add_tokens(self, step: int, tokens: Sequence[Token]) -> None:
        first = self._positions.get(step, 0)
        self._positions[step] = first + len(tokens)
        self.tokens += [token_row(step, position, token) for position, token in enumerate(tokens, first)]

    def _add_step(self, result: StepResult) -> None:
        if result.step_number in self._finished_steps:
            return
        self._finished_steps.add(result.step_number)
        warnings = to_json(list(result.warnings)) if result.warnings else None
        self.steps.append({**copied(STEPS, "step", result), "warnings": warnings})

    def _end(self, event: End) -> None:
        if not self.row:
            return
        status = next(status for kind, status in STATUS_OF_END.items() if isinstance(event, kind))
        seed = self.row["seed"]
        self.row |= copied(RUNS, "end", event)
        self.row["seed"] = seed if self.row["seed"] is None else self.row["seed"]
        self.row |= {"status": status, "step_count": len(self._finished_steps)}


def _row_of_start(event: Start) -> dict[str, Any]:
    process, further = this_process(), extras(event)
    return {
        **dict.fromkeys(column.name for column in RUNS),
        **copied(RUNS, "start", event),
        "status": "running",
        "host": process.host,
        "pid": process.pid,
        "process_started": process.started,
        "prompt": clean(_last_words(event.messages)),
        "metadata": to_json(event.metadata) if event.metadata else None,
        "settings": to_json(event.settings.model_dump()),
        "messages": to_json([message.to_dict() for message in event.messages]),
        "seed": plain(event.seed, "Int64"),
        "revision": plain(event.revision, "category"),
        "fingerprint": fingerprint(event, event.revision),
        "extras": to_json(further) if further else None,
    }


def _last_words(messages: Sequence[Message]) -> str:
    said = [message.text for message in messages if message.role == "user"]
    return said[-1] if said else ""


def token_row(step: int, position: int, token: Token) -> dict[str, Any]:
    """Return the row of the token at ``position`` in ``step``."""
    alternatives = [
        {"id": each.id, "text": each.text, "logprob": plain(each.logprob, "Float64")} for each in token.alternatives
    ]
    return {
        "step": step,
        "position": position,
        "token_id": plain(token.id, "Int64"),
        "text": clean(token.text),
        "logprob": plain(token.logprob, "Float64"),
        "alternatives": to_json(alternatives) if alternatives else None,
    }
