// A call's arguments, exactly as the kernel wrote them: the JSON text is taken apart, not parsed, because a page's
// numbers are not Python's.

import { make } from "../shared/dom";
import { long } from "../shared/long";
import { json, plain } from "../shared/visible";

export interface Entry {
  /** The name as in the JSON text, without quotes. Items of a list have none. */
  name: string;
  /** JSON text, without the indentation of its place. */
  value: string;
}

/** Lists and objects are taken apart so deep, where they hold text of several lines; what is deeper stays JSON. */
const DEEPEST = 6;

/** Show JSON text; names in `changed` are marked. */
export function show(text: string, changed: ReadonlySet<string> = new Set()): HTMLElement {
  const parts = entries(text);
  if (parts === undefined) return value(text, 0);
  if (parts.length === 0) return make("p", "quiet", {}, "No arguments.");
  return rows(parts, 0, changed);
}

/** Return the names of the entries in which two JSON texts of objects differ. */
export function differences(before: string, after: string): Set<string> {
  const old = new Map(entries(before)?.map(({ name, value }) => [name, value]));
  const now = new Map(entries(after)?.map(({ name, value }) => [name, value]));
  const names = new Set([...old.keys(), ...now.keys()]);
  return new Set([...names].filter((name) => old.get(name) !== now.get(name)));
}

/** Return the entries of an object or a list given as JSON text; `undefined` if it is neither. */
export function entries(text: string): Entry[] | undefined {
  if (text[0] !== "{" && text[0] !== "[") return undefined;
  const found: Entry[] = [];
  let name = "";
  let from = 1;
  let depth = 0;
  const end = (index: number): void => {
    const value = text.slice(from, index).trim();
    if (value !== "") found.push({ name, value: value.replaceAll("\n  ", "\n") });
    name = "";
    from = index + 1;
  };
  for (let index = 1; index < text.length; index++) {
    const character = text[index];
    if (character === '"') index = stringEnd(text, index);
    else if (character === "{" || character === "[") depth += 1;
    else if ((character === "}" || character === "]") && depth-- === 0) end(index);
    else if (character === "," && depth === 0) end(index);
    else if (character === ":" && depth === 0) {
      name = text.slice(from, index).trim().slice(1, -1);
      from = index + 1;
    }
  }
  return found;
}

/** Return where the string that starts at `index` has its closing quote. */
function stringEnd(text: string, index: number): number {
  let at = index + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}

function rows(parts: Entry[], depth: number, changed: ReadonlySet<string>): HTMLElement {
  const list = make("dl", "arguments");
  parts.forEach((part, index) => {
    const name = make("dt", "name");
    if (part.name === "") plain().paint(name, String(index));
    else json().paint(name, part.name.length > 200 ? `${part.name.slice(0, 200)}…` : part.name);
    const shown = make("dd", "value", {}, value(part.value, depth + 1));
    if (changed.has(part.name)) {
      name.append(make("span", "changed", {}, "edited"));
      shown.classList.add("llmkit-run-edited");
    }
    list.append(name, shown);
  });
  return list;
}

function value(text: string, depth: number): HTMLElement {
  if (text.startsWith('"')) return string(text);
  const parts = depth < DEEPEST && holdsLines(text) ? entries(text) : undefined;
  if (parts !== undefined) return rows(parts, depth, new Set());
  const code = make("pre", "code");
  long(code, text, json());
  return code;
}

/** A text of several lines is shown as such, in a block of its own; any other as JSON writes it, quotes and all. */
function string(text: string): HTMLElement {
  const block = holdsLines(text);
  const element = make("pre", block ? "block" : "code");
  long(element, block ? text.slice(1, -1) : text, json(block));
  return element;
}

function holdsLines(text: string): boolean {
  return /(?<!\\)(?:\\\\)*\\n/.test(text);
}
