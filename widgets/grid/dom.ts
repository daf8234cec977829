import { maker } from "../shared/dom";
import { labelOf } from "./words";

export { set } from "../shared/dom";

/** Make an element of class `llmkit-grid-<name>` with attributes and children. */
export const make = maker("grid");

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

/** Make a factor's name with a level of it. */
export function tag([name, label]: [string, string]): HTMLElement {
  return make("span", "tag", {}, make("span", "factor", {}, labelOf(name)), labelOf(label));
}
