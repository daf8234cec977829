"""Structured output: answers that fit a type, a JSON schema, a list of choices, a regular expression or a grammar."""

from llmkit.output.declare import Output, output_from
from llmkit.output.failure import OutputError
from llmkit.output.partial import MISSING, PartialJSON
from llmkit.output.spec import OutputReader, OutputSpec

__all__ = ["MISSING", "Output", "OutputError", "OutputReader", "OutputSpec", "PartialJSON", "output_from"]
