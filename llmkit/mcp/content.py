"""What a tool of an MCP server answers, as Python values."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

from llmkit.errors import APIError

if TYPE_CHECKING:
    from mcp_types import CallToolResult, ContentBlock

_MIME_TYPE = re.compile(r"[a-z0-9.+-]{1,80}/[a-z0-9.+-]{1,80}")


class Media:
    """An image, a sound or another file that a tool gave; PNG and JPEG show themselves in a notebook.

    Parameters
    ----------
    data : bytes
        The file.
    mime_type : str
        Its kind, as the server says: ``image/png``.
    """

    __slots__ = ("data", "mime_type")

    def __init__(self, data: bytes, mime_type: str) -> None:
        kind = mime_type.lower().strip()
        self.data = data
        self.mime_type = kind if _MIME_TYPE.fullmatch(kind) else "application/octet-stream"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Media) and (self.data, self.mime_type) == (other.data, other.mime_type)

    def __hash__(self) -> int:
        return hash((self.data, self.mime_type))

    def __repr__(self) -> str:
        return f"<{self.mime_type}, {len(self.data):,} bytes>"

    def _repr_png_(self) -> bytes | None:
        return self.data if self.mime_type == "image/png" else None

    def _repr_jpeg_(self) -> bytes | None:
        return self.data if self.mime_type == "image/jpeg" else None


def visible(text: str) -> str:
    """Return ``text`` without the characters that nobody sees, so that a person reads what a model reads."""
    return "".join(each for each in text if each.isprintable() or each in "\n\t")


def value_of(result: CallToolResult, tool: str) -> Any:
    """Return what a call gave.

    Parameters
    ----------
    result : CallToolResult
        The server's answer.
    tool : str
        The tool's name, for messages.

    Returns
    -------
    Any
        The structured content if there is any, and what its text can't say beside it; else the only part, a list of
        several, or ``None``. Text is a ``str``, a file a :class:`Media`, a link a ``dict``.

    Raises
    ------
    APIError
        With code ``tool_error`` if the tool failed; with ``server_error`` if a file can't be read.
    """
    parts = [_part(each, tool) for each in result.content]
    if result.is_error:
        told = "\n".join(part for part in parts if isinstance(part, str))
        raise APIError(
            told or f"The tool {tool!r} failed and doesn't say why.",
            code="tool_error",
            details=result.structured_content,
        )
    if result.structured_content is not None:
        # The standard has servers repeat it as text (2025-11-25, server/tools, "Structured Content").
        parts = [result.structured_content, *(part for part in parts if not isinstance(part, str))]
    return parts[0] if len(parts) == 1 else parts or None


def _part(block: ContentBlock, tool: str) -> Any:
    from mcp_types import BlobResourceContents

    match block.type:
        case "text":
            return block.text
        case "image" | "audio":
            return _media(block.data, block.mime_type, tool)
        case "resource_link":
            return block.model_dump(
                mode="json", by_alias=True, exclude_none=True, exclude={"meta", "annotations", "icons"}
            )
        case "resource":
            held = block.resource
            return (
                _media(held.blob, held.mime_type or "", tool) if isinstance(held, BlobResourceContents) else held.text
            )


def _media(data: str, mime_type: str, tool: str) -> Media:
    try:
        return Media(base64.b64decode(data, validate=True), mime_type)
    except binascii.Error as error:
        raise APIError(f"The tool {tool!r} gave a file that isn't base64: {error}.") from error
