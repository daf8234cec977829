"""Engines: what turns a request into deltas. See :mod:`llmkit.engines.base` for the seam."""
