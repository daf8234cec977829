"""Model text as Markdown that does no harm, whoever renders it.

JupyterLab doesn't sanitise Markdown in a trusted notebook, and renderers differ in what they take for markup. So the
text isn't searched for what is dangerous: it is parsed, and written anew from the parts that are known to be safe,
with everything else escaped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.notebook.markdown import parser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markdown_it.tree import SyntaxTreeNode

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SPECIAL = re.compile(r"[\\`*_{}\[\]#|~!$&<>()^]")
_LINE_START = re.compile(r"^([ \t]*\d*)([-+=:.])", re.MULTILINE)
_UNESCAPED_PIPE = re.compile(r"(?<!\\)\|")
_UNSAFE_IN_URL = re.compile(r"[()<>\s]")
_WRAPS = {"em": "*", "strong": "**", "s": "~~"}


def render(text: str) -> str:
    """Return `text` as safe Markdown: no HTML, no images, only web and mail links."""
    from markdown_it.tree import SyntaxTreeNode

    return "\n".join(_blocks(SyntaxTreeNode(parser().parse(text)).children))


def escape(text: str) -> str:
    """Return `text` so that Markdown shows it as it is."""
    special = _SPECIAL.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), text)
    return _LINE_START.sub(r"\1\\\2", special)


def _blocks(nodes: Sequence[SyntaxTreeNode], *, tight: bool = False) -> list[str]:
    """Return the blocks' lines, an empty one between two blocks unless they are a tight list's."""
    lines: list[str] = []
    for node in nodes:
        if lines and not tight:
            lines.append("")
        lines += _BLOCKS[node.type](node)
    return lines


def _paragraph(node: SyntaxTreeNode) -> list[str]:
    return _inline(node.children).split("\n")


def _heading(node: SyntaxTreeNode) -> list[str]:
    return [f"{'#' * int(node.tag[1])} {_one_line(node)}"]


def _list(node: SyntaxTreeNode) -> list[str]:
    start = int(node.attrs.get("start", 1))
    tight = all(child.hidden for item in node.children for child in item.children if child.type == "paragraph")
    lines: list[str] = []
    for number, item in enumerate(node.children, start):
        mark = "- " if node.type == "bullet_list" else f"{number}. "
        first, *rest = _blocks(item.children, tight=tight) or [""]
        lines += [mark + first, *(" " * len(mark) + line if line else "" for line in rest)]
        lines += [] if tight else [""]
    return lines if tight else lines[:-1]


def _quote(node: SyntaxTreeNode) -> list[str]:
    return [f"> {line}" for line in _blocks(node.children) or [""]]


def _code(node: SyntaxTreeNode) -> list[str]:
    content = node.content.removesuffix("\n")
    fence = "`" * max(3, longest_backticks(content) + 1)
    language = re.match(r"[\w+-]*", node.info)
    return [fence + (language[0] if language else ""), *content.split("\n"), fence]


def _rule(_: SyntaxTreeNode) -> list[str]:
    return ["***"]


def _table(node: SyntaxTreeNode) -> list[str]:
    head, *rest = [row for part in node.children for row in part.children]
    rows = [[_UNESCAPED_PIPE.sub(r"\|", _one_line(cell)) for cell in row.children] for row in (head, *rest)]
    aligns = [_alignment(str(cell.attrs.get("style", ""))) for cell in head.children]
    return [f"| {' | '.join(row)} |" for row in (rows[0], aligns, *rows[1:])]


def _alignment(style: str) -> str:
    left = ":" if "left" in style or "center" in style else "-"
    right = ":" if "right" in style or "center" in style else "-"
    return f"{left}-{right}"


_BLOCKS: dict[str, Callable[[SyntaxTreeNode], list[str]]] = {
    "paragraph": _paragraph,
    "heading": _heading,
    "bullet_list": _list,
    "ordered_list": _list,
    "blockquote": _quote,
    "fence": _code,
    "code_block": _code,
    "hr": _rule,
    "table": _table,
}


def _one_line(node: SyntaxTreeNode) -> str:
    return re.sub(r"\s*\n", " ", _inline(node.children))


def _inline(nodes: Sequence[SyntaxTreeNode]) -> str:
    return "".join(_inline_node(node) for node in nodes)


def _inline_node(node: SyntaxTreeNode) -> str:
    match node.type:
        case "inline":
            safe = _inline(node.children)
        case "softbreak" | "hardbreak":
            safe = "  \n"
        case "code_inline":
            safe = _code_span(node.content)
        case "em" | "strong" | "s":
            safe = f"{_WRAPS[node.type]}{_inline(node.children)}{_WRAPS[node.type]}"
        case "link":
            safe = _link(_inline(node.children), str(node.attrs.get("href", "")))
        case "image":
            safe = _link(escape(node.content or "image"), str(node.attrs.get("src", "")))
        case _:
            safe = escape(node.content)
    return safe


def _code_span(content: str) -> str:
    ticks = "`" * (longest_backticks(content) + 1)
    pad = " " if content.startswith("`") or content.endswith("`") else ""
    return f"{ticks}{pad}{content}{pad}{ticks}"


def _link(text: str, url: str) -> str:
    if not url:
        return text
    return f"[{text}]({_UNSAFE_IN_URL.sub(_percent, url)})"


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def longest_backticks(text: str) -> int:
    """Return how many backticks stand in a row at most: a fence must be longer."""
    return max((len(run) for run in re.findall("`+", text)), default=0)
