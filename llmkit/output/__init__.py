"""Structured output: answers that fit a type, a JSON schema, a list of choices, a regular expression or a grammar."""

from typing import TYPE_CHECKING

from llmkit.lazy import lazily

if TYPE_CHECKING:
    from llmkit.output.declare import Output, output_from
    from llmkit.output.failure import OutputError
    from llmkit.output.partial import MISSING, PartialJSON
    from llmkit.output.spec import OutputReader, OutputSpec
else:
    __getattr__, __dir__ = lazily(
        globals(),
        {
            "llmkit.output.declare": ["Output", "output_from"],
            "llmkit.output.failure": ["OutputError"],
            "llmkit.output.partial": ["MISSING", "PartialJSON"],
            "llmkit.output.spec": ["OutputReader", "OutputSpec"],
        },
    )

__all__ = ["MISSING", "Output", "OutputError", "OutputReader", "OutputSpec", "PartialJSON", "output_from"]
