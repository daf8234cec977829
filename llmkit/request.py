"""What a run was asked to do, checked and complete."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmkit.settings import Settings

if TYPE_CHECKING:
    from llmkit.messages import Message


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run's request.

    Parameters
    ----------
    run_id, session_id : str
        Who asks.
    model : str
        The model's name.
    messages : tuple of Message
        The conversation, system message included.
    settings : Settings
        As merged from session and call.
    seed : int
        The settings' seed, or the one drawn for this run.
    stream : bool
        Whether pieces stream; the settled values come either way.
    profiling : bool
        Whether stats are kept.
    cache : str, optional
        The named KV cache to use.
    metadata : dict
        The caller's own.
    """

    run_id: str
    session_id: str
    model: str
    messages: tuple[Message, ...]
    settings: Settings = field(default_factory=Settings)
    seed: int = 0
    stream: bool = True
    profiling: bool = True
    cache: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
