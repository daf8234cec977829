import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PartialJSON, type ArrayNode } from "./partial";
import { Table } from "./table";

const HOSTILE = "<img src=x onerror=alert(1)>";

let reader: PartialJSON;
let table: Table;

function show(text: string, over = false): void {
  reader = new PartialJSON();
  reader.feed(text);
  table = new Table(reader.root as ArrayNode, "Output");
  document.body.append(table.element);
  table.update(over);
}

function more(text: string, over = false): void {
  reader.feed(text);
  table.update(over);
}

const grid = () => table.element.querySelector("table")!;
const head = () => [...grid().querySelectorAll("thead th")].slice(1).map((cell) => cell.textContent);
const rows = () => [...grid().querySelectorAll<HTMLTableRowElement>("tr[data-index]")];
const cells = () => rows().map((row) => [...row.cells].map((cell) => cell.textContent));
const size = () => table.element.querySelector("p")!.textContent;
const details = () => table.element.querySelector<HTMLElement>(".llmkit-run-record")!;
const press = (...keys: string[]) => {
  for (const key of keys) grid().dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
};
const selected = () => document.getElementById(grid().getAttribute("aria-activedescendant") ?? "")?.textContent;

beforeEach(() => document.body.replaceChildren());
afterEach(() => table.dispose());

describe("Table", () => {
  it("grows: rows, and columns in the order in which they appear", () => {
    show('[{"name": "Ada", "age": 36}, {"na');
    expect(head()).toEqual(["name", "age"]);
    expect(cells()).toEqual([["0", "Ada", "36"], ["1", "", ""]]);
    expect(size()).toBe("2 rows so far");
    const [first] = rows();
    more('me": "Bob", "city": "Pa');
    expect(head()).toEqual(["name", "age", "city"]);
    expect(cells()).toEqual([["0", "Ada", "36", ""], ["1", "Bob", "", "Pa"]]);
    expect(rows()[0]).toBe(first);
    more('ris"}]');
    expect(size()).toBe("2 rows");
  });

  it("marks the row that is being written, and one that was cut", () => {
    show('[{"a": 1}, {"a": "x');
    const busy = () => rows().map((row) => row.getAttribute("aria-busy"));
    expect(busy()).toEqual(["false", "true"]);
    expect(rows()[1]!.querySelectorAll("[data-open]").length).toBe(1);
    more("", true);
    expect(busy()).toEqual(["false", "false"]);
    expect(rows().map((row) => row.hasAttribute("data-cut"))).toEqual([false, true]);
    expect(size()).toBe("2 rows");
  });

  it("shows names and values as text on one line, with nothing hidden", () => {
    show(JSON.stringify([{ [HOSTILE]: HOSTILE, b: "one\ntwo\u202e", c: [1, { d: null }], e: "x".repeat(500) }]));
    expect(table.element.querySelector("img")).toBeNull();
    expect(head()).toEqual([HOSTILE, "b", "c", "e"]);
    expect(cells()[0]!.slice(1, 4)).toEqual([HOSTILE, "one two\\u202e", '[1, {"d": null}]']);
    expect(cells()[0]![4]!.length).toBe(161);
  });

  it("tells numbers from texts, with every digit", () => {
    show('[{"n": 12345678901234567890, "s": "1", "m": 1}, {"n": 1.50, "s": "2", "m": null}]');
    expect(cells().map((row) => row[1])).toEqual(["12345678901234567890", "1.50"]);
    const kinds = [...rows()[0]!.cells].slice(1).map((cell) => cell.className);
    expect(kinds).toEqual(["llmkit-run-number", "llmkit-run-cell", "llmkit-run-cell"]);
  });

  it("puts no more rows on the page than can be seen, whatever there is", () => {
    show("[");
    const began = performance.now();
    for (let row = 0; row < 1_000; row++) more(`{"a": ${row}, "b": "text"},`);
    expect(rows().length).toBeLessThan(60);
    expect(grid().getAttribute("aria-rowcount")).toBe("1001");
    expect(size()).toBe("1,000 rows so far");
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  it("says how many columns it doesn't show", () => {
    show(JSON.stringify([Object.fromEntries(Array.from({ length: 70 }, (_, index) => [`c${index}`, index]))]));
    expect(head().length).toBe(50);
    expect(size()).toBe("1 row · … and 20 more columns");
  });

  it("is walked with the keys, and a row opens as a tree with the whole of each value", () => {
    const text = "long ".repeat(100);
    show(JSON.stringify([{ a: 1, b: 2 }, { a: 3, b: text }]));
    expect([grid().getAttribute("role"), grid().tabIndex]).toEqual(["grid", 0]);
    press("ArrowDown", "ArrowDown", "ArrowRight");
    expect(selected()).toContain("long long");
    press("Home");
    expect(selected()).toBe("3");
    press("Enter");
    expect(details().textContent).toContain("Row 1");
    expect(details().textContent).toContain(text);
    press("Escape");
    expect(details().textContent).toBe("");
  });

  it("opens a row at a click, and goes on writing it", () => {
    show('[{"a": "x');
    rows()[0]!.cells[1]!.click();
    more('yz"}]');
    expect(details().textContent).toContain('a"xyz"');
    rows()[0]!.cells[1]!.click();
    expect(details().textContent).toBe("");
  });
});
