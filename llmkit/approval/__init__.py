"""Decisions on tool calls, before anything runs."""
