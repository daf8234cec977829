"""Messages to token ids, for one model, and what its answer must look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.engines.decoder import Token
from llmkit.errors import ContextLengthError
from llmkit.prompting.constraint import Thought, answer_rules, constraint
from llmkit.prompting.control import ControlTokens
from llmkit.prompting.outputs import told
from llmkit.prompting.splitter import Markers, Splitter, markers_of
from llmkit.prompting.template import CHATML, ChatTemplate
from llmkit.tools.choice import ToolChoice
from llmkit.tools.dialects.detect import dialect_named, dialect_of
from llmkit.tools.generic import GenericDialect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.engines.decoder import Decoder
    from llmkit.messages import Message
    from llmkit.output.spec import OutputSpec
    from llmkit.prompting.constraint import Constraint
    from llmkit.settings import Settings
    from llmkit.tools.dialects.base import Dialect, Reader
    from llmkit.tools.tool import Tool

GENERIC_NOTE = (
    "The model has no tool format of its own; the tools are told in the prompt, and its answer is held to a format by "
    "constrained decoding."
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that a decoder can continue.

    Parameters
    ----------
    ids : tuple of int
        Token ids.
    splitter : Splitter
        Tells the parts of the one answer to it.
    constraint : Constraint, optional
        What the answer must look like.
    special : bool
        Whether control tokens are needed to tell its parts.
    notes : tuple of str
        What couldn't be done as asked.
    """

    ids: tuple[int, ...]
    splitter: Splitter
    constraint: Constraint | None = None
    special: bool = False
    notes: tuple[str, ...] = ()


class Prompting:
    """The prompt path of one model: its template, its tokens, its markers.

    Parameters
    ----------
    decoder : Decoder
        The model.
    dialect : Dialect, optional
        How it writes tool calls; found from its template by default.
    """

    def __init__(self, decoder: Decoder, dialect: Dialect | None = None) -> None:
        info = decoder.info
        self._decoder = decoder
        self._has_template = info.chat_template is not None
        self.template = ChatTemplate(info.chat_template or CHATML, bos_token=info.bos_token, eos_token=info.eos_token)
        self.dialect: Dialect = dialect or _dialect_of(self.template) or GenericDialect()
        self.markers: Markers | None = None if self.dialect.reasons else markers_of(info.chat_template)
        self.control = ControlTokens(decoder)

    def prompt(
        self,
        messages: tuple[Message, ...],
        settings: Settings,
        tools: Sequence[Tool] = (),
        choice: ToolChoice | None = None,
        output: OutputSpec | None = None,
    ) -> Prompt:
        """Return the prompt for a conversation.

        Parameters
        ----------
        messages : tuple of Message
            The conversation.
        settings : Settings
            Of the run.
        tools : sequence of Tool
            What the model may call.
        choice : ToolChoice, optional
            Whether it may, must or must not.
        output : OutputSpec, optional
            What the answer must be; with tools, what it must be where it calls none.

        Raises
        ------
        ValidationError
            If the model's template refuses the messages, or a tool's schema can't be enforced.
        ContextLengthError
            If the prompt leaves no room for a token of output.
        """
        choice = choice or ToolChoice()
        offered = () if choice.mode == "none" else tuple(tools)
        notes = [] if self._has_template else ["The model has no chat template; the ChatML format is used instead."]
        if offered and isinstance(self.dialect, GenericDialect):
            notes.append(GENERIC_NOTE)
        text = self._render(told(messages, output, system=self._takes_system), settings, offered, notes)
        ids = tuple(self._decoder.tokenize(self._with_begin(text), special=True))
        self._check_length(len(ids))
        opened = self.markers is not None and text.rstrip().endswith(self.markers.open)
        bound = self._constraint(settings, offered, choice, output, len(ids), opened=opened)
        return Prompt(
            ids,
            Splitter(
                self.markers, inside=opened, reader=self._reader(tools, offered, output), json=self._is_json(output)
            ),
            constraint=bound,
            special=self._special(calls=bool(tools)),
            notes=tuple(notes),
        )

    def closing(self) -> tuple[Token, ...]:
        """Return the tokens that end the model's reasoning, none for a model without any."""
        if self.markers is None:
            return ()
        text = self.markers.close + "\n\n"
        *before, last = self._decoder.tokenize(text, special=True)
        return (*(Token(id_, "") for id_ in before), Token(last, text))

    def shown(self, token: Token) -> str:
        """Return a token's text as it is split: of control tokens only those that mark a part of the answer."""
        if self.control.holds(token.id, token.text) and token.text not in self._marks():
            return ""
        return token.text

    @property
    def _takes_system(self) -> bool:
        return self.template.abilities.system

    def _render(
        self, messages: tuple[Message, ...], settings: Settings, tools: tuple[Tool, ...], notes: list[str]
    ) -> str:
        variables = {}
        if settings.reasoning is not None:
            if self.template.has_reasoning_switch:
                variables["enable_thinking"] = settings.reasoning
            else:
                notes.append(f"The model has no switch for reasoning; reasoning={settings.reasoning} changes nothing.")
        if isinstance(self.dialect, GenericDialect):
            told = self.dialect.messages(messages, tools, system=self.template.abilities.system)
            return self.template.render(told, variables=variables)
        return self.template.render(messages, tools=tools, variables=variables)

    def _constraint(
        self,
        settings: Settings,
        tools: tuple[Tool, ...],
        choice: ToolChoice,
        output: OutputSpec | None,
        prompt_tokens: int,
        *,
        opened: bool,
    ) -> Constraint | None:
        left = self._decoder.info.context_length - prompt_tokens
        room = min(left, settings.max_output_tokens or left) - (settings.reasoning_budget or 0)
        rules = answer_rules(self.dialect, tools, choice, room=room, output=output, token=self.control.expression)
        if rules is None:
            return None
        thinks = self.markers is not None and (opened or settings.reasoning is not False)
        thought = Thought(self.markers, opened) if self.markers is not None and thinks else None
        return constraint(rules, ends=self._decoder.info.end_ids, thought=thought, token=self.control.expression)

    def _reader(self, tools: Sequence[Tool], offered: tuple[Tool, ...], output: OutputSpec | None) -> Reader | None:
        """Return who reads calls: also those of tools that were withheld, for they are no text either."""
        withheld = tools and output is None and not isinstance(self.dialect, GenericDialect)
        if self.dialect.reasons or offered or withheld:
            return self.dialect.reader(offered)
        return None

    def _is_json(self, output: OutputSpec | None) -> bool:
        return output is not None and output.kind in {"json", "array"} and not self.dialect.reasons

    def _special(self, *, calls: bool) -> bool:
        return any(self.control.id_of(text) is not None for text in self._marks(calls=calls))

    def _marks(self, *, calls: bool = True) -> tuple[str, ...]:
        thought = () if self.markers is None else (self.markers.open, self.markers.close)
        return (*thought, *self.dialect.markers) if calls or self.dialect.reasons else thought

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


def tool_dialect(name: str) -> Dialect:
    """Return the dialect of that name; ``"generic"`` is the one for models without a format of their own.

    Raises
    ------
    ValidationError
        For an unknown name.
    """
    generic = GenericDialect()
    return generic if name == generic.name else dialect_named(name)


def _dialect_of(template: ChatTemplate) -> Dialect | None:
    """Return the format that a template tells its model of; ``None`` if it tells of no tools."""
    return dialect_of(template.source) if template.abilities.tools else None
