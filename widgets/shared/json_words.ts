// JSON values in few words, for places with room for one line.

import type { JSONNode } from "./partial";

/** Return the beginning of a value as JSON text: of what is deep in it, or too long, there is but a "…". */
export function compact(node: JSONNode, longest: number): string {
  const text = written(node, longest, 4);
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/** Return what is in an object or array, in words. */
export function sizeWords(node: JSONNode): string {
  if (node.kind === "object") return count(node.members.size, "key");
  return node.kind === "array" ? count(node.items.length, "item") : "";
}

/** Return a number of things in words. */
export function count(number: number, what: string): string {
  return `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
}

function written(node: JSONNode, longest: number, depth: number): string {
  if (node.kind === "string") return JSON.stringify(node.text.slice(0, longest + 1));
  if (node.kind !== "object" && node.kind !== "array") return node.text;
  const [opening, closing] = node.kind === "object" ? ["{", "}"] : ["[", "]"];
  const parts: string[] = [];
  let length = 0;
  const members: Iterable<[string | number, JSONNode]> = node.kind === "object" ? node.members : node.items.entries();
  for (const [name, child] of members) {
    if (depth === 0 || length > longest) {
      parts.push("…");
      break;
    }
    const label = node.kind === "object" ? `${JSON.stringify(String(name).slice(0, longest))}: ` : "";
    const part = label + written(child, longest - length, depth - 1);
    length += part.length;
    parts.push(part);
  }
  return `${opening}${parts.join(", ")}${closing}`;
}
