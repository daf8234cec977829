"""JSON schemas, written so that decoding can be bound to them; refused by name where it can't."""

from llmkit.output.schema.checker import Checker
from llmkit.output.schema.normal import Enforceable, enforceable

__all__ = ["Checker", "Enforceable", "enforceable"]
