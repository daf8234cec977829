"""Named KV caches: kept, saved, used again, and bound to what made them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmkit as lk
from llmkit.caches import NamedCaches
from llmkit.engines.scripted import ScriptedDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], lk.Session]]:
    """Make sessions whose saved caches lie in a folder of the test."""
    monkeypatch.setattr("llmkit.engines.local.caches_folder", lambda: tmp_path)
    sessions: list[lk.Session] = []

    def session() -> lk.Session:
        sessions.append(lk.Session(engine=lk.Scripted(["So it goes."]), show=False, ledger=None))
        return sessions[-1]

    yield session
    for each in sessions:
        each.close()


def test_a_saved_cache_is_used_again_in_another_session(make: Callable[[], lk.Session]) -> None:
    """CONTRACT 9: a named cache can be saved to disk, and is used again."""
    first = make()
    first.complete("A long story about the sea", cache="sea").result()
    saved = first.caches().save("sea")
    assert saved.tokens > 5
    second = make()
    stats = second.complete("A long story about the sea", cache="sea").stats
    assert stats is not None
    assert stats.cache_tokens is not None
    assert stats.cache_tokens > 5
    assert make().complete("A long story about the sea").stats.cache_tokens == 0  # type: ignore[union-attr]


def test_a_pinned_cache_is_saved_after_every_run(make: Callable[[], lk.Session]) -> None:
    """CONTRACT 9: a named cache can be pinned."""
    session = make()
    run = session.complete("Once", cache="story")
    run.result()
    before = session.caches().pin("story").tokens
    session.complete([*run.messages, {"role": "user", "content": "and then?"}], cache="story").result()
    frame = session.caches().frame
    assert frame["pinned"].tolist() == [True]
    assert frame["tokens"].tolist()[0] > before


def test_a_deleted_cache_is_gone(make: Callable[[], lk.Session]) -> None:
    """CONTRACT 9: a named cache can be deleted."""
    session = make()
    session.complete("Once", cache="story").result()
    session.caches().save("story")
    assert session.caches().delete("story")
    assert not session.caches().delete("story")
    assert session.caches().frame.empty


def test_a_cache_of_another_template_is_refused(tmp_path: Path) -> None:
    """CONTRACT 9: a saved cache is bound to model and template."""
    decoder = ScriptedDecoder(lk.Scripted(["x"]))
    one = NamedCaches(decoder, "a model", tmp_path)
    one.extended("story", decoder.tokenize("Once upon a time", special=False))
    one.save("story")
    other = NamedCaches(decoder, "a model", tmp_path)
    other._identity = "another template"
    with pytest.raises(lk.ValidationError, match="another model, chat template"):
        other.use("story")


def test_saving_what_was_never_used_says_so(make: Callable[[], lk.Session]) -> None:
    with pytest.raises(lk.ValidationError, match="No run of this session"):
        make().caches().save("nothing")


@given(st.text(max_size=80))
def test_no_name_escapes_the_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """CONTRACT 9: a key can't escape the cache folder."""
    folder = tmp_path_factory.mktemp("caches")
    caches = NamedCaches(ScriptedDecoder(lk.Scripted(["x"])), "a model", folder)
    try:
        path = caches._path(name)
    except lk.ValidationError:
        return
    assert folder in path.resolve().parents


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "", ".hidden", "a/b", "a\\b", "x" * 65, "nul\x00"])
def test_a_name_that_cannot_be_one_is_refused(make: Callable[[], lk.Session], name: str) -> None:
    """CONTRACT 9: hostile names."""
    with pytest.raises(lk.ValidationError) as caught:
        make().complete("Hi", cache=name).result()
    assert caught.value.field == "cache"
