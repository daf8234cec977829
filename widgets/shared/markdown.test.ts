import { describe, expect, it } from "vitest";
import { blockStarts, render } from "./markdown";

function html(source: string): string {
  const box = document.createElement("div");
  box.append(render(source));
  return box.innerHTML.trim();
}

describe("render", () => {
  it("renders Markdown", () => {
    expect(html("**a** `b`")).toBe("<p><strong>a</strong> <code>b</code></p>");
  });

  it("keeps a line break of the model", () => {
    expect(html("a\nb")).toMatch(/^<p>a<br>\s*b<\/p>$/);
  });

  it("aligns table columns by attribute", () => {
    expect(html("|a|b|\n|-|-:|\n|1|2|")).toContain('<td align="right">2</td>');
  });

  it("keeps the number that a list starts with", () => {
    expect(html("3. a")).toMatch(/^<ol start="3">/);
  });

  it("opens links in another tab without telling where from", () => {
    expect(html("[a](https://example.org)")).toBe(
      '<p><a href="https://example.org" target="_blank" rel="noopener noreferrer">a</a></p>',
    );
  });

  it.each(["mailto:a@example.org", "http://example.org", "HTTPS://example.org/x"])("links to %s", (url) => {
    expect(html(`[a](${url})`)).toContain("<a ");
  });

  it.each(["javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "/api/kernels", "//evil.org"])(
    "doesn't link to %s",
    (url) => {
      expect(html(`[a](${url}) ![b](${url}) <${url}>`)).not.toMatch(/<(a|img)\b/);
    },
  );

  it("shows a remote image as a link, and fetches nothing", () => {
    expect(html("![cat](https://example.org/cat.png)")).toBe(
      '<p><a href="https://example.org/cat.png" target="_blank" rel="noopener noreferrer">cat</a></p>',
    );
  });

  it("shows an image inside a link as the link's text", () => {
    expect(html("[![cat](https://a.org/c.png)](https://b.org)")).toMatch(/^<p><a href="https:\/\/b\.org"[^>]*>cat<\/a><\/p>$/);
  });

  it.each([
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "a <a href='javascript:alert(1)'>b</a>",
    "<details open ontoggle=alert(1)>",
    '[a](https://e.org "\" onmouseover=alert(1)")',
    "![\"><img src=x onerror=alert(1)>](https://e.org)",
    "```\"><img src=x onerror=alert(1)>\nx\n```",
  ])("lets no markup of the model through: %s", (source) => {
    const box = document.createElement("div");
    box.append(render(source));
    const names = new Set([...box.querySelectorAll("*")].flatMap((node) => node.getAttributeNames()));
    expect(box.querySelector("img, script, svg, style, iframe, details")).toBeNull();
    expect([...names].filter((name) => !["href", "target", "rel", "title"].includes(name))).toEqual([]);
    expect([...box.querySelectorAll("a")].map((a) => a.protocol).filter((scheme) => scheme !== "https:")).toEqual([]);
  });
});

describe("blockStarts", () => {
  it("finds the first line of each top-level block", () => {
    expect(blockStarts("# a\n\nb\nc\n\n- d\n- e\n\n```\nf\n```\n")).toEqual([0, 2, 5, 8]);
  });
});
