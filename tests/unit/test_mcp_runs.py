"""Tools of an MCP server in a run: checked, asked about and recorded like any other."""

from __future__ import annotations

import sys
from pathlib import Path

import llmkit as lk
from tests.unit.lifecycle_runs import session

SERVER = [sys.executable, str(Path(__file__).with_name("mcp_server.py")), "stdio"]


def test_a_servers_tool_waits_for_approval_like_any_other() -> None:
    """CONTRACT 23, 24, 30: no call of a server's tool goes out that wasn't checked and allowed."""
    answer = lk.Answer(tool_calls=[("greet", {"name": "Ann"}), ("greet", {"title": "Dr"}), ("greet", {"name": "Bob"})])
    with lk.mcp_tools(SERVER) as tools, session(answer) as one:
        run = one.complete(
            "Go",
            tools=tools,
            approval=[lk.Rule("greet", "allow", where=lambda arguments: arguments["name"] == "Ann")],
        )
        ann, bob = run.tool_results

        assert "Ann" in str(ann.output)
        assert (bob.outcome, "nobody was there" in bob.reason) == ("denied", True)
        assert [error.code for error in run.steps[0].tool_call_errors] == ["VALIDATION_ERROR"]
        assert list(one.approvals["verdict"]) == ["allow", "deny"]
