"""A run that asks again what another asked, and how the two compare."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from llmkit.errors import Error, SessionClosed
from llmkit.replaying.account import account_of, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from llmkit.comparing.diff import Diff
    from llmkit.replaying.account import Account, Difference
    from llmkit.request import RunRequest
    from llmkit.run import Run
    from llmkit.session import Session


class Replayed:
    """What a replay came to; :meth:`llmkit.Run.replay` and :meth:`llmkit.Session.replay` make it and return at once.

    ``same``, ``position``, ``diff`` and ``differences`` wait for the end; ``await replay`` does, too.

    Attributes
    ----------
    run : Run
        The new run.
    original_id : str
        The id of the run that is replayed.
    """

    def __init__(self, run: Run, original_id: str, original: Callable[[], Account]) -> None:
        self.run = run
        self.original_id = original_id
        self._original = original

    @cached_property
    def original(self) -> Account:
        """What is known of the run that is replayed."""
        return self._original()

    @cached_property
    def now(self) -> Account:
        """What is known of the new run."""
        return account_of(self.run)

    @property
    def same(self) -> bool:
        """Whether text and reasoning are the same, to the character."""
        return self.position is None and self.original.reasoning == self.now.reasoning

    @property
    def position(self) -> int | None:
        """The first character in which the texts differ, from 0; ``None`` if they don't."""
        pairs = enumerate(zip_longest(self.original.text, self.now.text))
        return next((position for position, (one, other) in pairs if one != other), None)

    @property
    def diff(self) -> Diff:
        """How the texts differ, word by word."""
        from llmkit.comparing.diff import diff

        return diff(self.original.text, self.now.text)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """In what else the runs differ: engine, build, weights, settings, what was asked; as far as that is known."""
        return differences(self.original, self.now)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the new run's end, ``timeout`` seconds at most; return whether it has ended."""
        return self.run.wait(timeout)

    def __await__(self) -> Generator[Any, None, Replayed]:
        """Wait for the new run's end in any event loop."""
        return self._ended().__await__()

    def __str__(self) -> str:
        lines = ["The same text." if self.same else self._what_differs()]
        lines += [str(each) for each in self.differences]
        if len(lines) == 1 and not self.same:
            lines.append(_UNEXPLAINED)
        return "\n".join(lines)

    def __repr__(self) -> str:
        if not self.run.ended:
            return f"<Replay of {self.original_id} · {self.run.status}>"
        return f"<Replay of {self.original_id} · {str(self).replace(chr(10), ' · ')}>"

    def _what_differs(self) -> str:
        if self.position is None:
            return "The same text after another reasoning."
        before, now = (each.text[self.position :][:40] for each in (self.original, self.now))
        return f"Another text from character {self.position} on: {before!r} became {now!r}."

    async def _ended(self) -> Replayed:
        with suppress(Error):  # which the run keeps, and ``differences`` tells of
            await self.run
        return self


_UNEXPLAINED = (
    "Nothing is known to differ. Reading a long prompt in other pieces may change a word where the session isn't "
    "reproducible, servers don't keep to seeds, and tools may have answered otherwise."
)


def replay_run(session: Session | None, run: Run, *, show: bool | None) -> Replayed:
    """Do what :meth:`llmkit.Run.replay` says."""
    if session is None or session.closed:
        raise SessionClosed(
            f"The run's session was closed. On an open one with the same ledger: session.replay({run.id!r})."
        )
    return replayed(session, run.request, run.id, lambda: account_of(run), show=show)


def replayed(
    session: Session, request: RunRequest, original_id: str, original: Callable[[], Account], *, show: bool | None
) -> Replayed:
    """Ask what ``request`` asks, as a run of its own."""
    metadata = {**request.metadata, "replay_of": original_id}
    again = replace(request, run_id=secrets.token_hex(6), session_id=session.id, metadata=metadata)
    return Replayed(session.start(again, show=show), original_id, original)
