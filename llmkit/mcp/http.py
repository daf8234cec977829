"""An MCP server that is reached over HTTP: the streamable transport, and the older one of server-sent events."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmkit.errors import APIError, Error, RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx2
    from mcp.client._transport import TransportStreams

    from llmkit.mcp.endpoint import Endpoint

_CONNECT_TIMEOUT = 30.0
"""Seconds to connect and to send. Answers may take as long as the call may."""

_CODES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found",
    429: "rate_limit_exceeded",
}
_REMEDIES = {
    401: "Pass headers={'Authorization': 'Bearer …'}, or check the ones that were passed.",
    403: "Check what the headers that were passed allow.",
    404: "Check the URL's path; it often ends in /mcp.",
    405: "Check the URL's path; it often ends in /mcp.",
    429: "Try again later.",
}


def code_of(status: int) -> str:
    """Return the word for an HTTP error status."""
    return _CODES.get(status, "server_error" if status >= 500 else "invalid_request")


class HTTPTransport:
    """One connection to an address.

    Parameters
    ----------
    endpoint : Endpoint
        Which address; the older transport is used if its path ends in ``/sse``.

    Attributes
    ----------
    status : int
        The status of the last answer; 0 before the first.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.status = 0

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[TransportStreams]:
        """Provide the SDK's streams to the server."""
        from mcp.client.sse import sse_client
        from mcp.client.streamable_http import streamable_http_client

        url = self._endpoint.url
        if urlsplit(url).path.rstrip("/").endswith("/sse"):
            async with sse_client(url, httpx_client_factory=self._client) as streams:
                yield streams
        else:
            async with self._client() as client, streamable_http_client(url, http_client=client) as streams:
                yield streams

    def _client(self, *_arguments: Any, **_settings: Any) -> httpx2.AsyncClient:
        """Return the client; its settings are ours, whatever the SDK would set."""
        import httpx2

        return httpx2.AsyncClient(
            headers=dict(self._endpoint.headers),
            timeout=httpx2.Timeout(_CONNECT_TIMEOUT, read=None),
            event_hooks={"response": [self._note]},
        )

    async def _note(self, response: httpx2.Response) -> None:
        self.status = response.status_code

    async def failure(self, cause: BaseException | None) -> Error:
        """Return why there is no connection."""
        label = self._endpoint.label
        if self.status >= 400:
            message = f"The MCP server at {label} answered with status {self.status}. {_REMEDIES.get(self.status, '')}"
            return APIError(message.rstrip(), status=self.status, code=code_of(self.status))
        why = self._endpoint.redacted(str(cause)) if cause else ""
        told = f" ({why or type(cause).__name__})" if cause else ""
        if self.status:
            return RequestError(
                f"What is at {label} broke the connection off or isn't an MCP server{told}. Check the URL's path."
            )
        return RequestError(f"No answer from {label}{told}. Check the URL, and that the server runs.")

    async def told(self) -> str:
        """Return what there is to add to a message: nothing."""
        return ""
