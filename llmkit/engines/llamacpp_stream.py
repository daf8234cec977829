"""From llama.cpp's stream of chunks to tokens, each with its id and text.

llama.cpp sends no chunk for a token that ends inside a multi-byte character: its id is missing, and its bytes come
with the token that completes the character. The count in each chunk tells how many are missing, and the bytes tell
which (:meth:`Vocabulary.split`). Bytes that never become a character come as U+FFFD: such tokens are counted, but
their ids stay unknown and aren't reported.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

# The bytes of a character before its last: at most three, so at most three tokens go without a chunk.
MAX_SILENT_TOKENS = 3

WireToken = list[Any]
"""``[id, text]``, and if log-probabilities were asked for, the token's own and ``[id, text, logprob]`` of others."""


class Vocabulary:
    """The bytes of every token.

    Parameters
    ----------
    pieces : callable
        Returns the bytes of all tokens, by id; called once, when first needed.
    tokenize : callable
        Returns the token ids of a text.
    control : Mapping
        Texts of the control tokens by id.
    """

    def __init__(
        self,
        pieces: Callable[[], Sequence[bytes]],
        tokenize: Callable[[str], list[int]],
        control: Mapping[int, str],
    ) -> None:
        self._read_pieces = pieces
        self._tokenize = tokenize
        self.control = control
        self._pieces: Sequence[bytes] = ()
        self._ids: dict[bytes, list[int]] = {}

    def bytes_of(self, token: int, *, special: bool) -> bytes:
        """Return the bytes that ``token`` adds to the text."""
        if token in self.control and not special:
            return b""
        self._load()
        return self._pieces[token]

    def split(self, data: bytes, count: int, rest: bytes) -> list[int] | None:
        """Return ``count`` token ids whose bytes are ``data``; ``None`` if there are none.

        If there are several ways, the one in which the tokenizer splits ``data + rest`` is the likeliest.
        """
        self._load()
        ways = [way for _, way in zip(range(64), self._ways(data, count), strict=False)]
        if len(ways) > 1:
            usual = self._tokenize((data + rest).decode("utf-8", "ignore"))
            ways.sort(key=lambda way: not _contains(usual, way))
        return ways[0] if ways else None

    def _ways(self, data: bytes, count: int) -> Iterator[list[int]]:
        if count == 1:
            yield from ([token] for token in self._ids.get(data, ()))
            return
        for end in range(len(data) - count + 1, 0, -1):
            for token in self._ids.get(data[:end], ()):
                yield from ([token, *others] for others in self._ways(data[end:], count - 1))

    def _load(self) -> None:
        if self._pieces:
            return
        pieces = self._read_pieces()
        ids = defaultdict(list)
        for token, piece in enumerate(pieces):
            if piece and token not in self.control:
                ids[piece].append(token)
        self._ids, self._pieces = dict(ids), pieces


def _contains(sequence: list[int], part: list[int]) -> bool:
    return any(sequence[at : at + len(part)] == part for at in range(len(sequence) - len(part) + 1))


