"""What a server answers, as deltas: chunks of a stream, or one whole answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llmkit.engines.base import Decoded, Note, ReasoningPiece, TextPiece
from llmkit.engines.decoder import Alternative, Done, Prefill, Token
from llmkit.engines.remote.calls import Calls
from llmkit.engines.remote.characters import Characters, whole_characters
from llmkit.engines.remote.sse import DONE
from llmkit.engines.stops import StopMatcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.engines.base import Delta, EngineRequest

UNKNOWN_ID: Final = -1
"""The id of a token whose id the server doesn't tell."""

_REASONS: Final[dict[str, Any]] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content-filter",
}
_OTHER: Final[Any] = "other"
_TOLD: Final = ("id", "model", "created", "system_fingerprint", "service_tier")
_CALLED: Final = ("tool_calls", "function_call")
_LARGEST: Final = 1 << 53


class Answer:
    """Takes what a server sends of one answer.

    Parameters
    ----------
    id_ : str
        The request's id.
    stop : sequence of str
        Texts that end the answer, also where a server lets them through.
    logprobs : bool
        Whether tokens with log-probabilities were asked for.
    must_call : bool
        Whether the model was told to call a tool.
    index : int
        Which of several answers to one request.

    Attributes
    ----------
    begun : bool
        Whether anything came of it, so that the request can't be sent again.
    announced : bool
        Whether the server said that it is over.
    """

    def __init__(
        self, id_: str, *, stop: Sequence[str] = (), logprobs: bool = False, must_call: bool = False, index: int = 0
    ) -> None:
        self.begun = False
        self.announced = False
        self._index = index
        self._wants_logprobs = logprobs
        self._must_call = must_call
        self._stops = StopMatcher(stop)
        self._text = Characters()
        self._reasoning = Characters()
        self._calls = Calls(id_)
        self._tokens = 0
        self._spoke = False
        self._raw_reason = ""
        self._told: dict[str, Any] = {}
        self._refusal: list[str] = []
        self._usage: dict[str, Any] = {}
        self._timings: dict[str, Any] = {}

    @classmethod
    def to(cls, request: EngineRequest) -> Answer:
        """Return the answer to a request, nothing of which has come."""
        settings = request.settings
        return cls(
            request.id,
            stop=settings.stop,
            logprobs=settings.logprobs is not None,
            must_call=request.tool_choice.binds and bool(request.tools),
        )

    @property
    def stopped(self) -> bool:
        """Whether a stop string ended it; the rest isn't wanted."""
        return self._stops.matched is not None

    def take(self, chunk: Any) -> list[Delta]:
        """Take a chunk of a stream, or a whole answer; return what is certain by now."""
        if chunk == DONE:
            self.announced = True
        if not isinstance(chunk, dict) or self.stopped:
            return []
        self._usage = _dict(chunk.get("usage")) or self._usage
        self._timings = _dict(chunk.get("timings")) or self._timings
        if "id" not in self._told:
            self._told = _told(chunk)
        deltas: list[Delta] = _prefill(chunk)
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index", 0) in (self._index, None):
                deltas += self._choice(choice)
        return deltas

    def finish(self) -> list[Delta]:
        """Return what is left at the end that the server announced, or that a stop string made."""
        if self.stopped:
            return self._end(Done("stop", raw_reason="stop string"), complete=True)
        reason = _REASONS.get(self._raw_reason, _OTHER)
        return self._end(Done(reason, raw_reason=self._raw_reason), complete=reason == "stop")

    def cancel(self) -> list[Delta]:
        """Return what is left when nobody wants the rest."""
        return self._end(Done("cancelled"), complete=False)

    def fail(self, error: Exception) -> list[Delta]:
        """Return what is left when the rest can't be had."""
        return self._end(Done("error", raw_reason=self._raw_reason, error=error), complete=False)

    def _choice(self, choice: dict[str, Any]) -> list[Delta]:
        said = _dict(choice.get("delta")) or _dict(choice.get("message")) or {"content": choice.get("text")}
        thought, text = _parts(said)
        refusal = said.get("refusal")
        if not text and isinstance(refusal, str):
            text = refusal
            self._refusal.append(refusal)
        calls = said.get("tool_calls")
        if not calls and isinstance(said.get("function_call"), dict):
            calls = [{"index": 0, "function": said["function_call"]}]
        tokens = _tokens(choice.get("logprobs")) if self._wants_logprobs else ()
        deltas: list[Delta] = []
        if tokens or thought or text or calls:
            self.begun = True
            self._tokens += len(tokens)
            deltas.append(Decoded(tokens))  # also an empty one tells that something was decoded
        if thought and (shown := self._reasoning.feed(thought)):
            deltas.append(ReasoningPiece(shown))
        if text and (shown := self._stops.feed(self._text.feed(text))):
            self._spoke = True
            deltas.append(TextPiece(shown))
        if calls and not self.stopped:
            deltas += self._calls.take(calls)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self.announced = True
            self._raw_reason = reason[:100]
        return deltas

    def _end(self, done: Done, *, complete: bool) -> list[Delta]:
        deltas: list[Delta] = []
        if thought := self._reasoning.flush():
            deltas.append(ReasoningPiece(thought))
        if text := self._stops.feed(self._text.flush()) + self._stops.flush():
            deltas.append(TextPiece(text))
        deltas += self._calls.finish(complete=complete)
        if complete and self._raw_reason in _CALLED and not self._calls.count:
            deltas.append(self._calls.unread("The server took something for a tool call and couldn't read it."))
        elif self._must_call and self._spoke and not self._calls.count and done.reason in {"stop", "length"}:
            deltas.append(Note("The server didn't hold the model to tool_choice: the answer calls no tool."))
        if self._wants_logprobs and self.begun and not self._tokens and done.reason != "cancelled":
            deltas.append(Note("The server sent no log-probabilities."))
        refusal = {"refusal": "".join(self._refusal)} if any(self._refusal) else {}
        counted = _counted(done, self._usage, self._timings)
        return [*deltas, replace(counted, provider_data={**self._told, **refusal})]


