"""A worker process as the kernel sees it: started, spoken to by lines of JSON, watched, ended.

Whatever happens to either side, no process stays behind and whoever waits hears of it: the worker ends with its
parent, and when it ends by itself ``on_end`` tells why.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger("llmkit")

FOLDER_PREFIX = "llmkit-worker-"
# A Unix socket's path is at most 103 bytes on macOS, 107 on Linux.
LONGEST_FOLDER = 90
KEPT_ERROR_LINES = 40

# The package itself isn't imported: its public names would pull in what the worker has no use for.
_START = """
import sys, types
package = types.ModuleType("llmkit")
package.__path__ = [sys.argv[1]]
sys.modules["llmkit"] = package
from importlib import import_module
import_module(sys.argv[2]).main()
"""


class _Starter:
    """Starts processes from one thread that never ends.

    Linux kills a worker when the *thread* that started it ends, and a caller's thread may end long before the kernel.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: queue.SimpleQueue[tuple[list[str], queue.SimpleQueue[Any]]] | None = None
        self._owner = 0

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._tasks is None or self._owner != os.getpid():
                self._tasks, self._owner = queue.SimpleQueue(), os.getpid()
                threading.Thread(target=self._serve, args=(self._tasks,), name="starter", daemon=True).start()
            tasks = self._tasks
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        tasks.put((command, answer))
        result = answer.get()
        if isinstance(result, OSError):
            raise EngineError(f"The worker process can't be started: {result}. Free memory or processes.") from result
        process: subprocess.Popen[bytes] = result
        return process

    @staticmethod
    def _serve(tasks: queue.SimpleQueue[tuple[list[str], queue.SimpleQueue[Any]]]) -> None:
        pipe = subprocess.PIPE
        # A process group of its own: suspended there when the kernel dies, macOS sends it SIGHUP.
        group: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {"creationflags": 0x08000000}
        while True:
            command, answer = tasks.get()
            try:
                process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, **group)  # noqa: S603
            except OSError as error:
                answer.put(error)
            else:
                answer.put(process)


_starter = _Starter()


class WorkerProcess:
    """A running worker.

    Parameters
    ----------
    module : str
        The module whose ``main`` it runs.
    config : dict
        Its first line; ``parent`` and ``folder`` are added.
    on_message : callable
        Gets every object that the worker sends, in a thread of this object's own.
    on_end : callable
        Called once, in the same thread, when the worker has ended: with a description of how.
    on_error_line : callable, optional
        Gets every line of its standard error.
    """

    def __init__(
        self,
        module: str,
        config: dict[str, Any],
        *,
        on_message: Callable[[dict[str, Any]], None],
        on_end: Callable[[str], None],
        on_error_line: Callable[[str], None] | None = None,
    ) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._on_error_line = on_error_line
        self._lock = threading.Lock()
        self._error_lines: deque[str] = deque(maxlen=KEPT_ERROR_LINES)
        self.owner = os.getpid()
        self.folder = private_folder()
        package = str(Path(__file__).parents[1])
        try:
            # -P: a json.py in the notebook's folder must not take the place of Python's own.
            self._process = _starter.start([sys.executable, "-P", "-c", _START, package, module])
        except EngineError:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.pid = self._process.pid
        self._errors = threading.Thread(target=self._read_errors, name="llmkit-worker-errors", daemon=True)
        self._errors.start()
        threading.Thread(target=self._read, name="llmkit-worker", daemon=True).start()
        self.send(config | {"parent": self.owner, "folder": str(self.folder)})

    def send(self, message: dict[str, Any]) -> None:
        """Write a line to the worker; one that has ended is no error, ``on_end`` tells of it."""
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        stdin = self._process.stdin
        with self._lock, contextlib.suppress(OSError, ValueError):
            if stdin is not None:
                stdin.write(line)
                stdin.flush()

    def kill(self) -> None:
        """End the process at once and remove its folder. A second call does nothing."""
        with contextlib.suppress(OSError):
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def errors(self) -> str:
        """Return the last lines of its standard error."""
        return "\n".join(self._error_lines)

    def _read(self) -> None:
        stdout = self._process.stdout
        for line in stdout or ():
            try:
                self._on_message(json.loads(line))
            except Exception:
                logger.exception("A message of the worker process couldn't be handled")
        code = self._process.wait()
        self._errors.join(timeout=1.0)
        shutil.rmtree(self.folder, ignore_errors=True)
        for pipe in (self._process.stdin, stdout, self._process.stderr):
            with self._lock, contextlib.suppress(OSError, ValueError):
                if pipe is not None:
                    pipe.close()
        self._on_end(self._how_it_ended(code))

    def _read_errors(self) -> None:
        for line in self._process.stderr or ():
            text = line.decode("utf-8", "replace").rstrip()
            if not text:
                continue
            self._error_lines.append(text)
            if self._on_error_line is not None:
                self._on_error_line(text)

    def _how_it_ended(self, code: int) -> str:
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            how = f"was ended by {name}"
            if name == "SIGKILL":
                how += " (the system does that when memory runs out)"
        else:
            how = f"ended with exit status {code}"
        errors = self.errors()
        return f"{how}. Its last words:\n{errors}" if errors else how


def private_folder() -> Path:
    """Make a folder that only this user can enter, and remove those that killed kernels left behind."""
    parent = Path(tempfile.gettempdir())
    if os.name == "posix" and len(os.fsencode(parent)) + len(FOLDER_PREFIX) + 20 > LONGEST_FOLDER:
        parent = Path("/tmp")  # noqa: S108 - mkdtemp makes a private folder in it
    _sweep(parent)
    return Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-", dir=parent))


def _sweep(parent: Path) -> None:
    import psutil

    for folder in parent.glob(f"{FOLDER_PREFIX}*"):
        pid = folder.name.removeprefix(FOLDER_PREFIX).split("-", maxsplit=1)[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


__all__: Sequence[str] = ["WorkerProcess", "private_folder"]
