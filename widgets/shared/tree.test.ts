import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PartialJSON } from "./partial";
import { Tree } from "./tree";

const HOSTILE = "<img src=x onerror=alert(1)>";

let reader: PartialJSON;
let tree: Tree;

/** Show the beginning of a JSON text. */
function show(text: string, over = false): void {
  reader = new PartialJSON();
  reader.feed(text);
  tree = new Tree(reader.root!, "Output");
  document.body.append(tree.element);
  tree.update(over);
}

function more(text: string, over = false): void {
  reader.feed(text);
  tree.update(over);
}

const items = () => [...tree.element.querySelectorAll<HTMLElement>("[role=treeitem]")];
const lines = () => items().map((item) => item.querySelector(".llmkit-run-line")!.textContent);
const active = () => (document.activeElement as HTMLElement).querySelector(".llmkit-run-line")!.textContent;
const press = (...keys: string[]) => {
  for (const key of keys) document.activeElement!.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
};

beforeEach(() => document.body.replaceChildren());
afterEach(() => tree.dispose());

describe("Tree", () => {
  it("grows, and keeps what is there", () => {
    show('{"name": "Ad');
    expect(lines()).toEqual(["1 key", 'name"Ad']);
    const [, name] = items();
    more('a", "age": 36, "tags": ["x", {');
    expect(lines()).toEqual(["3 keys", 'name"Ada"', "age36", "tags2 items", '0"x"', "1{"]);
    expect(items()[1]).toBe(name);
    more("}]}");
    expect(lines().at(-1)).toBe("1{}");
  });

  it("marks what is being written, and what was cut", () => {
    show('{"a": [1, "b');
    const busy = () => items().filter((item) => item.getAttribute("aria-busy") === "true").length;
    expect(busy()).toBe(3);
    more("", true);
    expect(busy()).toBe(0);
    expect(items().filter((item) => item.hasAttribute("data-cut")).length).toBe(3);
  });

  it("goes on where it was taken to be cut, after a connection that was lost", () => {
    show(`{"a": "${"x".repeat(2_000)}`, true);
    expect(lines()[1]).toContain("Show 800 more characters");
    more("y");
    expect(lines()[1]).toBe(`a"${"x".repeat(2_000)}y`);
    more('z"}');
    expect(lines()[1]).toContain("Show 802 more characters");
  });

  it("shows names and strings as text, with nothing hidden, and every digit of a number", () => {
    show(JSON.stringify({ [HOSTILE]: HOSTILE, "\u202e": "a\u202eb", __proto__x: 1 }).replace("1}", "12345678901234567890}"));
    expect(tree.element.querySelector("img")).toBeNull();
    expect(lines()).toEqual(["3 keys", `${HOSTILE}"${HOSTILE}"`, '\\u202e"a\\u202eb"', "__proto__x12345678901234567890"]);
  });

  it("folds a long string that has ended, and shows the rest on demand", () => {
    show(JSON.stringify("x".repeat(5_000)).slice(0, 3_000));
    expect(lines()[0]!.length).toBe(3_000);
    more(`${"x".repeat(2_001)}"`);
    expect(lines()[0]).toBe(`"${"x".repeat(1_200)}… Show 3,800 more characters`);
    tree.focus();
    press("Enter");
    expect(lines()[0]).toContain("x".repeat(5_000));
  });

  it("shows the later of two values with the same name where the first was", () => {
    show('{"a": 1, "b": 2, ');
    more('"a": [3]}');
    expect(lines()).toEqual(["2 keys", "a1 item", "03", "b2"]);
  });

  it("folds what is deep, and shows many members in pieces", () => {
    show("[".repeat(5_000));
    expect(items().length).toBe(4);
    show(JSON.stringify(Array.from({ length: 250 }, (_, index) => index)));
    expect(items().length).toBe(101);
    const button = tree.element.querySelector("button")!;
    expect(button.textContent).toBe("… Show 100 of 150 more");
    button.click();
    expect(lines().at(-1)).toBe("199199");
    expect(tree.element.querySelector("button")!.textContent).toBe("… Show 50 of 50 more");
  });

  it("is walked with the arrow keys", () => {
    show('{"a": {"b": 1, "c": 2}, "d": 3}');
    expect(items().map((item) => item.tabIndex)).toEqual([0, -1, -1, -1, -1]);
    expect(items().map((item) => item.getAttribute("aria-level"))).toEqual(["1", "2", "3", "3", "2"]);
    tree.focus();
    press("ArrowDown", "ArrowDown");
    expect(active()).toBe("b1");
    press("ArrowLeft");
    expect(active()).toBe("a2 keys");
    press("ArrowLeft");
    expect(items().length).toBe(3);
    press("ArrowDown");
    expect(active()).toBe("d3");
    press("ArrowUp", "ArrowRight", "ArrowRight");
    expect(active()).toBe("b1");
    press("End");
    expect(active()).toBe("d3");
    press("Home");
    expect(document.activeElement).toBe(items()[0]);
    expect(items().filter((item) => item.tabIndex === 0).length).toBe(1);
  });

  it("folds and unfolds at a click", () => {
    show('{"a": {"b": 1}}');
    items()[1]!.querySelector<HTMLElement>(".llmkit-run-line")!.click();
    expect(items()[1]!.getAttribute("aria-expanded")).toBe("false");
    expect(lines()).toEqual(["1 key", "a1 key"]);
  });
});
