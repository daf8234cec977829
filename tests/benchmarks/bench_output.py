"""Structured output with the embedded model: whether generated schemas hold, and what holding to them costs.

``python -m tests.benchmarks.bench_output [llamacpp=200] [mlx=20]``: the engines, and how many of the 200 schemas.

A schema counts as valid if the answer parses and fits it, checked against the schema as it was given; as refused if
that was said before anything was decoded, naming the keyword. An answer may also be cut off by ``max_output_tokens``;
then what there is of it must be the beginning of an answer that fits.

The cost is the decode rate of a bound answer ÷ that of a free one, in pairs, alternating, on the same machine in the
same minute; the median of the pairs' ratios.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections import Counter

from pydantic import BaseModel

import llmkit as lk
from llmkit.output.schema import Checker, Enforceable
from tests.unit.json_schema_suite import matcher
from tests.unit.schemas import schemas

ENGINES = {"llamacpp": 200, "mlx": 20}
TOKENS = {"llamacpp": 1024, "mlx": 256}
PAIRS = {"llamacpp": (15, 200), "mlx": (3, 24)}


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int
    city: str


def main() -> None:
    asked = dict(each.split("=") for each in sys.argv[1:])
    counts = {name: int(count) for name, count in asked.items()} or ENGINES
    for engine, count in counts.items():
        with lk.Session(engine=engine, show=False, ledger=None) as session:  # type: ignore[arg-type]
            session.load()
            hold(session, engine, count)
            cost(session, engine)


def hold(session: lk.Session, engine: str, count: int) -> None:
    """Ask for as many generated schemas, and print what becomes of them."""
    found: Counter[str] = Counter()
    began = time.perf_counter()
    for number, schema in enumerate(schemas(200)[:count]):
        outcome = outcome_of(session, engine, number, schema)
        found[outcome] += 1
        if outcome not in {"valid", "refused"}:
            print(f"  {engine} {number}: {outcome}", flush=True)
    told = ", ".join(f"{found[name]} {name}" for name in sorted(found))
    print(f"{engine}: {count} schemas: {told}; {time.perf_counter() - began:.0f} s", flush=True)


def outcome_of(session: lk.Session, engine: str, number: int, schema: dict[str, object]) -> str:
    try:
        run = session.complete(
            "Answer with an example.",
            output=schema,
            temperature=1.0,
            top_p=1.0,
            seed=number,
            max_output_tokens=TOKENS[engine],
        )
    except lk.ValidationError as error:
        return "refused" if error.field == "output" else f"refused as {error.field}"
    if run.error is not None:
        return f"failed: {run.error}"
    try:
        value = run.output
    except lk.OutputError as error:
        written = list(error.text.encode())
        begins = matcher(Enforceable(schema).schema).try_consume_tokens(written) == len(written)
        return "cut" if error.finish_reason == "length" and begins else f"INVALID: {error}: {error.text[:200]!r}"
    return "INVALID" if Checker(schema).problems(value) else "valid"


def cost(session: lk.Session, engine: str) -> None:
    """Print the decode rate of bound answers ÷ that of free ones."""
    pairs, tokens = PAIRS[engine]
    prompt = "Tell me a long story about the people of a village, with their names, ages and cities."
    many = lk.Output.array(Person, min_items=60)

    def rate(**options: object) -> float:
        run = session.complete(prompt, temperature=0.0, max_output_tokens=tokens, **options)  # type: ignore[arg-type]
        stats = run.stats
        assert stats is not None
        assert stats.tokens_per_second is not None
        return stats.tokens_per_second

    rate(output=many)
    ratios = []
    for _ in range(pairs):
        free = rate()
        bound = rate(output=many)
        ratios.append(bound / free)
    spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
    print(f"{engine}: decode rate, bound ÷ free: {statistics.median(ratios):.2f} ({spread}; goal on llama.cpp: ≥ 0.9)")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
