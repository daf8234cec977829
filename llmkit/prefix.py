"""A view of the first items of a list that only grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class Prefix(Sequence[T], Generic[T]):
    """The first ``length`` items of a list that is only ever appended to, so that it never changes.

    A run of many steps keeps what each step saw; with copies that would grow with the square of the steps.

    Parameters
    ----------
    items : list
        Never changed but by appending.
    length : int, optional
        All of them by default.
    """

    __slots__ = ("_items", "_length")

    def __init__(self, items: list[T], length: int | None = None) -> None:
        self._items = items
        self._length = len(items) if length is None else length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return tuple(self._items[place] for place in range(*index.indices(self._length)))
        if not -self._length <= index < self._length:
            raise IndexError(index)
        return self._items[index % self._length]

    def __iter__(self) -> Iterator[T]:
        return (self._items[place] for place in range(self._length))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prefix | tuple | list) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # like a list: what it holds may not be hashable

    def __repr__(self) -> str:
        return repr(tuple(self))
