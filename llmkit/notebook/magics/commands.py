"""The magics themselves. They call what a session has; what is shown, the session shows."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import no_var_expand

from llmkit.comparing.template import template_from
from llmkit.errors import Error, ValidationError
from llmkit.notebook.magics.line import read_line
from llmkit.notebook.magics.options import COMPARE, FLAGS, documented, llm_options, read_options
from llmkit.notebook.magics.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = ("profile", "runs", "steps", "tool_calls", "approvals", "votes", "models")
"""What ``%llm_stats`` can show of a session."""


class Magics:
    """The magics of one IPython shell.

    Parameters
    ----------
    shell : InteractiveShell
        The shell.
    """

    def __init__(self, shell: Any) -> None:
        self.scope = Scope(shell)

    @no_var_expand
    @documented(llm_options)
    def llm(self, line: str, cell: str | None = None) -> Any:
        r"""Ask a model: the answer streams in below the cell.

        ::

            %llm Why is the sky blue?

            %%llm --temperature 0 --max-output-tokens 50 -o run
            Explain {topic} to {who}, in two sentences.

        ``{name}`` stands for a variable of the notebook. Its value is put in as text and never
        read again, so braces in it are harmless; a brace that is meant as one is written twice.
        The cell returns at once, as ``session.complete(...)`` does; its value, or the variable
        of ``-o``, is the run: ``run.text`` waits for the end.

        Asked is the session of ``--session``, else the newest open one among the notebook's
        variables, else one that is made now, ``llm_session``.

        Values are Python literals (``--stop ["\n", "END"]``) or names of variables
        (``--temperature warmth``); a text is one word, or quoted, or ``{name}``.

        Options
        -------
        {options}
        """
        with _plainly():
            given = read_line(line, flags=FLAGS)
            if cell is not None and given.rest:
                raise ValidationError(
                    f"{given.rest!r} is no option. The question goes into the lines below; a text as an option's "
                    'value is quoted: --system "Be brief."',
                    field="line",
                )
            options = read_options(given.options, llm_options(), self.scope)
            into, raw = options.pop("into", None), options.pop("raw", False)
            text = given.rest if cell is None else cell.strip()
            if not text:
                raise ValidationError("There is nothing to ask: %llm Why is the sky blue?", field="prompt")
            prompt = text if raw else self.scope.filled(text)
            return self._kept(into, self.scope.session(options.pop("session", None)).complete(prompt, **options))

    @no_var_expand
    @documented(lambda: COMPARE)
    def compare(self, line: str, cell: str) -> Any:
        """Ask many things that differ in what makes them comparable: a grid of live cells.

        ::

            %%compare topic=["gravity", "DNA"] temperature=[0, 0.8] repeat=3 -o grid
            Explain {topic} to {who}.

        ``name=value`` is what ``session.compare(...)`` takes: a list is a factor, and every
        combination of the factors' levels is a cell; any other value is the same in all cells.
        A value is a Python literal or the name of a variable. ``{who}``, which isn't given, is
        the notebook's variable, and may be a list, too. ``data=frame`` asks once for each row of
        a table, ``models=[...]`` compares models, ``repeat=3`` asks three times.

        Options
        -------
        {options}
        """
        with _plainly():
            given = read_line(line, factors=True)
            if given.rest:
                raise ValidationError(
                    f'{given.rest!r} is neither an option nor a factor: topic=["gravity", "DNA"]', field="line"
                )
            options = read_options(given.options, COMPARE, self.scope)
            template = template_from(cell.strip())
            values = {name: self.scope.value(text, option=f"{name}=") for name, text in given.factors.items()}
            data = None if "data" in template.fields else values.pop("data", None)
            variables = self.scope.variables
            if data is None:
                values |= {name: variables[name] for name in template.fields if name in variables.keys() - values}
            session = self.scope.session(options.get("session"))
            return self._kept(options.get("into"), session.compare(template.text, data, **values))

    @no_var_expand
    def llm_stats(self, line: str) -> Any:
        """Show how the runs of a session went, as a table.

        ::

            %llm_stats              count, min, max, mean, sum and last of every number
            %llm_stats runs         a row a run; also: steps, tool_calls, approvals, votes, models

        Options
        -------
        --session
            The variable of the session; the newest open one by default.
        --into
            Or ``-o``: the variable that the DataFrame goes into.
        """
        with _plainly():
            first, _, others = line.partition(" ")
            table, others = (TABLES[0], line) if first[:1] in {"", "-"} else (first, others)
            given = read_line(others)
            options = read_options(given.options, COMPARE, self.scope)
            if table not in TABLES or given.rest:
                raise ValidationError(
                    f"There is no table {given.rest or table!r}. There are: {', '.join(TABLES)}.", field="table"
                )
            session = self.scope.session(options.get("session"), make=False)
            return self._kept(options.get("into"), getattr(session, table))

    def _kept(self, name: str | None, value: Any) -> Any:
        """Return what a cell shows as its value: nothing, if a variable takes it."""
        if name is None:
            return value
        self.scope.keep(name, value)
        return None


@contextmanager
def _plainly() -> Iterator[None]:
    """Have llmkit's errors shown in a line: their type, the cause and the remedy, without a traceback."""
    try:
        yield
    except Error as error:
        raise UsageError(f"{type(error).__name__}: {error}") from error
