"""What went wrong, as servers say it, as llmkit's typed errors.

The shapes: ``{"error": {"message", "type", "param", "code"}}`` (OpenAI, vLLM, TabbyAPI, llama.cpp),
``{"error": "…"}`` (mlx_lm.server, vLLM's key check), ``{"object": "error", "message", "type", "code"}`` (vLLM before
0.10), ``{"detail": "…"}`` and ``{"detail": [{"loc", "msg", "type"}]}`` (FastAPI, TabbyAPI), and plain text.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from llmkit.engines.remote.secret import Secret, hide
from llmkit.errors import APIError, ContextLengthError, Error, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_MESSAGE: Final = 1000
_LONGEST_DETAILS: Final = 16_384

_CODES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found",
    429: "rate_limit_exceeded",
}
_KINDS: Final = {
    "invalid_request_error": "invalid_request",
    "badrequesterror": "invalid_request",
    "authentication_error": "authentication_error",
    "permission_error": "permission_error",
    "not_found_error": "not_found",
    "notfounderror": "not_found",
    "rate_limit_error": "rate_limit_exceeded",
    "rate_limit_exceeded": "rate_limit_exceeded",
}
_REMEDIES: Final = {
    "authentication_error": "Check the key: api_key=…, or the environment variable LLMKIT_API_KEY.",
    "permission_error": "The key doesn't allow this; ask whoever runs the server.",
    "not_found": "Check base_url (it often ends in /v1) and the model's name.",
    "rate_limit_exceeded": "The server is busy or a quota is used up; try later, or lower the session's concurrency.",
}
_SPENT: Final = ("insufficient_quota", "billing")

_CONTEXT_KINDS: Final = ("context_length_exceeded", "exceed_context_size_error")
_CONTEXT_WORDS: Final = re.compile(
    r"maximum context length|maximum model length|context (?:size|length|window)|max_(?:seq|model)_len", re.IGNORECASE
)
_CONTEXT_LIMIT: Final = (
    re.compile(r"(?:maximum (?:context|model) length|model's context length)(?: is| of)? *\(?(\d+)", re.IGNORECASE),
    re.compile(r"context size \((\d+)", re.IGNORECASE),
    re.compile(r"max_(?:seq|model)_len(?: of)? \(?(\d+)", re.IGNORECASE),
)
_PROMPT_LENGTH: Final = (
    re.compile(r"\((\d+) in the messages", re.IGNORECASE),
    re.compile(r"(\d+) input tokens", re.IGNORECASE),
    re.compile(r"resulted in (\d+) tokens", re.IGNORECASE),
    re.compile(
        r"(?:prompt|context|input)[^.\d]{0,20}?(\d+)(?: tokens)?\)? (?:is (?:longer|greater)|exceeds)", re.IGNORECASE
    ),
    re.compile(r"(?:request|input) \((\d+) tokens\)", re.IGNORECASE),
    re.compile(r"requested (\d+) tokens", re.IGNORECASE),
)


@dataclass(frozen=True, slots=True)
class Said:
    """What an error body says, whatever its shape."""

    message: str
    kind: str = ""
    code: str = ""
    param: str = ""
    status: int | None = None
    details: Any = None


class Faults:
    """Makes errors for one server.

    Parameters
    ----------
    host : str
        The server, for messages.
    secrets : sequence of Secret
        Masked wherever the server quotes them; it may grow.
    """

    def __init__(self, host: str, secrets: Sequence[Secret]) -> None:
        self._host = host
        self._secrets = secrets

    def masked(self, value: Any) -> Any:
        """Return a text or JSON value of the server's without the secrets in it."""
        return hide(value, self._secrets)

    def answered(self, status: int | None, body: Any, headers: Mapping[str, str]) -> Error:
        """Return the error for an answer that is none.

        Parameters
        ----------
        status : int, optional
            HTTP status; ``None`` for an error in a stream that began well.
        body : Any
            The body's JSON value, or its text.
        headers : mapping
            The answer's headers, for ``Retry-After`` and the request's id.
        """
        said = read_error(hide(body, self._secrets))
        status = status if status is not None else said.status
        context = self._context_error(status, said)
        if context is not None:
            return context
        code = _code(status, said)
        where = f"{self._host} answered" + (f" {status}" if status is not None else "")
        why = said.message.rstrip(". ") or "without a reason"
        error = APIError(
            f"{where}: {why}. {_REMEDIES.get(code, '')}".rstrip(),
            status=status,
            code=code,
            details=said.details,
            request_id=self.masked(headers.get("x-request-id") or headers.get("request-id")),
            retry_after=retry_after(headers),
        )
        if any(word in (said.kind, said.code) for word in _SPENT):
            error.retryable = False
        return error

    def unreachable(self, cause: Exception, timeout: float) -> RequestError:
        """Return the error for a connection that couldn't be made, within ``timeout`` seconds."""
        if is_timeout(cause):
            return RequestError(f"{self._host} couldn't be reached within {timeout:g} s. Check the address.")
        return RequestError(
            f"{self._host} couldn't be reached ({self._root(cause)}). Check the address, and that the server runs."
        )

    def dropped(self, cause: Exception, timeout: float) -> RequestError:
        """Return the error for a connection that ended before the answer did, or was silent for ``timeout`` seconds."""
        if is_timeout(cause):
            return RequestError(
                f"{self._host} sent nothing for {timeout:g} s. It may be overloaded; Remote(timeout=…) waits longer."
            )
        return RequestError(f"{self._host} broke the connection off ({self._root(cause)}).")

    def ended(self) -> RequestError:
        """Return the error for a stream that ended without saying that it is the end."""
        return RequestError(f"{self._host} ended the stream before the answer was over.")

    def no_answer(self, content_type: str, text: str) -> RequestError:
        """Return the error for a body that is no answer of such a server."""
        shown = _one_line(hide(text, self._secrets), 200)
        error = RequestError(
            f"{self._host} answered with {content_type or 'no content type'} where an answer was due: {shown!r}. "
            "Check base_url; it often ends in /v1."
        )
        error.retryable = False
        return error

    def redirected(self, status: int, target: str) -> RequestError:
        """Return the error for a redirect, which isn't followed: the key is meant for this server alone."""
        error = RequestError(
            f"{self._host} redirects ({status}) to {_one_line(hide(target, self._secrets), 200)!r}, which isn't "
            "followed, because the key is meant for this server alone. Give the address that answers as base_url."
        )
        error.retryable = False
        return error

    def _root(self, cause: BaseException) -> str:
        while cause.__cause__ is not None:
            cause = cause.__cause__
        return _one_line(hide(str(cause), self._secrets), 200) or type(cause).__name__

    def _context_error(self, status: int | None, said: Said) -> ContextLengthError | None:
        named = said.kind in _CONTEXT_KINDS or said.code in _CONTEXT_KINDS
        if not named and (status in {401, 403, 404, 429} or not _CONTEXT_WORDS.search(said.message)):
            return None
        fields = said.details if isinstance(said.details, dict) else {}
        # Unknown stays None, where a server doesn't tell.
        length: Any = _number(fields.get("n_ctx"), said.message, _CONTEXT_LIMIT)
        prompt: Any = _number(fields.get("n_prompt_tokens"), said.message, _PROMPT_LENGTH)
        if not named and length is None and prompt is None:
            return None
        return ContextLengthError(
            f"{self._host}: {said.message.rstrip('. ')}. Shorten the prompt, drop old messages (llmkit.prune), lower "
            "max_output_tokens, or start the server with a larger context.",
            prompt_tokens=prompt,
            context_length=length,
        )


