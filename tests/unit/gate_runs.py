"""A gate on a loop whose clock jumps to the next timer when nothing else is to be done, so that no test waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmkit import events
from llmkit.approval.decision import Decision, Ruling
from llmkit.approval.gate import Gate
from llmkit.approval.policy import ApprovalPolicy, policy_from
from llmkit.approval.request import ApprovalRequest, digest_of
from llmkit.approval.rules import RuleBook, SessionRules
from llmkit.tools.calls import ToolCall
from llmkit.tools.context import ToolContext
from llmkit.tools.define import tool_from

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from llmkit.tools.tool import Tool


def get_weather(city: str, days: int = 1) -> dict[str, Any]:
    """Look the weather up."""
    return {"city": city, "days": days}


WEATHER = tool_from(get_weather)
TOKYO = {"city": "Tokyo"}


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        parts: Any = self
        if not parts._ready:
            due = [timer.when() for timer in parts._scheduled if not timer.cancelled()]
            self.now = max(self.now, min(due, default=self.now))
        super()._run_once()  # type: ignore[misc]


def run(work: Callable[[], Coroutine[Any, Any, None]], *, jumping: bool = True) -> None:
    """Run ``work()``, on a jumping loop if it needs no threads."""
    with asyncio.Runner(loop_factory=JumpingLoop if jumping else None) as runner:
        runner.run(work())


class Desk:
    """A gate with everything it told, and short ways to use it. Made on a running loop."""

    def __init__(
        self,
        policy: Any = None,
        *,
        audience: Callable[[], bool] = lambda: True,
        session: SessionRules | None = None,
        on_tell: Callable[[events.Event], object] = lambda _: None,
    ) -> None:
        made: ApprovalPolicy = policy_from(policy)
        self.loop = asyncio.get_running_loop()
        self.told: list[events.Event] = []
        self._on_tell = on_tell
        self.gate = Gate(
            tell=self._tell,
            rules=RuleBook(made.rules, session=session),
            policy=made,
            audience=audience,
            loop=self.loop,
        )

    def start(self, call: ToolCall, tool: Tool = WEATHER, **context: Any) -> asyncio.Task[Ruling]:
        """Have a call settled."""
        context_of_call = ToolContext(call_id=call.id, **context)
        return self.loop.create_task(self.gate.settle(request_of(call, tool), tool, context_of_call))

    def announce(self, call: ToolCall, tool: Tool = WEATHER) -> None:
        """Have decisions on a call taken from now on."""
        self.gate.announce(request_of(call, tool), tool)

    async def asked(self, call: ToolCall, tool: Tool = WEATHER) -> asyncio.Task[Ruling]:
        """Have a call settled, as far as the request."""
        task = self.start(call, tool)
        while call.id not in {request.call.id for request in self.gate.pending}:
            assert not task.done(), task.result()
            await asyncio.sleep(0)
        return task

    def allow(self, call: ToolCall, **changes: Any) -> Ruling:
        return self.gate.decide(decision("allow", call, **changes))

    def deny(self, call: ToolCall, **changes: Any) -> Ruling:
        return self.gate.decide(decision("deny", call, **changes))

    @property
    def requests(self) -> list[ApprovalRequest]:
        return [event.request for event in self.told if isinstance(event, events.ApprovalRequested)]

    @property
    def rulings(self) -> list[Ruling]:
        return [event.ruling for event in self.told if isinstance(event, events.ApprovalDecided)]

    @property
    def accepted(self) -> list[Ruling]:
        return [ruling for ruling in self.rulings if ruling.accepted]

    @property
    def refused(self) -> list[Ruling]:
        return [ruling for ruling in self.rulings if not ruling.accepted]

    @property
    def rules_told(self) -> list[tuple[str, ...]]:
        changes = [event.rules for event in self.told if isinstance(event, events.RulesChanged)]
        return [tuple(f"{rule.tool} {rule.action} {rule.scope}" for rule in rules) for rules in changes]

    def _tell(self, kind: type[events.Event], **fields: Any) -> None:
        assert asyncio.get_running_loop() is self.loop
        event = kind(index=len(self.told), **fields)
        self.told.append(event)
        self._on_tell(event)


def call_of(number: int = 1, arguments: dict[str, Any] | None = None, name: str = "get_weather") -> ToolCall:
    """Return a call of the weather tool."""
    return ToolCall(f"call-{number}", name, dict(TOKYO if arguments is None else arguments))


def request_of(call: ToolCall, tool: Tool) -> ApprovalRequest:
    """Return the request that a run makes of a call."""
    return ApprovalRequest(call, description=tool.description, parameters=tool.parameters)


def decision(verdict: Any, call: ToolCall, **changes: Any) -> Decision:
    """Return what the panel sends for a call."""
    return Decision(**{"call_id": call.id, "digest": digest_of(call), "verdict": verdict, "by": "panel", **changes})


async def turns(count: int = 5) -> None:
    """Let the loop go round a few times."""
    for _ in range(count):
        await asyncio.sleep(0)
