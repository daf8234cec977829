"""The pages of the site, without building it: what they say runs, and their links lead somewhere."""

from __future__ import annotations

import doctest
import re
import runpy
from pathlib import Path

import pytest

import llmkit as lk

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MADE = {"reference.md"}
PAGES = sorted(page for page in (*DOCS.glob("*.md"), *DOCS.glob("how/*.md")) if page.name not in MADE)
BESIDE = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")

_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
_ENTRY = re.compile(r"^([\w/-]+|[\w/-]+/\*)$", re.MULTILINE)


def test_every_public_name_is_in_the_reference_once() -> None:
    groups = runpy.run_path(str(DOCS / "reference.py"))["groups"]()

    names = [name for group in groups.values() for name in group]

    assert sorted(names) == sorted(lk.__all__)


@pytest.mark.parametrize("page", [*PAGES, *BESIDE], ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists() or (page.parent / target).name in MADE, target


def test_every_page_is_in_a_table_of_contents() -> None:
    listed = set()
    for page in PAGES:
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            listed |= {(page.parent / name).with_suffix(".md") for name in _ENTRY.findall(tree)}

    assert set(PAGES) - listed == {DOCS / "index.md"}


def test_what_is_taken_from_the_readme_is_there() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    marks = re.findall(r':(start-after|end-before): "(.*)"', (DOCS / "getting-started.md").read_text(encoding="utf-8"))

    assert marks
    assert all(text in readme for _, text in marks)


@pytest.mark.parametrize("page", sorted(DOCS.glob("how/*.md")), ids=lambda page: page.stem)
def test_examples_do_what_they_say(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lk.session, "_open_sessions", set())  # holds on to them until they are closed
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    outcome = doctest.testfile(str(page), module_relative=False, optionflags=flags, encoding="utf-8")
    for session in lk.session.open_sessions():
        session.close()

    assert outcome.failed == 0
    assert outcome.attempted or page.stem in {"index", "magics"}
