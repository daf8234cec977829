"""What an MCP server is named by, what of that is shown, and what its answers become; without a server."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import CallToolResult

from llmkit.errors import APIError, ValidationError
from llmkit.mcp import Media, mcp_tools
from llmkit.mcp.content import value_of, visible
from llmkit.mcp.endpoint import endpoint_from
from llmkit.tools.results import model_text

PNG = b"\x89PNG\r\n"


def part(**fields: Any) -> dict[str, Any]:
    return fields


def result(*parts: dict[str, Any], **fields: Any) -> CallToolResult:
    return CallToolResult.model_validate({"content": list(parts), **fields})


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


# -- endpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "command"),
    [
        ("npx -y 'a server' --flag", ("npx", "-y", "a server", "--flag")),
        (["uvx", "server"], ("uvx", "server")),
        ([Path("/opt/server"), "--x"], ("/opt/server", "--x")),
    ],
)
def test_commands_are_lines_or_lists(server: Any, command: tuple[str, ...]) -> None:
    assert endpoint_from(server).command == command


@pytest.mark.parametrize(
    "server",
    ["", [], "   ", "'open", [""], ["a\0b"], [1], None, 3, "http://", "https:///mcp", "http://a b/", "http://h:x"],
)
def test_what_names_no_server_is_refused(server: Any) -> None:
    with pytest.raises(ValidationError) as raised:
        mcp_tools(server)
    assert raised.value.field == "server"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"server": "npx server", "headers": {"A": "b"}}, "headers"),
        ({"server": "https://host/mcp", "env": {"A": "b"}}, "env"),
        ({"server": "https://host/mcp", "headers": {"Bad name": "x"}}, "headers"),
        ({"server": "https://host/mcp", "headers": {"A": "two\r\nlines"}}, "headers"),
        ({"server": "https://host/mcp", "headers": [("A", "b")]}, "headers"),
        ({"server": "npx server", "env": {"A": 1}}, "env"),
        ({"server": "npx server", "prefix": "no spaces"}, "prefix"),
        ({"server": "npx server", "prefix": "x" * 64}, "prefix"),
        ({"server": "npx server", "include": [1]}, "include"),
        ({"server": "npx server", "start_timeout": 0}, "start_timeout"),
        ({"server": "npx server", "start_timeout": float("nan")}, "start_timeout"),
        ({"server": "npx server", "timeout": -1}, "timeout"),
        ({"server": "npx server", "needs_approval": "yes"}, "needs_approval"),
    ],
)
def test_arguments_that_cant_be_meant_are_refused_before_anything_is_started(
    arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        mcp_tools(**arguments)
    assert raised.value.field == field


_SECRETS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=8, max_size=30)


@given(secret=_SECRETS)
def test_the_label_never_holds_what_could_be_a_secret(secret: str) -> None:
    secret = f"QQ{secret}QQ"
    url = f"https://user:{secret}@host.example:8443/{secret}/mcp?key={secret}#{secret}"
    assert endpoint_from(url).label == "https://host.example:8443"
    assert endpoint_from(["/opt/bin/server", "--key", secret], env={"KEY": secret}).label == "server …"


@given(secret=_SECRETS, before=st.text(), after=st.text())
def test_secrets_are_blotted_out(secret: str, before: str, after: str) -> None:
    secret = f"QQ{secret}QQ"
    site = endpoint_from(f"https://host/mcp?key={secret}", headers={"Authorization": f"Bearer {secret}"})
    assert secret not in site.redacted(f"{before}{secret}{after} https://host/mcp?key={secret}")
    assert secret not in endpoint_from("server", env={"KEY": secret}).redacted(before + secret + after)


@given(st.text())
def test_visible_text_has_no_character_that_nobody_sees(text: str) -> None:
    assert all(each.isprintable() or each in "\n\t" for each in visible(text))
    assert visible("ignore\u202e\U000e0041 this\x1b[2J") == "ignore this[2J"


# -- answers --------------------------------------------------------------------------------------------------------


def test_one_part_is_itself_and_several_are_a_list() -> None:
    words = part(type="text", text="words")
    image = part(type="image", data=encoded(PNG), mimeType="image/png")
    assert value_of(result(), "t") is None
    assert value_of(result(words), "t") == "words"
    assert value_of(result(words, image, words), "t") == ["words", Media(PNG, "image/png"), "words"]


def test_structure_comes_without_the_text_that_repeats_it() -> None:
    words = part(type="text", text='{"a": 1}')
    image = part(type="image", data=encoded(PNG), mimeType="image/png")
    assert value_of(result(words, structuredContent={"a": 1}), "t") == {"a": 1}
    assert value_of(result(words, image, structuredContent={"a": 1}), "t") == [{"a": 1}, Media(PNG, "image/png")]


def test_resources_links_and_sounds() -> None:
    text = part(type="resource", resource={"uri": "file:///a", "text": "inside"})
    blob = part(type="resource", resource={"uri": "file:///b", "blob": encoded(b"abc"), "mimeType": "application/zip"})
    link = part(type="resource_link", uri="file:///c", name="c", description="A file.")
    sound = part(type="audio", data=encoded(b"abc"), mimeType="audio/wav")
    assert value_of(result(text, blob, link, sound), "t") == [
        "inside",
        Media(b"abc", "application/zip"),
        {"type": "resource_link", "uri": "file:///c", "name": "c", "description": "A file."},
        Media(b"abc", "audio/wav"),
    ]


@pytest.mark.parametrize(("parts", "message"), [(("why", "how"), "why\nhow"), ((), "The tool 't' failed")])
def test_errors_are_raised_with_their_words(parts: tuple[str, ...], message: str) -> None:
    with pytest.raises(APIError, match=message) as raised:
        value_of(result(*(part(type="text", text=each) for each in parts), isError=True), "t")
    assert raised.value.code == "tool_error"


def test_a_file_that_isnt_base64() -> None:
    with pytest.raises(APIError, match="'t' gave a file that isn't base64"):
        value_of(result(part(type="image", data="*", mimeType="image/png")), "t")


def test_media_shows_itself_in_a_notebook_and_is_named_to_the_model() -> None:
    image = Media(PNG, "image/png")
    assert image._repr_png_() == PNG
    assert image._repr_jpeg_() is None
    assert Media(PNG, "IMAGE/JPEG ")._repr_jpeg_() == PNG
    assert json.loads(model_text([image])) == [f"<image/png, {len(PNG)} bytes>"]


@given(st.text())
def test_a_hostile_mime_type_is_none(kind: str) -> None:
    kept = Media(b"", kind).mime_type
    assert kept == kind.lower().strip() or kept == "application/octet-stream"
    assert not set(kept) & set("<>\"'& \n")
