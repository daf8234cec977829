"""Branches: runs that go on from a token of another run, and the tree that they form."""

from llmkit.branching.branch import BranchPoint, branch_of
from llmkit.branching.tree import RunTree

__all__ = ["BranchPoint", "RunTree", "branch_of"]
