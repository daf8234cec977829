"""Fixtures for journeys in a real JupyterLab. What a failed test leaves is in ``tests/browser/artifacts``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import expect

from tests.browser.harness import Notebook, PageErrors, Server, launch_browser

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from playwright.sync_api import Browser

    OpenNotebook = Callable[[Sequence[str]], Notebook]

# How long an expectation may take to come true, in milliseconds: a busy machine is slow, and nothing waits in vain.
expect.set_options(timeout=30_000)

ARTIFACTS = Path(__file__).parent / "artifacts"
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the fixtures whether their test failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One JupyterLab server for all journeys."""
    server = Server(tmp_path_factory.mktemp("lab"))
    server.wait_until_running()
    yield server
    server.stop()


# Not wider than a module: while Playwright's synchronous face is open, the thread counts as running an event
# loop, and tests elsewhere could not start theirs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the browser that shows the pages."""
    with launch_browser() as browser:
        yield browser


@pytest.fixture
def open_notebook(request: pytest.FixtureRequest, server: Server, browser: Browser) -> Iterator[OpenNotebook]:
    """Open a notebook with the given code cells; unexpected errors on its page fail the test."""
    opened: list[Notebook] = []
    name = re.sub(r"\W+", "-", request.node.name).strip("-")

    def open_notebook(cells: Sequence[str]) -> Notebook:
        path = server.write_notebook(f"{name}-{len(opened)}.ipynb", cells)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        errors = PageErrors()
        errors.watch(page)
        notebook = Notebook(server, page, path.name, errors)
        opened.append(notebook)
        return notebook

    yield open_notebook
    unexpected = [error for notebook in opened for error in notebook.errors.unexpected()]
    for notebook in opened:
        if unexpected or request.node.stash.get(FAILED, False):
            keep(notebook)
        notebook.page.close()
    for session in server.api("sessions"):
        server.api(f"sessions/{session['id']}", "DELETE")
    assert not unexpected, "errors on the page:\n" + "\n".join(unexpected)


def keep(notebook: Notebook) -> None:
    """Keep what tells why a test failed: a picture, the notebook as the page has it, its errors, the server's log."""
    ARTIFACTS.mkdir(exist_ok=True)
    stem = Path(notebook.name).stem
    shutil.copy(notebook.server.log_file, ARTIFACTS / f"{stem}.server.log")
    try:
        notebook.page.screenshot(path=ARTIFACTS / f"{stem}.png")
        (ARTIFACTS / f"{stem}.ipynb").write_text(notebook.content())
    except PlaywrightError as error:
        notebook.errors.seen.append(f"the page is beyond keeping: {error}")
    (ARTIFACTS / f"{stem}.errors.txt").write_text("\n".join(notebook.errors.seen))
