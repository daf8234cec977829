"""A tool: something a model may ask for, with the schema of its arguments and the function that does it."""

from __future__ import annotations

import copy
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from llmkit.errors import ValidationError
from llmkit.tools.arguments import read_arguments
from llmkit.tools.context import ToolContext
from llmkit.tools.problems import shown
from llmkit.tools.running import Execution, runs_on_loop
from llmkit.tools.schema import CONTEXT
from llmkit.tools.signature_text import signature_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from llmkit.cancellation import CancelToken
    from llmkit.tools.binding import Binding
    from llmkit.tools.running import ToolOutcome

Approval: TypeAlias = "bool | Callable[[dict[str, Any], ToolContext], bool | Awaitable[bool]]"
TimeoutPolicy = Literal["result", "raise"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Tool:
    """A tool. :func:`llmkit.tools.define.tool` and :func:`llmkit.tools.define.tool_from` make them.

    Parameters
    ----------
    name : str
        1 to 64 letters, digits, ``_`` and ``-``.
    description : str
        What it does, for the model and for whoever approves.
    parameters : dict
        The JSON schema of its arguments (draft 2020-12).
    handler : Callable, optional
        What does it.
    needs_approval : bool or Callable
        Whether a person is asked before it runs; a function is given the coerced arguments and the context.
    timeout : float, optional
        Seconds it may take.
    timeout_error : {"result", "raise"}
        Whether being too slow is an error that the model sees, or one that ends the run.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any]
    handler: Callable[..., Any] | None = None
    needs_approval: Approval = True
    timeout: float | None = None
    timeout_error: TimeoutPolicy = "result"
    _binding: Binding

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ValidationError(
                f"{shown(self.name)} can't be a tool's name: 1 to 64 letters, digits, _ and - can. Pass name=….",
                field="name",
            )
        if not isinstance(self.description, str):
            raise ValidationError("A tool's description is a text.", field="description")
        if not isinstance(self.needs_approval, bool) and not callable(self.needs_approval):
            raise ValidationError(
                "needs_approval is True, False or a function of the arguments and the context.", field="needs_approval"
            )
        if self.timeout is not None and not _is_duration(self.timeout):
            raise ValidationError(f"A tool's timeout is seconds above 0, not {self.timeout!r}.", field="timeout")
        if self.timeout_error not in get_args(TimeoutPolicy):
            raise ValidationError(
                f"timeout_error is 'result' or 'raise', not {self.timeout_error!r}.", field="timeout_error"
            )

    def validate(self, arguments: str | Mapping[str, Any]) -> dict[str, Any]:
        """Return a call's arguments as the handler gets them: Python values by parameter name, defaults included.

        Parameters
        ----------
        arguments : str or mapping
            JSON text, where an empty one counts as ``{}``; or JSON values by parameter name.

        Raises
        ------
        ToolArgumentsError
            ``PARSE_ERROR`` if the text can't be read, ``VALIDATION_ERROR`` if the values don't fit the schema.
        """
        return self._binding.bind(read_arguments(arguments)).values

    async def run(
        self,
        arguments: str | Mapping[str, Any],
        context: ToolContext | None = None,
        *,
        on_preliminary: Callable[[Any], object] | None = None,
        echo: bool = True,
    ) -> ToolOutcome:
        """Validate the arguments, run the handler with them, and return what it came to.

        Async handlers run on the current event loop, others in a thread, both in a copy of the caller's context.

        Parameters
        ----------
        arguments : str or mapping
            As for :meth:`validate`; not the coerced values that it returns.
        context : ToolContext, optional
            Of the call. Throwing its ``cancel`` stops an async handler; one in a thread is left behind, and may look.
        on_preliminary : Callable, optional
            Called on the loop, in order, with every value that a generator handler yields, the last one included.
        echo : bool
            Whether what the handler prints is also printed; it is kept in the outcome either way.

        Returns
        -------
        ToolOutcome
            Also for a handler that raises, takes too long, or is cancelled.

        Raises
        ------
        ValidationError
            If the tool has no handler.
        ToolArgumentsError
            As in :meth:`validate`; the handler was not called.
        TimeoutError
            If it takes too long and ``timeout_error`` is ``"raise"``.
        """
        if self.handler is None:
            raise ValidationError(
                f"The tool {self.name!r} has no handler, so it can't run: define it with handler=….", field="handler"
            )
        bound = self._binding.bind(read_arguments(arguments))
        given = context or ToolContext()
        handler = self.handler

        def call(stop: CancelToken) -> Any:
            extra = {CONTEXT: replace(given, cancel=stop)} if self._binding.takes_context else {}
            return handler(*bound.args, **bound.kwargs, **extra)

        execution = Execution(
            self.name,
            call,
            on_loop=runs_on_loop(handler),
            timeout=self.timeout,
            on_preliminary=on_preliminary,
            echo=echo,
        )
        outcome = await execution.run(given.cancel)
        if outcome.status == "timeout" and self.timeout_error == "raise" and outcome.error is not None:
            raise outcome.error
        return outcome

    def to_dict(self) -> dict[str, Any]:
        """Return the tool as OpenAI-style chat APIs and chat templates take it."""
        function = {"name": self.name, "description": self.description, "parameters": copy.deepcopy(self.parameters)}
        return {"type": "function", "function": function}

    def __repr__(self) -> str:
        summary = self.description.partition("\n")[0]
        facts = [
            "asks first" if self.needs_approval is True else "may ask first" if self.needs_approval else "never asks",
            *([f"{self.timeout:g} s"] if self.timeout is not None else []),
            *(["no handler"] if self.handler is None else []),
        ]
        about = f"{summary} " if summary else ""
        return f"<Tool {self.name}({signature_text(self.parameters)}) — {about}[{', '.join(facts)}]>"

    def _repr_html_(self) -> str:
        from llmkit.notebook.displays.tool import html

        return html(self)


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
