/** Make an element of class `llmkit-run-<name>` with attributes and children. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  name: string,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  element.className = `llmkit-run-${name}`;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Make a button that calls `press`. */
export function button(name: string, label: string, press: () => void, title = ""): HTMLButtonElement {
  const element = make("button", name, { type: "button", ...(title === "" ? {} : { title }) }, label);
  element.classList.add("llmkit-run-button");
  element.addEventListener("click", press);
  return element;
}

/** Set an element's text and hide it when there is none; touch the page only on a change. */
export function say(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
}
