"""Chats as JSON: every turn of every branch, to be gone on with in this kernel or another.

What a file says is checked like anything from outside. Its tool calls and their results are words in a conversation:
nothing of them is run, and nothing of them counts as an approval.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic import ValidationError as PydanticError

from llmkit.chatting.turn import Turn
from llmkit.errors import ValidationError
from llmkit.messages import Message

if TYPE_CHECKING:
    from llmkit.chatting.chat import Chat

VERSION = 1
"""Of the JSON that is written and read."""

MAX_LENGTH = 1 << 26
"""The longest JSON that is read, in bytes."""


@dataclass(frozen=True, slots=True)
class SavedChat:
    """What a file tells: its turns, the last one of the path that was present, and the system message."""

    turns: list[Turn]
    present: Turn | None
    system: str | None


class _Turn(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    parent: int | None
    role: Literal["user", "assistant"]
    messages: list[dict[str, Any]]
    seed: int | None = None
    chosen: int | None = None


class _Chat(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["llmkit-chat"]
    version: int
    system: str | None
    present: int | None
    turns: list[_Turn]


def to_json(chat: Chat) -> str:
    """Return a chat as JSON; waits for an answer that is being written."""
    turns = [
        _Turn(
            parent=None if turn.parent is None else turn.parent.id,
            role=turn.role,
            messages=[message.to_dict() for message in turn.messages],
            seed=turn.seed,
            chosen=None if turn.chosen is None else turn.chosen.id,
        )
        for turn in chat.turns
    ]
    present = chat.path[-1].id if len(chat) else None
    saved = _Chat(kind="llmkit-chat", version=VERSION, system=chat.system, present=present, turns=turns)
    return json.dumps(saved.model_dump(), indent=1)


def read(path: str | Path) -> SavedChat:
    """Return what a chat's file tells.

    Raises
    ------
    ValidationError
        For a file that isn't there, isn't a chat, is of another version, or whose turns don't form a tree.
    """
    file = Path(path).expanduser()
    try:
        data = file.read_bytes()
    except OSError as error:
        raise _bad(path, f"it can't be read: {error.strerror}") from error
    if len(data) > MAX_LENGTH:
        raise _bad(path, f"it has more than {MAX_LENGTH >> 20} MiB")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad(path, "it isn't JSON. A chat is saved with chat.export('….json')") from error
    version = value.get("version") if isinstance(value, dict) else None
    if version is not None and version != VERSION:
        raise _bad(path, f"it is of version {version!r}, and this llmkit reads version {VERSION}")
    try:
        return _restored(_Chat.model_validate(value))
    except PydanticError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise _bad(path, f"{place or 'it'}: {problem['msg']}") from error
    except ValidationError as error:
        raise _bad(path, error.message) from error


def _restored(saved: _Chat) -> SavedChat:
    turns: list[Turn] = []
    for number, each in enumerate(saved.turns):
        parent = None if each.parent is None else _at(turns, each.parent, number)
        if (parent is None or parent.role == "assistant") != (each.role == "user"):
            raise ValidationError(f"turn {number} can't follow the one that it names.")
        said = tuple(Message.from_dict(message) for message in each.messages)
        _check_roles(said, each.role, number)
        turn = Turn(number, each.role, parent, said=said, seed=each.seed)
        turns.append(turn)
        if parent is not None:
            parent.children.append(turn)
    for turn, each in zip(turns, saved.turns, strict=True):
        turn.chosen = next((child for child in turn.children if child.id == each.chosen), None)
    present = None if saved.present is None else _at(turns, saved.present, len(turns))
    if present is not None and present.role == "user":
        raise ValidationError("the present path ends in a message without an answer.")
    return SavedChat(turns, present, saved.system)


def _at(turns: list[Turn], place: int, before: int) -> Turn:
    if not 0 <= place < before:
        raise ValidationError(f"there is no turn {place} before turn {before}.")
    return turns[place]


def _check_roles(said: tuple[Message, ...], role: str, number: int) -> None:
    allowed = {"user"} if role == "user" else {"assistant", "tool"}
    strange = next((message.role for message in said if message.role not in allowed), None)
    if strange is not None or (role == "user" and len(said) != 1):
        raise ValidationError(f"turn {number} of role {role!r} can't hold these messages.")


def _bad(path: str | Path, why: str) -> ValidationError:
    return ValidationError(f"The chat {path} can't be gone on with: {why}", field="resume")
