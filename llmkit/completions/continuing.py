"""A prompt continued by a run: where the run asks its model for an answer, it goes on with a text instead."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from llmkit.engines.decoder import Done
from llmkit.engines.raw import Echo, RawRequest
from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from llmkit.cancellation import CancelToken
    from llmkit.engines.base import Delta, Engine, EngineInfo, EngineRequest
    from llmkit.engines.raw import RawPrompt
    from llmkit.resident import Listener, Resident

_TEXTS_ONLY = {"tabbyapi": "TabbyAPI", "mlx_lm": "mlx_lm.server"}
"""Servers that read no token ids."""


class Continued:
    """A resident model that continues a prompt, whatever it is asked. All else about it is the model's own.

    Parameters
    ----------
    resident : Resident
        The model.
    prompt : str or tuple of int
        What to continue.
    stream : bool
        Whether a server is asked to stream.
    on_echo : Callable, optional
        Told the prompt's text and tokens before anything else comes.
    """

    def __init__(
        self, resident: Resident, prompt: RawPrompt, *, stream: bool, on_echo: Callable[[Echo], None] | None
    ) -> None:
        self._resident = resident
        self._prompt = prompt
        self._stream = stream
        self._on_echo = on_echo

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resident, name)

    async def loaded(self, listener: Listener | None = None) -> Continuing:
        """Return the engine, loading it if it isn't."""
        engine = await self._resident.loaded(listener)
        return Continuing(engine, self._prompt, stream=self._stream, on_echo=self._on_echo)


class Continuing:
    """An engine that answers every request with the continuation of one prompt."""

    def __init__(
        self, engine: Engine, prompt: RawPrompt, *, stream: bool, on_echo: Callable[[Echo], None] | None
    ) -> None:
        self._engine = engine
        self._prompt = prompt
        self._stream = stream
        self._on_echo = on_echo

    @property
    def info(self) -> EngineInfo:
        """What is known of the model."""
        return self._engine.info

    async def generate(self, request: EngineRequest, cancel: CancelToken) -> AsyncIterator[Delta]:
        """Continue the prompt; see :meth:`llmkit.engines.base.Engine.generate`.

        Raises
        ------
        ValidationError
            For token ids that a server can't read, or can't tell the text of.
        """
        remote = self.info.engine == "remote"
        if remote:
            self._check()
        raw = RawRequest(
            request.id,
            self._prompt,
            request.settings,
            # Servers repeat the prompt in ways of their own, or not at all.
            echo=self._on_echo is not None and not remote,
            output=request.output,
            options=request.provider_options,
            seed=request.seed,
            stream=self._stream,
            headers=request.headers,
        )
        if remote and self._on_echo is not None:
            self._on_echo(Echo(str(self._prompt)))
        end: Done | None = None
        async with aclosing(self._engine.complete_raw(raw, cancel)) as pieces:  # type: ignore[type-var] # a generator
            async for piece in pieces:
                match piece.delta:
                    case Echo() as echo if self._on_echo is not None:
                        self._on_echo(echo)
                    case Done() as done:
                        end = done if piece.index is not None else _with_counts(end, done)
                    case Echo():
                        pass
                    case delta:
                        yield delta
        if end is not None:
            yield end

    def _check(self) -> None:
        if isinstance(self._prompt, str):
            return
        server = self.info.build
        if server in _TEXTS_ONLY:
            raise ValidationError(f"{_TEXTS_ONLY[server]} reads no token ids; pass the prompt as text.", field="prompt")
        if self._on_echo is not None:
            raise ValidationError(
                "A server doesn't tell the text of token ids, so they can't be echoed; pass the prompt as text.",
                field="echo",
            )


def _with_counts(end: Done | None, whole: Done) -> Done:
    """Return the end of the one continuation: of a server's, only that of all has the counts."""
    return whole if end is None or end.prompt_tokens is None else end
