"""How a cell waits in an IPython kernel: widget messages and interrupts get through meanwhile.

A kernel reads its shell channel only between cells, so a click would reach a cell that waits for it when that cell
has ended. Here, for as long as a cell waits, the channel is ours: messages for widgets are handled as they come, and
everything else, such as the next cell, is given to the kernel afterwards, in order.

That takes private parts of ipykernel, which differ between 6 and 7. Where they are missing, waiting is plain. (With
ipykernel 7 some messages go to subshells, threads that read for themselves, but which ones depends on the version and
on a setting of the front end.)
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import signal
import socket
import threading
from contextlib import contextmanager
from contextvars import Context, copy_context
from traceback import walk_stack
from typing import TYPE_CHECKING, Any

from llmkit.notebook.frontend import running_kernel
from llmkit.waiting import HEARTBEAT, Deadline, PlainWaiter, calling, current_waiter, use_waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LET_IN = frozenset({"comm_open", "comm_msg", "comm_close", "comm_info_request", "kernel_info_request"})
"""The messages that are handled while a cell waits: what widgets send, and what a page asks when it is reloaded."""

INTERRUPTIBLE = frozenset({"run_code", "dispatch_shell", "_receive_in_loop"})
"""IPython's, ipykernel's and our functions that catch a KeyboardInterrupt. Outside of them it would end the kernel."""

logger = logging.getLogger("llmkit")


def install() -> None:
    """Make llmkit wait in the kernel's way, if a kernel runs this process; again is fine."""
    kernel = running_kernel()
    waiter = current_waiter()
    if kernel is None or (isinstance(waiter, KernelWaiter) and waiter.kernel is kernel):
        return
    use_waiter(KernelWaiter(kernel))


