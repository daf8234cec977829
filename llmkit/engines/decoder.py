"""The seam below the local engines: token ids and a grammar in, tokens out.

A decoder holds one model. It knows nothing of messages, templates, tools or runs; the prompt path above it
(:mod:`llmkit.engines.local`) does that once for all decoders, so that they behave alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn. Field meanings are those of :class:`llmkit.settings.Settings`."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """One prompt to continue.

    Parameters
    ----------
    id : str
        Unique among the requests in flight; ``Decoder.cancel`` takes it.
    prompt : tuple of int
        Token ids, at least one.
    max_tokens : int
        At most this many tokens, ≥ 1.
    stop : tuple of str
        Texts that end the generation; the decoder lets no part of one out, also when it is split over tokens.
    grammar : str, optional
        A Lark grammar for llguidance, already validated; the output is bound to it.
    logprobs : int, optional
        ``None``: none. k: the log-probability of every token (before sampling) and its k likeliest alternatives.
    reuse_prefix : bool
        Whether keys and values of earlier requests with the same prefix may be used.
    lenient : bool
        Whether an answer that doesn't fit the grammar is for the caller to judge. A script can't be bound, and then
        says what is written in it.
    begun : int
        So many of the prompt's last tokens are the beginning of the answer: the grammar has taken them already.
    special : bool
        Whether control tokens (``<|im_end|>``, ``[TOOL_CALLS]``) show as text in ``Token.text``. The token that ends
        the generation never does.
    """

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    grammar: str | None = None
    logprobs: int | None = None
    reuse_prefix: bool = True
    special: bool = False
    lenient: bool = False
    begun: int = 0


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that might have been: its id, text and log-probability (natural log)."""

    id: int
    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token.

    Parameters
    ----------
    id : int
        Token id.
    text : str
        The text that this token completes: "" while a character or a possible stop string is unfinished.
    logprob : float, optional
        Natural log of its probability before sampling; ``None`` when not asked for.
    alternatives : tuple of Alternative
        The likeliest tokens at this place, best first.
    """

    id: int
    text: str
    logprob: float | None = None
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True)
class Prefill:
    """Progress of reading the prompt: ``done`` of ``total`` tokens, ``cached`` of them reused."""

    done: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens decoded since the last report; a decoder may gather some milliseconds' worth, never the first."""

    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a request; always the last report, exactly once.

    Parameters
    ----------
    reason : str
        ``"stop"`` (end token or stop string), ``"length"``, ``"cancelled"`` or ``"error"``; of a server also
        ``"content-filter"`` and ``"other"``.
    raw_reason : str
        The engine's own word.
    tail : str
        Text held back until now (an unfinished stop string that turned out to be none).
    prompt_tokens, cached_tokens, generated_tokens : int, optional
        Counts; ``None`` is unknown. ``generated_tokens`` leaves out the end token.
    reasoning_tokens : int, optional
        How many of the generated tokens were reasoning; the prompt path counts them.
    prefill_time, decode_time : float, optional
        Seconds, as the engine measured them.
    error : Exception, optional
        An :class:`llmkit.errors.Error` with ``reason="error"``.
    provider_data : dict
        What a server told besides, such as its id for the answer.
    """

    reason: Literal["stop", "length", "cancelled", "error", "content-filter", "other"]
    raw_reason: str = ""
    tail: str = ""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    generated_tokens: int | None = None
    reasoning_tokens: int | None = None
    prefill_time: float | None = None
    decode_time: float | None = None
    error: Exception | None = None
    provider_data: dict[str, Any] = field(default_factory=dict)


Report: TypeAlias = Prefill | Tokens | Done


@dataclass(frozen=True, slots=True)
class DecoderInfo:
    """What is known of a loaded model.

    Parameters
    ----------
    engine : str
        ``"llamacpp"``, ``"mlx"`` or ``"scripted"``.
    device : str
        Where it decodes: ``"cpu"``, ``"metal"``, ``"cuda"``.
    context_length : int
        Tokens of prompt and output together.
    vocabulary_size : int
        Number of token ids.
    chat_template : str, optional
        The model's own Jinja template.
    bos_token, eos_token : str
        Texts of the begin and end tokens, "" if there is none; templates use them.
    add_bos : bool
        Whether a prompt must start with the begin token that the template didn't write.
    end_ids : tuple of int
        Token ids that end a generation.
    slots : int
        How many requests decode at once; more would wait inside the decoder.
    memory : int, optional
        Bytes that the model holds now.
    build : str
        The engine's version, as it names it.
    """

    engine: str
    device: str
    context_length: int
    vocabulary_size: int
    chat_template: str | None
    bos_token: str
    eos_token: str
    add_bos: bool
    end_ids: tuple[int, ...]
    slots: int
    memory: int | None = None
    build: str = ""


class Decoder(Protocol):
    """A loaded model that continues token sequences. All methods may be called from any thread."""

    @property
    def info(self) -> DecoderInfo:
        """What is known of the model; ``memory`` is measured when asked."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the token ids of ``text``; ``special`` reads control tokens in it as such. Adds nothing."""

    def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, control tokens included."""

    def decode(self, request: DecodeRequest, report: Callable[[Report], None]) -> None:
        """Start a request and return at once.

        ``report`` is called from the decoder's own thread, in order, and must be quick. :class:`Done` comes last,
        whatever happens; errors come inside it.
        """

    def cancel(self, request_id: str) -> None:
        """Stop a request within a token (in prefill: within a chunk).

        ``Done("cancelled")`` follows. Unknown ids are ignored.
        """

    def save_prefix(self, prompt: Sequence[int], path: Path) -> int:
        """Write the keys and values of ``prompt`` to ``path``; return how many tokens it holds."""

    def load_prefix(self, path: Path) -> int:
        """Read what ``save_prefix`` wrote, so that the next request can reuse it; return how many tokens it holds."""

    def close(self) -> None:
        """End all requests (each gets its ``Done``) and free the model. A second call does nothing."""
