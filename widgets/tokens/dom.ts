import { maker } from "../shared/dom";

export { write } from "../shared/dom";

/** Make an element of class `llmkit-tokens-<name>` with attributes and children. */
export const make = maker("tokens");

/** Make a button that calls `press`. */
export function button(name: string, label: string, press: () => void, title = ""): HTMLButtonElement {
  const element = make("button", name, { type: "button", ...(title === "" ? {} : { title }) }, label);
  element.classList.add("llmkit-tokens-button");
  element.addEventListener("click", press);
  return element;
}
