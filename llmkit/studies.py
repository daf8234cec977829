"""What a session does beyond one run: many runs compared, rows mapped, texts scored, raw completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pandas as pd

    from llmkit.chatting import Chat
    from llmkit.comparing.comparison import Comparison
    from llmkit.completions.service import Completions
    from llmkit.engines.remote.config import Remote
    from llmkit.mapping.job import Job
    from llmkit.messages import Prompt
    from llmkit.playing import Playground
    from llmkit.plotting.figure import Figure
    from llmkit.preparing import PrepareStep
    from llmkit.replaying import Replayed
    from llmkit.scoring import Score
    from llmkit.session import Session
    from llmkit.tools.repair import Repair


class Studies:
    """The methods of :class:`llmkit.Session` for more than one run; each only hands on to the package that does it."""

    @property
    def completions(self: Session) -> Completions:  # type: ignore[misc] # a session is a Studies
        """Raw completions: prompts continued as they are, without messages and templates.

        Examples
        --------
        >>> import llmkit as lk
        >>> session = lk.Session(engine=lk.Scripted([" upon a time"]), show=False, ledger=None)
        >>> session.completions.create("Once", max_tokens=20).text
        ' upon a time'
        """
        from llmkit.completions.service import Completions

        return Completions(self)

    def chat(  # type: ignore[misc] # a session is a Studies
        self: Session,
        *,
        system: str | None = None,
        tools: Any = None,
        resume: str | Path | None = None,
        show: bool | None = None,
        **options: Any,
    ) -> Chat:
        """Begin a chat, or go on with one; return at once.

        In a notebook it is live: type, stop, edit a message and send it again, regenerate an answer, go back and forth
        between branches, decide on tool calls, and save the whole. In code it is the same: ``chat.send("…")``.

        Parameters
        ----------
        system : str, optional
            What the model is told first, in place of the session's system message.
        tools : sequence, optional
            What the model may call, as for :meth:`llmkit.Session.complete`; an answer takes up to 20 steps.
        resume : str or Path, optional
            A file that ``chat.export("….json")`` wrote, to go on with.
        show : bool, optional
            Whether to show the chat now, in place of the session's choice. Where it isn't live, the runs of its answers
            show themselves; with ``False`` they don't, and nobody can be asked about tool calls.
        **options
            For every answer, as for :meth:`llmkit.Session.complete`: ``model``, ``approval``, settings, callbacks, ….

        Returns
        -------
        Chat
            Its turns, branches and messages; see :class:`llmkit.Chat`.

        Raises
        ------
        ValidationError
            For an option that can't be used, and a file that can't be gone on with.
        ModelNotFound
            If there is no such model.
        SessionClosed
            If the session was closed.

        Examples
        --------
        >>> import llmkit as lk
        >>> session = lk.Session(engine=lk.Scripted(["Hello!", "Grand."]), show=False, ledger=None)
        >>> chat = session.chat(system="Be brief.")
        >>> chat.send("Hi.").text, chat.send("How are you?").text
        ('Hello!', 'Grand.')
        >>> [turn.role for turn in chat]
        ['user', 'assistant', 'user', 'assistant']
        """
        from llmkit.chatting.chat import start_chat

        return start_chat(self, system=system, resume=resume, show=show, options={"tools": tools, **options})

    def playground(  # type: ignore[misc] # a session is a Studies
        self: Session,
        prompt: str = "",
        *,
        system: str | None = None,
        model: str | Path | Remote | None = None,
        show: bool | None = None,
        **settings: Any,
    ) -> Playground:
        """Open a playground: a prompt and every setting as a control, to be changed and run again and again.

        In a notebook it is live: the answer streams below the prompt, each run can be chosen again with what it was
        asked, and "copy as code" gives the call that reproduces it. In code it is the same: ``playground.ask()``.

        Parameters
        ----------
        prompt : str
            What to begin with.
        system : str, optional
            A system message in place of the session's.
        model : str, Path or Remote, optional
            Another model than the session's; it is loaded when something is asked.
        show : bool, optional
            Whether to show it now, in place of the session's choice.
        **settings
            Those that are set at first (:class:`llmkit.settings.Settings`); the others are the session's.

        Returns
        -------
        Playground
            ``run``, ``runs``, ``code`` and ``settings``; see :class:`llmkit.Playground`.

        Raises
        ------
        ValidationError
            For a prompt that is no text, and a setting that doesn't exist or is out of range; names the field.

        Examples
        --------
        >>> import llmkit as lk
        >>> session = lk.Session(engine=lk.Scripted(["Like this."]), show=False, ledger=None)
        >>> playground = session.playground("How?", temperature=0.2, seed=3)
        >>> playground.ask().text
        'Like this.'
        >>> playground.code
        "session.complete('How?', temperature=0.2, seed=3)"
        """
        from llmkit.playing import Playground
        from llmkit.presenting import presenter

        playground = Playground(self, prompt, system=system, model=model, settings=settings)
        if (self.shows if show is None else show) is not False:
            presenter().show_playground(playground, asked=show is True)
        return playground

    def map(  # type: ignore[misc] # a session is a Studies
        self: Session,
        frame: Any,
        template: Prompt | Callable[..., Prompt],
        *,
        output: Any = None,
        resume: bool = True,
        show: bool | None = None,
        **options: Any,
    ) -> Job:
        """Ask a model about every row of a table; return at once. Also ``frame.llm.map(template, session=session)``.

        Few runs are in flight at a time, in the order of the rows. A row that can't be asked or answered has an error,
        and the others go on. What the ledger has, asked of the same model with the same prompt, settings and seed on
        the same engine, isn't decoded again, so the same call goes on where an earlier one was stopped, interrupted or
        killed. Rows that ask for the same are decoded once. Where no ``seed`` is given, each row has its own, which
        follows from what is asked.

        Parameters
        ----------
        frame : DataFrame, Series, dict of columns, or iterable of dicts or texts
            The rows; a nameless Series and texts are a column named ``value``.
        template : str, Message, dict, sequence of those, or Callable
            A prompt with fields named as columns are, ``"Is this good? {review}"``, braces that are meant as such
            written twice; or a function whose parameters are columns, that returns a prompt. A row in which a field's
            column has no value isn't asked.
        output : Any, optional
            What each answer must be, as for :meth:`llmkit.Session.complete`.
        resume : bool
            Whether to take from the ledger what it has; with ``False`` all rows are decoded.
        show : bool, optional
            Whether to show the job now, in place of the session's choice. Its runs are never shown.
        **options
            As for :meth:`llmkit.Session.complete`.

        Returns
        -------
        Job
            ``job.frame`` waits for the end and has a row for each row, with the same index.

        Raises
        ------
        ValidationError
            For a table, template or option that can't be used, and a field that is no column.
        ModelNotFound
            If there is no such model.
        SessionClosed
            If the session was closed.

        Examples
        --------
        >>> import llmkit as lk
        >>> session = lk.Session(engine=lk.Scripted(["good"]), show=False, ledger=None)
        >>> session.map(["I liked it.", "A joy!"], "Good or bad? {value}").frame["text"].tolist()
        ['good', 'good']
        """
        from llmkit.mapping.job import start_job

        return start_job(self, frame, template, {"output": output, **options}, resume=resume, show=show)

    def replay(  # type: ignore[misc] # a session is a Studies
        self: Session,
        run_id: str,
        *,
        model: str | Path | Remote | None = None,
        tools: Any = None,
        output: Any = None,
        stop_when: Any = None,
        prepare_step: PrepareStep | None = None,
        repair: Repair | None = None,
        show: bool | None = None,
    ) -> Replayed:
        """Ask again what a run of the ledger was asked, and compare; return at once.

        Functions aren't recorded: of a run that had tools, a ``prepare_step``, a ``repair`` or a condition of its own
        they must be given. A typed output comes as plain JSON if the type isn't given.

        Parameters
        ----------
        run_id : str
            The run's id, of this or an earlier session.
        model : str, Path or Remote, optional
            In place of the model that answered, or where it is now.
        tools, output, stop_when, prepare_step, repair : Any, optional
            As for :meth:`llmkit.Session.complete`.
        show : bool, optional
            Whether to show the new run now, in place of the session's choice.

        Returns
        -------
        Replayed
            The new run; whether the text is the same, where it differs, and what else does.

        Raises
        ------
        ValidationError
            If there is no such run, or something that is needed isn't recorded and wasn't given.
        """
        from llmkit.replaying import replay_recorded

        given = {
            "model": model,
            "tools": tools,
            "output": output,
            "stop_when": stop_when,
            "prepare_step": prepare_step,
            "repair": repair,
        }
        return replay_recorded(self, run_id, given, show=show)

    def score(  # type: ignore[misc] # a session is a Studies
        self: Session,
        text: str | Sequence[int],
        *,
        prompt: Prompt | None = None,
        after: str = "",
        system: str | None = None,
        model: str | Path | Remote | None = None,
        alternatives: int = 5,
    ) -> Score:
        """Tell how likely a model finds a given text, token by token; wait for it.

        MLX reads the text in one pass. llama.cpp is made to write it, which takes a decode step a token. A server must
        support ``echo`` with ``logprobs`` in ``/completions``, as vLLM does.

        Parameters
        ----------
        text : str or sequence of int
            What to score: a text, or token ids.
        prompt : str, Message, dict, or a sequence of the latter two, optional
            The conversation that it answers, as for :meth:`complete`. Without one, the text stands alone; then its
            first token has no log-probability, unless the model's texts begin with a token of their own.
        after : str, optional
            The text just before it, which isn't scored.
        system : str, optional
            A system message for ``prompt``.
        model : str or Path, optional
            Another model than the session's.
        alternatives : int
            How many of the likeliest tokens to tell at each place, at most 100.

        Returns
        -------
        Score
            ``logprob`` (the sum, in nats), ``mean_logprob``, ``perplexity`` = exp(−mean_logprob), and ``tokens``.

        Raises
        ------
        ValidationError
            If there is nothing to score.
        ContextLengthError
            If the text is longer than the model's context.
        EngineError
            If a server doesn't tell log-probabilities of a prompt.

        Examples
        --------
        >>> import llmkit as lk
        >>> session = lk.Session(engine=lk.Scripted([lk.Answer(["a b", "a c"])]), show=False, ledger=None)
        >>> round(session.score("a b", alternatives=2).perplexity, 3)
        2.0
        """
        from llmkit.scoring import score

        return score(self, text, prompt=prompt, after=after, system=system, model=model, alternatives=alternatives)

    def compare(  # type: ignore[misc] # a session is a Studies
        self: Session,
        template: Any,
        data: Any = None,
        /,
        *,
        repeat: int = 1,
        models: Any = None,
        system: Any = None,
        rows: str | Sequence[str] | None = None,
        columns: str | Sequence[str] | None = None,
        show: bool | None = None,
        **factors: Any,
    ) -> Comparison:
        """Ask many things that differ in what makes them comparable, side by side; return at once.

        Every combination of the factors' levels is a cell, and the cells decode together. A keyword is a factor if
        its value is a list; what takes a list by itself (``stop``, ``tools``, …) is varied by a list of lists. A dict
        gives the levels names of their own: ``system={"terse": "Answer in five words.", "none": None}``. Any other
        value is the same in all cells.

        Parameters
        ----------
        template : str, conversation, callable, or a list or dict of them
            What is asked. ``{name}`` is a field, in a conversation in the texts of all messages; ``{{`` and ``}}`` are
            braces. Of a function the parameters are the fields, and what it returns is asked. Several are the factor
            ``prompt``.
        data : DataFrame or sequence of dicts, optional
            Its columns fill the template, a row a cell and not their product.
        repeat : int
            How often each is asked, with seeds of their own that follow from ``seed``, where one is given.
        models : list or dict, optional
            Models to compare; they are loaded in turn. The factor ``model``.
        system : str, list or dict, optional
            System messages.
        rows, columns : str or sequence of str, optional
            The factors that make rows and columns.
        show : bool, optional
            Whether to show the grid now, in place of the session's choice.
        **factors
            Values of the template's fields; and all that :meth:`complete` takes: ``temperature=[0, 0.8]``.

        Returns
        -------
        Comparison
            ``comparison.frame`` has a row a cell; it is read at any time, and doesn't wait.

        Raises
        ------
        ValidationError
            For a template that can't be read, a field without a value, and a keyword that is neither field nor option.
            What is wrong in one cell alone is that cell's error.
        SessionClosed
            If the session was closed.

        Examples
        --------
        >>> import llmkit as lk
        >>> session = lk.Session(engine=lk.Scripted(["Like this."]), show=False, ledger=None)
        >>> comparison = session.compare("Explain {topic} to {who}.", topic=["gravity", "DNA"], who=["a child", "me"])
        >>> comparison.wait()
        True
        >>> comparison.pivot("output_tokens").shape
        (2, 2)
        """
        from llmkit.comparing.comparison import compare
        from llmkit.presenting import presenter

        comparison = compare(self, template, data, factors, repeat=repeat, models=models, system=system)
        if rows is not None or columns is not None:
            comparison.arrange(rows=rows, columns=columns)
        comparison.start()
        if (self.shows if show is None else show) is not False:
            presenter().show_comparison(comparison, asked=show is True)
        return comparison

    def comparison(self: Session, comparison_id: str) -> pd.DataFrame:  # type: ignore[misc] # a session is a Studies
        """Return an earlier comparison of this session from the ledger, a row a cell; see :func:`llmkit.comparison`."""
        from llmkit.comparing.saved import frame_of_runs

        return frame_of_runs(self.runs, comparison_id)

    def plot(self: Session, metric: str = "tokens_per_second", *, color: str = "model") -> Figure:  # type: ignore[misc] # a session is a Studies
        """Plot a number of each run of this session, in the order in which they began.

        Parameters
        ----------
        metric : str
            A column of numbers of ``session.runs``.
        color : str
            A column of words.

        Returns
        -------
        Figure
            Interactive in JupyterLab, a picture in a saved notebook.

        Raises
        ------
        ValidationError
            For a column that doesn't exist; names those that do.
        """
        from llmkit.plotting.runs import plot_runs

        return plot_runs(self.runs, metric, color=color)
