import { make as makePart } from "../shared/dom";
import { labelOf } from "./words";

/** Make an element of class `llmkit-grid-<name>` with attributes and children. */
export const make: typeof makePart = (tag, name, attributes = {}, ...children) => {
  const element = makePart(tag, name, attributes, ...children);
  element.className = `llmkit-grid-${name}`;
  return element;
};

/** Make a button that calls `press`; the letter is its key. */
export function button(label: string, title: string, press: () => void, key = ""): HTMLButtonElement {
  const element = make("button", "button", { type: "button", title: key === "" ? title : `${title} (${key})` }, label);
  if (key !== "") element.setAttribute("aria-keyshortcuts", key);
  element.addEventListener("click", (event) => {
    event.stopPropagation();
    press();
  });
  return element;
}

/** Set an attribute; touch the page only on a change. */
export function set(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Make a factor's name with a level of it. */
export function tag([name, label]: [string, string]): HTMLElement {
  return make("span", "tag", {}, make("span", "factor", {}, labelOf(name)), labelOf(label));
}
