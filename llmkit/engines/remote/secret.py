"""Values that must never be shown: keys, and headers that may hold one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"


class Secret:
    """A text that shows as ``***`` wherever it is printed, and can't be pickled.

    Parameters
    ----------
    value : str
        The text: visible ASCII, spaces within allowed, as an HTTP header can carry it.
    field : str
        What it is, for the error.

    Raises
    ------
    ValidationError
        For a text that no header can carry; it doesn't tell the text.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str, *, field: str = "api_key") -> None:
        value = value.strip()
        if not value or not all(" " <= character <= "~" for character in value):
            raise ValidationError(
                f"{field} can't be sent: it is empty, or has line breaks or characters beyond ASCII.", field=field
            )
        self._value = value

    def reveal(self) -> str:
        """Return the text itself, to send it."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("A key isn't pickled. Name the environment variable that holds it (api_key_env=…).")


def hide(value: Any, secrets: Iterable[Secret]) -> Any:
    """Return a text or JSON value with every secret in it masked: servers quote the keys they refuse."""
    texts = sorted({secret.reveal() for secret in secrets}, key=len, reverse=True)
    return _hide(value, texts) if texts else value


def _hide(value: Any, texts: list[str]) -> Any:
    match value:
        case str():
            for text in texts:
                value = value.replace(text, MASK)
            return value
        case list():
            return [_hide(item, texts) for item in value]
        case dict():
            return {_hide(key, texts): _hide(item, texts) for key, item in value.items()}
    return value
