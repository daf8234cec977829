import { describe, expect, it } from "vitest";
import { render } from "./markdown";
import { StreamedMarkdown } from "./streamed";

const DOCUMENT = `# Title

A paragraph with **bold**,
a break and a [link][ref].

1. one
2. two
   - nested

   a paragraph in the item
1. three

Setext
======

\`\`\`python
def f():

    return "| no table |"
\`\`\`

| a | b |
|---|--:|
| 1 | 2 |
text after

> quote
continued lazily

    indented code

* * *
- a
+ b

[ref]: https://example.org "a title"

end of it`;

function whole(source: string): string {
  const box = document.createElement("div");
  box.append(render(source));
  return box.innerHTML;
}

/** Numbers that look random and are the same each time. */
function* numbers(seed: number): Generator<number, never> {
  for (let value = seed; ; ) {
    value = (value * 1664525 + 1013904223) % 2 ** 32;
    yield value / 2 ** 32;
  }
}

describe("StreamedMarkdown", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])("comes to the same as rendering the whole, however it is cut (%i)", (seed) => {
    const random = numbers(seed);
    const box = document.createElement("div");
    const streamed = new StreamedMarkdown(box);
    for (let end = 0; end < DOCUMENT.length; ) {
      end += 1 + Math.floor(random.next().value * 12);
      streamed.update(DOCUMENT.slice(0, end));
    }
    streamed.settle();
    expect(box.innerHTML).toBe(whole(DOCUMENT));
  });

  it("shows at each moment what rendering the whole would show", () => {
    const source = DOCUMENT.replaceAll("[link][ref]", "link");
    const box = document.createElement("div");
    const streamed = new StreamedMarkdown(box);
    for (let end = 1; end <= source.length; end++) {
      streamed.update(source.slice(0, end));
      expect(box.textContent!.replace(/\s+/g, " ").trim()).toBe(
        render(source.slice(0, end)).textContent!.replace(/\s+/g, " ").trim(),
      );
    }
  });

  it("doesn't touch finished blocks", () => {
    const box = document.createElement("div");
    const streamed = new StreamedMarkdown(box);
    streamed.update("first\n\nsecond\n\nthird");
    const first = box.firstElementChild;
    streamed.update("first\n\nsecond\n\nthird and more\n\nfourth");
    expect(box.firstElementChild).toBe(first);
    expect(box.children).toHaveLength(4);
  });

  it("starts anew when the text is another one", () => {
    const box = document.createElement("div");
    const streamed = new StreamedMarkdown(box);
    streamed.update("first\n\nsecond\n");
    streamed.update("other");
    expect(box.innerHTML.trim()).toBe("<p>other</p>");
  });

  it("reads Windows line ends, also when they are cut in two", () => {
    const box = document.createElement("div");
    const streamed = new StreamedMarkdown(box);
    for (const text of ["a\r", "a\r\n", "a\r\n\r", "a\r\n\r\n", "a\r\n\r\nb"]) streamed.update(text);
    expect([...box.children].map((child) => child.textContent)).toEqual(["a", "b"]);
  });
});
