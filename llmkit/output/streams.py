"""A run's output while it is written: values that grow, and elements of an array one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from llmkit.events import End, StepStart, TextDelta
from llmkit.log import Replay
from llmkit.output.partial import MISSING
from llmkit.output.text_output import TextOutput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from typing import Any

    from llmkit.errors import Error
    from llmkit.events import Event
    from llmkit.log import EventLog
    from llmkit.output.spec import OutputSpec

T = TypeVar("T")

_FINEST = 1000
"""A value is told again once the answer has grown by one part in so many.

Every value told is a copy: so all of them together take time in proportion to the length of the answer, and not to its
square. Up to as many characters, every change is told.
"""


class OutputStream(Generic[T]):
    """A stream over a run's events that starts from the first each time it is iterated, with ``for`` or ``async for``.

    Parameters
    ----------
    log : EventLog
        The events.
    make : Callable
        Makes a reader for each iteration: it turns an event into the items that it brings.
    failure : Callable
        Returns the error to raise at the end, if any.
    """

    def __init__(
        self,
        log: EventLog,
        make: Callable[[], Callable[[Event], Sequence[T]]],
        failure: Callable[[End], Error | None],
    ) -> None:
        self._log = log
        self._make = make
        self._failure = failure

    def __iter__(self) -> Iterator[T]:
        """Iterate from the first item on, waiting for more."""
        for items in self._replay():
            yield from items

    async def __aiter__(self) -> AsyncIterator[T]:
        """Iterate from the first item on, waiting for more."""
        async for items in self._replay():
            for item in items:
                yield item

    def _replay(self) -> Replay[Sequence[T]]:
        read = self._make()
        return Replay(self._log, lambda event: read(event) or None, self._failure)


class PartialValues:
    """Reads the values of an answer as it grows, each a plain JSON value that nothing will be taken back from.

    Parameters
    ----------
    spec : OutputSpec, optional
        What is asked for; ``None`` for free text.
    """

    def __init__(self, spec: OutputSpec | None) -> None:
        self._spec = spec or TextOutput()
        self._changed = False
        self._begin()

    def __call__(self, event: Event) -> Sequence[Any]:
        """Return the value after an event, if the event changed it."""
        match event:
            case StepStart():
                self._begin()
            case TextDelta(text=text):
                self._changed = self._reader.feed(text) or self._changed
                self._length += len(text)
                if self._changed and self._length - self._told >= self._length // _FINEST:
                    return self._tell()
            case End():
                self._changed = self._reader.close() or self._changed
                if self._changed:
                    return self._tell()
        return ()

    def _begin(self) -> None:
        """Begin anew: only the last step's text is the answer."""
        self._reader = self._spec.reader()
        self._length = self._told = 0
        self._changed = False

    def _tell(self) -> Sequence[Any]:
        self._changed, self._told = False, self._length
        value = self._reader.value
        return () if value is MISSING else (value,)


class Elements:
    """Reads the elements of an array as each is whole, as values of their type.

    Parameters
    ----------
    spec : OutputSpec
        The array that is asked for.
    """

    def __init__(self, spec: OutputSpec) -> None:
        self._spec = spec
        self._reader = spec.reader()

    def __call__(self, event: Event) -> Sequence[Any]:
        """Return the elements that an event completed.

        Raises
        ------
        OutputError
            For one that doesn't fit.
        """
        match event:
            case StepStart():
                self._reader = self._spec.reader()
            case TextDelta(text=text):
                self._reader.feed(text)
            case End():
                self._reader.close()
        return [self._spec.element(value) for value in self._reader.take_elements()]
