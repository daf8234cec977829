"""What a raw completion comes to, in the shape of OpenAI's and TabbyAPI's ``/v1/completions``."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self, TypeVar

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from llmkit.settings import FinishReason

T = TypeVar("T")
OBJECT = "text_completion"


@dataclass(frozen=True, slots=True)
class CompletionLogprobs:
    """The tokens of a choice and how likely they were: an item a token in each field.

    Parameters
    ----------
    tokens : tuple of str
        What each added to the text: "" while a character is unfinished, and for tokens of a stop string. Joined they
        are the choice's text. With ``echo`` the prompt's tokens come first, where they are known.
    token_logprobs : tuple of float
        Natural log of each token's probability before sampling; ``None`` for the prompt's.
    top_logprobs : tuple of dict
        The likeliest tokens at each place, by their text; ``None`` for the prompt's.
    text_offset : tuple of int
        Where in the choice's text each token begins, in characters.
    """

    tokens: tuple[str, ...] = ()
    token_logprobs: tuple[float | None, ...] = ()
    top_logprobs: tuple[dict[str, float] | None, ...] = ()
    text_offset: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def frame(self) -> pd.DataFrame:
        """A row a token: ``token``, ``logprob``, ``probability``, ``text_offset`` and ``top_logprobs``."""
        import pandas as pd

        chances = [None if value is None else math.exp(value) for value in self.token_logprobs]
        return pd.DataFrame(
            {
                "token": pd.array(list(self.tokens), dtype="string"),
                "logprob": pd.array(list(self.token_logprobs), dtype="Float64"),
                "probability": pd.array(chances, dtype="Float64"),
                "text_offset": pd.array(list(self.text_offset), dtype="Int64"),
                "top_logprobs": pd.Series(list(self.top_logprobs), dtype=object),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {each.name: list(getattr(self, each.name)) for each in fields(self)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_dict` told."""
        return cls(**{each.name: tuple(value.get(each.name) or ()) for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class CompletionUsage:
    """Tokens read and written; ``None`` is unknown.

    Parameters
    ----------
    prompt_tokens : int, optional
        Of all prompts, each counted once, however many choices it has.
    completion_tokens : int, optional
        Generated, of all choices.
    total_tokens : int, optional
        Both.
    cached_tokens : int, optional
        The prompts' tokens that were reused from the KV cache.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class CompletionChoice:
    """One continuation; in a chunk of a stream, a piece of one.

    Parameters
    ----------
    text : str
        What the model wrote; with ``echo`` the prompt comes first.
    index : int
        Which one: with several prompts those of the first come first.
    finish_reason : str, optional
        ``"stop"``, ``"length"``, …; ``None`` while it goes on.
    logprobs : CompletionLogprobs, optional
        Its tokens, where ``logprobs=`` asked for them.
    run_id : str
        Its row in ``session.runs``, which has the prompt, the seed and the stats.
    """

    text: str
    index: int = 0
    finish_reason: FinishReason | None = None
    logprobs: CompletionLogprobs | None = None
    run_id: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as JSON values."""
        logprobs = None if self.logprobs is None else self.logprobs.to_dict()
        return {
            "text": self.text,
            "index": self.index,
            "finish_reason": self.finish_reason,
            "logprobs": logprobs,
            "run_id": self.run_id,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_dict` told, or a server."""
        told = {name: value[name] for name in ("text", "index", "finish_reason", "run_id") if name in value}
        logprobs = value.get("logprobs")
        return cls(**told, logprobs=None if logprobs is None else CompletionLogprobs.from_dict(logprobs))


@dataclass(frozen=True, slots=True, repr=False)
class Completion:
    """What a raw completion came to, or in a stream a piece of it. Prints as the text of its first choice.

    Parameters
    ----------
    id : str
        Its id: ``"cmpl-…"``, the same in all chunks of a stream.
    created : int
        Unix time in seconds.
    model : str
        The model's name.
    choices : tuple of CompletionChoice
        The continuations. A chunk of a stream has a piece of one.
    usage : CompletionUsage, optional
        Tokens; of a stream the last chunk has it.
    warnings : tuple of str
        What was asked for and couldn't be done.
    object : str
        ``"text_completion"``.
    """

    id: str
    created: int
    model: str
    choices: tuple[CompletionChoice, ...]
    usage: CompletionUsage | None = None
    warnings: tuple[str, ...] = ()
    object: str = OBJECT

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choices[0].text

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of all choices."""
        return tuple(choice.text for choice in self.choices)

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the first choice ended."""
        return self.choices[0].finish_reason

    @property
    def logprobs(self) -> CompletionLogprobs | None:
        """The tokens of the first choice."""
        return self.choices[0].logprobs

    @property
    def frame(self) -> pd.DataFrame:
        """A row a choice: ``index``, ``text``, ``finish_reason`` and ``run_id``, to join with ``session.runs``."""
        import pandas as pd

        kinds: dict[str, Any] = {"index": "Int64", "text": "string", "finish_reason": "string", "run_id": "string"}
        return pd.DataFrame([{name: getattr(each, name) for name in kinds} for each in self.choices]).astype(kinds)

    @property
    def tokens(self) -> pd.DataFrame:
        """A row a token of all choices: ``choice``, then the columns of :attr:`CompletionLogprobs.frame`."""
        import pandas as pd

        frames = []
        for choice in self.choices:
            frame = (choice.logprobs or CompletionLogprobs()).frame
            frame.insert(0, "choice", pd.Series([choice.index] * len(frame), dtype="Int64"))
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the completion as JSON values, in the servers' shape."""
        return {
            "id": self.id,
            "object": self.object,
            "created": self.created,
            "model": self.model,
            "choices": [choice.to_dict() for choice in self.choices],
            "usage": None if self.usage is None else asdict(self.usage),
            "warnings": list(self.warnings),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the completion as JSON text; :meth:`from_json` reads it."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_dict` told, or a server's answer.

        Raises
        ------
        ValidationError
            If it is no completion.
        """
        try:
            usage = value.get("usage")
            return cls(
                id=value["id"],
                created=value["created"],
                model=value["model"],
                choices=tuple(CompletionChoice.from_dict(each) for each in value["choices"]),
                usage=None if usage is None else CompletionUsage(**_known(CompletionUsage, usage)),
                warnings=tuple(value.get("warnings") or ()),
                object=value.get("object", OBJECT),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValidationError(f"This is no completion: {error!r}.", field="completion") from error

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what :meth:`to_json` told.

        Raises
        ------
        ValidationError
            If it is no completion.
        """
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ValidationError(f"This is no completion: {error}.", field="completion") from error
        return cls.from_dict(value)

    def __str__(self) -> str:
        return self.choices[0].text if self.choices else ""

    def __repr__(self) -> str:
        text = str(self)
        shown = text if len(text) <= 80 else f"{text[:79]}…"
        return f"<Completion {self.id} · {self.summary}: {shown!r}>"

    @property
    def summary(self) -> str:
        """Model, choices, tokens and how it ended, in a line."""
        usage = self.usage or CompletionUsage()
        reasons = dict.fromkeys(each.finish_reason for each in self.choices if each.finish_reason is not None)
        parts = [
            self.model,
            _counted(len(self.choices), "choice") if len(self.choices) != 1 else "",
            _counted(usage.completion_tokens, "token"),
            f"prompt {usage.prompt_tokens}" if usage.prompt_tokens is not None else "",
            f"{usage.cached_tokens} cached" if usage.cached_tokens else "",
            ", ".join(reasons),
        ]
        return " · ".join(part for part in parts if part)

    def _repr_html_(self) -> str:
        from llmkit.completions.display import html

        return html(self)


def _counted(count: int | None, noun: str) -> str:
    return "" if count is None else f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _known(kind: type[T], value: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: value[each.name] for each in fields(kind) if each.name in value}  # type: ignore[arg-type]
