from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from llmkit.notebook.frontend import frontend, running_kernel
from llmkit.notebook.waiting import install
from llmkit.waiting import current_waiter
from tests.source_path import kernel_path

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_script_has_no_front_end() -> None:
    assert frontend() == "script"
    assert running_kernel() is None


def test_a_script_keeps_its_plain_waiter() -> None:
    before = current_waiter()
    install()
    assert current_waiter() is before


def test_looking_for_a_front_end_does_not_import_ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in kernel_path().items():
        monkeypatch.setenv(variable, value)
    code = (
        "import sys; from llmkit.notebook.frontend import frontend; assert frontend() == 'script'; "
        "assert 'IPython' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_ipython_without_a_kernel_is_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    for variable, value in kernel_path().items():
        monkeypatch.setenv(variable, value)
    code = (
        "from llmkit.notebook import frontend, waiting; from llmkit.waiting import current_waiter; "
        "waiting.install(); print(frontend.frontend(), type(current_waiter()).__name__)"
    )
    command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", code]
    shown = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout
    assert shown.split() == ["terminal", "PlainWaiter"]
