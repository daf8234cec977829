"""Tools of MCP servers as llmkit's own: checked, approved and recorded like any other.

The protocol (https://modelcontextprotocol.io) is spoken by the official SDK, the ``mcp`` package, which is imported
when the first server is reached. Left out are a server's resources and prompts, and what it may ask of its client:
sampling, elicitation and roots.
"""

from llmkit.mcp.content import Media
from llmkit.mcp.toolset import Toolset, mcp_tools

__all__ = ["Media", "Toolset", "mcp_tools"]
