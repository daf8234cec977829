import { describe, expect, it } from "vitest";
import cases from "../../tests/unit/partial_json_cases.json";
import { PartialJSON, type JSONNode } from "./partial";

interface Case {
  text: string;
  value?: unknown;
  missing?: true;
  broken?: true;
}

const CASES: Case[] = cases as Case[];

function valueOf(node: JSONNode): unknown {
  if (node.kind === "object") return Object.fromEntries([...node.members].map(([name, each]) => [name, valueOf(each)]));
  if (node.kind === "array") return node.items.map(valueOf);
  return node.kind === "string" ? node.text : JSON.parse(node.text);
}

function read(...pieces: string[]): PartialJSON {
  const reader = new PartialJSON();
  for (const piece of pieces) reader.feed(piece);
  return reader;
}

const shown = ({ root }: PartialJSON): unknown => (root === undefined ? "missing" : valueOf(root));

describe("PartialJSON", () => {
  it.each(CASES)("reads as Python does: $text", ({ text, value, missing, broken }) => {
    for (const reader of [read(text), read(...text.split(""))]) {
      expect(shown(reader)).toEqual(missing ? "missing" : value);
      expect(reader.broken).toBe(broken ?? false);
    }
  });

  it("ends as JSON.parse has it, cut anywhere", () => {
    const value = [{ a: "é😀\"\\\n\u2028", b: [-0.5e3, true, null, { c: [] }] }, "x".repeat(50), 12];
    for (const text of [JSON.stringify(value), JSON.stringify(value, null, 2)]) {
      for (let cut = 0; cut <= text.length; cut++) {
        const reader = read(text.slice(0, cut), text.slice(cut));
        expect(valueOf(reader.root!)).toEqual(value);
        expect([reader.whole, reader.broken]).toEqual([true, false]);
      }
    }
  });

  it("keeps what JavaScript's values would lose", () => {
    const { root } = read('{"2": 12345678901234567890, "1": 1.50, "__proto__": {"x": 1}}');
    if (root?.kind !== "object") throw new Error("no object");
    expect([...root.members.keys()]).toEqual(["2", "1", "__proto__"]);
    expect([...root.members.values()].slice(0, 2)).toMatchObject([{ text: "12345678901234567890" }, { text: "1.50" }]);
    expect(({} as { x?: number }).x).toBeUndefined();
  });

  it("shows half a character by itself once the other half can't come", () => {
    expect([read('"a\\ud83d'), read('"a\\ud83db')].map(shown)).toEqual(["a", "a\ud83db"]);
  });

  it("tells what is still open", () => {
    const reader = read('[{"a": "b"}, {"c": "d');
    if (reader.root?.kind !== "array") throw new Error("no array");
    expect(reader.root.items.map((each) => each.open)).toEqual([false, true]);
    reader.feed('"}]');
    expect(reader.root.items[1]!.open || reader.root.open).toBe(false);
  });

  it("is not brought down by depth", () => {
    const reader = read("[".repeat(200_000), "]".repeat(200_000));
    expect(reader.whole).toBe(true);
  });

  it("learns at the end that a number is whole, and that something is missing", () => {
    const number = read("12");
    number.close();
    expect([shown(number), number.whole]).toEqual([12, true]);
    const cut = read('{"a": "b');
    cut.close();
    expect([shown(cut), cut.whole, cut.broken]).toEqual([{ a: "b" }, false, false]);
  });

  it("begins anew with a text that doesn't continue the last one", () => {
    const reader = new PartialJSON();
    for (const text of ["no", "[1, 2", "[1, 2, 3]", '{"a": 1}']) reader.update(text);
    expect([shown(reader), reader.whole]).toEqual([{ a: 1 }, true]);
  });

  it("reads 100 kB in pieces of a token in less than a paint takes", () => {
    const rows = Array.from({ length: 1_000 }, (_, row) => ({ name: `Person ${row}`, age: row % 90, notes: 'say "hi"\n'.repeat(5) }));
    const text = JSON.stringify(rows);
    const reader = new PartialJSON();
    const began = performance.now();
    for (let at = 0; at < text.length; at += 4) reader.feed(text.slice(at, at + 4));
    const took = performance.now() - began;
    expect(reader.whole).toBe(true);
    expect(took).toBeLessThan(2_000); // 60 ms on two quiet cores; a parser that begins anew with each piece takes minutes
  });
});
