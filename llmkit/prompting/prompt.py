"""Messages to token ids, for one model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.engines.decoder import Token
from llmkit.errors import ContextLengthError
from llmkit.prompting.splitter import Markers, Splitter, markers_of
from llmkit.prompting.template import CHATML, ChatTemplate

if TYPE_CHECKING:
    from llmkit.engines.decoder import Decoder
    from llmkit.messages import Message
    from llmkit.settings import Settings


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that a decoder can continue.

    Parameters
    ----------
    ids : tuple of int
        Token ids.
    reasoning_open : bool
        Whether the template already opened the model's reasoning.
    notes : tuple of str
        What couldn't be done as asked.
    """

    ids: tuple[int, ...]
    reasoning_open: bool = False
    notes: tuple[str, ...] = ()


class Prompting:
    """The prompt path of one model: its template, its tokens, its markers.

    Parameters
    ----------
    decoder : Decoder
        The model.
    """

    def __init__(self, decoder: Decoder) -> None:
        info = decoder.info
        self._decoder = decoder
        self._has_template = info.chat_template is not None
        self.template = ChatTemplate(info.chat_template or CHATML, bos_token=info.bos_token, eos_token=info.eos_token)
        self.markers: Markers | None = markers_of(info.chat_template)

    def prompt(self, messages: tuple[Message, ...], settings: Settings) -> Prompt:
        """Return the prompt for a conversation.

        Raises
        ------
        ValidationError
            If the model's template refuses the messages.
        ContextLengthError
            If the prompt leaves no room for a token of output.
        """
        notes = [] if self._has_template else ["The model has no chat template; the ChatML format is used instead."]
        variables = {}
        if settings.reasoning is not None:
            if self.template.has_reasoning_switch:
                variables["enable_thinking"] = settings.reasoning
            else:
                notes.append(f"The model has no switch for reasoning; reasoning={settings.reasoning} changes nothing.")
        text = self.template.render(messages, variables=variables)
        ids = tuple(self._decoder.tokenize(self._with_begin(text), special=True))
        self._check_length(len(ids))
        opened = self.markers is not None and text.rstrip().endswith(self.markers.open)
        return Prompt(ids, reasoning_open=opened, notes=tuple(notes))

    def splitter(self, prompt: Prompt) -> Splitter:
        """Return a splitter for what the model answers to ``prompt``."""
        return Splitter(self.markers, inside=prompt.reasoning_open)

    def closing(self) -> tuple[Token, ...]:
        """Return the tokens that end the model's reasoning, none for a model without any."""
        if self.markers is None:
            return ()
        text = self.markers.close + "\n\n"
        *before, last = self._decoder.tokenize(text, special=True)
        return (*(Token(id_, "") for id_ in before), Token(last, text))

    def _with_begin(self, text: str) -> str:
        info = self._decoder.info
        if info.add_bos and info.bos_token and not text.startswith(info.bos_token):
            return info.bos_token + text
        return text

    def _check_length(self, count: int) -> None:
        limit = self._decoder.info.context_length
        if count >= limit:
            raise ContextLengthError(
                f"The prompt has {count:,} tokens and the model's context holds {limit:,}. Shorten it, drop old "
                "messages (llmkit.prune), or load the model with a larger context_length.",
                prompt_tokens=count,
                context_length=limit,
            )
