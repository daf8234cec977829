"""Many runs that differ in what makes them comparable: prompts, models, settings, repeats."""

from llmkit.comparing.cell import Cell
from llmkit.comparing.comparison import Comparison
from llmkit.comparing.diff import Diff
from llmkit.comparing.scoring import ScoreWarning

__all__ = ["Cell", "Comparison", "Diff", "ScoreWarning"]
