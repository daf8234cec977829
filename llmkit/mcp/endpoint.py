"""Where an MCP server is, and what of that may be shown."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from llmkit.errors import ValidationError
from llmkit.tools.problems import shown

_SHORTEST_SECRET = 6
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """A program to start or an address to call.

    Parameters
    ----------
    command : tuple of str
        The program and its arguments; empty for an address.
    url : str
        The address; empty for a program.
    headers, env : mapping of str
        Sent along with every request; given to the program besides a few variables such as ``PATH`` and ``HOME``.
    """

    command: tuple[str, ...] = ()
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The endpoint in a word or two, without arguments, path, query or password: any of them may hold a secret."""
        if self.command:
            program = shown(os.path.basename(self.command[0]))[1:-1]  # noqa: PTH119 - hostile text, not a path of ours
            return f"{program} …" if len(self.command) > 1 else program
        parts = urlsplit(self.url)
        return shown(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")[1:-1]

    def redacted(self, text: str) -> str:
        """Return ``text`` with every header, variable and part of the URL that could be a secret blotted out."""
        if self.url:
            text = text.replace(self.url, self.label)
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, "…")
        return text

    def _secrets(self) -> set[str]:
        values = [*self.headers.values(), *self.env.values()]
        words = [word for value in self.headers.values() for word in value.split()]
        parts = urlsplit(self.url)
        inside = [parts.username, parts.password, parts.query, *(value for _, value in parse_qsl(parts.query))]
        return {each for each in (*values, *words, *inside) if each and len(each) >= _SHORTEST_SECRET}


def endpoint_from(
    server: str | Sequence[str | os.PathLike[str]],
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
) -> Endpoint:
    """Return the endpoint that a command line, a list of a program and its arguments, or a URL stands for.

    Raises
    ------
    ValidationError
        For what is neither, headers without a URL, and variables without a program. Values are never quoted.
    """
    if isinstance(server, str) and server.startswith(("http://", "https://")):
        if env is not None:
            raise ValidationError("env=… is for a program that llmkit starts, not for a URL.", field="env")
        _check_address(server)
        return Endpoint(url=server, headers=_headers(headers))
    if headers is not None:
        raise ValidationError("headers=… go to a URL; give a program its secrets with env=….", field="headers")
    return Endpoint(command=_command(server), env=_pairs(env, "env"))


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:
        sound = False
    if not sound:
        raise ValidationError(
            "This URL can't be used: it needs a host, perhaps a port, and no spaces or invisible characters.",
            field="server",
        )


def _command(server: Any) -> tuple[str, ...]:
    if isinstance(server, str):
        try:
            words = shlex.split(server, posix=os.name != "nt")
        except ValueError as error:
            raise ValidationError(
                f"This command line can't be split into words ({error}). Pass a list: ['program', 'argument', …].",
                field="server",
            ) from error
    elif isinstance(server, Sequence) and all(isinstance(each, str | os.PathLike) for each in server):
        words = [os.fspath(each) for each in server]
    else:
        words = []
    if not words or not words[0] or any("\0" in word for word in words):
        raise ValidationError(
            "An MCP server is a command ('npx …' or ['npx', …]) or a URL that starts with http:// or https://.",
            field="server",
        )
    return tuple(words)


def _headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    pairs = _pairs(headers, "headers")
    for name, value in pairs.items():
        if not _HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise ValidationError(f"The header {shown(name)} isn't one line of ASCII text.", field="headers")
    return pairs


def _pairs(values: Mapping[str, str] | None, name: str) -> dict[str, str]:
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ValidationError(f"{name}= is a dict of texts.", field=name)
    for key, value in values.items():
        if not isinstance(key, str) or not isinstance(value, str) or "\0" in key + value:
            raise ValidationError(f"{name}= is a dict of texts, which {shown(str(key))} isn't.", field=name)
    return dict(values)
