"""A model on a server as a session's model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.background import loop_thread
from llmkit.engines.remote.config import Remote, remote_from
from llmkit.engines.remote.engine import RemoteEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.engines.base import Engine
    from llmkit.resident import Listener

_PROBE_TIME = 60.0


class RemoteSource:
    """A server in place of a model in memory (a :class:`llmkit.resident.Source`).

    Parameters
    ----------
    remote : Remote or str
        The server, or a name that :func:`llmkit.engines.remote.config.is_remote` recognises.
    """

    engine_name = "remote"
    note = ""

    def __init__(self, remote: Remote | str) -> None:
        self.remote = remote_from(remote)
        self.name = self.remote.name
        self.reason = f"on {self.remote.host}"

    def revision(self) -> str | None:
        """Return ``None``: a server doesn't say which weights it holds."""
        return None

    def load(self, tell: Listener, closed: Callable[[], bool]) -> Engine:  # noqa: ARG002 - it is short
        """Return the engine, having asked the server what it is; blocks."""
        tell(stage="load", file=self.remote.host)
        return connect(self.remote)


def connect(remote: Remote) -> RemoteEngine:
    """Return the engine for a model on a server; blocks. Not from the event loop's thread.

    A server that can't be reached is no error yet, if the model is named: requests find out, and try again.

    Raises
    ------
    EngineError
        If the ``openai`` package isn't installed.
    ModelNotFound
        If the model isn't named and the server doesn't have exactly one.
    APIError, RequestError
        If the model isn't named and the server can't be asked.
    """
    from llmkit.engines.remote.connection import Connection
    from llmkit.engines.remote.probe import probe

    connection = Connection(remote)

    async def ask() -> RemoteEngine:
        try:
            return RemoteEngine(remote, connection, await probe(connection, remote))
        except BaseException:
            await connection.close()
            raise

    return loop_thread().start(ask).result(_PROBE_TIME)