class KernelWaiter:
    """Waits in the kernel's main thread while widget messages and interrupts get through; elsewhere, plainly.

    Parameters
    ----------
    kernel : ipykernel.kernelbase.Kernel
        The kernel that runs this process.
    """

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self._plain = PlainWaiter()
        self._channel: ShellChannel | None = None
        self._cell: str | None = None
        self._depth = 0
        try:
            self._channel = ShellChannel(kernel)
            self._cell, self._depth = self._message_id(), 1  # the cell that imports us
            kernel.shell.events.register("pre_execute", self._cell_begins)
            kernel.shell.events.register("post_execute", self._cell_ends)
        except Exception:  # whatever a strange kernel raises, its cells can still wait plainly
            self._channel = None
            logger.warning(
                "This kernel (%s) doesn't let llmkit read its messages: clicks arrive only when a cell has ended.",
                type(kernel).__module__,
                exc_info=True,
            )

    def wait(self, done: threading.Event, timeout: float | None) -> bool:
        """Block until ``done`` is set or ``timeout`` seconds have passed; return whether it is set."""
        if threading.current_thread() is not threading.main_thread():
            return self._plain.wait(done, timeout)
        deadline = Deadline(timeout)
        with _raised_interrupts(), self._taken() as channel:
            if channel is None:
                return self._plain.wait(done, timeout)
            with _bell(done) as bell:
                channel.poll(bell, 0)  # a reader that is always behind must let messages in too
                while not done.is_set() and not deadline.passed:
                    channel.poll(bell, deadline.left(HEARTBEAT))
        return done.is_set()

    async def wait_async(self, done: threading.Event, timeout: float | None) -> bool:  # noqa: ASYNC109
        """Do the same without blocking the running loop."""
        if threading.current_thread() is not threading.main_thread():
            return await self._plain.wait_async(done, timeout)
        if self._channel is not None and self._cell is not None and self._cell == self._message_id():
            self._channel.take()  # until the cell ends; a task that outlives its cell must not keep it
        with _noted_interrupts() as interrupted:
            try:
                await asyncio.sleep(0)  # a reader that is always behind must let the loop run too
                return await self._plain.wait_async(done, timeout)
            except asyncio.CancelledError:
                # The kernel turns an interrupt into a cancellation; turn it back where somebody catches it.
                if interrupted.is_set() and _can_interrupt():
                    raise KeyboardInterrupt from None
                raise

    @contextmanager
    def _taken(self) -> Iterator[ShellChannel | None]:
        """Take the channel for the block, unless a wait further up has it already."""
        channel = self._channel
        if channel is None or channel.is_taken:
            yield channel
            return
        try:
            channel.take()
            yield channel
        finally:
            channel.give_back()

    def _message_id(self) -> str | None:
        """Return the id of the message that this context belongs to: a cell's, or a widget's."""
        message_id: str | None = self.kernel.get_parent("shell").get("header", {}).get("msg_id")
        return message_id

    def _cell_begins(self) -> None:
        if threading.current_thread() is threading.main_thread():
            cell = self._message_id()
            self._cell, self._depth = cell, self._depth + 1 if cell == self._cell else 1

    def _cell_ends(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._depth -= 1  # a cell can run cells
            if self._depth <= 0:
                self._cell = None
                if self._channel is not None:
                    self._channel.give_back()


class ShellChannel:
    """The kernel's shell channel, which can be taken over for a while. Main thread only.

    Parameters
    ----------
    kernel : ipykernel.kernelbase.Kernel
        ipykernel 6.29 to 7.4; an ``AttributeError`` or ``TypeError`` says that it is another kind.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        thread = getattr(kernel, "shell_channel_thread", None)
        if thread is None:  # ipykernel 6, and 7 without subshells
            self._stream = self._reply_to = kernel.shell_stream
            self._flush = self._stream.flush
        else:  # a thread reads the network, and hands on what is for the main thread
            self._stream = thread.manager._shell_channel_to_main.to_stream  # noqa: SLF001
            self._reply_to = thread.manager.get_subshell_to_shell_channel_socket(None)
            self._flush = None
        self._read_ahead = None if thread is not None else getattr(kernel, "msg_queue", None)
        self._usual: Callable[..., Any] = self._stream._recv_callback  # noqa: SLF001
        self._kept: list[list[Any]] = []
        self._handed_on: set[asyncio.Task[Any]] = set()
        self._context: Context | None = None
        _ = (kernel._parent_ident["shell"], kernel._publish_status, kernel.shell_handlers)  # noqa: SLF001
        if not callable(self._usual):
            raise TypeError("The kernel doesn't read its shell channel.")

    @property
    def is_taken(self) -> bool:
        """Whether messages come here rather than to the kernel."""
        return self._context is not None

    def take(self) -> None:
        """Receive the channel's messages in place of the kernel, from now on; in vain if that is so already."""
        if self.is_taken:
            return
        with _held_interrupts():
            self._context = copy_context()
            self._stream.on_recv(self._receive_in_loop, copy=False)
            self._sift_read_ahead()

    def give_back(self) -> None:
        """Give the kernel what was kept for it, and the channel, if it was taken."""
        if not self.is_taken:
            return
        with _held_interrupts():
            kept, self._kept, self._context = self._kept, [], None
            for frames in kept:
                # At once, not by a callback: a failed cell aborts what was queued before the abort's end is.
                result = self._usual(frames)
                if inspect.iscoroutine(result):
                    task = self._stream.io_loop.asyncio_loop.create_task(result)
                    self._handed_on.add(task)
                    task.add_done_callback(self._handed_on.discard)
            self._stream.on_recv(self._usual, copy=False)

    def poll(self, bell: socket.socket, timeout: float) -> None:
        """Wait for messages or the bell, ``timeout`` seconds at most, and take in what there is."""
        import zmq

        poller = zmq.Poller()
        poller.register(self._stream.socket, zmq.POLLIN)
        poller.register(bell, zmq.POLLIN)
        poller.poll(int(timeout * 1000))
        with contextlib.suppress(BlockingIOError):
            bell.recv(4096)
        with _held_interrupts(), contextlib.suppress(zmq.Again):
            while True:
                self._receive(self._stream.socket.recv_multipart(zmq.NOBLOCK, copy=False))

    def _receive_in_loop(self, frames: list[Any]) -> None:
        """Receive a message that the event loop has read, while the cell that waits is suspended."""
        assert self._context is not None  # noqa: S101 - the stream calls us only while the channel is taken
        try:
            self._context.copy().run(self._receive, frames)
        except KeyboardInterrupt:  # it was meant for the cell
            signal.raise_signal(signal.SIGINT)

    def _receive(self, frames: list[Any]) -> None:
        if not self._handle(frames):
            self._kept.append(frames)

    def _sift_read_ahead(self) -> None:
        """Handle what ipykernel 6 has read already but not yet begun."""
        queue = self._read_ahead
        if queue is None:
            return
        for _ in range(queue.qsize()):
            entry = queue.get_nowait()
            _, _, arguments = entry
            if not (len(arguments) == 1 and isinstance(arguments[0], list) and self._handle(arguments[0])):
                queue.put_nowait(entry)

    def _handle(self, frames: list[Any]) -> bool:
        """Handle a message if it is one to let in, as the kernel would; return whether it was."""
        session = self._kernel.session
        try:
            sender, parts = session.feed_identities(frames, copy=False)
            kind = session.deserialize(parts, content=False, copy=False)["msg_type"]
            if kind not in LET_IN:
                return False
            message = session.deserialize(parts, copy=False)
        except (ValueError, TypeError, KeyError):  # the kernel's own notes to itself, or broken: its business
            return False
        with self._in_charge(sender, message), _raised_interrupts():
            try:
                result = self._kernel.shell_handlers[kind](self._reply_to, sender, message)
                if inspect.isawaitable(result):
                    _run_at_once(result)
            except Exception:
                logger.exception("Handling a %s failed; the cell goes on waiting.", kind)
        return True

    @contextmanager
    def _in_charge(self, sender: Any, message: Any) -> Iterator[None]:
        """Let ``message`` be the one that output belongs to, and the front end see its beginning and end."""
        kernel = self._kernel
        before = kernel._parent_ident["shell"], kernel.get_parent("shell")  # noqa: SLF001
        kernel.set_parent(sender, message, channel="shell")
        kernel._publish_status("busy", "shell")  # noqa: SLF001
        try:
            yield
        finally:
            if self._flush is not None:
                import zmq

                self._flush(zmq.POLLOUT)
            kernel._publish_status("idle", "shell")  # noqa: SLF001
            kernel.set_parent(*before, channel="shell")


def _run_at_once(awaitable: Any) -> None:
    """Run a handler that is a coroutine by form only: it never waits."""
    try:
        awaitable.send(None)
    except StopIteration:
        return
    awaitable.close()
    raise RuntimeError("The kernel's handler waits for something, which it can't while a cell does.")


@contextmanager
def _bell(done: threading.Event) -> Iterator[socket.socket]:
    """Return a socket that becomes readable when ``done`` is set."""
    hear, rung = socket.socketpair()

    def ring() -> None:
        with contextlib.suppress(BlockingIOError):  # full, so it has been rung and not yet heard
            rung.send(b"\0")

    with hear, rung:
        hear.setblocking(False)
        rung.setblocking(False)
        with calling(done, ring):
            yield hear


def _can_interrupt() -> bool:
    """Return whether somebody up the stack catches a KeyboardInterrupt: not so in a task that a cell has made."""
    return any(frame.f_code.co_name in INTERRUPTIBLE for frame, _ in walk_stack(None))


@contextmanager
def _raised_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block, at once, also within a cell that uses ``await``.

    There the kernel's own signal handler only asks the event loop to cancel the cell, and the loop is blocked.
    """
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler or not callable(usual):
        yield
        return

    def interrupt(signum: int, frame: Any) -> None:
        if _can_interrupt():
            raise KeyboardInterrupt
        usual(signum, frame)
        raise asyncio.CancelledError

    with _signal_handler(interrupt):
        yield


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Hold interrupts back until the block has ended, because half of it would leave the kernel deaf or confused."""
    held = threading.Event()
    with _signal_handler(lambda _signum, _frame: held.set()):
        yield
    if held.is_set():
        signal.raise_signal(signal.SIGINT)


@contextmanager
def _noted_interrupts() -> Iterator[threading.Event]:
    """Return an event that an interrupt sets, besides what it usually does."""
    interrupted = threading.Event()
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler or not callable(usual):
        yield interrupted
        return

    def note(signum: int, frame: Any) -> None:
        interrupted.set()
        usual(signum, frame)

    with _signal_handler(note):
        yield interrupted


@contextmanager
def _signal_handler(handler: Callable[[int, Any], None]) -> Iterator[None]:
    usual = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        # Blocks of several tasks can overlap, and the kernel puts its own handler back when the cell ends.
        if signal.getsignal(signal.SIGINT) is handler:
            signal.signal(signal.SIGINT, usual)
