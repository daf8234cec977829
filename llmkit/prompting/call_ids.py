"""Ids of calls, as templates take them."""

from __future__ import annotations

import base64
import hashlib
import re

_LENGTH = 9
_ACCEPTED = re.compile(rf"[A-Za-z0-9]{{{_LENGTH}}}")


def call_id(request_id: str, number: int) -> str:
    """Return the id of a request's ``number``-th call: nine of a–z and 2–7, which Mistral's templates insist on."""
    return _nine(f"{request_id}\n{number}")


def accepted_id(id_: str) -> str:
    """Return an id that every template takes: ``id_`` itself if it has nine letters and digits, else one made of it."""
    return id_ if _ACCEPTED.fullmatch(id_) else _nine(id_)


def _nine(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return base64.b32encode(digest)[:_LENGTH].decode().lower()
