"""Raw completions at the engine seam: texts or token ids continued, without messages, several at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llmkit.engines.base import Delta
    from llmkit.engines.decoder import Token
    from llmkit.output.spec import OutputSpec
    from llmkit.settings import Settings

RawPrompt: TypeAlias = "str | tuple[int, ...]"
"""One prompt: a text, or token ids."""

_STRIDE = 0x9E3779B1
"""Between the seeds of two choices: odd, so that no two of them share one, and far from what people count up by."""


@dataclass(frozen=True, slots=True)
class RawRequest:
    """Prompts to continue.

    Parameters
    ----------
    id : str
        Unique among the requests in flight.
    prompt : str, tuple of str, or tuple of int
        A text, several, or token ids.
    settings : Settings
        How to sample and when to end.
    n : int
        How many continuations of each prompt.
    echo : bool
        Whether the prompt comes first in the text.
    output : OutputSpec, optional
        What each continuation must be.
    options : mapping
        Further fields of the body, such as a server's own for grammars.
    seed : int, optional
        The seed to use where the settings have none; servers draw their own.
    stream : bool
        Whether a server is asked to stream; without, each continuation comes whole.
    headers : mapping
        For servers.
    """

    id: str
    prompt: str | tuple[str, ...] | tuple[int, ...]
    settings: Settings
    n: int = 1
    echo: bool = False
    output: OutputSpec | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    stream: bool = True
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def prompts(self) -> tuple[RawPrompt, ...]:
        """The prompts, one by one."""
        if isinstance(self.prompt, str):
            return (self.prompt,)
        texts = tuple(part for part in self.prompt if isinstance(part, str))
        return texts or (tuple(part for part in self.prompt if isinstance(part, int)),)

    @property
    def count(self) -> int:
        """How many continuations there will be: those of the first prompt first."""
        return self.n * len(self.prompts)

    @property
    def fields(self) -> dict[str, Any]:
        """The body's fields beyond prompt and settings."""
        return {**({"n": self.n} if self.n > 1 else {}), **({"echo": True} if self.echo else {}), **self.options}

    def singles(self, seed: int) -> list[RawRequest]:
        """Return a request for each continuation, its seed derived from ``seed``."""
        prompts = [prompt for prompt in self.prompts for _ in range(self.n)]
        return [
            replace(self, id=f"{self.id}-{index}", prompt=prompt, n=1, seed=choice_seed(seed, index))
            for index, prompt in enumerate(prompts)
        ]


@dataclass(frozen=True, slots=True)
class Echo:
    """The prompt, where it was asked to come first in the text.

    Parameters
    ----------
    text : str
        The prompt's text.
    tokens : tuple of Token
        Its tokens, whose texts joined are the text; none where log-probabilities weren't asked for, or where nobody
        knows them. They have no log-probabilities.
    """

    text: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class RawPiece:
    """A piece of a continuation.

    Parameters
    ----------
    index : int or None
        Which continuation; ``None`` for the request as a whole, whose ``Done`` comes last and holds the counts.
    delta : Delta or Echo
        The piece; each continuation ends with a ``Done`` of its own.
    """

    index: int | None
    delta: Delta | Echo


def choice_seed(seed: int, index: int) -> int:
    """Return the seed of the choice at ``index``: the first has ``seed`` itself, no two the same."""
    return (seed + index * _STRIDE) % 2**32


class Continue(Protocol):
    """Has one continuation made."""

    async def __call__(self, index: int, read: Callable[[], None]) -> None:
        """Make the continuation at ``index``; call ``read`` when its prompt has been read."""


async def abreast(prompts: Iterable[object], one: Continue, *, limit: int) -> None:
    """Have continuations made, ``limit`` at a time.

    The first of each prompt goes ahead until that is read, so that the others find its keys and values in the cache.

    Parameters
    ----------
    prompts : iterable
        The prompt of each continuation.
    one : Continue
        Makes one.
    limit : int
        How many at a time.

    Raises
    ------
    Exception
        The first that one of them raised; the others are given up.
    """
    places = asyncio.Semaphore(limit)
    read: defaultdict[object, asyncio.Event] = defaultdict(asyncio.Event)

    async def begin(index: int, known: asyncio.Event, *, leads: bool) -> None:
        if not leads:
            await known.wait()
        async with places:
            try:
                await one(index, known.set)
            finally:
                known.set()

    try:
        async with asyncio.TaskGroup() as group:
            for index, prompt in enumerate(prompts):
                leads = prompt not in read
                group.create_task(begin(index, read[prompt], leads=leads))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
