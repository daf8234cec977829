"""The command line: ``llmkit lab``, ``llmkit demo``, ``llmkit models``."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.models.progress import FetchProgress

QUICKSTART = "01-quickstart.ipynb"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The exit status: 0, or 1 after an error that was printed.
    """
    from llmkit.errors import Error

    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except Error as error:
        print(f"llmkit: {error}", file=sys.stderr)  # noqa: T201 - a command line prints
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llmkit", description="Language models in your notebook.")
    parser.add_argument("--version", action="version", version=f"llmkit {version('llmkit')}")
    commands = parser.add_subparsers(required=True, metavar="command")
    lab = commands.add_parser("lab", help="open JupyterLab on the quickstart")
    lab.set_defaults(run=_lab)
    demo = commands.add_parser("demo", help="run the quickstart here in the terminal")
    demo.add_argument("prompt", nargs="?", default="Why is the sky blue?", help="what to ask")
    demo.set_defaults(run=_demo)
    models = commands.add_parser("models", help="list, fetch and remove models")
    models.set_defaults(run=_list_models)
    actions = models.add_subparsers(metavar="action")
    fetch = actions.add_parser("fetch", help="fetch a model; the embedded one by default")
    fetch.add_argument("name", nargs="?", default="embedded")
    fetch.set_defaults(run=_fetch)
    remove = actions.add_parser("remove", help="remove a model from this machine")
    remove.add_argument("name")
    remove.set_defaults(run=_remove)
    return parser


def _lab(_: argparse.Namespace) -> int:
    from llmkit.errors import EngineError

    if importlib.util.find_spec("jupyterlab") is None:
        raise EngineError("JupyterLab isn't installed. Run: pip install 'llmkit[lab]'")
    notebook = _quickstart()
    command = [sys.executable, "-m", "jupyterlab", str(notebook), "--LabApp.default_url=/lab/tree/" + notebook.name]
    if not _has_display():
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return subprocess.run(command, cwd=notebook.parent, check=False).returncode  # noqa: S603 - our own words


def _quickstart() -> Path:
    """Return the quickstart: the one of this folder, else a copy put here."""
    here = Path("notebooks") / QUICKSTART
    if here.is_file():
        return here.resolve()
    copy = Path(QUICKSTART).resolve()
    if not copy.exists():
        package = Path(__file__).parent
        packaged = package / "static" / QUICKSTART  # in a wheel; a checkout has it in its notebooks
        shutil.copyfile(packaged if packaged.exists() else package.parent / "notebooks" / QUICKSTART, copy)
    return copy


def _has_display() -> bool:
    return sys.platform in {"darwin", "win32"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _demo(options: argparse.Namespace) -> int:
    from llmkit.session import Session

    with Session(show=False) as session:
        run = session.complete(options.prompt, max_output_tokens=200, show=True)
        run.result()
        frame = session.runs.iloc[-1:]
        columns = ["model", "engine", "prompt_tokens", "cache_tokens", "generated_tokens"]
        rates = ["time_to_first_token", "tokens_per_second", "total_time"]
        print(frame[[*columns, *rates]].T.to_string(header=False))  # noqa: T201 - a command line prints
    return 0


def _list_models(_: argparse.Namespace) -> int:
    from llmkit.models.cache import cached_models

    rows = [
        (
            model.name,
            f"{model.size / 1e6:,.0f} MB",
            model.format or "unfinished",
            model.licence or "unknown",
            str(model.path),
        )
        for model in cached_models()
    ]
    table = [("name", "size", "format", "licence", "where"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    for row in table:
        cells = (_printable(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())  # noqa: T201 - a command line prints
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from llmkit.engines.choice import choose
    from llmkit.models.catalog import resolve
    from llmkit.models.fetch import fetch

    spec = resolve(options.name)
    with tqdm(desc=spec.name, unit="B", unit_scale=True, disable=None) as bar:

        def progress(report: FetchProgress) -> None:
            bar.total = report.total
            bar.update(report.downloaded - bar.n)

        path = fetch(spec, engine_format=choose("auto", spec.formats).format, progress=progress)
    print(path)  # noqa: T201 - a command line prints
    return 0


def _remove(options: argparse.Namespace) -> int:
    from llmkit.models.cache import remove

    freed = remove(options.name)
    words = f"Removed {_printable(options.name)}; {freed / 1e6:,.0f} MB are free again."
    print(words)  # noqa: T201 - a command line prints
    return 0


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text)
