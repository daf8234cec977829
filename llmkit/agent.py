"""Agent: a model with its instructions, its tools and its loop, to be asked again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.asking import request_from
from llmkit.lifecycle import callbacks_in
from llmkit.stopping import conditions_from, step_count_is
from llmkit.tools.choice import tools_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.messages import Prompt
    from llmkit.request import RunRequest
    from llmkit.results import Result
    from llmkit.run import Run
    from llmkit.session import Session
    from llmkit.tools.tool import Tool

STEPS = 20
"""So many steps an agent takes at most, if nothing else is said."""


class Agent:
    """A model with instructions and tools that works in steps until it is done.

    Parameters
    ----------
    session : Session
        Where its model lives and its runs are recorded.
    system : str, optional
        Its instructions.
    tools : sequence, optional
        What it may call.
    stop_when : condition, int or list of conditions, optional
        When its loop ends, besides ending by itself: after 20 steps by default.
    **options
        Everything else that :meth:`llmkit.Session.complete` takes: ``model``, ``tool_choice``, ``prepare_step``,
        ``repair``, ``approval``, ``context``, settings, callbacks, ….

    Raises
    ------
    ValidationError
        For what can't be used; names the field.

    Examples
    --------
    >>> import llmkit as lk
    >>> session = lk.Session(engine=lk.Scripted(["Nothing to do."]), show=False, ledger=None)
    >>> lk.Agent(session, system="Be brief.").generate("Anything to do?").text
    'Nothing to do.'
    """

    def __init__(
        self,
        session: Session,
        *,
        system: str | None = None,
        tools: Any = None,
        stop_when: Any = None,
        **options: Any,
    ) -> None:
        self.session = session
        self.tools: tuple[Tool, ...] = tools_from(tools)
        self._callbacks, self._options = callbacks_in({"system": system, **options})
        self._options["stop_when"] = (step_count_is(STEPS),) if stop_when is None else conditions_from(stop_when)
        # So that what can't be used is said now, and a type is made an output only once.
        self._options["output"] = self._request("…", {}).output

    def stream(self, prompt: Prompt, *, show: bool | None = None, **options: Any) -> Run:
        """Start on a task; return at once.

        Parameters
        ----------
        prompt : str, Message, dict, or a sequence of the latter two
            The task: a text, or a conversation.
        show : bool, optional
            Whether to show the run now, in place of the session's choice.
        **options
            As for :meth:`llmkit.Session.complete`. They replace the agent's own, one by one; ``tools``, ``metadata``
            and ``provider_options`` are added to them, and callbacks of both are called, the agent's first.
        """
        return self.session.start(self._request(prompt, options), show=show)

    def generate(self, prompt: Prompt, *, show: bool | None = None, **options: Any) -> Result:
        """Do a task and wait for its end; the parameters are those of :meth:`stream`.

        Raises
        ------
        RunCancelled, Error
            As ``run.result()`` does.
        """
        return self.stream(prompt, show=show, **options).result()

    def _request(self, prompt: Prompt, options: Mapping[str, Any]) -> RunRequest:
        own, given = callbacks_in(options)
        merged = {**self._options, **{name: value for name, value in given.items() if value is not None}}
        for name in ("metadata", "provider_options", "headers"):
            merged[name] = {**(self._options.get(name) or {}), **(given.get(name) or {})}
        added = tools_from(given.get("tools"))
        names = {tool.name for tool in added}
        merged["tools"] = (*(tool for tool in self.tools if tool.name not in names), *added)
        return request_from(self.session, prompt, {**merged, **own}, callbacks=(self._callbacks,))

    def __repr__(self) -> str:
        tools = ", ".join(tool.name for tool in self.tools) or "no tools"
        return f"<Agent · {self.session.resident(self._options.get('model')).name} · {tools}>"

    def _repr_html_(self) -> str:
        from llmkit.notebook.displays.agent import html

        return html(self, self.session.resident(self._options.get("model")).name, self._options)
