"""What magics see of the notebook: its variables and its sessions."""

from __future__ import annotations

import ast
import builtins
import re
from typing import TYPE_CHECKING, Any

from llmkit.comparing.template import is_missing, template_from
from llmkit.errors import ValidationError
from llmkit.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

MADE = "llm_session"
"""The variable of the session that is made where there is none."""

_WHOLE = re.compile(r"\{([^\W\d]\w*)\}")
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_WORDS = {"true": True, "false": False, "none": None}


class Scope:
    """The variables of a notebook, as magics read them. Nothing is evaluated but literals.

    Parameters
    ----------
    shell : InteractiveShell
        Whose user namespace it is.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    # -- variables ----------------------------------------------------------------------------------------------

    @property
    def variables(self) -> dict[str, Any]:
        """The variables that the user made, by name."""
        hidden = self._shell.user_ns_hidden
        namespace: Mapping[str, Any] = self._shell.user_ns
        return {name: each for name, each in namespace.items() if not name.startswith("_") and name not in hidden}

    def keep(self, name: str, value: Any) -> None:
        """Put a value into a variable.

        Raises
        ------
        ValidationError
            For a text that is no name.
        """
        if not name.isidentifier():
            raise ValidationError(f"{name!r} is no name of a variable.", field="into")
        self._shell.push({name: value})

    def named(self, name: str, *, option: str) -> Any:
        """Return a variable, or an attribute of one (``shapes.Circle``), or a built-in type.

        Raises
        ------
        ValidationError
            If there is none of that name.
        """
        first, *attributes = name.split(".") if _NAME.fullmatch(name) else [""]
        namespace = self._shell.user_ns
        built_in = getattr(builtins, first, None)
        if first in namespace:
            value = namespace[first]
        elif isinstance(built_in, type):
            value = built_in
        else:
            raise ValidationError(f"{option} {name}: the notebook has no variable of that name.", field=option)
        for attribute in attributes:
            try:
                value = getattr(value, attribute)
            except AttributeError as error:
                raise ValidationError(f"{option} {name}: {error}.", field=option) from None
        return value

    def text(self, text: str, *, option: str) -> Any:
        """Return what the text of an option means: what is quoted, the value of ``{name}``, or the word itself."""
        if whole := _WHOLE.fullmatch(text):
            return self.named(whole[1], option=option)
        return _literal(text, option) if text[:1] in {'"', "'"} else text

    def words(self, text: str, *, option: str) -> str:
        """Return the text that an option means, with the values of variables in the places of ``{name}``."""
        return (
            str(self.text(text, option=option))
            if _WHOLE.fullmatch(text)
            else self.filled(self.text(text, option=option))
        )

    def value(self, text: str, *, option: str) -> Any:
        """Return the Python literal that is meant, or the value of a name.

        Raises
        ------
        ValidationError
            If it is neither.
        """
        if text.lower() in _WORDS:
            return _WORDS[text.lower()]
        if whole := _WHOLE.fullmatch(text):
            return self.named(whole[1], option=option)
        if _NAME.fullmatch(text):
            return self.named(text, option=option)
        return _literal(text, option)

    def objects(self, text: str, *, option: str) -> Any:
        """Return a variable's value, or a list for names with commas between them, in brackets or not."""
        names = [name.strip() for name in text.strip("[]").split(",") if name.strip()]
        found = [self.named(name, option=option) for name in names]
        return found[0] if len(found) == 1 and isinstance(found[0], list | tuple) else found

    def filled(self, text: str) -> str:
        """Return a text with the values of variables in the places of ``{name}``, as text, never read again.

        Raises
        ------
        ValidationError
            For a single brace, and for a name that isn't a variable or has no value.
        """
        try:
            template = template_from(text)
        except ValidationError as error:
            cause = error.message.partition(" A field is ")[0]
            raise ValidationError(
                f"{cause} {{name}} stands for a variable; a brace that is meant as one is written twice, or "
                "--raw takes the text as it is.",
                field="template",
            ) from None
        return str(template.fill({name: self._field(name) for name in template.fields}))

    def _field(self, name: str) -> Any:
        value = self._shell.user_ns.get(name)
        if is_missing(value):
            raise ValidationError(
                f"{{{name}}} has no value: the notebook has no variable {name!r}, or it is empty. Braces that are "
                f"meant as such are written twice, {{{{{name}}}}}, or --raw takes the text as it is.",
                field=name,
            )
        return value

    # -- sessions -----------------------------------------------------------------------------------------------

    @property
    def sessions(self) -> dict[str, Session]:
        """The open sessions among the variables, by name, the newest last."""
        found = {name: each for name, each in self.variables.items() if isinstance(each, Session) and not each.closed}
        return dict(sorted(found.items(), key=lambda item: item[1].start_time))

    def session(self, name: str | None = None, *, make: bool = True) -> Session:
        """Return the session of that name; without one the newest, and where there is none a new one.

        Raises
        ------
        ValidationError
            If the variable is no session, or there is none and none is made.
        """
        if name is not None:
            session = self.named(name, option="--session")
            if not isinstance(session, Session):
                raise ValidationError(f"--session {name}: that is no session.", field="session")
            return session
        if newest := list(self.sessions.values())[-1:]:
            return newest[0]
        if not make:
            raise ValidationError("The notebook has no open session yet: session = llmkit.Session().", field="session")
        session = Session()
        self.keep(MADE, session)
        print(f"llmkit: there was no session, so one was made: {MADE}")  # noqa: T201 - a word to the user
        return session


def _literal(text: str, option: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise ValidationError(
            f"{option} {text} is neither a Python literal nor a variable; text is quoted.", field=option
        ) from None
