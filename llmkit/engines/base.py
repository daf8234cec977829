"""The seam between runs and engines: a request in, deltas out.

An engine holds one model. It knows nothing of runs, sessions or widgets. Local engines are decoders under the shared
prompt path (:mod:`llmkit.engines.local`); a remote one talks to a server at this same level.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from llmkit.engines.decoder import Done, Prefill, Token
from llmkit.tools.choice import AUTO, ToolChoice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llmkit.caches import NamedCaches
    from llmkit.cancellation import CancelToken
    from llmkit.engines.raw import RawPiece, RawRequest
    from llmkit.engines.score import ScoreRequest
    from llmkit.messages import Message
    from llmkit.output.spec import OutputSpec
    from llmkit.settings import Settings
    from llmkit.tools.tool import Tool

__all__ = [
    "Begun",
    "CallDelta",
    "CallRead",
    "CallStart",
    "CallUnread",
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
    tools : tuple of Tool
        What the model may call.
    tool_choice : ToolChoice
        Whether it may, must or must not; ``required`` and ``named`` bind.
    headers, provider_options : dict
        For servers.
    output : OutputSpec, optional
        What the answer must be; with tools, what it must be where it calls none.
    beginning : tuple of Token
        Tokens that the answer begins with, decoded before: it goes on from there. They come again as
        :class:`Begun`, and in the texts.
    """

    id: str
    messages: tuple[Message, ...]
    settings: Settings
    seed: int
    cache: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = AUTO
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    provider_options: dict[str, Any] = field(default_factory=dict)
    output: OutputSpec | None = None
    beginning: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningPiece:
    """A piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class CallStart:
    """The model began to write a call of the tool ``name``; ``id`` is unique within the session."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A piece of a call's arguments, as the model writes them."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class CallRead:
    """A call as the model wrote it, not yet checked against the tool's schema.

    Parameters
    ----------
    id : str
        The call's id; a :class:`CallStart` came before.
    name : str
        The tool's name, offered or not.
    arguments : str or dict
        JSON text, or JSON values by parameter name.
    raw : str
        The text that the model wrote.
    """

    id: str
    name: str
    arguments: str | dict[str, Any]
    raw: str


@dataclass(frozen=True, slots=True)
class CallUnread:
    """Words meant as a call that can't be read as one: ``name`` as far as it could be."""

    id: str
    message: str
    raw: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Tokens as they came, before they were split into text, reasoning and calls.

    None at all means that something was decoded, and the server doesn't tell which tokens.
    """

    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Begun:
    """The tokens that the answer begins with, as it was asked to; nothing was decoded for them now."""

    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something asked for that can't be done, in words for a person."""

    text: str


Delta: TypeAlias = (
    Prefill | Begun | Decoded | TextPiece | ReasoningPiece | CallStart | CallDelta | CallRead | CallUnread | Note | Done
)


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

    def complete_raw(self, request: RawRequest, cancel: CancelToken) -> AsyncIterator[RawPiece]:
        """Continue prompts as they are, without messages.

        Each continuation ends with a :class:`Done` of its own; the last piece is the ``Done`` of all, with the counts.

        Raises
        ------
        llmkit.errors.Error
            For a request that can't be answered.
        """

    async def score(self, request: ScoreRequest, cancel: CancelToken) -> tuple[Token, ...]:
        """Return the tokens of a given text with their log-probabilities; nothing is drawn.

        The first token has none if nothing comes before it.

        Raises
        ------
        llmkit.cancellation.Stopped
            When ``cancel`` is thrown.
        llmkit.errors.Error
            For a text that can't be scored, or an engine that can't.
        """

    def close(self) -> None:
        """End all requests and free the model; blocks. A second call does nothing."""
