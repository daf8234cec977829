"""Write the page of all public names, in groups; ``conf.py`` calls it, so that none can be missing."""

from __future__ import annotations

import llmkit

GROUPS = {
    "Sessions and runs": "Session Run Settings Timeouts Agent CancelToken has_tool_call step_count_is",
    "Messages": "Message Image prune",
    "Conversations": "Chat Turn Playground",
    "Tools": (
        "tool tool_from define_handler Tool ToolContext ToolCall ToolResult ToolCallError mcp_tools Toolset Media"
    ),
    "Approval": "ApprovalPolicy Rule Decision",
    "Structured output": "Output",
    "Comparing, mapping, looking inside": (
        "Comparison Cell Diff comparison Job Score TokenView BranchPoint RunTree Replayed Figure"
    ),
    "Raw completions": "Completion CompletionChoice CompletionLogprobs CompletionStream CompletionUsage",
    "Engines": "Remote Scripted Answer",
    "Records": "history aggregate export_json",
    "Magics": "load_ipython_extension",
}
"""Names by subject. Errors and warnings are found by their kind; what is nowhere else is under "More"."""

HEAD = """\
# Reference

Everything that `import llmkit as lk` gives. What isn't here may change without notice.
"""


def groups() -> dict[str, list[str]]:
    """Return all public names by subject."""
    found = {title: names.split() for title, names in GROUPS.items()}
    taken = {name for names in found.values() for name in names}
    left = [name for name in llmkit.__all__ if name not in taken]
    kinds = {name: getattr(llmkit, name) for name in left}
    raised = [name for name, each in kinds.items() if isinstance(each, type) and issubclass(each, Exception)]
    found["Errors and warnings"] = sorted(raised, key=lambda name: (len(kinds[name].__mro__), name))
    more = [name for name in left if name not in raised]
    return {**found, "More": more} if more else found


def page() -> str:
    """Return the page."""
    return HEAD + "".join(_group(title, names) for title, names in groups().items())


def _group(title: str, names: list[str]) -> str:
    listed = "\n".join(f"   {name}" for name in names)
    return f"""
## {title}

```{{eval-rst}}
.. currentmodule:: llmkit

.. autosummary::
   :toctree: api

{listed}
```
"""
