"""The worker's private HTTP door: a socket in a folder that only this user can enter, and a key.

llama.cpp offers tokenising and slot files only over HTTP. Where the system has Unix sockets the door is one, so that
no web page and no other user can reach it; elsewhere it is the loopback address. It always asks for the key.
"""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any


class HTTPDoorError(Exception):
    """The server answered with an error status, or not at all."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class HTTPDoor:
    """Calls to a llama.cpp server; safe from any thread.

    Parameters
    ----------
    address : str
        As llama.cpp names it: ``unix:///folder/x.sock`` or ``http://127.0.0.1:port``.
    key : str
        The server's API key.
    timeout : float
        Seconds to wait for an answer.
    """

    def __init__(self, address: str, key: str, *, timeout: float = 60.0) -> None:
        self._address = address
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._timeout = timeout

    def post(self, path: str, body: Any) -> Any:
        """Send ``body`` as JSON and return the answer."""
        return self._call("POST", path, json.dumps(body))

    def get(self, path: str) -> Any:
        """Return what is at ``path``."""
        return self._call("GET", path, None)

    def _call(self, method: str, path: str, body: str | None) -> Any:
        connection = self._connection()
        try:
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise HTTPDoorError(f"{path}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise HTTPDoorError(f"{path}: {text}")
        return json.loads(text)

    def _connection(self) -> http.client.HTTPConnection:
        if self._address.startswith("unix://"):
            return _UnixConnection(self._address.removeprefix("unix://"), self._timeout)
        host = self._address.removeprefix("http://").rstrip("/")
        return http.client.HTTPConnection(host, timeout=self._timeout)
