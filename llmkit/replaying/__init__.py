"""Asking again what was asked, and telling what came out otherwise."""

from __future__ import annotations

from llmkit.replaying.replay import Replayed, replay_run
from llmkit.replaying.restored import replay_recorded

__all__ = ["Replayed", "replay_recorded", "replay_run"]
