"""Plots: of comparisons and of runs, interactive where that works, pictures everywhere else."""

from llmkit.plotting.figure import Figure

__all__ = ["Figure"]
