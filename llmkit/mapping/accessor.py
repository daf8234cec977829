"""``frame.llm``: what llmkit does with a DataFrame.

pandas takes accessors when it is there, and ``import llmkit`` doesn't import it: where it isn't imported yet, a finder
of modules waits for that and registers the accessor then.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    import pandas as pd

    from llmkit.mapping.job import Job
    from llmkit.session import Session

NAME = "llm"


class LLM:
    """What llmkit does with a DataFrame; ``frame.llm``.

    Parameters
    ----------
    frame : DataFrame
        The frame.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def map(self, template: Any, *, session: Session | None = None, output: Any = None, **options: Any) -> Job:
        """Ask a model about every row; return at once. See :meth:`llmkit.Session.map`.

        Parameters
        ----------
        template : str, Message, dict, sequence of those, or Callable
            With fields named as columns are; or a function whose parameters are columns.
        session : Session, optional
            Who is asked; may be left out while only one is open.
        output : Any, optional
            What each answer must be.
        **options
            As for :meth:`llmkit.Session.map`.

        Raises
        ------
        ValidationError
            If no session is named and not exactly one is open; and for what can't be used.
        """
        return (session or _only_session()).map(self._frame, template, output=output, **options)

    def expand(self, column: str = "output", *, prefix: str = "") -> pd.DataFrame:
        """Return the frame with a column for each field of the values in ``column``, in its place.

        Parameters
        ----------
        column : str
            The column of dicts, pydantic models or dataclasses. What has no fields is NA in all of them.
        prefix : str
            Put before the fields' names.

        Raises
        ------
        ValidationError
            If there is no such column, or a field has the name of another column.
        """
        import pandas as pd

        if column not in self._frame.columns:
            raise ValidationError(f"There is no column {column!r} to expand.", field="column")
        rows = [{f"{prefix}{name}": value for name, value in _fields(each).items()} for each in self._frame[column]]
        names = list(dict.fromkeys(name for row in rows for name in row))
        others = self._frame.drop(columns=column)
        taken = next((name for name in names if name in others.columns), None)
        if taken is not None:
            raise ValidationError(f"There is a column {taken!r} already; pass prefix=….", field="prefix")
        made = pd.DataFrame(rows, columns=pd.Index(names, dtype=object), index=self._frame.index).convert_dtypes()
        place = list(self._frame.columns).index(column)
        return pd.concat([others.iloc[:, :place], made, others.iloc[:, place:]], axis=1)


def register_accessor() -> None:
    """Register ``frame.llm``, now if pandas is imported, else as soon as it is; a second call does nothing."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and hasattr(pandas, "DataFrame"):
        _register(pandas)
    elif not any(isinstance(finder, _AwaitsPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AwaitsPandas())


class _AwaitsPandas:
    """Finds pandas as the other finders do, and has the accessor registered once it is imported."""

    def __init__(self) -> None:
        self._asking = False

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - as the protocol has it
        target: ModuleType | None = None,  # noqa: ARG002 - as the protocol has it
        /,
    ) -> ModuleSpec | None:
        """Return where pandas is, its loader being told; of other modules nothing."""
        if fullname != "pandas" or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec("pandas")
        finally:
            self._asking = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _register(module)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign] # of this one loader
        return spec


def _register(pandas: ModuleType) -> None:
    if getattr(pandas.DataFrame, NAME, None) is not LLM:
        pandas.api.extensions.register_dataframe_accessor(NAME)(LLM)


def _only_session() -> Session:
    from llmkit.session import open_sessions

    found = open_sessions()
    if len(found) != 1:
        raise ValidationError(
            f"{len(found)} sessions are open: say which is meant, frame.llm.map(…, session=…).", field="session"
        )
    return found[0]


def _fields(value: Any) -> Mapping[str, Any]:
    """Return the fields of an object by name; of a scalar, none."""
    if isinstance(value, dict):
        return value
    if hasattr(value, "model_fields_set"):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return {}