def read_error(body: Any) -> Said:
    """Return what an error body says."""
    match body:
        case {"error": dict(error)} | {"detail": {"error": dict(error)}} | {"detail": dict(error)}:
            said = _said(error)
        case {"error": str(message)} | {"detail": str(message)}:
            said = Said(_one_line(message), details=_details(body, "error", "detail"))
        case {"detail": list(problems)}:
            words = [_problem(problem) for problem in problems[:5]]
            said = Said(_one_line("; ".join(words)), param=_location(problems), details=_details(body))
        case {"message": str()}:
            said = _said(body)
        case str():
            said = Said(_one_line(re.sub(r"<[^>]*>", " ", body)))
        case _:
            said = Said("", details=_details(body) if isinstance(body, dict) else None)
    return said


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds a server asks to wait: ``Retry-After`` as seconds or as a date (RFC 9110, 10.2.3)."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = (headers.get(name) or "").strip()
        if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", value):
            return float(value) * unit
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after") or "").timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def is_timeout(cause: BaseException | None) -> bool:
    """Return whether a time limit of the HTTP client is behind an exception."""
    while cause is not None:
        if "Timeout" in type(cause).__name__:
            return True
        cause = cause.__cause__
    return False


def bare(error: BaseException) -> BaseException:
    """Return an exception of a library without its frames, whose local variables hold the headers that were sent."""
    seen: BaseException | None = error
    while seen is not None:
        seen.__traceback__ = None
        seen = seen.__cause__ or seen.__context__
    return error


def _said(error: dict[str, Any]) -> Said:
    code = error.get("code")
    status = code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599 else None
    return Said(
        message=_one_line(error.get("message")),
        kind=_one_line(error.get("type")).lower(),
        code="" if status is not None else _one_line(code).lower(),
        param=_one_line(error.get("param")),
        status=status,
        details=_details(error, "message"),
    )


def _code(status: int | None, said: Said) -> str:
    if status in _CODES:
        return _CODES[status]
    if status is not None and status >= 500:
        return "server_error"
    default = "server_error" if status is None else "invalid_request"
    return _KINDS.get(said.kind) or _KINDS.get(said.code) or default


def _number(value: Any, message: str, patterns: Sequence[re.Pattern[str]]) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = message.replace(",", "")
    return next((int(found[1][:12]) for pattern in patterns if (found := pattern.search(text))), None)


def _problem(problem: Any) -> str:
    if not isinstance(problem, dict):
        return _one_line(problem, 200)
    return f"{_location([problem])}: {_one_line(problem.get('msg'), 200)}".removeprefix(": ")


def _location(problems: list[Any]) -> str:
    place = problems[0].get("loc") if problems and isinstance(problems[0], dict) else None
    parts = [str(part) for part in place] if isinstance(place, list) else []
    return ".".join(part for part in parts if part != "body")


def _details(body: dict[str, Any], *without: str) -> dict[str, Any] | None:
    details = {name: value for name, value in body.items() if name not in without and value is not None}
    try:
        small = len(json.dumps(details)) <= _LONGEST_DETAILS
    except RecursionError:
        small = False
    return details if details and small else None


def _one_line(value: Any, longest: int = _LONGEST_MESSAGE) -> str:
    if value is None:
        return ""
    text = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", str(value)[: 4 * longest]).strip()
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= longest else f"{text[:longest]}…"
