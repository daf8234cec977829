"""Chats as files: a notebook that reads well and asks for the same again, Markdown, or JSON to go on with."""

from __future__ import annotations

import hashlib
import json
import keyword
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.chatting.saved import to_json
from llmkit.errors import ValidationError
from llmkit.models.catalog import EMBEDDED

if TYPE_CHECKING:
    from llmkit.chatting.chat import Chat
    from llmkit.chatting.turn import Turn

KINDS = (".ipynb", ".md", ".json")


def write(chat: Chat, path: str | Path) -> Path:
    """Write a chat to a file; its ending says how.

    Raises
    ------
    ValidationError
        For another ending, and a file that can't be written.
    """
    file = Path(path).expanduser()
    if file.suffix not in KINDS:
        raise ValidationError(f"A chat is written to a file that ends in {', '.join(KINDS)}, not {path}.", field="path")
    texts = {".ipynb": to_notebook, ".md": to_markdown, ".json": to_json}
    text = texts[file.suffix](chat)
    try:
        file.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ValidationError(f"{path} can't be written: {error.strerror}.", field="path") from error
    return file


def to_markdown(chat: Chat) -> str:
    """Return the present path as Markdown in which nobody's text can do harm."""
    from llmkit.notebook.chat_static import marked_turn, title

    parts = [f"# {title(chat)}", *(marked_turn(turn) for turn in chat)]
    return "\n\n".join(parts) + "\n"


def to_notebook(chat: Chat) -> str:
    """Return the present path as a Jupyter notebook: a cell of Markdown for each turn, then one that asks anew."""
    from llmkit.notebook.chat_static import marked_turn, title

    cells = [_cell("markdown", f"# {title(chat)}", 0)]
    cells += [_cell("markdown", marked_turn(turn), number) for number, turn in enumerate(chat, 1)]
    cells.append(_cell("code", reproduction(chat), len(cells)))
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def reproduction(chat: Chat) -> str:
    """Return Python code that asks for the present path anew, with the same settings and seeds."""
    model = chat.session.resident(chat.options.get("model")).name
    arguments = ["" if model == EMBEDDED else repr(model)]
    tools = [tool.name for tool in chat.tools]
    told = {"system": chat.system, **_settings(chat)}
    given = [f"{name}={value!r}" for name, value in told.items() if value is not None]
    if tools:
        given.append(f"tools=[{', '.join(name if _is_name(name) else repr(name) for name in tools)}]")
    lines = [
        "import llmkit as lk",
        "",
        *(["# Define the tools first, as they were."] if tools else []),
        f"session = lk.Session({', '.join(filter(None, arguments))})",
        f"chat = session.chat({', '.join(given)})",
        *_asked(chat.path),
    ]
    return "\n".join(lines)


def _asked(path: tuple[Turn, ...]) -> list[str]:
    lines = []
    for turn in path:
        if turn.role == "assistant" and turn.parent is not None:
            seed = "" if turn.seed is None else f", seed={turn.seed}"
            lines.append(f"chat.send({turn.parent.content!r}{seed}).wait()")
    if any("Image(url=" in line for line in lines):
        lines.insert(0, "from llmkit import Image")
    return lines


def _settings(chat: Chat) -> dict[str, Any]:
    """Return the settings that the present path was answered with, or would be."""
    run = next((turn.run for turn in reversed(chat.path) if turn.run is not None), None)
    settings = chat.session.settings if run is None else run.request.settings
    return {name: value for name, value in settings.model_dump(exclude_unset=True).items() if name != "seed"}


def _is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _cell(kind: str, source: str, number: int) -> dict[str, Any]:
    id_ = hashlib.sha256(f"{number} {source}".encode("utf-8", "replace")).hexdigest()[:8]
    cell: dict[str, Any] = {"cell_type": kind, "id": id_, "metadata": {}, "source": source}
    return {**cell, "execution_count": None, "outputs": []} if kind == "code" else cell
