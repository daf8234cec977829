"""What this process runs in, and whether anybody could be looking at it."""

from __future__ import annotations

import sys
from typing import Any, Literal

Frontend = Literal["live", "headless", "marimo", "terminal", "script"]


def frontend() -> Frontend:
    """Return what kind of front end there is.

    Returns
    -------
    str
        ``"marimo"`` in a cell of a marimo notebook, ``"script"`` elsewhere outside of IPython (a marimo notebook that
        is run as a script, too), ``"terminal"`` in IPython without a kernel, ``"headless"`` in a kernel that nobody
        can answer (nbclient, nbconvert, papermill), and ``"live"`` in any other kernel. Headless is told by
        the execute request's ``allow_stdin``, which such clients turn off:
        https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute. It's a good guess and no more: only a
        message from a widget proves that somebody is there.
    """
    if _in_marimo():
        return "marimo"
    shell = running_shell()
    if shell is None:
        return "script"
    kernel = running_kernel()
    if kernel is None:
        return "terminal"
    return "live" if getattr(kernel, "_allow_stdin", True) else "headless"


def running_shell() -> Any:
    """Return the IPython shell that runs this process, if one does."""
    ipython = sys.modules.get("IPython")  # where IPython runs it is imported, and elsewhere it needn't be
    return None if ipython is None else ipython.get_ipython()


def running_kernel() -> Any:
    """Return the kernel that runs this process, if one does."""
    return getattr(running_shell(), "kernel", None)


def _in_marimo() -> bool:
    marimo = sys.modules.get("marimo")  # as above
    return marimo is not None and bool(marimo.running_in_notebook())