def _parts(said: dict[str, Any]) -> tuple[str, str]:
    """Return a message's reasoning and its text; servers name and nest them differently."""
    thought = next(
        (said[name] for name in ("reasoning_content", "reasoning") if isinstance(said.get(name), str) and said[name]),
        "",
    )
    content = said.get("content")
    if isinstance(content, list):  # Mistral's
        parts = [part for part in content if isinstance(part, dict)]
        text = "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
        thought += "".join(_parts({"content": part["thinking"]})[1] for part in parts if "thinking" in part)
    else:
        text = content if isinstance(content, str) else ""
    return thought, text


def _told(chunk: dict[str, Any]) -> dict[str, Any]:
    """Return what a chunk tells of the answer as a whole."""
    known = {name: chunk.get(name) for name in _TOLD}
    return {
        name: value[:200] if isinstance(value, str) else value
        for name, value in known.items()
        if (isinstance(value, str) and value) or _count(value) is not None
    }


def _prefill(chunk: dict[str, Any]) -> list[Delta]:
    progress = _dict(chunk.get("prompt_progress"))
    done, total, cached = (_count(progress.get(name)) for name in ("processed", "total", "cache"))
    if done is None or total is None or cached is None:
        return []
    return [Prefill(done, total, cached)]


def _tokens(logprobs: Any) -> tuple[Token, ...]:
    match logprobs:
        case {"content": list(items)}:
            return tuple(_token(item) for item in items if isinstance(item, dict))
        case {"tokens": list(texts), "token_logprobs": list(values)}:
            tops = logprobs.get("top_logprobs")
            tops = tops if isinstance(tops, list) else []
            return tuple(
                Token(UNKNOWN_ID, _shown(text), _logprob(value), _by_text(tops[at] if at < len(tops) else None))
                for at, (text, value) in enumerate(zip(texts, values, strict=False))
            )
    return ()


def _token(item: dict[str, Any]) -> Token:
    others = item.get("top_logprobs")
    alternatives = [
        Alternative(_id(other), _shown(other.get("token")), value)
        for other in (others if isinstance(others, list) else ())
        if isinstance(other, dict) and (value := _logprob(other.get("logprob"))) is not None
    ]
    return Token(_id(item), _shown(item.get("token")), _logprob(item.get("logprob")), tuple(alternatives))


def _by_text(top: Any) -> tuple[Alternative, ...]:
    pairs = [(text, _logprob(value)) for text, value in top.items()] if isinstance(top, dict) else []
    known = [Alternative(UNKNOWN_ID, _shown(text), value) for text, value in pairs if value is not None]
    return tuple(sorted(known, key=lambda each: -each.logprob))


def _counted(done: Done, usage: dict[str, Any], timings: dict[str, Any]) -> Done:
    """Return the end with what is known of counts and times; unknown stays ``None``."""
    inputs, outputs = _dict(usage.get("prompt_tokens_details")), _dict(usage.get("completion_tokens_details"))
    cached = _count(inputs.get("cached_tokens"))
    if cached is None:  # DeepSeek's name, then llama.cpp's
        cached = _count(usage.get("prompt_cache_hit_tokens"))
    if cached is None:
        cached = _count(timings.get("cache_n"))
    return Done(
        done.reason,
        raw_reason=done.raw_reason,
        prompt_tokens=_count(usage.get("prompt_tokens")),
        cached_tokens=cached,
        generated_tokens=_count(usage.get("completion_tokens")),
        reasoning_tokens=_count(outputs.get("reasoning_tokens")),
        prefill_time=_seconds(timings.get("prompt_ms")),
        decode_time=_seconds(timings.get("predicted_ms")),
        error=done.error,
    )


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST <= value <= _LARGEST:
        return None  # not finite, too
    return float(value)


def _seconds(milliseconds: Any) -> float | None:
    number = _number(milliseconds)
    return None if number is None or number < 0 else number / 1000


def _logprob(value: Any) -> float | None:
    return _number(value)


def _id(item: dict[str, Any]) -> int:
    found = _count(item.get("id", item.get("token_id")))  # llama.cpp's and mlx-lm's name, TabbyAPI's
    return UNKNOWN_ID if found is None else found


def _shown(text: Any) -> str:
    return whole_characters(text) if isinstance(text, str) else ""
