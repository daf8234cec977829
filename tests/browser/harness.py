"""A real JupyterLab in a real browser: the server, the browser, and a driver for one open notebook.

Lab is driven through its own command registry (``window.jupyterapp``, which ``--LabApp.expose_app_in_browser``
puts there) rather than by keys and clicks, so a test says what it does and doesn't depend on focus or layout.
Everything waits for an event: a line of the server's log, a state of the page.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import nbformat
from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright

from tests.source_path import kernel_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Playwright

Theme = Literal["light", "dark"]

BROWSER_VARIABLE = "LLMKIT_TEST_BROWSER"
BROWSER_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_ARGUMENTS = (
    "--no-sandbox",  # needed as root, and every page here is our own
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
QUIET_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
}
# What Lab reports by itself, whatever the notebook does.
LAB_NOISE = (
    # Lab asks for things that a fresh, private installation doesn't have yet, and the browser reports the 404.
    r"Failed to load resource.*404",
    # A page that reloads or a kernel that restarts closes its websocket; Lab reconnects by itself.
    r"WebSocket (connection to|is closed)",
)


RESTART_NOISE = (
    r"Could not restore the debugger state",
    r"Canceled future for (\w+) message before replies were done",
    r"Comm not found for comm id",
)


class HarnessError(Exception):
    """The test's surroundings failed: no browser, no server, or the kernel died."""


