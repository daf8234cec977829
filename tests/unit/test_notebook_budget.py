from __future__ import annotations

import logging
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from llmkit.notebook.budget import SHORTEST_INTERVAL, Budget

if TYPE_CHECKING:
    import pytest


class Sender:
    """Counts its flushes; `flushed` lets a test wait for the next."""

    def __init__(self, budget: Budget, **options: float) -> None:
        self.times: list[float] = []
        self.flushed = threading.Semaphore(0)
        self.channel = budget.channel(self._flush, **options)

    def _flush(self) -> None:
        self.times.append(time.monotonic())
        self.flushed.release()


def test_the_first_message_goes_at_once_from_the_same_thread() -> None:
    sender = Sender(Budget())
    sender.channel.mark()
    assert len(sender.times) == 1


def test_what_gathers_meanwhile_goes_as_one_message() -> None:
    sender = Sender(Budget())
    for _ in range(100):
        sender.channel.mark()
    assert sender.flushed.acquire(timeout=5)
    assert sender.flushed.acquire(timeout=5)
    assert len(sender.times) == 2
    assert sender.times[1] - sender.times[0] >= SHORTEST_INTERVAL * 0.9


def test_close_sends_what_there_is_and_nothing_follows() -> None:
    sender = Sender(Budget())
    sender.channel.mark()
    sender.channel.mark()
    sender.channel.close()
    sender.channel.mark()
    sender.channel.close()
    assert len(sender.times) == 2


def test_discard_sends_nothing() -> None:
    sender = Sender(Budget(), delay=30)
    sender.channel.mark()
    sender.channel.discard()
    assert sender.times == []


def test_a_delay_holds_the_first_message_back() -> None:
    began = time.monotonic()
    sender = Sender(Budget(), delay=0.05)
    sender.channel.mark()
    assert sender.times == []
    assert sender.flushed.acquire(timeout=5)
    assert sender.times[0] - began >= 0.05


def test_many_channels_share_the_budget() -> None:
    budget = Budget(messages_per_second=100)
    senders = [Sender(budget) for _ in range(16)]
    assert budget.interval() == 0.16
    for _ in range(3):
        for sender in senders:
            sender.channel.mark()
            assert sender.flushed.acquire(timeout=5)
    gaps = [later - earlier for sender in senders for earlier, later in pairwise(sender.times)]
    assert min(gaps) >= 0.16
    senders[0].channel.close()
    assert budget.interval() == 0.15


def test_an_idle_budget_has_no_thread() -> None:
    before = threading.active_count()
    Sender(Budget()).channel.mark()
    assert threading.active_count() == before


def test_a_flush_that_fails_is_logged_and_the_next_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def flush() -> None:
        calls.append(1)
        raise OSError("gone")

    channel = Budget().channel(flush, interval=0)
    with caplog.at_level(logging.ERROR, logger="llmkit"):
        channel.mark()
        channel.close()
    assert len(calls) == 2
    assert "could not send" in caplog.text
