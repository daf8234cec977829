import { make as makePart } from "../shared/dom";

/** Make an element of class `llmkit-tokens-<name>` with attributes and children. */
export const make: typeof makePart = (tag, name, attributes = {}, ...children) => {
  const element = makePart(tag, name, attributes, ...children);
  element.className = `llmkit-tokens-${name}`;
  return element;
};

/** Make a button that calls `press`. */
export function button(name: string, label: string, press: () => void, title = ""): HTMLButtonElement {
  const element = make("button", name, { type: "button", ...(title === "" ? {} : { title }) }, label);
  element.classList.add("llmkit-tokens-button");
  element.addEventListener("click", press);
  return element;
}

/** Set an element's text; touch the page only on a change. */
export function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
