"""A playground: a prompt, the settings as controls, and the runs that were tried."""

from llmkit.playing.playground import Playground

__all__ = ["Playground"]
