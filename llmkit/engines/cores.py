"""How many cores there are, and whose turn it is to use them."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from pathlib import Path

TURN_TIME = 0.15
SHORTEST_TURN_TIME = 0.02


def available_cores() -> int:
    """Return how many cores this process may keep busy.

    Affinity and a container's quota count; hyperthreads don't when there are more than two cores, because two on a
    core share what decoding needs. More threads than cores make llama.cpp several times slower.
    """
    import psutil

    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or affinity
    cores = min(affinity, max(physical, 2))
    return max(1, min(cores, quota(Path("/sys/fs/cgroup/cpu.max")) or cores))


def quota(path: Path) -> int | None:
    """Return a container's share in cores, rounded down; ``None`` is no limit.

    Source of the format: cgroup version 2, ``cpu.max``: "quota period" in microseconds, or "max period".
    """
    try:
        share, period = path.read_text().split()
        return None if share == "max" else max(1, int(share) // int(period))
    except (OSError, ValueError):
        return None


def prefill_batch(model_bytes: int, cores: int) -> int:
    """Return how many prompt tokens to read at a time, so that a cancel waits for about half a second.

    A core reads about 150 tokens/s of a 100 MB model, and proportionally fewer of a larger one. Fewer than 32 at a
    time cost too much, more than 512 gain nothing.
    """
    wanted = 0.5 * 150 * cores * 1e8 / max(model_bytes, 1)
    return int(min(512, max(32, 2 ** math.floor(math.log2(max(wanted, 1))))))


class Turns:
    """Lets one of several busy processes run at a time.

    Two llama.cpp processes that decode at once on the same cores ruin each other: the threads of each spin while they
    wait for one another, and so take the cores from those they wait for. With one at a time, the rest suspended,
    they share the cores and lose nothing else. Alone, a process is never suspended.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy: list[int] = []  # process ids; the first one has the turn
        self._suspended: set[int] = set()
        self._hurried: int | None = None
        self._serving = False

    def enter(self, pid: int) -> None:
        """Tell that a process has work; it goes first, if it had none."""
        with self._changed:
            if pid not in self._busy:
                self._busy.append(pid)
            self._hurry(pid)
            if len(self._busy) > 1 and not self._serving:
                self._serving = True
                threading.Thread(target=self._serve, name="llmkit-turns", daemon=True).start()

    def hurry(self, pid: int) -> None:
        """Give a process the next turn: somebody waits for it."""
        with self._changed:
            self._hurry(pid)

    def leave(self, pid: int) -> None:
        """Tell that a process has no more work, or has ended; it isn't suspended any more."""
        with self._changed:
            if pid in self._busy:
                self._busy.remove(pid)
            self._resume(pid)
            self._changed.notify()

    def _hurry(self, pid: int) -> None:
        if pid in self._busy[1:]:
            self._hurried = pid
            self._changed.notify()

    def _serve(self) -> None:
        with self._changed:
            while len(self._busy) > 1:
                for pid in self._busy[1:]:
                    self._suspend(pid)
                turn = self._busy[0]
                self._resume(turn)
                self._wait(turn)
                self._next(turn)
            for pid in tuple(self._suspended):
                self._resume(pid)
            self._serving = False

    def _wait(self, turn: int) -> None:
        started = time.monotonic()
        while len(self._busy) > 1 and self._busy[0] == turn:
            end = started + (TURN_TIME if self._hurried is None else SHORTEST_TURN_TIME)
            left = end - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)

    def _next(self, turn: int) -> None:
        if self._busy and self._busy[0] == turn:
            self._busy.append(self._busy.pop(0))
        if self._hurried in self._busy:
            self._busy.remove(self._hurried)
            self._busy.insert(0, self._hurried)
        self._hurried = None

    def _suspend(self, pid: int) -> None:
        import psutil

        if pid not in self._suspended:
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).suspend()
                self._suspended.add(pid)

    def _resume(self, pid: int) -> None:
        import psutil

        if pid in self._suspended:
            self._suspended.discard(pid)
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).resume()


turns = Turns()
"""The turns of this kernel's workers."""
