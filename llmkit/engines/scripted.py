"""An engine that answers from a list, with timing: for tests, and for lessons that must come out the same every time.

It sits where the real decoders sit, under the shared prompt path, so that templates, splitting, stop strings, queueing
and prefix reuse are the real ones.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit.engines.decoder import (
    Alternative,
    DecodeRequest,
    DecoderInfo,
    Done,
    Prefill,
    Report,
    Token,
    Tokens,
)
from llmkit.engines.stops import StopMatcher
from llmkit.errors import EngineError, Error, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

TEMPLATE = """\
{% macro call_text(call) %}
{{ '<tool_call>\\n{"name": ' }}{{ call.name | tojson }}{{ ', "arguments": ' }}{{ call.arguments | tojson -}}
{{ '}\\n</tool_call>' }}
{%- endmacro %}
{% if tools %}
<|tools|>{% for tool in tools %}{{ tool.function | tojson }}{{ '' if loop.last else '\\n' }}{% endfor %}<|end|>
{%- endif %}
{% for message in messages %}
<|{{ message.role }}|>{{ message.content }}
{%- for call in message.tool_calls or () %}
{{ '\\n' if message.content or not loop.first }}{{ call_text(call.function) }}
{%- endfor %}
<|end|>
{%- endfor %}
{% if add_generation_prompt %}
<|assistant|>
{%- endif %}
{# <think> </think> enable_thinking #}
"""
ScriptedCall: TypeAlias = "tuple[str, Mapping[str, Any]] | Mapping[str, Any]"
_PIECES = re.compile(r"<\|\w+\|>|\s?\w+|\s|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Answer:
    r"""A scripted answer.

    Parameters
    ----------
    text : str or sequence of str
        What is said, ``<think>…</think>`` and all. Of several texts the seed picks one, temperature 0 the first; each
        is as likely as the others, which is where the tokens' log-probabilities come from.
    finish_reason : {"stop", "length"}
        How it ends.
    error : Error, optional
        Raised after the text.
    tool_calls : sequence of (name, arguments) or {"name": …, "arguments": …}
        Calls made after the text. They are written out as the text of a model is, and read as such: a text may just as
        well hold ``<tool_call>…</tool_call>`` itself, broken ones too.

    Examples
    --------
    >>> import llmkit as lk
    >>> lk.Answer("Let me look.", tool_calls=[("get_weather", {"city": "Tokyo"})]).written
    ('Let me look.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Tokyo"}}\n</tool_call>',)
    """

    text: str | Sequence[str] = ""
    finish_reason: str = "stop"
    error: Error | None = None
    tool_calls: Sequence[ScriptedCall] = ()

    @property
    def written(self) -> tuple[str, ...]:
        """The texts with the calls in them."""
        texts = (self.text,) if isinstance(self.text, str) else self.text
        calls = [_call_text(call) for call in self.tool_calls]
        return tuple("\n".join([*([text] if text else []), *calls]) for text in texts)


Script: TypeAlias = "str | Answer | Callable[[str], str | Answer]"


@dataclass
class Scripted:
    """A script to pass as ``engine=``.

    Parameters
    ----------
    answers : sequence of str, Answer or Callable
        Given in order, one a request; a function is called with the prompt's text. The last repeats with ``loop``.
    tokens_per_second, prompt_tokens_per_second : float, optional
        Speed of decode and prefill; ``None`` is as fast as can be.
    slots : int
        How many requests decode at once.
    context_length : int
        Tokens of prompt and output together.
    loop : bool
        Whether to begin again when the answers are used up, rather than fail.

    Examples
    --------
    >>> import llmkit as lk
    >>> session = lk.Session(engine=lk.Scripted(["The sky is blue."]), show=False, ledger=None)
    >>> session.complete("Why?").text
    'The sky is blue.'
    """

    answers: Sequence[Script]
    tokens_per_second: float | None = None
    prompt_tokens_per_second: float | None = None
    slots: int = 8
    context_length: int = 4096
    loop: bool = True
    _taken: int = field(default=0, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def take(self, prompt: str) -> Answer:
        """Return the next answer.

        Raises
        ------
        EngineError
            If there is none left.
        """
        with self._lock:
            number, self._taken = self._taken, self._taken + 1
        if not self.answers or (number >= len(self.answers) and not self.loop):
            raise EngineError(f"The script has {len(self.answers)} answers and was asked for one more.")
        script = self.answers[number % len(self.answers)]
        answer = script(prompt) if callable(script) else script
        return Answer(answer) if isinstance(answer, str) else answer


class ScriptedDecoder:
    """A decoder that plays a script.

    Parameters
    ----------
    script : Scripted
        What to answer, and how fast.
    """

    def __init__(self, script: Scripted) -> None:
        self._script = script
        self._vocabulary: dict[str, int] = {}
        self._texts: list[str] = []
        self._lock = threading.Lock()
        self._places = threading.Semaphore(script.slots)
        self._cancels: dict[str, threading.Event] = {}
        self._seen: OrderedDict[tuple[int, ...], None] = OrderedDict()
        self._closed = False

    @property
    def info(self) -> DecoderInfo:
        """What is known of the model."""
        return DecoderInfo(
            engine="scripted",
            device="cpu",
            context_length=self._script.context_length,
            vocabulary_size=len(self._texts),
            chat_template=TEMPLATE,
            bos_token="",
            eos_token="<|end|>",  # noqa: S106 - a token of text
            add_bos=False,
            end_ids=(self.tokenize("<|end|>", special=True)[0],),
            slots=self._script.slots,
            build="1",
        )

    def tokenize(self, text: str, *, special: bool) -> list[int]:  # noqa: ARG002 - it has no control tokens
        """Return the ids of words, spaces and signs; new ones join the vocabulary."""
        with self._lock:
            return [self._id(piece) for piece in _PIECES.findall(text)]

    def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``."""
        return "".join(self._texts[id_] for id_ in ids)

    def score(
        self,
        context: Sequence[int],
        ids: Sequence[int],
        alternatives: int,
        cancelled: Callable[[], bool],  # noqa: ARG002 - it takes no time
    ) -> list[Token]:
        """Return how likely the next answer's texts make ``ids``; what none of them says has a probability of 0.

        Of a text that stands alone, the first token is the context: the longest end of it that begins an answer counts.
        """
        answer = self._script.take(self.detokenize(context))
        texts = [self.tokenize(text, special=False) for text in answer.written]
        ends = (list(context[len(context) - size :]) for size in range(len(context), 0, -1))
        begun = next((end for end in ends if any(text[: len(end)] == end for text in texts)), [])
        return [self._scored(id_, [*begun, *ids[:place]], texts, alternatives) for place, id_ in enumerate(ids)]

    def _scored(self, id_: int, before: list[int], texts: list[list[int]], count: int) -> Token:
        logprobs = likelihoods(texts, before)
        ranked = tuple(Alternative(each, self.detokenize([each]), logprobs[each]) for each in list(logprobs)[:count])
        return Token(id_, self.detokenize([id_]), logprobs.get(id_, -math.inf), ranked)

    def decode(self, request: DecodeRequest, report: Callable[[Report], None]) -> None:
        """Start a request and return at once."""
        cancelled = threading.Event()
        with self._lock:
            closed = self._closed
            self._cancels[request.id] = cancelled
        if closed:
            report(Done("error", error=EngineError("The engine is closed.")))
            return
        threading.Thread(
            target=self._serve, args=(request, report, cancelled), name=f"scripted-{request.id}", daemon=True
        ).start()

    def cancel(self, request_id: str) -> None:
        """Stop a request."""
        with self._lock:
            cancelled = self._cancels.get(request_id)
        if cancelled is not None:
            cancelled.set()

    def save_prefix(self, prompt: Sequence[int], path: Path) -> int:
        """Write the prompt's text to ``path``."""
        path.write_text(self.detokenize(prompt), encoding="utf-8")
        return len(prompt)

    def load_prefix(self, path: Path) -> int:
        """Read what ``save_prefix`` wrote."""
        ids = self.tokenize(path.read_text(encoding="utf-8"), special=True)
        self._remember(tuple(ids))
        return len(ids)

    def close(self) -> None:
        """End all requests."""
        with self._lock:
            self._closed = True
            cancels = tuple(self._cancels.values())
        for cancelled in cancels:
            cancelled.set()

    def _id(self, piece: str) -> int:
        if piece not in self._vocabulary:
            self._vocabulary[piece] = len(self._texts)
            self._texts.append(piece)
        return self._vocabulary[piece]

    def _serve(self, request: DecodeRequest, report: Callable[[Report], None], cancelled: threading.Event) -> None:
        with self._places:
            try:
                report(_Performance(self, self._script, request, report, cancelled).play())
            except Error as error:
                report(Done("error", error=error))
            finally:
                with self._lock:
                    self._cancels.pop(request.id, None)

    def cached(self, prompt: tuple[int, ...]) -> int:
        """Return how many tokens of ``prompt`` begin an earlier request; at least one is always computed."""
        with self._lock:
            known = tuple(self._seen)
        return min(max((_common(prompt, seen) for seen in known), default=0), len(prompt) - 1)

    def remember(self, ids: tuple[int, ...]) -> None:
        """Keep ``ids`` as a prefix that later requests may reuse."""
        self._remember(ids)

    def _remember(self, ids: tuple[int, ...]) -> None:
        with self._lock:
            self._seen[ids] = None
            while len(self._seen) > 64:
                self._seen.popitem(last=False)


class _Performance:
    """One request being answered."""

    def __init__(
        self,
        decoder: ScriptedDecoder,
        script: Scripted,
        request: DecodeRequest,
        report: Callable[[Report], None],
        cancelled: threading.Event,
    ) -> None:
        self._decoder = decoder
        self._script = script
        self._request = request
        self._report = report
        self._cancelled = cancelled
        self._stops = StopMatcher(request.stop)
        self._likely: list[list[int]] = []

    def play(self) -> Done:
        request = self._request
        prompt = len(request.prompt)
        began = time.perf_counter()
        cached = self._decoder.cached(request.prompt) if request.reuse_prefix else 0
        if not self._prefill(prompt, cached):
            return Done("cancelled", prompt_tokens=prompt, cached_tokens=cached, generated_tokens=0)
        asked, begun = request.prompt[: prompt - request.begun], request.prompt[prompt - request.begun :]
        answer = self._script.take(self._decoder.detokenize(asked))
        ids = self._ids(answer, list(begun))
        if request.grammar is not None and not request.lenient:
            _check_fits(self._decoder.detokenize([*begun, *ids]), request.grammar)
        first = time.perf_counter()
        reason, tail, count = self._decode(ids, answer)
        self._decoder.remember((*request.prompt, *ids[:count]))
        error = answer.error if reason in {"stop", "length"} else None
        return Done(
            "error" if error else reason,  # type: ignore[arg-type] # a script's finish reason is checked in _ids
            raw_reason=reason,
            tail=tail,
            prompt_tokens=prompt,
            cached_tokens=cached,
            generated_tokens=count,
            prefill_time=first - began,
            decode_time=time.perf_counter() - first,
            error=error,
        )

    def _ids(self, answer: Answer, begun: list[int]) -> list[int]:
        """Return what is said: of the texts that begin as the answer does, what follows; else a whole text."""
        if answer.finish_reason not in {"stop", "length"}:
            raise ValidationError(f"A script ends with stop or length, not {answer.finish_reason!r}.", field="answers")
        sampling = self._request.sampling
        texts = [self._decoder.tokenize(text, special=False) for text in answer.written]
        self._likely = [ids[len(begun) :] for ids in texts if ids[: len(begun)] == begun] or texts
        return self._likely[sampling.seed % len(self._likely) if sampling.temperature else 0]

    def _prefill(self, total: int, cached: int) -> bool:
        rate = self._script.prompt_tokens_per_second
        for done in range(cached, total, 32):
            self._report(Prefill(done, total, cached))
            if self._pause(min(32, total - done), rate):
                return False
        self._report(Prefill(total, total, cached))
        return not self._cancelled.is_set()

    def _decode(self, ids: list[int], answer: Answer) -> tuple[str, str, int]:
        """Return how it ended, the text still held back, and how many tokens came."""
        for count, id_ in enumerate(ids):
            if self._pause(1, self._script.tokens_per_second):
                return "cancelled", self._stops.flush(), count
            if count == self._request.max_tokens:
                return "length", self._stops.flush(), count
            self._report(Tokens((self._token(id_, ids[:count]),)))
            if self._stops.matched is not None:
                return "stop", "", count + 1
        return answer.finish_reason, self._stops.flush(), len(ids)

    def _token(self, id_: int, before: list[int]) -> Token:
        shown = self._stops.feed(self._decoder.detokenize([id_]))
        if self._request.logprobs is None:
            return Token(id_, shown)
        logprobs = likelihoods(self._likely, before)
        alternatives = tuple(
            Alternative(each, self._decoder.detokenize([each]), logprobs[each])
            for each in list(logprobs)[: self._request.logprobs]
        )
        return Token(id_, shown, logprobs[id_], alternatives)

    def _pause(self, tokens: int, rate: float | None) -> bool:
        """Take the time of ``tokens`` at ``rate``; return whether the request was cancelled."""
        return self._cancelled.wait(tokens / rate) if rate else self._cancelled.is_set()


def likelihoods(texts: Sequence[list[int]], before: list[int]) -> dict[int, float]:
    """Return the log-probability of each token after ``before``, likeliest first, where each text is as likely."""
    place = len(before)
    counts = Counter(ids[place] for ids in texts if ids[:place] == before and len(ids) > place)
    return {each: math.log(count / counts.total()) for each, count in counts.most_common()}


def _common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _call_text(call: ScriptedCall) -> str:
    """Return a call as :data:`TEMPLATE` shows it."""
    name, arguments = (call["name"], call["arguments"]) if isinstance(call, Mapping) else call
    written = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{written}\n</tool_call>"


def _check_fits(text: str, grammar: str) -> None:
    """Raise unless ``text`` is what ``grammar`` lets a real model write: a script can't be made to fit."""
    from llguidance import LLMatcher, LLTokenizer

    matcher = LLMatcher(LLTokenizer("byte"), grammar, log_level=0)
    written = list(text.encode())
    if matcher.is_error() or matcher.try_consume_tokens(written) < len(written) or not matcher.is_accepting():
        raise EngineError(
            f"The script's answer {_shortened(text)!r} isn't what was asked for: a required or named tool_choice, or "
            "an output, binds a real model, and a script must keep to it by itself. Script such an answer, for a call "
            "Answer(tool_calls=[(name, arguments)])."
        )


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
