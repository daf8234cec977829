"""Magics: ``%llm``, ``%%llm``, ``%%compare`` and ``%llm_stats``, after ``%load_ext llmkit``."""

from __future__ import annotations

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Add llmkit's magics, and the completion of their options, to an IPython shell: ``%load_ext llmkit``."""
    from llmkit.notebook.magics.commands import Magics
    from llmkit.notebook.magics.completing import complete_in
    from llmkit.notebook.magics.questions import read_questions_in

    magics = Magics(shell)
    for kind, name in (("line_cell", "llm"), ("cell", "compare"), ("line", "llm_stats")):
        shell.register_magic_function(getattr(magics, name), magic_kind=kind, magic_name=name)
    complete_in(shell, magics.scope)
    read_questions_in(shell)
