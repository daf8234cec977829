"""The notebook cell that runs now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.notebook.frontend import running_kernel, running_shell

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


def cell_key() -> Hashable | None:
    """Return what tells this execution of a cell from any other; ``None`` outside of IPython."""
    shell, kernel = running_shell(), running_kernel()
    if shell is None:
        return None
    header = kernel.get_parent("shell").get("header", {}) if kernel is not None else {}
    key: Hashable = header.get("msg_id") or shell.execution_count
    return key


def at_end_of_cell(callback: Callable[[], None]) -> None:
    """Call `callback` once when this cell's code has run; what it displays still belongs to the cell."""
    events = running_shell().events

    def once(_result: Any) -> None:
        events.unregister("post_run_cell", once)
        callback()

    events.register("post_run_cell", once)
