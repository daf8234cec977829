"""The settings of a run: how it samples, when it ends, how long it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic import ValidationError as PydanticError

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
TokenId = Annotated[int, Field(ge=0)]
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)

    def _repr_html_(self) -> str:
        from llmkit.notebook.displays.settings import html

        return html(self)


class Timeouts(_Strict):
    """Time limits, in seconds; ``None`` is no limit.

    Parameters
    ----------
    total, step : float, optional
        For the whole run and for each step. Time spent waiting for approval doesn't count.
    chunk : float, optional
        Between two pieces of a stream. Queueing, prefill, approval and tool time don't count.
    """

    total: Seconds | None = None
    step: Seconds | None = None
    chunk: Seconds | None = None


class Settings(_Strict):
    """What may be set for a run; every field has a neutral default.

    Parameters
    ----------
    max_output_tokens : int, optional
        At most this many tokens are generated, ≥ 1. ``None``: until the model stops or its context is full.
    temperature : float
        0 is greedy decoding.
    top_p, min_p : float
        Nucleus sampling and the minimum relative probability, 0 to 1; 1 and 0 are off.
    top_k : int
        Sample from the k likeliest tokens; 0 is off.
    presence_penalty, frequency_penalty : float
        −2 to 2, as OpenAI defines them; 0 is off.
    repetition_penalty : float
        Above 0; 1 is off. Logits of seen tokens are divided (or, if negative, multiplied) by it.
    stop : tuple of str
        Generation ends before the first of these; none of it is in the text.
    seed : int, optional
        Same seed, same text. ``None`` draws one; ``run.stats.seed`` tells which.
    logit_bias : dict of int to float
        Added to the logit of each token id, −100 to 100.
    logprobs : int, optional
        Keep each token's log-probability and that many alternatives, 0 to 20.
    reasoning : bool, optional
        Switch a reasoning model's thinking on or off; ``None`` leaves it to the model.
    reasoning_budget : int, optional
        At most this many reasoning tokens.
    timeout : float or Timeouts
        A number is the total in seconds.
    max_retries : int
        How often a retryable failure of a remote engine is tried again.
    """

    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    top_k: Annotated[int, Field(ge=0)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    repetition_penalty: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 1.0
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    logit_bias: dict[TokenId, Annotated[float, Field(ge=-100, le=100)]] = Field(default_factory=dict)
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    reasoning: bool | None = None
    reasoning_budget: Annotated[int, Field(ge=0)] | None = None
    timeout: Timeouts = Timeouts()
    max_retries: Annotated[int, Field(ge=0)] = 2

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else () if value is None else value

    @field_validator("timeout", mode="before")
    @classmethod
    def _a_number_is_the_total(cls, value: Any) -> Any:
        if value is None:
            return Timeouts()
        return Timeouts(total=value) if isinstance(value, int | float) else value

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: Any) -> Any:
        if isinstance(value, bool) and info.field_name != "reasoning":
            msg = "a number is wanted, not a bool"
            raise ValueError(msg)
        return value

    def merged(self, changes: Mapping[str, Any]) -> Settings:
        """Return these settings with some replaced.

        Parameters
        ----------
        changes : Mapping
            New values by field name. A field that isn't named keeps its value.

        Raises
        ------
        ValidationError
            For an unknown field or a value out of range; names the field.
        """
        if not changes:
            return self
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return settings_from({**given, **changes})


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Return the settings that ``values`` describe, checked.

    Raises
    ------
    ValidationError
        For an unknown field or a value out of range; names the field.
    """
    try:
        return Settings(**values)
    except PydanticError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"] if not str(part).startswith("Timeouts"))
        raise ValidationError(_explain(field, first["type"], first["msg"], values), field=field) from None


def _explain(field: str, kind: str, message: str, values: Mapping[str, Any]) -> str:
    if kind == "extra_forbidden":
        return f"There is no setting {field!r}. Settings: {', '.join(Settings.model_fields)}."
    top = field.split(".", maxsplit=1)[0]
    return f"{field}={values.get(top)!r} can't be used: {message[:1].lower()}{message[1:]}."


FinishReason = Literal["stop", "length", "content-filter", "tool-calls", "error", "cancelled", "other"]
