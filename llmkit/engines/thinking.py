"""A budget for reasoning: after so many tokens of it, the thought is closed and the model goes on with its answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit.cancellation import CancelToken
from llmkit.engines.decoder import Done, Token, Tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from llmkit.engines.decoder import DecodeRequest, Report

    Decode = Callable[[DecodeRequest, CancelToken], AsyncIterator[Report]]


async def decode_within_budget(
    decode: Decode,
    request: DecodeRequest,
    cancel: CancelToken,
    *,
    budget: int,
    reasoning_tokens: Callable[[], int],
    closing: tuple[Token, ...],
    grammar: str | None = None,
) -> AsyncIterator[Report]:
    """Decode, and close the reasoning when its budget is used up.

    Parameters
    ----------
    decode : Callable
        Starts a request and yields its reports.
    request : DecodeRequest
        What to decode.
    cancel : CancelToken
        Ends it.
    budget : int
        At most this many reasoning tokens.
    reasoning_tokens : Callable
        Returns how many there were so far, 0 once the model speaks; up to date whenever a report was taken.
    closing : tuple of Token
        The end of the reasoning, as the model would write it.
    grammar : str, optional
        Binds what follows the closed reasoning.
    """
    enough = CancelToken()
    forget = cancel.on_cancel(enough.cancel)
    ids: list[int] = []
    cut: Done | None = None
    try:
        async for report in decode(request, enough):
            if enough.cancelled and not cancel.cancelled:
                # Tokens that were under way don't count: the answer goes on from those before.
                cut = report if isinstance(report, Done) else cut
                continue
            yield report
            if isinstance(report, Tokens):
                ids += [token.id for token in report.tokens]
                if reasoning_tokens() >= budget:
                    enough.cancel("the reasoning budget is used up")
    finally:
        forget()
    if cut is None:
        return
    yield Tokens(closing)
    ids += [token.id for token in closing]
    rest = replace(
        request,
        id=f"{request.id}-answer",
        prompt=(*request.prompt, *ids),
        max_tokens=max(1, request.max_tokens - len(ids)),
        grammar=grammar,
        begun=0,
    )
    async for report in decode(rest, cancel):
        yield _joined(cut, report, len(ids)) if isinstance(report, Done) else report


def _joined(first: Done, last: Done, thought: int) -> Done:
    """Return the end of both decodes together, as if they had been one."""
    return replace(
        last,
        prompt_tokens=first.prompt_tokens,
        cached_tokens=first.cached_tokens,
        generated_tokens=None if last.generated_tokens is None else last.generated_tokens + thought,
        prefill_time=_sum(first.prefill_time, last.prefill_time),
        decode_time=_sum(first.decode_time, last.decode_time),
    )


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
