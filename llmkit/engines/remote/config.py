"""Where a server is, how to speak to it, and what it runs."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from llmkit.engines.remote.secret import Secret
from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

API = Literal["chat", "completions"]

KEY_VARIABLE = "LLMKIT_API_KEY"
OPENAI_KEY_VARIABLE = "OPENAI_API_KEY"
OPENAI_HOST = "api.openai.com"

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ENDPOINTS = re.compile(r"/(?:chat/completions|completions|models)/*$")


@dataclass(frozen=True, slots=True, repr=False)
class Remote:
    """A model on a server.

    Parameters
    ----------
    base_url : str
        The API's address, such as ``"http://gpu.local:8000/v1"``. Without a path, ``/v1`` is added.
    model : str, optional
        The model's name there. ``None``: the one model that the server has.
    api_key : str, optional
        Sent as ``Authorization: Bearer …`` and as ``X-API-Key``, to this server alone: redirects aren't followed.
    api_key_env : str, optional
        The environment variable that holds the key, if ``api_key`` isn't given. By default ``LLMKIT_API_KEY``; for
        OpenAI's own server first ``OPENAI_API_KEY``, which is sent nowhere else.
    headers : mapping of str to str
        Sent with every request; their values are kept as secret as the key.
    options : mapping
        Further fields of every request's body, such as ``{"chat_template_kwargs": {…}}``. They come last.
    timeout : float
        Seconds that the server may be silent, prefill included.
    connect_timeout : float
        Seconds to reach it.
    api : {"chat", "completions"}
        Which endpoint answers conversations: ``/chat/completions``, or ``/completions`` for a model without a chat
        template, which then continues the messages' texts.
    name : str, optional
        How the session calls it. By default its URL, with the model after a ``#``: ``"http://gpu.local:8000/v1#qwen"``.

    Raises
    ------
    ValidationError
        For a value that can't be used; names the field.
    """

    base_url: str
    model: str | None = None
    api_key: Secret | str | None = field(default=None, kw_only=True)
    api_key_env: str | None = field(default=None, kw_only=True)
    headers: Mapping[str, Secret | str] = field(default_factory=dict, kw_only=True, hash=False)
    options: Mapping[str, Any] = field(default_factory=dict, kw_only=True, hash=False)
    timeout: float = field(default=600.0, kw_only=True)
    connect_timeout: float = field(default=10.0, kw_only=True)
    api: API = field(default="chat", kw_only=True)
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("base_url", _checked_url(self.base_url))
        if isinstance(self.api_key, str):
            put("api_key", Secret(self.api_key))
        put("headers", {name: _header(name, value) for name, value in self.headers.items()})
        put("options", dict(self.options))
        for limit in ("timeout", "connect_timeout"):
            if not _is_duration(getattr(self, limit)):
                raise ValidationError(f"{limit} is a number of seconds above 0.", field=limit)
        if self.api not in get_args(API):
            raise ValidationError(f"api is 'chat' or 'completions', not {self.api!r}.", field="api")
        if self.model is not None and not self.model:
            raise ValidationError("model is the model's name on the server, or None for its only one.", field="model")
        if not self.name:
            put("name", f"{self.base_url}#{self.model}" if self.model else self.base_url)

    @property
    def host(self) -> str:
        """The server's host, with its port if it isn't the usual one."""
        return urlsplit(self.base_url).netloc

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI's own server."""
        return urlsplit(self.base_url).hostname == OPENAI_HOST

    @property
    def hidden_headers(self) -> dict[str, Secret]:
        """The headers."""
        return {name: value for name, value in self.headers.items() if isinstance(value, Secret)}

    def key(self) -> Secret | None:
        """Return the key to send, read from the environment if it wasn't given; ``None`` if there is none.

        Raises
        ------
        ValidationError
            If ``api_key_env`` names a variable that isn't set.
        """
        if isinstance(self.api_key, Secret):
            return self.api_key
        if self.api_key_env is not None:
            if not os.environ.get(self.api_key_env):
                raise ValidationError(
                    f"The environment variable {self.api_key_env} isn't set; it should hold the key of {self.host}.",
                    field="api_key_env",
                )
            return Secret(os.environ[self.api_key_env], field=self.api_key_env)
        variables = (OPENAI_KEY_VARIABLE, KEY_VARIABLE) if self.is_openai else (KEY_VARIABLE,)
        found = next((variable for variable in variables if os.environ.get(variable)), None)
        return Secret(os.environ[found], field=found) if found is not None else None

    def secrets(self) -> tuple[Secret, ...]:
        """Return all that must never be shown."""
        key = self.key()
        values = tuple(self.hidden_headers.values())
        return values if key is None else (*values, key)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        facts = [
            repr(self.base_url),
            *([f"model={self.model!r}"] if self.model else []),
            *(["api_key=***"] if self.api_key is not None else []),
            *([f"api_key_env={self.api_key_env!r}"] if self.api_key_env else []),
            *([f"headers={{{', '.join(f'{name!r}: ***' for name in self.headers)}}}"] if self.headers else []),
            *([f"api={self.api!r}"] if self.api != "chat" else []),
        ]
        return f"Remote({', '.join(facts)})"


def is_remote(name: object) -> bool:
    """Return whether a model's name says that it is on a server: a :class:`Remote`, or an ``http(s)://`` address."""
    return isinstance(name, Remote) or (isinstance(name, str) and name.lower().startswith(("http://", "https://")))


def remote_from(name: Remote | str) -> Remote:
    """Return the remote that a model's name stands for: ``"http://host:8000/v1#model"``, ``#model`` may be missing.

    Raises
    ------
    ValidationError
        For a name that is no such address.
    """
    if isinstance(name, Remote):
        return name
    url, _, model = name.partition("#")
    return Remote(url, unquote(model) or None)


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except (ValueError, AttributeError):
        usable = False
    if not usable:
        raise ValidationError("base_url is an address such as 'http://localhost:8000/v1'.", field="base_url")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValidationError(
            "base_url is scheme, host, port and path alone. A key goes into api_key=… or an environment variable, the "
            "model into model=….",
            field="base_url",
        )
    path = _ENDPOINTS.sub("", parts.path.rstrip("/")).rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _header(name: str, value: Secret | str) -> Secret:
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise ValidationError(f"{name!r} can't be a header's name.", field="headers")
    return value if isinstance(value, Secret) else Secret(value, field=f"headers[{name!r}]")


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
