"""What is asked about each row."""

from __future__ import annotations

import difflib
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmkit.asking import request_from
from llmkit.errors import Error, ValidationError
from llmkit.fingerprint import fingerprint
from llmkit.messages import messages_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from llmkit.messages import Prompt
    from llmkit.request import RunRequest
    from llmkit.session import Session


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a row.

    Parameters
    ----------
    position : int
        The row's place in the table, from 0.
    request : RunRequest
        What is asked.
    fingerprint : str
        Its fingerprint.
    """

    position: int
    request: RunRequest
    fingerprint: str


class Questions:
    """Makes the requests, all alike but for what the rows fill in.

    Where no seed is given, each row has its own, drawn from what is asked: so the same table asks for the same again.

    Parameters
    ----------
    session : Session
        Who is asked.
    frame : DataFrame
        The rows.
    template : str, Message, dict, sequence of those, or Callable
        With fields named as columns are; or a function whose parameters are columns, that returns a prompt.
    options : Mapping
        As for :meth:`llmkit.Session.complete`.
    metadata : Mapping
        Put into that of every run.

    Raises
    ------
    ValidationError
        For a template or an option that can't be used, and a field that is no column.
    """

    def __init__(
        self,
        session: Session,
        frame: pd.DataFrame,
        template: Prompt | Callable[..., Prompt],
        options: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> None:
        from llmkit.comparing.template import needed_fields, template_from

        self._template = template_from(template)
        columns = {str(name): place for place, name in enumerate(frame.columns)}
        for name in needed_fields(self._template):
            if name not in columns:
                raise _no_column(name, columns)
        self._columns = {name: frame.iloc[:, columns[name]] for name in self._template.fields if name in columns}
        self._base = request_from(session, "-", {"stream": False, **options})
        self._metadata = dict(metadata)
        self._system = {"system": options.get("system"), "default_system": session.system}
        self._revision = session.resident(self._base.model).revision
        self.total = len(frame)

    @property
    def model(self) -> str:
        """The name of the model that is asked."""
        return self._base.model

    @property
    def output(self) -> Any:
        """What each answer must be."""
        return self._base.output

    def part(self, start: int, stop: int) -> list[Question | tuple[int, Error]]:
        """Return what is asked about the rows from ``start`` to before ``stop``; of a bad row why it can't be asked."""
        values = {name: column.iloc[start:stop].tolist() for name, column in self._columns.items()}
        stop = min(stop, self.total)
        return [
            self._question(place, {name: each[place - start] for name, each in values.items()})
            for place in range(start, stop)
        ]

    def _question(self, position: int, row: dict[str, Any]) -> Question | tuple[int, Error]:
        try:
            messages = messages_from(self._template.fill(row), **self._system)
        except Error as error:
            return position, error
        metadata = {**self._base.metadata, **self._metadata, "row": position}
        request = replace(self._base, run_id=secrets.token_hex(6), messages=messages, metadata=metadata)
        if request.settings.seed is None:
            request = replace(request, seed=int(fingerprint(replace(request, seed=0), self._revision)[:8], 16))
        return Question(position, request, fingerprint(request, self._revision))


def _no_column(name: str, columns: Iterable[str]) -> ValidationError:
    near = difflib.get_close_matches(name, list(columns), n=1)
    hint = f"Did you mean {{{near[0]}}}? " if near else ""
    return ValidationError(
        f"The template's field {{{name}}} is no column. {hint}Columns: {', '.join(columns)}.", field="template"
    )
