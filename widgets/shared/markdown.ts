// Model text as HTML. The text is hostile: no HTML of its own, no remote images, only web and mail links.

import DOMPurify from "dompurify";
import MarkdownIt, { type Env, type Token } from "markdown-it";

const SAFE_LINK = /^(?:https?:|mailto:)/i;
const TAGS = [
  ..."a blockquote br code del em h1 h2 h3 h4 h5 h6 hr li ol p pre s strong".split(" "),
  ..."table tbody td th thead tr ul".split(" "),
];
const ATTRIBUTES = ["align", "href", "start", "title"];

const markdown = new MarkdownIt({ html: false, linkify: false, breaks: true });
markdown.validateLink = (url) => SAFE_LINK.test(url.trim());
markdown.renderer.rules["image"] = (tokens, index) => imageAsLink(tokens, index);
markdown.core.ruler.push("align", (state) => state.tokens.forEach(alignByAttribute));

const purify = DOMPurify(window);
purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A" || !node.hasAttribute("href")) return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer");
});

/** Return `source` as sanitised nodes; link definitions in it are added to those in `env`. */
export function render(source: string, env: Env = {}): DocumentFragment {
  return purify.sanitize(markdown.render(source, env), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOWED_URI_REGEXP: SAFE_LINK,
    ADD_URI_SAFE_ATTR: ["align", "start"],
    ALLOW_ARIA_ATTR: false,
    ALLOW_DATA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
}

/** Return the lines of `source`, counted from 0, at which its top-level blocks start. */
export function blockStarts(source: string): number[] {
  return markdown
    .parse(source, {})
    .filter((token) => token.level === 0 && token.nesting >= 0 && token.map !== null)
    .map((token) => token.map![0]);
}

/** A remote image would tell its host who reads this, so it shows as a link. */
function imageAsLink(tokens: Token[], index: number): string {
  const { escapeHtml } = markdown.utils;
  const token = tokens[index]!;
  const source = String(token.attrGet("src") ?? "");
  const text = escapeHtml(token.content || source || "image");
  const depth = tokens.slice(0, index).reduce((sum, { type, nesting }) => sum + (/^link/.test(type) ? nesting : 0), 0);
  return source === "" || depth > 0 ? text : `<a href="${escapeHtml(source)}">${text}</a>`;
}

/** Columns are aligned by attribute, so that no `style` has to pass the sanitiser. */
function alignByAttribute(token: Token): void {
  if (token.type !== "th_open" && token.type !== "td_open") return;
  const align = /text-align:(left|center|right)/.exec(String(token.attrGet("style") ?? ""))?.[1];
  token.attrs = align === undefined ? null : [["align", align]];
}
