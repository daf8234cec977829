"""Prompts that begin alike are read once.

MLX sees to that by itself. llama.cpp can reuse what a slot holds only once that slot is idle, and for one request: of
eight that begin alike and are started together, seven read the whole prompt, also when the first has been read long
ago. So the common beginning is read and saved first, and put into a slot just before each cell is asked.
"""

from __future__ import annotations

import logging
import tempfile
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.background import in_thread
from llmkit.engines.local import LocalEngine
from llmkit.errors import Error
from llmkit.messages import messages_from

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

    from llmkit.comparing.cell import Cell
    from llmkit.engines.base import Engine
    from llmkit.request import RunRequest

logger = logging.getLogger("llmkit")

CHARACTERS = 600
"""A beginning that is shorter isn't worth the trouble."""

TOKENS = 96
"""Nor one of fewer tokens."""


class SharedPrefixes:
    """The beginnings that cells share.

    Parameters
    ----------
    cells : sequence of Cell
        All cells that are going to be asked.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        groups: dict[Hashable, list[Cell]] = {}
        for cell in cells:
            key = _beginning(cell)
            if key is not None:
                groups.setdefault(key, []).append(cell)
        self._groups = {cell.index: group for group in groups.values() if len(group) > 1 for cell in group}
        self._saved: dict[int, Path | None] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __contains__(self, cell: Cell) -> bool:
        return cell.index in self._groups

    async def put(self, cell: Cell, engine: Engine, request_of: Callable[[Cell], Awaitable[RunRequest]]) -> bool:
        """Have the engine hold what the cell's prompt begins with, if it doesn't see to that by itself.

        Parameters
        ----------
        cell : Cell
            About to be asked.
        engine : Engine
            Its model.
        request_of : Callable
            Makes a cell's request.

        Returns
        -------
        bool
            Whether it was put into a slot. The cell's request has to take that before another can be put.
        """
        if not isinstance(engine, LocalEngine) or engine.info.engine != "llamacpp":
            return False
        group = self._groups[cell.index]
        first = group[0].index
        try:
            if first not in self._saved:
                self._saved[first] = None
                requests = [await request_of(each) for each in (group[0], group[-1])]
                self._saved[first] = await in_thread(self._save, engine, requests, first)
            path = self._saved[first]
            if path is None:
                return False
            await in_thread(engine.decoder.load_prefix, path)
        except Error:
            logger.warning("A beginning that cells share can't be reused; each reads it.", exc_info=True)
            self._saved[first] = None
            return False
        return True

    def close(self) -> None:
        """Delete what was saved; cells that are asked again read by themselves."""
        self._groups.clear()
        self._saved.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _save(self, engine: LocalEngine, requests: Sequence[RunRequest], number: int) -> Path | None:
        """Read the beginning of two requests and save it; ``None`` if it is too short."""
        one, other = (_ids(engine, request) for request in requests)
        shared = [pair[0] for pair in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))]
        shared = shared[: min(len(one), len(other)) - 1]
        if len(shared) < TOKENS:
            return None
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="llmkit-prefix-")
        path = Path(self._folder.name, str(number))
        engine.decoder.save_prefix(shared, path)
        return path


def _ids(engine: LocalEngine, request: RunRequest) -> Sequence[int]:
    return engine.prompting.prompt(
        request.messages, request.settings, request.tools, request.tool_choice, request.output
    ).ids


def _beginning(cell: Cell) -> Hashable | None:
    """Return what cells that begin alike have in common; ``None`` for one whose prompt is short."""
    if cell.messages is None or cell.options.get("cache") is not None:
        return None
    options = cell.options
    messages = messages_from(cell.messages, system=options.get("system"))
    text = "\0".join(f"{message.role}\0{message.text}" for message in messages)
    same = (str(options.get("model")), repr(options.get("tools")), repr(options.get("output")))
    return (*same, text[:CHARACTERS]) if len(text) > CHARACTERS else None
