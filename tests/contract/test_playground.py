"""Code that a playground gives, on real weights."""

from __future__ import annotations

import llmkit as lk


def test_the_code_of_a_playground_gives_the_same_text_again() -> None:
    """Issue 7: "copy as code" reproduces the run exactly, with the seed that was drawn."""
    with lk.Session(engine="llamacpp", show=False, ledger=None, system="You are a poet.") as session:
        playground = session.playground("Name three\n'winds'.", temperature=1.2, max_output_tokens=8)
        text = playground.ask().text
        assert eval(playground.code, {"session": session}).text == text  # noqa: S307 - which is what is tested
