import { describe, expect, it } from "vitest";
import { differences, entries, show } from "./arguments";

describe("arguments", () => {
  it("takes JSON text apart and leaves every value as it was written", () => {
    const text = '{\n  "n": 12345678901234567890,\n  "f": 1.0,\n  "s": "a \\"b\\", {c}",\n  "o": {\n    "x": [1, 2]\n  }\n}';
    expect(entries(text)).toEqual([
      { name: "n", value: "12345678901234567890" },
      { name: "f", value: "1.0" },
      { name: "s", value: '"a \\"b\\", {c}"' },
      { name: "o", value: '{\n  "x": [1, 2]\n}' },
    ]);
  });

  it.each<[string, unknown]>([
    ["{}", []],
    ["[]", []],
    ["[[], {}]", [{ name: "", value: "[]" }, { name: "", value: "{}" }]],
    ['"a"', undefined],
    ["12", undefined],
    ['{"a\\":b": 1}', [{ name: 'a\\":b', value: "1" }]],
  ])("reads %s", (text, parts) => {
    expect(entries(text)).toEqual(parts);
  });

  it("shows texts of several lines as blocks, also deep inside", () => {
    const shown = show('{"path": "a.txt", "files": [{"content": "one\\n\\ttwo \\"x\\" \\\\n"}]}');
    expect([...shown.querySelectorAll("pre.llmkit-run-block")].map((each) => each.textContent)).toEqual([
      'one\n\ttwo "x" \\n',
    ]);
    expect(shown.querySelector("pre.llmkit-run-code")!.textContent).toBe('"a.txt"');
  });

  it("keeps one line as JSON writes it", () => {
    expect(show('{"a": " x \\\\n"}').querySelector("pre")!.textContent).toBe('" x \\\\n"');
  });

  it("names what an edit changed, added or took away", () => {
    expect(differences('{"a": 1, "b": 2, "c": 3}', '{"a": 1, "b": 3, "d": 4}')).toEqual(new Set(["b", "c", "d"]));
    expect(show('{"a": 1, "b": 3}', new Set(["b"])).querySelectorAll(".llmkit-run-changed")).toHaveLength(1);
  });

  it("says so when there are none", () => {
    expect(show("{}").textContent).toBe("No arguments.");
  });

  it("reads a megabyte of anything in a moment", () => {
    const bodies = ["a".repeat(1e6), "\\\\".repeat(5e5), "\\n".repeat(5e5), "\\u202e".repeat(1.6e5), '\\"'.repeat(5e5)];
    const began = performance.now();
    for (const body of bodies) expect(entries(`{"a": "${body}"}`)).toHaveLength(1);
    for (const body of bodies) expect(show(`{"a": "${body}"}`).textContent!.length).toBeLessThan(5_000);
    expect(performance.now() - began).toBeLessThan(3_000);
  });
});
