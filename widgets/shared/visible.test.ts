import { describe, expect, it } from "vitest";
import { make } from "./dom";
import { long } from "./long";
import { json, oneLine, plain, visible, type Painter } from "./visible";

const HOSTILE = '<img src=x onerror="window.hacked = 1"><script>window.hacked = 2</script>';

function painted(painter: Painter, ...pieces: string[]): HTMLElement {
  const element = document.createElement("div");
  for (const piece of pieces) painter.paint(element, piece);
  return element;
}

describe("visible text", () => {
  it("leaves markup text", () => {
    const element = painted(plain(), HOSTILE);
    expect([element.textContent, element.childElementCount]).toEqual([HOSTILE, 0]);
  });

  it("shows what hides", () => {
    const hidden = ["\u202e", "\u2066", "\u200b", "\u0000", "\u001b", "\r", "\u2028", "\ud800", "\u00ad", "\u{e0041}", "\u3164"];
    const element = painted(plain(), hidden.map((each) => `a${each}`).join(""));
    expect(element.querySelectorAll("span")).toHaveLength(hidden.length);
    expect(visible("a\u202eb")).toBe("a\\u202eb");
    expect(visible("\u{e0041}")).toBe("\\udb40\\udc41");
  });

  it("leaves ordinary text of any script", () => {
    const text = "Zoë 日本 שלום\n\tمرحبا 🙂";
    const element = painted(plain(), text);
    expect([element.textContent, element.childElementCount]).toEqual([text, 0]);
  });

  it("marks the escapes of JSON, wherever the text is cut", () => {
    const text = "a\\u202eb\\\\u202ec\\nd";
    for (let cut = 0; cut <= text.length; cut++) {
      const element = painted(json(), text.slice(0, cut), text.slice(cut));
      expect(element.textContent).toBe(text);
      expect([...element.querySelectorAll("span")].map((each) => each.textContent)).toEqual(["\\u202e"]);
      expect(painted(json(true), text.slice(0, cut), text.slice(cut)).textContent).toBe("a\\u202eb\\u202ec\nd");
    }
  });

  it("puts the beginning of a text on one line", () => {
    expect(oneLine("a\n b\u202e", 80)).toBe("a b\\u202e");
    expect(oneLine("abc", 2)).toBe("ab…");
  });
});

describe("long text", () => {
  function shown(text: string): HTMLElement {
    const element = make("pre", "block");
    long(element, text, plain());
    return element;
  }
  const more = (element: HTMLElement) => element.querySelector("button");

  it("is whole when it is short", () => {
    expect(more(shown("a\n".repeat(10)))).toBeNull();
  });

  it("says how much more there is, and brings all of it", () => {
    const text = Array.from({ length: 30_000 }, (_, index) => `line ${index}`).join("\n");
    const element = shown(text);
    expect(element.textContent!.length).toBeLessThan(300);
    const left = text.length - text.split("\n").slice(0, 14).join("\n").length;
    expect(more(element)!.textContent).toBe(`… Show 100,000 of ${left.toLocaleString("en")} more characters`);
    while (more(element) !== null) more(element)!.click();
    expect(element.textContent).toBe(text);
  });

  it("folds one endless line", () => {
    const element = shown("x".repeat(1e6));
    expect(element.textContent!.length).toBeLessThan(1_300);
  });
});
