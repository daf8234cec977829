"""Fingerprints: what decides a run's text changes them, and nothing else does."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmkit as lk
from llmkit.engines.decoder import Token
from llmkit.fingerprint import digest, fingerprint
from llmkit.messages import Message
from llmkit.models.catalog import resolve
from llmkit.models.revision import revision_of
from llmkit.request import RunRequest
from llmkit.settings import Settings, Timeouts
from llmkit.tools.choice import ToolChoice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BASE = RunRequest("run", "session", "small", (Message("user", "Why?"),), Settings(temperature=0.5, seed=7), 7)


def weather(city: str) -> str:
    """Tell the weather."""
    return city


DECISIVE: dict[str, dict[str, Any]] = {
    "model": {"model": "large"},
    "messages": {"messages": (Message("user", "Why not?"),)},
    "system": {"messages": (Message("system", "Be brief."), Message("user", "Why?"))},
    "seed": {"seed": 8},
    "setting": {"settings": Settings(temperature=0.5, seed=7, top_k=4)},
    "tools": {"tools": (lk.tool_from(weather),)},
    "choice": {"tools": (lk.tool_from(weather),), "tool_choice": ToolChoice("required")},
    "beginning": {"beginning": (Token(1, "Be"),)},
    "steps": {"stop_when": (lk.step_count_is(3),)},
    "provider options": {"provider_options": {"effort": "high"}},
    "prepare_step": {"prepare_step": weather},
}
NOT_DECISIVE: dict[str, dict[str, Any]] = {
    "id": {"run_id": "other", "session_id": "other"},
    "metadata": {"metadata": {"topic": "skies"}, "function_id": "f", "context": object()},
    "patience": {"settings": Settings(temperature=0.5, seed=7, timeout=Timeouts(total=3.0), max_retries=0)},
    "what is kept": {"settings": Settings(temperature=0.5, seed=7, logprobs=3), "profiling": False, "stream": False},
    "where the seed comes from": {"settings": Settings(temperature=0.5)},
    "headers": {"headers": {"Authorization": "secret"}},
}


@pytest.mark.parametrize("what", DECISIVE)
def test_what_decides_the_text_changes_the_fingerprint(what: str) -> None:
    others = [fingerprint(replace(BASE, **changes), None) for changes in DECISIVE.values()]
    mine = fingerprint(replace(BASE, **DECISIVE[what]), None)
    assert mine != fingerprint(BASE, None)
    assert others.count(mine) == 1


@pytest.mark.parametrize("what", NOT_DECISIVE)
def test_what_doesnt_decide_the_text_leaves_the_fingerprint(what: str) -> None:
    assert fingerprint(replace(BASE, **NOT_DECISIVE[what]), None) == fingerprint(BASE, None)


def test_other_weights_of_the_same_name_have_another_fingerprint() -> None:
    assert fingerprint(BASE, "sha256:1") != fingerprint(BASE, "sha256:2")


def test_a_greedy_run_doesnt_depend_on_its_seed() -> None:
    greedy = replace(BASE, settings=Settings(temperature=0))
    assert fingerprint(greedy, None) == fingerprint(replace(greedy, seed=99), None)


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    """Frozen: if this changes, what ledgers hold isn't recognised any more, and FINGERPRINT_VERSION must rise."""
    script = "from tests.unit.test_fingerprint import BASE, fingerprint; print(fingerprint(BASE, 'r'))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    assert found == fingerprint(BASE, "r") == "1294238bff5f399c48edaaf32a99e9a5"


@given(st.text(), st.text())
def test_different_texts_have_different_digests(one: str, other: str) -> None:
    assert (digest(one) == digest(other)) == (one == other)


def test_hostile_text_has_a_fingerprint() -> None:
    hostile = replace(BASE, messages=(Message("user", "\ud800 \x00 ' \u202e"),))
    assert len(fingerprint(hostile, None)) == 32


def test_the_ledger_keeps_the_fingerprint_that_the_request_has(scripted: Callable[..., lk.Session]) -> None:
    session = scripted("Because.")
    run = session.complete("Why?", temperature=0.5, tools=[weather], approval="deny")
    run.wait()
    revision = session.resident().revision
    [found] = session._ledger._read(
        lambda connection: connection.execute("SELECT fingerprint, build, seed, extras FROM runs").fetchall()
    )
    assert found[:3] == (fingerprint(run.request, revision), "1", run.request.seed)
    assert '"weather"' in found[3]
    assert session.runs["build"].tolist() == ["1"]


def test_a_seed_is_known_without_stats(scripted: Callable[..., lk.Session]) -> None:
    session = scripted("Because.")
    run = session.complete("Why?", seed=5, profiling=False)
    run.wait()
    assert session.runs["seed"].tolist() == [5]


def test_a_file_that_changes_is_another_revision(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    weights = folder / "model.safetensors"
    weights.write_bytes(bytes(1 << 20))
    before = revision_of(resolve(folder))
    assert before == revision_of(resolve(folder))
    with weights.open("r+b") as opened:
        opened.seek(-1, 2)
        opened.write(b"\1")
    assert revision_of(resolve(folder)) != before


def test_the_embedded_model_is_known_by_its_hash_and_a_hub_model_by_what_was_named() -> None:
    assert (revision_of(resolve("embedded")) or "").startswith("sha256:")
    assert revision_of(resolve("owner/name-GGUF@main")) == "main"
    assert revision_of(resolve("owner/name-GGUF")) is None
