"""Tool calls out of fragments: servers number them, or don't; name them once, always, or late."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmkit.engines.base import CallDelta, CallRead, CallStart, CallUnread
from llmkit.prompting.call_ids import call_id
from llmkit.tools.dialects.base import MAX_FRAME

if TYPE_CHECKING:
    from llmkit.engines.base import Delta


@dataclass(slots=True)
class _Call:
    """A call that is being written."""

    id: str
    index: Any
    server_id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    size: int = 0
    told: int = 0
    begun: bool = False

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    @property
    def raw(self) -> str:
        arguments = self.arguments
        return f'{{"name": {json.dumps(self.name)}, "arguments": {arguments if arguments.strip() else "{}"}}}'

    @property
    def whole(self) -> bool:
        """Whether its arguments are a whole JSON object."""
        text = self.arguments.strip()
        return text.startswith("{") and text.endswith("}") and _is_json(text)


class Calls:
    """Puts the calls of one answer together.

    Calls go out one after the other: what belongs to a later one is held while an earlier one is open. Ids are llmkit's
    own, because servers repeat theirs from step to step or leave them out; a conversation is sent whole each time, so
    that a server never misses its own.

    Parameters
    ----------
    request_id : str
        The request's id, from which the calls' are made.
    """

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._open: list[_Call] = []
        self.count = 0

    def take(self, fragments: Any) -> list[Delta]:
        """Take a chunk's ``tool_calls``; return what is certain by now."""
        if isinstance(fragments, list):
            for fragment in fragments:
                if isinstance(fragment, dict):
                    self._add(fragment)
        return self._tell()

    def finish(self, *, complete: bool) -> list[Delta]:
        """Return what is left at the end of the answer; ``complete`` if it wasn't cut off."""
        deltas: list[Delta] = []
        for call in self._open:
            deltas += _progress(call)
            deltas.append(_last(call, complete=complete))
        self._open.clear()
        return deltas

    def unread(self, message: str) -> CallUnread:
        """Return a call of which nothing is known but that it was meant."""
        self.count += 1
        return CallUnread(call_id(self._request_id, self.count), message, "")

    def _add(self, fragment: dict[str, Any]) -> None:
        function = fragment.get("function")
        function = function if isinstance(function, dict) else {}
        name = function.get("name") if isinstance(function.get("name"), str) else ""
        server_id = fragment.get("id") if isinstance(fragment.get("id"), str) else ""
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        call = self._call(fragment.get("index"), server_id or "", name or "", arguments or "")
        call.server_id = call.server_id or server_id or ""
        call.name = call.name or name or ""
        call.size += len(arguments or "")
        if arguments and call.size <= MAX_FRAME:
            call.pieces.append(arguments)

    def _call(self, index: Any, server_id: str, name: str, arguments: str) -> _Call:
        """Return the call that a fragment belongs to, a new one if it begins one."""
        if index is None:
            known = self._open[-1] if self._open else None
        else:
            known = next((call for call in reversed(self._open) if call.index == index), None)
        if known is not None and not _begins(known, server_id, name, arguments):
            return known
        if not (server_id or name or arguments.strip()):
            return _Call("", index)  # the tail of one that is told already
        self.count += 1
        call = _Call(call_id(self._request_id, self.count), index)
        self._open.append(call)
        return call

    def _tell(self) -> list[Delta]:
        deltas: list[Delta] = []
        while self._open:
            call = self._open[0]
            deltas += _progress(call)
            if len(self._open) == 1 or not (call.name and call.whole):
                break
            deltas.append(_last(call, complete=True))
            self._open.pop(0)
        return deltas


def _begins(known: _Call, server_id: str, name: str, arguments: str) -> bool:
    """Return whether a fragment with the number of a known call, or none, is the beginning of another."""
    if server_id and known.server_id:
        return server_id != known.server_id
    if not name or not known.name:
        return False
    return (name != known.name and bool(known.pieces)) or (bool(arguments) and known.whole)


def _progress(call: _Call) -> list[Delta]:
    if not call.name:
        return []
    new: list[Delta] = [] if call.begun else [CallStart(call.id, call.name)]
    call.begun = True
    text = "".join(call.pieces[call.told :])
    call.told = len(call.pieces)
    return [*new, CallDelta(call.id, text)] if text else new


def _last(call: _Call, *, complete: bool) -> Delta:
    if call.size > MAX_FRAME:
        return CallUnread(call.id, f"It is longer than {MAX_FRAME >> 20} MiB.", call.raw, call.name)
    if not complete and not call.whole:
        return CallUnread(call.id, "It was cut off before its end.", call.raw, call.name)
    if not call.name:
        return CallUnread(call.id, "It has no name.", call.raw)
    return CallRead(call.id, call.name, call.arguments, call.raw)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
