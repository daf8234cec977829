"""What runs leave: the ledger on disk, and the DataFrames read from it."""

from __future__ import annotations

from llmkit.records.database import LedgerWarning
from llmkit.records.export import export_json
from llmkit.records.frames import aggregate
from llmkit.records.history import history
from llmkit.records.ledger import Ledger
from llmkit.records.votes import Vote

__all__ = ["Ledger", "LedgerWarning", "Vote", "aggregate", "export_json", "history"]
