/** Make an element of class `llmkit-playground-<name>` with attributes and children. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  name: string,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  element.className = `llmkit-playground-${name}`;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Set an element's text, hide it when there is none; touch the page only on a change. */
export function say(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
}

/** Set what a field holds, unless it does already: the caret stays. */
export function fill(field: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement, text: string): void {
  if (field.value !== text) field.value = text;
}

let made = 0;

/** Return an id that no other element of the page has. */
export function newId(): string {
  return `llmkit-playground-${Math.random().toString(36).slice(2)}-${++made}`;
}
