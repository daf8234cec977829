import { maker } from "../shared/dom";

/** Make an element of class `llmkit-chat-<name>` with attributes and children. */
export const make = maker("chat");

/** Make a button that calls `press`. */
export function button(name: string, label: string, title: string, press: () => void): HTMLButtonElement {
  const element = make("button", name, { type: "button", title }, label);
  element.classList.add("llmkit-run-button");
  element.addEventListener("click", press);
  return element;
}
