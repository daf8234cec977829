// What a tool gave back: text, JSON, a table or an image. Everything of it is text to the page.

import { make } from "./dom";
import { long } from "./long";
import type { Cut, Value } from "./protocol";
import { json, plain, type Painter } from "./visible";

/** Show a value. */
export function showValue(value: Value): HTMLElement {
  switch (value.kind) {
    case "table":
      return table(value);
    case "image":
      return image(value);
    case "json":
      return showText(value, json());
    case "text":
      return showText(value);
  }
}

/** Show a text that may have been cut. */
export function showText(cut: Cut, painter: Painter = plain()): HTMLElement {
  const block = make("pre", "block");
  long(block, cut.more > 0 ? cut.text : cut.text.replace(/\n$/, ""), painter);
  if (cut.more > 0) block.append(make("p", "quiet", {}, `… and ${count(cut.more, "more character")}, not sent here`));
  return block;
}

/** Only these two, whatever a message says: they can't hold a script. */
function image({ mime, data, short }: Extract<Value, { kind: "image" }>): HTMLElement {
  const known = mime === "image/png" || mime === "image/jpeg";
  if (!known || !/^[A-Za-z0-9+/=]*$/.test(data)) return make("p", "quiet", {}, "An image that can't be shown.");
  return make("img", "image", { src: `data:${mime};base64,${data}`, alt: short });
}

function table(value: Extract<Value, { kind: "table" }>): HTMLElement {
  const head = make("tr", "row", {}, ...["", ...value.columns].map((name) => cell("th", name)));
  const rows = value.rows.map((row) =>
    make("tr", "row", {}, ...row.map((text, index) => cell(index === 0 ? "th" : "td", text, value.numeric[index - 1]))),
  );
  const grid = make("table", "table", {}, make("thead", "head", {}, head), make("tbody", "rows", {}, ...rows));
  const more = [
    value.more_rows > 0 ? count(value.more_rows, "more row") : "",
    value.more_columns > 0 ? count(value.more_columns, "more column") : "",
  ].filter((part) => part !== "");
  const shown = make("div", "grid", {}, make("div", "frame", {}, grid));
  if (more.length > 0) shown.append(make("p", "quiet", {}, `… ${more.join(" and ")}`));
  return shown;
}

function cell(tag: "th" | "td", text: string, numeric = false): HTMLElement {
  const element = make(tag, numeric ? "number" : "cell");
  plain().paint(element, text);
  return element;
}

function count(number: number, what: string): string {
  return `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
}
