"""What a raw completion is asked for, checked and merged with the session's own settings."""

from __future__ import annotations

import copy
import inspect
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmkit.engines.raw import RawPrompt
    from llmkit.engines.remote.config import Remote
    from llmkit.output.spec import OutputSpec
    from llmkit.session import Session
    from llmkit.settings import Settings, Timeouts

F = TypeVar("F", bound="Callable[..., Any]")


class CompletionOptions(TypedDict, total=False):
    """What :meth:`llmkit.completions.Completions.create` takes besides the prompt; it says what each means."""

    model: str | Path | Remote | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    stop: str | Sequence[str] | None
    seed: int | None
    n: int | None
    logprobs: int | None
    echo: bool | None
    json_schema: Mapping[str, Any] | None
    regex: str | None
    grammar: str | None
    presence_penalty: float | None
    frequency_penalty: float | None
    repetition_penalty: float | None
    logit_bias: Mapping[int, float] | None
    timeout: float | Timeouts | None
    max_retries: int | None
    headers: Mapping[str, str] | None
    provider_options: Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None


OPTIONS = tuple(CompletionOptions.__annotations__)
_OTHERS = ("model", "n", "echo", "json_schema", "regex", "grammar", "headers", "provider_options", "metadata")
_SETTINGS = tuple(name for name in OPTIONS if name not in {*_OTHERS, "max_tokens"})
_BOUNDS = ("json_schema", "regex", "grammar")
_MOST_CHOICES = 128


def spelled_out(function: F) -> F:
    """Have a method that takes ``**options`` show each of them, to editors and notebooks that complete its names."""
    signature = inspect.signature(function)
    named = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation.__forward_arg__)
        for name, annotation in CompletionOptions.__annotations__.items()
    ]
    function.__signature__ = signature.replace(parameters=[*named, *options])  # type: ignore[attr-defined]
    return function


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A raw completion's request, complete.

    Parameters
    ----------
    id : str
        The completion's id.
    created : int
        Unix time in seconds.
    model : str
        The model's name.
    prompts : tuple of str or tuple of int
        Texts, or token ids.
    settings : Settings
        As merged from session and call.
    seed : int
        The settings' seed, or one drawn now: the first choice's.
    n : int
        How many choices for each prompt.
    echo : bool
        Whether the prompt comes first in the text.
    output : OutputSpec, optional
        What each choice must be.
    headers, provider_options, metadata : dict
        As given.
    """

    id: str
    created: int
    model: str
    prompts: tuple[RawPrompt, ...]
    settings: Settings
    seed: int
    n: int = 1
    echo: bool = False
    output: OutputSpec | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    provider_options: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def choices(self) -> tuple[RawPrompt, ...]:
        """The prompt of each choice: those of the first prompt first."""
        return tuple(prompt for prompt in self.prompts for _ in range(self.n))


def completion_request(session: Session, prompt: Any, options: Mapping[str, Any]) -> CompletionRequest:
    """Return a request; nothing of what is given is changed, and later changes to it don't matter.

    Parameters
    ----------
    session : Session
        Whose settings come first.
    prompt : str, or sequence of str or int
        What to continue.
    options : Mapping
        :class:`CompletionOptions`; ``None`` counts as not given.

    Raises
    ------
    ValidationError
        For what can't be used; names the field.
    """
    unknown = next((name for name in options if name not in OPTIONS), None)
    if unknown is not None:
        raise ValidationError(f"There is no option {unknown!r}. Options: {', '.join(OPTIONS)}.", field=unknown)
    given = {name: copy.deepcopy(value) for name, value in options.items() if value is not None and name != "model"}
    resident = session.resident(options.get("model"))
    settings = _settings(session, given)
    return CompletionRequest(
        id=f"cmpl-{secrets.token_hex(12)}",
        created=int(time.time()),
        model=resident.name,
        prompts=_prompts(prompt),
        settings=settings,
        seed=settings.seed if settings.seed is not None else secrets.randbits(32),
        n=_count(given.get("n", 1)),
        echo=_switch("echo", given.get("echo", False)),
        output=_output(given, remote=resident.engine_name == "remote"),
        headers=_mapping("headers", given),
        provider_options=_mapping("provider_options", given),
        metadata=_mapping("metadata", given),
    )


def _settings(session: Session, given: Mapping[str, Any]) -> Settings:
    changes = {name: given[name] for name in _SETTINGS if name in given}
    if "max_tokens" in given:
        changes["max_output_tokens"] = given["max_tokens"]
    try:
        return session.settings.merged(changes)
    except ValidationError as error:
        if error.field != "max_output_tokens":
            raise
        raise ValidationError(error.message.replace("max_output_tokens", "max_tokens"), field="max_tokens") from None


def _prompts(value: Any) -> tuple[RawPrompt, ...]:
    """Return the prompts that a value holds, one by one."""
    if isinstance(value, str):
        return (value,)
    items = tuple(value) if isinstance(value, Sequence) and not isinstance(value, bytes) else ()
    if not items:
        raise ValidationError(
            f"A prompt is a text, a list of texts, or a list of token ids, not {_shown(value)}.", field="prompt"
        )
    if all(_is_id(item) for item in items):
        return (items,)
    wrong = next((item for item in items if not isinstance(item, str)), None)
    if wrong is not None:
        raise ValidationError(
            f"{_shown(wrong)} can't be in a prompt: it is a list of texts, or a list of token ids, which are whole "
            "numbers from 0.",
            field="prompt",
        )
    return items


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _count(value: Any) -> int:
    if not _is_id(value) or not 1 <= value <= _MOST_CHOICES:
        raise ValidationError(f"n={_shown(value)} can't be used: a whole number from 1 to {_MOST_CHOICES}.", field="n")
    return int(value)


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValidationError(f"{name}={_shown(value)} can't be used: True or False.", field=name)
    return value


def _mapping(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    value = given.get(name, {})
    if not isinstance(value, Mapping):
        raise ValidationError(f"{name} is a dict, not {type(value).__name__}.", field=name)
    return dict(value)


def _output(given: Mapping[str, Any], *, remote: bool) -> OutputSpec | None:
    """Return what each choice must be; what can't be enforced is refused here, before anything is decoded."""
    asked = [name for name in _BOUNDS if name in given]
    if len(asked) > 1:
        raise ValidationError(f"{asked[0]} and {asked[1]} can't both bind the text; leave one out.", field=asked[1])
    if not asked:
        return None
    name, value = asked[0], given[asked[0]]
    wanted: type = Mapping if name == "json_schema" else str
    if not isinstance(value, wanted):
        kind = "a JSON schema, as a dict" if name == "json_schema" else "a text"
        raise ValidationError(f"{name} is {kind}, not {type(value).__name__}.", field=name)
    try:
        return _bound(name, value, remote=remote)
    except ValidationError as error:
        raise ValidationError(error.message, field=name) from error


def _bound(name: str, value: Any, *, remote: bool) -> OutputSpec:
    from llmkit.engines.remote.holding import ServerGrammar
    from llmkit.output.declare import Output

    if name == "json_schema":
        return Output.json(value)
    if name == "regex":
        return Output.regex(value)
    return ServerGrammar(value) if remote else Output.grammar(value)
