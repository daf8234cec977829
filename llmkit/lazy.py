"""Names of a package that are imported when they are first used, so that importing the package is quick."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def lazily(
    namespace: dict[str, Any], names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a package (PEP 562).

    Type checkers and editors don't look inside: the package imports the same names under ``TYPE_CHECKING``.

    Parameters
    ----------
    namespace : dict
        The package's ``globals()``.
    names : mapping
        Modules, and the names that are imported from each.
    """
    modules = {name: module for module, told in names.items() for name in told}

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        value = namespace[name] = getattr(import_module(modules[name]), name)
        return value

    return get, lambda: sorted({*namespace, *modules})
