"""The seam between runs and engines: a request in, deltas out.

An engine holds one model. It knows nothing of runs, sessions or widgets. Local engines are decoders under the shared
prompt path (:mod:`llmkit.engines.local`); a remote one talks to a server at this same level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from llmkit.engines.decoder import Done, Prefill, Token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llmkit.caches import NamedCaches
    from llmkit.cancellation import CancelToken
    from llmkit.messages import Message
    from llmkit.settings import Settings
    from llmkit.tools.calls import ToolCall, ToolCallError

__all__ = [
    "CallFailed",
    "CallMade",
    "Decoded",
    "Delta",
    "Done",
    "Engine",
    "EngineInfo",
    "EngineRequest",
    "Note",
    "Prefill",
    "ReasoningPiece",
    "TextPiece",
]


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One answer to ask for.

    Parameters
    ----------
    id : str
        Unique among the requests in flight.
    messages : tuple of Message
        The conversation.
    settings : Settings
        How to sample and when to end.
    seed : int
        The seed to use: the settings' own, or one drawn for this run.
    cache : str, optional
        The named cache whose prefix may be reused; ``None`` for the session's common one.
    """

    id: str
    messages: tuple[Message, ...]
    settings: Settings
    seed: int
    cache: str | None = None


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningPiece:
    """A piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class CallMade:
    """A tool call, parsed and valid."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class CallFailed:
    """Words meant as a tool call that are none."""

    error: ToolCallError


@dataclass(frozen=True, slots=True)
class Decoded:
    """Tokens as they came, before they were split into text, reasoning and calls."""

    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something asked for that can't be done, in words for a person."""

    text: str


Delta: TypeAlias = Prefill | Decoded | TextPiece | ReasoningPiece | CallMade | CallFailed | Note | Done


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What is known of a model that an engine holds.

    Parameters
    ----------
    engine, device, build : str
        The engine's name, where it decodes, and its version.
    context_length : int, optional
        Tokens of prompt and output together; ``None`` if the server doesn't say.
    slots : int
        How many requests decode at once.
    memory : int, optional
        Bytes held now.
    """

    engine: str
    device: str
    build: str
    context_length: int | None
    slots: int
    memory: int | None = None


class Engine(Protocol):
    """A model that answers."""

    @property
    def info(self) -> EngineInfo:
        """What is known of the model; ``memory`` is measured when asked."""

    @property
    def caches(self) -> NamedCaches:
        """The model's named KV caches."""

    def generate(self, request: EngineRequest, cancel: CancelToken) -> AsyncIterator[Delta]:
        """Answer a request.

        Every answer ends with exactly one :class:`Done`, also when ``cancel`` is thrown; then it comes within a token,
        in prefill within a chunk.

        Raises
        ------
        llmkit.errors.Error
            For a request that can't be answered.
        """

    def close(self) -> None:
        """End all requests and free the model; blocks. A second call does nothing."""