class TokenStream:
    """One request's tokens, chunk by chunk.

    Parameters
    ----------
    vocabulary : Vocabulary
        Bytes of the tokens.
    max_tokens : int
        End after this many tokens. llama.cpp must be asked for ``MAX_SILENT_TOKENS`` more: else the ids of a last
        character that is cut off would never be known.
    end_ids : Collection of int
        Tokens that end the generation; they aren't reported.
    logprobs : int, optional
        How many alternatives to report; ``None``: no log-probabilities.
    special : bool
        Whether control tokens show as text.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        max_tokens: int,
        end_ids: Collection[int],
        logprobs: int | None = None,
        special: bool = False,
    ) -> None:
        self._vocabulary = vocabulary
        self._max_tokens = max_tokens
        self._end_ids = end_ids
        self._logprobs = logprobs
        self._special = special
        self._sent = 0  # tokens that llama.cpp has counted so far
        self._held: list[int] = []  # tokens whose text llama.cpp holds back: perhaps the start of a stop string
        self._waiting: list[tuple[int, WireToken]] = []  # with how many tokens are missing before each
        self._flushed = ""  # text that came with the end token
        self.ended = ""
        """The reason, in llama.cpp's words, once the generation has ended: ``eos``, ``word`` or ``limit``."""
        self.timings: dict[str, float] = {}
        self._started = time.perf_counter()
        self._first: float | None = None
        self._last = self._started

    def feed(self, chunk: dict[str, Any]) -> list[WireToken]:
        """Return the tokens that a chunk brings; ``ended`` tells whether it was the last."""
        verbose = chunk["__verbose"]
        if verbose["stop"]:
            self.ended, self._sent = str(verbose["stop_type"]), verbose["tokens_predicted"]
            self.timings = verbose.get("timings", {})
            return self._report(self._resolve(str(verbose.get("stopping_word", ""))))
        self._last = time.perf_counter()
        self._first = self._first or self._last
        token, text, counted = verbose["tokens"][0], verbose["content"], verbose["tokens_predicted"]
        missing, self._sent = counted - self._sent - 1, counted
        if token in self._end_ids:
            self._flushed = text
            return self._resolve(text)
        held = tuple(self._held)
        tokens = self._complete(missing, self._token(token, text, chunk))
        if counted < self._max_tokens or "timings" in verbose:  # llama.cpp times the last chunk: a stop string is found
            return self._report(tokens)
        self.ended = "limit"
        tokens = tokens or self._resolve()
        kept = self._report(tokens)
        if len(kept) < len(tokens):
            self._held = list(held)  # the token that brought the held text is beyond the limit
        return kept

    @property
    def generated(self) -> int:
        """How many tokens were generated, without the end token."""
        return min(self._sent - (self.ended == "eos"), self._max_tokens)

    @property
    def tail(self) -> str:
        """Text that was held back and is no stop string after all."""
        if self.ended in {"eos", "word"}:
            return self._flushed
        return self._held_bytes().decode("utf-8", "ignore")

    @property
    def times(self) -> tuple[float | None, float | None]:
        """Seconds of prefill and of decoding: llama.cpp's own figures if it sent them, else ours."""
        if self.timings:
            return self.timings["prompt_ms"] / 1000, self.timings["predicted_ms"] / 1000
        if self._first is None:
            return None, None
        return self._first - self._started, self._last - self._first

    def _complete(self, missing: int, token: WireToken) -> list[WireToken]:
        if missing or self._waiting:
            self._waiting.append((missing, token))
            return self._resolve() if token[1] else []
        if token[1]:
            self._held.clear()
        else:
            self._held.append(token[0])
        return [token]

    def _resolve(self, stop: str = "") -> list[WireToken]:
        """Find the ids of the tokens that llama.cpp left out, now that their text is known."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return []
        data = (waiting[-1][1][1] + stop).encode().removeprefix(self._held_bytes())
        found: list[WireToken] = []
        for at, (missing, token) in enumerate(waiting, start=1):
            last = self._vocabulary.bytes_of(token[0], special=self._special)
            final = at == len(waiting) and data.endswith(last)
            end = len(data) - len(last) if final else data.find(last, missing)
            if missing and end > 0:
                found += [[id_, ""] for id_ in self._vocabulary.split(data[:end], missing, data[end:]) or ()]
            found.append(token)
            data = data[end + len(last) :] if end >= 0 else b""
        if waiting[-1][1][1]:
            self._held.clear()
        return found

    def _held_bytes(self) -> bytes:
        return b"".join(self._vocabulary.bytes_of(token, special=self._special) for token in self._held)

    def _report(self, tokens: list[WireToken]) -> list[WireToken]:
        beyond = max(0, self._sent - self._max_tokens)
        return tokens[: len(tokens) - beyond] if beyond else tokens

    def _token(self, token: int, text: str, chunk: dict[str, Any]) -> WireToken:
        if self._logprobs is None:
            return [token, text]
        entry = chunk["choices"][0]["logprobs"]["content"][0]
        others = entry["top_logprobs"][: self._logprobs]
        return [token, text, entry["logprob"], [[other["id"], other["token"], other["logprob"]] for other in others]]
