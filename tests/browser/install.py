"""Make sure there is a browser: one that is here, else Playwright's own, else Debian's package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from playwright.sync_api import sync_playwright

from tests.browser.harness import HarnessError, find_browser


def main() -> int:
    if _found():
        return 0
    attempts = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get") and os.geteuid() == 0:
        attempts += [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]]
    for command in attempts:
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        if _found():
            return 0
    sys.stderr.write("No browser for the tests: install Chromium or Chrome, or set LLMKIT_TEST_BROWSER to one.\n")
    return 1


def _found() -> bool:
    with sync_playwright() as playwright:
        try:
            find_browser(playwright)
        except HarnessError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
