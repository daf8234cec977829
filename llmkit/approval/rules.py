"""Rules: what is decided about a tool's calls without asking each time."""

from __future__ import annotations

import inspect
import itertools
import logging
import threading
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from llmkit.errors import ValidationError
from llmkit.tools.problems import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

logger = logging.getLogger("llmkit")

Action = Literal["allow", "ask", "deny"]
Scope = Literal["run", "session"]
Predicate: TypeAlias = "Callable[[dict[str, Any]], bool]"


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do about calls of some tools.

    Parameters
    ----------
    tool : str
        A tool's name, or a pattern of names in the style of shell globs: ``get_*``, ``*``.
    action : {"allow", "ask", "deny"}
        Run without asking, ask, or deny without asking.
    where : Callable, optional
        Given a call's coerced arguments: whether the rule is for it. If it raises, somebody is asked.
    reason : str
        Why; a denial's reaches the model.
    scope : {"run", "session"}
        How long it holds.
    id : str
        Given when the rule comes into force; revoking takes it.

    Raises
    ------
    ValidationError
        For a value that can't be used; names the field.
    """

    tool: str
    action: Action
    where: Predicate | None = field(default=None, compare=False, repr=False)
    reason: str = ""
    scope: Scope = "session"
    id: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.tool, str) or not self.tool.strip():
            raise ValidationError(
                "A rule's tool is a tool's name or a pattern of names: 'get_weather', 'get_*', '*'.", field="tool"
            )
        if self.action not in get_args(Action):
            raise ValidationError(
                f"A rule's action is 'allow', 'ask' or 'deny', not {shown(self.action)}.", field="action"
            )
        if self.where is not None and not callable(self.where):
            raise ValidationError("A rule's where= is a function of the arguments.", field="where")
        if not isinstance(self.reason, str):
            raise ValidationError("A rule's reason is a text.", field="reason")
        if self.scope not in get_args(Scope):
            raise ValidationError(f"A rule's scope is 'run' or 'session', not {shown(self.scope)}.", field="scope")

    @property
    def told_reason(self) -> str:
        """Its reason, or words for it if it has none."""
        return self.reason or f"a rule says {self.action} for {shown(self.tool)[1:-1]}"

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON values; of ``where`` only that there is one."""
        return {
            "id": self.id,
            "tool": self.tool,
            "action": self.action,
            "scope": self.scope,
            "reason": self.reason,
            "conditional": self.where is not None,
        }


def rule_from(value: Any) -> Rule:
    """Return the rule that a value is or stands for: a Rule, or a pair of pattern and action.

    Raises
    ------
    ValidationError
        For anything else.
    """
    if isinstance(value, Rule):
        return value
    if isinstance(value, list | tuple) and len(value) == 2:
        return Rule(*value)
    raise ValidationError(
        "A rule is a Rule or a pair of a pattern and an action, like ('get_*', 'allow').", field="rules"
    )


@dataclass(frozen=True, slots=True)
class Match:
    """What the rules say about a call.

    Parameters
    ----------
    action : {"allow", "ask", "deny"}
        What to do.
    rule : Rule
        Which of them decided.
    reason : str
        Why.
    """

    action: Action
    rule: Rule
    reason: str


def match_rules(rules: Sequence[Rule], tool: str, arguments: Callable[[], dict[str, Any]]) -> Match | None:
    """Return what the first rule that fits says about a call; ``None`` if none does.

    Parameters
    ----------
    rules : sequence of Rule
        In order.
    tool : str
        The called tool's name.
    arguments : Callable
        Returns the coerced arguments, a copy each time, so that no predicate sees what another has changed.
    """
    for rule in rules:
        if not fnmatchcase(tool, rule.tool):
            continue
        try:
            fits = rule.where is None or _truth(rule.where(arguments()))
        except BaseException as error:
            logger.warning("The condition of the rule for %r failed; somebody is asked.", rule.tool, exc_info=True)
            told = f"the condition of the rule for {shown(rule.tool)[1:-1]} failed: {type(error).__name__}: {error}"
            return Match("ask", rule, told)
        if fits:
            return Match(rule.action, rule, rule.told_reason)
    return None


def _truth(value: Any) -> bool:
    if inspect.isawaitable(value):  # which would count as true, whatever it comes to
        if inspect.iscoroutine(value):
            value.close()
        raise TypeError("a condition is a plain function, not an async one")
    return bool(value)


