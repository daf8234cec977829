"""Where raw completions are asked for: ``session.completions``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from llmkit import waiting
from llmkit.completions.flight import Flight
from llmkit.completions.request import CompletionOptions, completion_request, spelled_out
from llmkit.completions.stream import CompletionStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.completions.completion import Completion
    from llmkit.session import Session


class Completions:
    """Continues prompts as they are: no messages, no template, no tools.

    A prompt is a text, a list of texts, or a list of token ids. Each choice is a run of the session's: it waits for
    its turn, loads the model, is recorded in ``session.runs`` and ends with ``session.cancel()`` like any other.

    Examples
    --------
    >>> import llmkit as lk
    >>> session = lk.Session(engine=lk.Scripted([" Paris.", " Paris, of course."]), show=False, ledger=None)
    >>> completion = session.completions.create("The capital of France is", n=2)
    >>> completion.texts
    (' Paris.', ' Paris, of course.')
    >>> completion.usage.prompt_tokens
    5
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @spelled_out
    def create(self, prompt: str | Sequence[str] | Sequence[int], **options: Unpack[CompletionOptions]) -> Completion:
        """Continue a prompt and return the whole of it.

        Servers aren't asked to stream.

        Parameters
        ----------
        prompt : str, list of str, or list of int
            A text, several, or token ids. In a text, control tokens such as ``<|im_start|>`` are read as such.
        model : str, Path or Remote, optional
            Another model than the session's.
        max_tokens : int, optional
            At most so many tokens for each choice; by default as many as fit the model's context, or what a server
            makes its default.
        temperature, top_p, top_k, min_p, presence_penalty, frequency_penalty, repetition_penalty, logit_bias : optional
            How to sample, in place of the session's settings (:class:`llmkit.Settings`). A temperature of 0 is greedy.
        stop : str or list of str, optional
            Texts that end a choice; none of them is in the text.
        seed : int, optional
            Same seed, same choices. Each choice has a seed of its own that follows from this one; the first has it.
        n : int, optional
            How many choices for each prompt, 1 by default, 128 at most.
        logprobs : int, optional
            Tell the tokens, their log-probabilities, and so many likeliest ones at each place, up to 20.
        echo : bool, optional
            Whether the prompt comes first in the text, and its tokens first among the tokens.
        json_schema : dict, optional
            The text is JSON that fits this schema.
        regex : str, optional
            The text is one that this expression matches from beginning to end.
        grammar : str, optional
            The text is one of this grammar: in llguidance's Lark with a rule ``start`` for local models, in the
            server's own language for others.
        timeout : float or Timeouts, optional
            Seconds for all of it, or limits by name.
        max_retries : int, optional
            How often a server is asked again after a failure that may pass.
        headers, provider_options : dict, optional
            For servers: headers, and fields of the body.
        metadata : dict, optional
            Your own notes, kept in the ledger.

        Raises
        ------
        ValidationError
            For what can't be used or enforced, before anything is decoded; names the field.
        ContextLengthError
            If the prompt leaves no room in the model's context.
        APIError, RequestError, StreamError
            If a server fails.
        QueueFull, QueueTimeout, TimeoutError
            If a limit is passed.
        RunCancelled
            If it was cancelled; carries what there was of one choice.

        Examples
        --------
        >>> import llmkit as lk
        >>> session = lk.Session(engine=lk.Scripted(['{"year": 1889}']), show=False, ledger=None)
        >>> schema = {"type": "object", "properties": {"year": {"type": "integer"}}, "required": ["year"]}
        >>> session.completions.create("The Eiffel tower as JSON: ", json_schema=schema).text
        '{"year": 1889}'
        """
        flight = self._flight(prompt, options, stream=False)
        try:
            waiting.wait(flight.over)
        except BaseException:  # an interrupt: nobody will see what comes
            flight.cancel("interrupted")
            raise
        return flight.completion()

    @spelled_out
    async def create_async(
        self, prompt: str | Sequence[str] | Sequence[int], **options: Unpack[CompletionOptions]
    ) -> Completion:
        """Do what :meth:`create` does, in any event loop and without blocking it.

        Parameters
        ----------
        prompt, **options
            As for :meth:`create`.

        Raises
        ------
        Error
            As :meth:`create` does.
        """
        flight = self._flight(prompt, options, stream=False)
        try:
            await waiting.wait_async(flight.over)
        except BaseException:  # the task was cancelled, or interrupted
            flight.cancel("interrupted")
            raise
        return flight.completion()

    @spelled_out
    def create_stream(
        self, prompt: str | Sequence[str] | Sequence[int], **options: Unpack[CompletionOptions]
    ) -> CompletionStream:
        """Continue a prompt and return its pieces as they come.

        Parameters
        ----------
        prompt, **options
            As for :meth:`create`.

        Returns
        -------
        CompletionStream
            To be iterated with ``for`` or ``async for``, best in a ``with`` block, which closes it.

        Raises
        ------
        ValidationError
            For what can't be used or enforced. Other errors come where the stream is read.
        """
        return CompletionStream(self._flight(prompt, options, stream=True))

    def __repr__(self) -> str:
        return f"<Completions of session {self._session.id}: create, create_async, create_stream>"

    def _flight(
        self, prompt: str | Sequence[str] | Sequence[int], options: CompletionOptions, *, stream: bool
    ) -> Flight:
        flight = Flight(self._session, completion_request(self._session, prompt, options), stream=stream)
        flight.start()
        return flight
