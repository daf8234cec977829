"""``python -m llmkit`` is the command line."""

import sys

from llmkit.cli import main

sys.exit(main())
