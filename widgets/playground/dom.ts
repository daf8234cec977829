import { maker } from "../shared/dom";

export { say } from "../shared/dom";

/** Make an element of class `llmkit-playground-<name>` with attributes and children. */
export const make = maker("playground");

/** Set what a field holds, unless it does already: the caret stays. */
export function fill(field: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement, text: string): void {
  if (field.value !== text) field.value = text;
}

let made = 0;

/** Return an id that no other element of the page has. */
export function newId(): string {
  return `llmkit-playground-${Math.random().toString(36).slice(2)}-${++made}`;
}
