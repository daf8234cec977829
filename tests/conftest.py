"""For all tests: nothing of the user's own is touched but the cached models."""

from __future__ import annotations

import os
import tempfile

# Also for the kernels and scripts that tests start.
os.environ["LLMKIT_LEDGER"] = os.path.join(tempfile.mkdtemp(prefix="llmkit-tests-"), "ledger.sqlite3")  # noqa: PTH118