_numbers = itertools.count(1)


class RuleList:
    """Rules of one scope, in order. All methods may be called from any thread.

    Parameters
    ----------
    rules : iterable of Rule, or of pairs of pattern and action
        To begin with.
    scope : {"run", "session"}
        What these rules hold for.
    """

    def __init__(self, rules: Iterable[Any] = (), *, scope: Scope) -> None:
        self._scope = scope
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], object]] = []
        self._rules = tuple(self._in_scope(rule_from(rule)) for rule in rules)

    @property
    def in_force(self) -> tuple[Rule, ...]:
        """The rules, the first that fits decides."""
        return self._rules

    def add(self, rule: Any) -> Rule:
        """Put a rule in front, and return it with its id.

        Without a condition it takes the place of one for the same pattern, which it would hide.

        Parameters
        ----------
        rule : Rule or pair of str
            A rule, or its pattern and action.

        Raises
        ------
        ValidationError
            For what is no rule.
        """
        added = self._in_scope(rule_from(rule))
        with self._lock:
            kept = (each for each in self._rules if added.where or each.where or each.tool != added.tool)
            self._rules = (added, *kept)
        self._notify()
        return added

    def revoke(self, rule_id: str) -> bool:
        """Take out the rule of that id; return whether there was one."""
        with self._lock:
            kept = tuple(rule for rule in self._rules if rule.id != rule_id)
            found = len(kept) < len(self._rules)
            self._rules = kept
        if found:
            self._notify()
        return found

    def subscribe(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call ``listener`` after each change, in the thread that makes it.

        Parameters
        ----------
        listener : Callable
            Short; it must not block or raise.

        Returns
        -------
        Callable
            Ends that.
        """
        with self._lock:
            self._listeners.append(listener)
        return lambda: self._forget(listener)

    def _forget(self, listener: Callable[[], object]) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def _in_scope(self, rule: Rule) -> Rule:
        return replace(rule, scope=self._scope, id=f"rule-{next(_numbers)}")

    def _notify(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()


class SessionRules(RuleList):
    """The rules of a session, shared by its runs."""

    def __init__(self, rules: Iterable[Any] = ()) -> None:
        super().__init__(rules, scope="session")


class RuleBook:
    """The rules in force for one run: its own, then the session's, then its policy's; the first that fits decides.

    All methods may be called from any thread.

    Parameters
    ----------
    policy : iterable of Rule, or of pairs of pattern and action
        The run's policy's. Revoking one takes it out of this run only.
    session : SessionRules, optional
        Those shared with other runs.
    """

    def __init__(self, policy: Iterable[Any] = (), *, session: SessionRules | None = None) -> None:
        self._run = RuleList(scope="run")
        self._session = session if session is not None else SessionRules()
        self._policy = RuleList(policy, scope="run")
        self._listeners: tuple[Callable[[], object], ...] = ()
        self._leave = self._session.subscribe(self._notify)
        self._left = False
        for rules in (self._run, self._policy):
            rules.subscribe(self._notify)

    @property
    def in_force(self) -> tuple[Rule, ...]:
        """All the rules, in order."""
        return (*self._run.in_force, *self._session.in_force, *self._policy.in_force)

    def add(self, rule: Any) -> Rule:
        """Put a rule in front of those of its scope, and return it with its id; see :meth:`RuleList.add`."""
        made = rule_from(rule)
        if made.scope == "run":
            return self._run.add(made)
        added = self._session.add(made)
        self._notify_if_left()
        return added

    def revoke(self, rule_id: str) -> bool:
        """Take out the rule of that id, for as long as its scope says; return whether there was one."""
        if self._run.revoke(rule_id) or self._policy.revoke(rule_id):
            return True
        found = self._session.revoke(rule_id)
        if found:
            self._notify_if_left()
        return found

    def subscribe(self, listener: Callable[[], object]) -> None:
        """Call ``listener`` after each change, in the thread that makes it; it must not block or raise."""
        self._listeners = (*self._listeners, listener)

    def leave(self) -> None:
        """Stop following what others change in the session's rules; the run is over."""
        self._left = True
        self._leave()

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()

    def _notify_if_left(self) -> None:
        if self._left:
            self._notify()
