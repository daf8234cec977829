"""Model text as HTML for saved notebooks. The text is hostile: no HTML of its own, no images, only web and mail links.

The styles are inline, since GitHub strips style sheets; they repeat those of ``widgets/shared/markdown.css``.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.token import Token

LINE = "var(--jp-border-color2,rgba(128,128,128,.3))"
TINT = "rgba(128,128,128,.12)"

_SAFE_LINK = re.compile(r"(?:https?:|mailto:)", re.IGNORECASE)
_BLOCK = "margin:0 0 .6em"
_HEADING = "margin:.9em 0 .4em;font-weight:600;line-height:1.3;color:inherit"
_CELL = f"padding:3px 10px;border:1px solid {LINE};font-size:inherit;line-height:1.5;text-align:left;vertical-align:top"
_MONO = "font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace);color:inherit"
_CODE = f"padding:1px 4px;border-radius:3px;background:{TINT};{_MONO};font-size:.92em"
_PRE = (
    f"{_BLOCK};padding:8px 10px;border:0;border-radius:5px;background:{TINT};{_MONO};font-size:.92em;line-height:1.4;"
    "overflow-x:auto"
)
_PRE_CODE = (
    "padding:0;background:none;font-family:inherit;font-size:1em;line-height:inherit;color:inherit;white-space:pre"
)
_STYLES = {
    "p": _BLOCK,
    "ul": f"{_BLOCK};padding-left:1.7em;list-style:disc",
    "ol": f"{_BLOCK};padding-left:1.7em;list-style:decimal",
    "blockquote": f"{_BLOCK};padding:0 0 0 12px;border-left:2px solid {LINE};opacity:.85",
    "h1": f"{_HEADING};font-size:1.35em",
    "h2": f"{_HEADING};font-size:1.2em",
    "h3": f"{_HEADING};font-size:1.08em",
    "h4": f"{_HEADING};font-size:1em",
    "h5": f"{_HEADING};font-size:1em",
    "h6": f"{_HEADING};font-size:1em",
    "hr": f"height:1px;margin:.9em 0;border:0;background:{LINE}",
    "table": f"{_BLOCK};border-collapse:collapse;font-size:.95em",
    "tr": "background:none",
    "th": _CELL,
    "td": _CELL,
    "a": "color:var(--jp-content-link-color,#1976d2);text-decoration:underline",
    "code": _CODE,
}
_IN_LIST = "margin:0 0 .2em"


def html(text: str) -> str:
    """Return Markdown as HTML that is safe to show anywhere."""
    return str(_html_parser().render(text))


@cache
def parser() -> MarkdownIt:
    """Return the Markdown parser, the twin of the one in ``widgets/shared/markdown.ts``."""
    from markdown_it import MarkdownIt

    class Parser(MarkdownIt):
        def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
            return _SAFE_LINK.match(url.strip()) is not None

    return Parser("js-default", {"html": False, "linkify": False, "breaks": True})


@cache
def _html_parser() -> MarkdownIt:
    markdown = parser.__wrapped__()
    markdown.core.ruler.push("styles", lambda state: _add_styles(state.tokens))
    for name, rule in {"image": _image, "fence": _fence, "code_block": _fence}.items():
        markdown.add_render_rule(name, rule)
    return markdown


def _add_styles(tokens: Sequence[Token]) -> None:
    list_depth = 0
    for token in tokens:
        if token.type in {"bullet_list_open", "ordered_list_open", "paragraph_open"} and list_depth:
            _style(token, _STYLES[token.tag], _IN_LIST)
        elif token.nesting >= 0 and token.tag in _STYLES and token.type not in {"fence", "code_block"}:
            _style(token, _STYLES[token.tag], str(token.attrs.get("style", "")))
        list_depth += token.nesting * token.type.startswith(("bullet_list", "ordered_list"))
        _add_styles(token.children or ())
    outer = [token for token in tokens if token.level == 0 and token.nesting >= 0 and token.block and token.tag]
    if outer:
        _style(outer[0], outer[0].attrs.get("style"), "margin-top:0")
        _style(outer[-1], outer[-1].attrs.get("style"), "margin-bottom:0")


def _style(token: Token, *parts: str | float | None) -> None:
    token.attrs["style"] = ";".join(str(part) for part in parts if part)
    if token.tag == "a":
        token.attrs |= {"target": "_blank", "rel": "noopener noreferrer"}


def _image(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    """Show an image as a link: a remote one would tell its host who reads the notebook."""
    token = tokens[index]
    source = str(token.attrs.get("src") or "")
    text = escape(token.content or source or "image")
    inside_link = sum(each.nesting for each in tokens[:index] if each.type.startswith("link")) > 0
    if not source or inside_link:
        return text
    return f'<a href="{escape(source)}" style="{_STYLES["a"]}" target="_blank" rel="noopener noreferrer">{text}</a>'


def _fence(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    margins = str(tokens[index].attrs.get("style") or "")
    code = escape(tokens[index].content)
    return f'<pre style="{_PRE};{margins}"><code style="{_PRE_CODE}">{code}</code></pre>\n'
