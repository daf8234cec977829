import { make as makePart } from "../shared/dom";

/** Make an element of class `llmkit-timeline-<name>` with attributes and children. */
export const make: typeof makePart = (tag, name, attributes = {}, ...children) => {
  const element = makePart(tag, name, attributes, ...children);
  element.className = `llmkit-timeline-${name}`;
  return element;
};

/** Set an attribute; touch the page only on a change. */
export function set(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Set a property of an element's own style; touch the page only on a change. */
export function style(element: HTMLElement, name: "left" | "right" | "width" | "top" | "height", value: string): void {
  if (element.style[name] !== value) element.style[name] = value;
}

/** Set an element's text; touch the page only on a change. */
export function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