class Server:
    """A JupyterLab server of its own, with every folder private to it.

    Parameters
    ----------
    folder : Path
        An empty folder for notebooks, settings and the log.
    settings : Mapping, optional
        Lab settings by plugin id, on top of those that keep Lab quiet.
    environment : Mapping, optional
        Environment variables for the server and its kernels.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.token = secrets.token_hex(16)
        self.log_file = folder / "server.log"
        self._running = threading.Event()
        self._write_settings({**QUIET_SETTINGS, **(settings or {})})
        self._process = subprocess.Popen(
            self._command(),
            env={**os.environ, **self._private_folders(), **kernel_path(), **(environment or {})},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read_log, name="server-log", daemon=True)
        self._reader.start()

    def wait_until_running(self, timeout: float = 60) -> None:
        """Wait until the server answers.

        Raises
        ------
        HarnessError
            When it ended or didn't answer within `timeout` seconds; with the end of its log.
        """
        if not self._running.wait(timeout) or self._process.poll() is not None:
            self.stop()
            raise HarnessError(f"JupyterLab did not start within {timeout:g} s:\n{self.log_tail()}")

    def stop(self) -> None:
        """End the server and its kernels."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def log_tail(self, lines: int = 60) -> str:
        """Return the last `lines` of the server's log, which has the kernels' stderr too."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def url(self, notebook: str) -> str:
        """Return the address that opens `notebook` in a fresh workspace."""
        return f"http://127.0.0.1:{self._port}/lab/tree/{notebook}?token={self.token}&reset"

    def api(self, path: str, method: str = "GET", data: Any = None) -> Any:
        """Call the server's REST interface, e.g. ``api("kernels")``, and return the decoded answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/api/{path}",
            method=method,
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
            data=None if data is None else json.dumps(data).encode(),
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            body = answer.read()
        return json.loads(body) if body else None

    def write_notebook(self, name: str, cells: Sequence[str]) -> Path:
        """Write a notebook of code cells and return its path."""
        notebook = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],  # type: ignore[no-untyped-call]
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
        return path

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--ServerApp.port_retries=0"),
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.folder}",
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.extension_manager=readonly",
        ]

    def _private_folders(self) -> dict[str, str]:
        folders = {
            "JUPYTER_CONFIG_DIR": ".config",
            "JUPYTER_DATA_DIR": ".data",
            "JUPYTER_RUNTIME_DIR": ".runtime",
            "JUPYTERLAB_SETTINGS_DIR": ".lab/settings",
            "JUPYTERLAB_WORKSPACES_DIR": ".lab/workspaces",
            "IPYTHONDIR": ".ipython",
            "XDG_DATA_HOME": ".share",
        }
        return {variable: str(self.folder / folder) for variable, folder in folders.items()}

    def _write_settings(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        for plugin, values in settings.items():
            package, _, name = plugin.rpartition(":")
            path = self.folder / ".lab/settings" / package / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        # Else each page that opens has the server start Node, to see whether Lab wants to be built.
        page_config = self.folder / ".config/labconfig/page_config.json"
        page_config.parent.mkdir(parents=True, exist_ok=True)
        page_config.write_text(json.dumps({"buildCheck": False}))

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines, self.log_file.open("w") as log:
            for line in lines:
                log.write(line)
                log.flush()
                if address := re.search(r"http://127\.0\.0\.1:(\d+)/lab", line):
                    self._port = int(address[1])  # the server prints its address once it listens
                    self._running.set()
        self._running.set()  # the end of the log is the end of the server: wake whoever waits for its start


def find_browser(playwright: Playwright) -> str:
    """Return the path of a Chromium or Chrome: the one asked for, one that is installed, or Playwright's own.

    Raises
    ------
    HarnessError
        When there is none.
    """
    if asked := os.environ.get(BROWSER_VARIABLE):
        if found := shutil.which(asked):
            return found
        raise HarnessError(f"{BROWSER_VARIABLE} names {asked!r}, which is not an executable file.")
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    for candidate in (*BROWSER_NAMES, mac, playwright.chromium.executable_path):
        if found := shutil.which(candidate):
            return found
    raise HarnessError(
        "There is no browser for the tests. `make test` fetches one; by hand, `playwright install chromium` or "
        f"`apt-get install chromium` does, and {BROWSER_VARIABLE} names one that is somewhere else."
    )


@contextmanager
def launch_browser() -> Iterator[Browser]:
    """Start a headless browser and end it on leaving."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(playwright), args=list(BROWSER_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class PageErrors:
    """What a page reported on its console as an error, or threw and nobody caught.

    Attributes
    ----------
    seen : list of str
        Every report so far, with where it came from.
    allowed : list of str
        Regular expressions for reports that are expected.
    """

    seen: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=lambda: list(LAB_NOISE))

    def watch(self, page: Page) -> None:
        """Collect from `page`."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.seen.append(f"uncaught: {error.stack or error.message}"))

    def allow(self, pattern: str) -> None:
        """Expect reports that match the regular expression `pattern`."""
        self.allowed.append(pattern)

    def unexpected(self) -> list[str]:
        """Return the reports that no pattern allows."""
        return [text for text in self.seen if not any(re.search(pattern, text) for pattern in self.allowed)]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.seen.append(f"console: {message.text} ({message.location.get('url', '')})")


class Notebook:
    """One notebook open in one page.

    Cells are numbered from 0 over all cells of the notebook. Timeouts are in seconds.
    """

    def __init__(self, server: Server, page: Page, name: str, errors: PageErrors) -> None:
        self.server = server
        self.page = page
        self.name = name
        self.errors = errors
        self.kernel_may_die = False
        """Whether the kernel's death is what the test is about, rather than a failure."""
        page.goto(server.url(name))
        self.wait_for_kernel()

    @property
    def path(self) -> Path:
        """Where the notebook is saved."""
        return self.server.folder / self.name

    def cell(self, index: int) -> Locator:
        """Return cell `index` on the page."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """Return the output area of cell `index` on the page."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def run_cell(self, index: int, *, wait: bool = True, timeout: float = 60) -> None:
        """Run cell `index` and, unless told otherwise, wait until it is done."""
        self._evaluate(
            """index => {
                notebook.deselectAll();
                notebook.activeCellIndex = index;
                notebook.widgets[index].model.clearExecution();
                start('notebook:run-cell');
            }""",
            index,
        )
        if wait:
            self.wait_for_cell(index, timeout)

    def run_all(self, *, wait: bool = True, timeout: float = 120) -> None:
        """Run all cells and, unless told otherwise, wait until every one is done."""
        last = self._evaluate(
            """() => {
                notebook.widgets.filter(c => c.model.type === 'code').forEach(c => c.model.clearExecution());
                start('notebook:run-all-cells');
                return notebook.widgets.findLastIndex(c => c.model.type === 'code');
            }"""
        )
        if wait:
            self.wait_for_cell(last, timeout)

    def wait_for_cell(self, index: int, timeout: float = 60) -> None:
        """Wait until cell `index` is done: it has its number, or it was aborted.

        Not until the kernel is idle: between two queued cells it is.
        """
        self._wait(
            "index => notebook.widgets[index].model.executionCount !== null || window.pendingRuns === 0",
            index,
            timeout,
            f"cell {index} to be done",
        )

    def wait_until_running(self, index: int, timeout: float = 60) -> None:
        """Wait until the kernel works on cell `index`, which must print or display something early.

        Lab marks queued cells as it marks the running one; only an output tells that the cell has begun.
        """
        self._wait(
            "index => notebook.widgets[index].model.outputs.length > 0", index, timeout, f"output of cell {index}"
        )

    def wait_for_kernel(self, timeout: float = 60) -> None:
        """Wait until the notebook is there and its kernel is connected and idle.

        Lab learns a kernel's status from the replies to its own first request, and after a restart these can be
        sent before the server listens again. So once a second it is made to ask again.
        """
        self._wait(
            """() => {
                if (kernel?.connectionStatus !== 'connected') return false;
                if (kernel.status === 'unknown' && performance.now() > (window.nextQuestion ?? 0)) {
                    window.nextQuestion = performance.now() + 1000;
                    kernel.requestKernelInfo().catch(() => null);
                }
                return kernel.status === 'idle';
            }""",
            None,
            timeout,
            "the kernel to be idle",
        )

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """Return the outputs of cell `index` as nbformat has them."""
        outputs = self._evaluate("index => notebook.widgets[index].model.sharedModel.toJSON().outputs", index)
        return cast("list[dict[str, Any]]", outputs)

    def text(self, index: int) -> str:
        """Return what the output of cell `index` reads on the page."""
        return "\n".join(self.cell(index).locator(".jp-OutputArea-output").all_inner_texts()).strip()

    def save(self) -> None:
        """Save the notebook."""
        self.command("docmanager:save")

    def read_saved(self) -> Any:
        """Return the notebook as it was last saved, an nbformat node."""
        return nbformat.read(self.path, as_version=4)  # type: ignore[no-untyped-call]

    def content(self) -> str:
        """Return the notebook as it is on the page, saved or not, as JSON."""
        return cast("str", self._evaluate("() => JSON.stringify(panel.context.model.toJSON())"))

    def reload(self) -> None:
        """Reload the page and wait until the notebook is connected to its kernel again."""
        self.page.reload()
        self._wait(
            "() => kernel?.connectionStatus === 'connected' && kernel.status !== 'unknown'",
            None,
            60,
            "the reloaded notebook to be connected",
        )

    def run_unseen(self, code: str, timeout: float = 60) -> str:
        """Run code in the notebook's kernel without any page, and return what it prints."""
        (session,) = (each for each in self.server.api("sessions") if each["path"] == self.name)
        file = self.server.folder / ".runtime" / f"kernel-{session['kernel']['id']}.json"
        client = BlockingKernelClient(connection_file=str(file))
        client.load_connection_file()
        client.start_channels()
        texts: list[str] = []
        try:
            client.wait_for_ready(timeout)
            client.execute_interactive(
                code,
                allow_stdin=False,
                timeout=timeout,
                output_hook=lambda message: texts.append(message["content"].get("text", "")),
            )
        finally:
            client.stop_channels()
        return "".join(texts).strip()

    def interrupt(self) -> None:
        """Interrupt the kernel."""
        self._evaluate("() => kernel.interrupt()")

    def restart(self) -> None:
        """Restart the kernel, without Lab's question whether to."""
        self.errors.allowed += RESTART_NOISE
        self._evaluate("() => panel.sessionContext.restartKernel()")
        self.wait_for_kernel()

    def command(self, command: str, arguments: Mapping[str, Any] | None = None, timeout: float = 60) -> None:
        """Execute one of Lab's commands and wait until it has ended."""
        self._evaluate(
            """([command, args, milliseconds]) => Promise.race([
                app.commands.execute(command, args).then(() => null),
                new Promise((_, fail) => setTimeout(() => fail(new Error(`${command} did not end`)), milliseconds)),
            ])""",
            [command, dict(arguments or {}), timeout * 1000],
        )

    def set_theme(self, theme: Theme) -> None:
        """Switch Lab to its light or dark theme."""
        name = f"JupyterLab {theme.title()}"
        self.command("apputils:change-theme", {"theme": name})
        self._wait("name => document.body.dataset.jpThemeName === name", name, 30, f"the theme {name}")
        # A change of theme shows Lab's splash screen over everything for a moment.
        self._wait("() => !document.getElementById('jupyterlab-splash')", None, 30, "the splash screen to go")

    def screenshot(self, path: Path, theme: Theme | None = None, index: int | None = None) -> Path:
        """Save a picture of the page, or of cell `index`, in the current or the given theme."""
        if theme is not None:
            self.set_theme(theme)
        path.parent.mkdir(parents=True, exist_ok=True)
        if index is None:
            self.page.screenshot(path=path)
        else:
            self.cell(index).screenshot(path=path)
        return path

    def _evaluate(self, function: str, argument: Any = None) -> Any:
        return self.page.evaluate(_in_lab(function), argument)

    def _wait(self, condition: str, argument: Any, timeout: float, what: str) -> None:
        """Wait until `condition` holds; a dead kernel or a timeout is an error that says what was waited for."""
        death = "false" if self.kernel_may_die else "window.kernelDied"
        watched = _in_lab(f"arg => {death} ? 'dead' : ({condition})(arg) && 'held'")
        try:
            state = self.page.wait_for_function(watched, arg=argument, timeout=timeout * 1000)
        except PlaywrightError as error:
            raise HarnessError(
                f"Waited {timeout:g} s for {what} in {self.name}: {error.message}\n{self.server.log_tail()}"
            ) from error
        if state.json_value() == "dead":
            raise HarnessError(f"The kernel of {self.name} died while waiting for {what}:\n{self.server.log_tail()}")


def _in_lab(function: str) -> str:
    """Wrap a JavaScript function so that Lab's objects are in its scope, once they are there."""
    return f"""arg => {{
        const app = window.jupyterapp;
        const panel = app?.shell?.currentWidget;
        const notebook = panel?.content?.widgets?.length ? panel.content : null;
        const kernel = notebook && panel.sessionContext?.session?.kernel;
        if (kernel && !kernel.isWatched) {{
            kernel.isWatched = true;
            kernel.statusChanged.connect((_, status) => {{
                window.kernelDied ||= status === 'dead' || status === 'autorestarting';
            }});
        }}
        const start = command => {{
            window.pendingRuns = (window.pendingRuns ?? 0) + 1;
            app.commands.execute(command).finally(() => {{ window.pendingRuns -= 1; }});
        }};
        return ({function})(arg);
    }}"""
