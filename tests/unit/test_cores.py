from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from llmkit.engines.cores import Turns, available_cores, prefill_batch, quota

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def start() -> Iterator[Callable[[], int]]:
    """Start processes that only wait; they are ended after the test, suspended or not."""
    processes: list[subprocess.Popen[bytes]] = []

    def start_one() -> int:
        processes.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        return processes[-1].pid

    yield start_one
    for process in processes:
        process.kill()
        process.communicate()


def suspended(pid: int) -> bool:
    return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Look until it is so; a process's state can't be waited for."""
    waiting = threading.Event()
    return any(condition() or waiting.wait(0.005) for _ in range(int(seconds / 0.005)))


def test_alone_a_process_is_never_suspended(start: Callable[[], int]) -> None:
    turns, busy, idle = Turns(), start(), start()
    turns.enter(busy)
    assert not until(lambda: suspended(busy) or suspended(idle), 0.4)


def test_of_two_busy_ones_only_one_runs_and_each_gets_its_turn(start: Callable[[], int]) -> None:
    turns, first, second = Turns(), start(), start()
    turns.enter(first)
    turns.enter(second)
    assert until(lambda: suspended(second) and not suspended(first))
    assert until(lambda: suspended(first) and not suspended(second))
    assert until(lambda: suspended(second) and not suspended(first))


def test_when_one_has_no_more_work_nobody_is_left_suspended(start: Callable[[], int]) -> None:
    turns, first, second = Turns(), start(), start()
    turns.enter(first)
    turns.enter(second)
    assert until(lambda: suspended(first))
    turns.leave(second)
    assert until(lambda: not suspended(first) and not suspended(second))


def test_one_that_leaves_while_suspended_runs_again(start: Callable[[], int]) -> None:
    turns, first, second = Turns(), start(), start()
    turns.enter(first)
    turns.enter(second)
    assert until(lambda: suspended(second))
    turns.leave(second)
    assert not suspended(second)


def test_one_that_is_waited_for_goes_next(start: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmkit.engines.cores.TURN_TIME", 60.0)
    turns, pids = Turns(), [start(), start(), start()]
    for pid in pids:
        turns.enter(pid)
    assert until(lambda: [suspended(pid) for pid in pids] == [True, True, False])  # the newest goes first
    turns.hurry(pids[0])
    assert until(lambda: [suspended(pid) for pid in pids] == [False, True, True])
    for pid in pids:
        turns.leave(pid)


def test_a_process_that_ended_takes_no_turn(start: Callable[[], int]) -> None:
    turns, first, second = Turns(), start(), start()
    turns.enter(first)
    turns.enter(second)
    psutil.Process(first).kill()
    turns.leave(first)
    assert until(lambda: not suspended(second))


def test_there_is_at_least_one_core_and_no_more_than_the_machine_has() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000", None), ("150000 100000", 1), ("50000 100000", 1), ("", None)]
)
def test_a_container_s_quota_is_read(text: str, cores: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert quota(tmp_path / "cpu.max") == cores


def test_no_container_is_no_quota(tmp_path: Path) -> None:
    assert quota(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("model_bytes", "cores", "tokens"),
    [(97_000_000, 2, 128), (97_000_000, 64, 512), (8_000_000_000, 4, 32), (0, 1, 512)],
)
def test_larger_models_read_fewer_tokens_at_a_time(model_bytes: int, cores: int, tokens: int) -> None:
    """CONTRACT 7: during prefill a cancel waits for one batch."""
    assert prefill_batch(model_bytes, cores) == tokens
