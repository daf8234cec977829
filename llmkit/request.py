"""What a run was asked to do, checked and complete."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmkit.settings import Settings
from llmkit.stopping import ONE_STEP, words_for
from llmkit.tools.choice import AUTO, ToolChoice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.approval.policy import ApprovalPolicy
    from llmkit.engines.decoder import Token
    from llmkit.lifecycle import Callback
    from llmkit.messages import Message
    from llmkit.output.spec import OutputSpec
    from llmkit.preparing import PrepareStep
    from llmkit.stopping import StopCondition
    from llmkit.tools.calls import ToolCall
    from llmkit.tools.repair import Repair
    from llmkit.tools.tool import Tool

INCLUDABLE = ("request", "raw_text")
"""The parts of a step's result that may be left out: what was asked, and what the model wrote before it was split."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run's request.

    Parameters
    ----------
    run_id, session_id : str
        Who asks.
    model : str
        The model's name.
    messages : tuple of Message
        The conversation, system message included.
    settings : Settings
        As merged from session and call.
    seed : int
        The settings' seed, or the one drawn for this run.
    stream : bool
        Whether pieces stream; the settled values come either way.
    profiling : bool
        Whether stats are kept.
    cache : str, optional
        The named KV cache to use.
    metadata : dict
        The caller's own.
    tools : tuple of Tool
        What the model may call.
    tool_choice : ToolChoice
        Whether it may, must or must not.
    active_tools : tuple of str, optional
        The names of those it is offered; ``None`` for all.
    approval : ApprovalPolicy, optional
        What is decided without asking, and when nobody is there; ``None`` for the session's.
    stop_when : tuple of conditions
        Any of them ends the loop of steps.
    prepare_step, repair : Callable, optional
        Change a step before it begins; mend a call that is wrong.
    callbacks : tuple of mappings
        Lifecycle callbacks by name: the session's, the agent's, the call's.
    context : Any
        The user's own, for tools and callbacks.
    function_id : str, optional
        The caller's name for what this run does.
    headers, provider_options : dict
        For remote engines.
    include : tuple of str
        Which bulky parts steps' results keep, of :data:`INCLUDABLE`.
    resumed : tuple of ToolCall
        Calls of the conversation that a pended run left open.
    output : OutputSpec, optional
        What the answer must be.
    beginning : tuple of Token
        Tokens that the first answer begins with: a branch of another run.
    """

    run_id: str
    session_id: str
    model: str
    messages: tuple[Message, ...]
    settings: Settings = field(default_factory=Settings)
    seed: int = 0
    stream: bool = True
    profiling: bool = True
    cache: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = AUTO
    active_tools: tuple[str, ...] | None = None
    approval: ApprovalPolicy | None = None
    stop_when: tuple[StopCondition, ...] = ONE_STEP
    prepare_step: PrepareStep | None = None
    repair: Repair | None = None
    callbacks: tuple[Mapping[str, Callback], ...] = ()
    context: Any = None
    function_id: str | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    provider_options: dict[str, Any] = field(default_factory=dict)
    include: tuple[str, ...] = INCLUDABLE
    resumed: tuple[ToolCall, ...] = ()
    output: OutputSpec | None = None
    beginning: tuple[Token, ...] = ()

    @property
    def functions(self) -> tuple[str, ...]:
        """The caller's own functions that change steps or calls, in words."""
        given = {"prepare_step": self.prepare_step, "repair": self.repair}
        return tuple(f"{name}={words_for(each)}" for name, each in given.items() if each is not None)
