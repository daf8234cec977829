"""Rows of a table asked one by one: many runs, few at a time, each done once."""

from typing import TYPE_CHECKING

from llmkit.lazy import lazily

if TYPE_CHECKING:
    from llmkit.mapping.job import Job
    from llmkit.mapping.progress import Progress
else:
    __getattr__, __dir__ = lazily(globals(), {"llmkit.mapping.job": ["Job"], "llmkit.mapping.progress": ["Progress"]})

__all__ = ["Job", "Progress"]
