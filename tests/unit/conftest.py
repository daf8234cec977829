from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import llmkit as lk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def scripted() -> Iterator[Callable[..., lk.Session]]:
    """Make sessions that answer from a script; closed at the end."""
    sessions: list[lk.Session] = []

    def make(*answers: Any, session: dict[str, Any] | None = None, **script: Any) -> lk.Session:
        made = lk.Session(
            engine=lk.Scripted(answers or ["Hello there."], **script), show=False, ledger=None, **(session or {})
        )
        sessions.append(made)
        return made

    yield make
    for each in sessions:
        each.close()
