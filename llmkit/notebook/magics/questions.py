"""``%llm Why is the sky blue?``: a question to the model, where IPython reads a last ``?`` as a call for help.

IPython turns what isn't Python into Python one piece after the other, and takes help before magics, so that ``%llm?``
works: https://ipython.readthedocs.io/en/stable/config/inputtransforms.html. This piece goes before both.
"""

from __future__ import annotations

import tokenize
from typing import Any

from IPython.core.inputtransformer2 import TokenTransformBase, assemble_continued_line, find_end_of_continued_line

_INDENTS = {tokenize.INDENT, tokenize.DEDENT}


class Question(TokenTransformBase):
    """One ``%llm`` with words behind it, at the start of a line or after ``=``.

    Parameters
    ----------
    line, column : int
        Where its line begins, from 1 and 0, as tokens have it.
    place : int
        The column of the ``%``.
    """

    priority = 1

    def __init__(self, line: int, column: int, place: int) -> None:
        super().__init__((line, column))  # type: ignore[no-untyped-call]
        self._place = place

    @classmethod
    def find(cls, tokens_by_line: list[list[Any]]) -> Question | None:
        """Return the first one in a cell."""
        for line in tokens_by_line:
            tokens = [token for token in line if token.type not in _INDENTS]
            for place, token in enumerate(tokens[:-2]):
                begins = place == 0 or tokens[place - 1].string == "="
                if begins and token.string == "%" and tokens[place + 1].string == "llm" and _goes_on(tokens[place + 1]):
                    return cls(token.start[0], tokens[0].start[1], token.start[1])
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """Return the cell's lines with a call in its place."""
        first = self.start_line
        last = find_end_of_continued_line(lines, first)
        words = assemble_continued_line(lines, (first, self._place), last).removeprefix("%llm").strip()
        call = f"get_ipython().run_line_magic('llm', {words!r})"
        return [*lines[:first], f"{lines[first][: self._place]}{call}\n", *lines[last + 1 :]]


def _goes_on(name: Any) -> bool:
    """Return whether a blank and then something follows a token."""
    after = name.line[name.end[1] :]
    return after[:1].isspace() and bool(after.strip())


def read_questions_in(shell: Any) -> None:
    """Have a shell read ``%llm`` that way, once."""
    transformers = shell.input_transformer_manager.token_transformers
    transformers[:] = [each for each in transformers if each.__name__ != Question.__name__]
    transformers.append(Question)
